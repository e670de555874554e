"""From what probability on an answer may be served."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trimtab.cache.calibrate import NEVER, bound, calibrate, limit_for
from trimtab.cache.verify import NEVER as RULED_OUT
from trimtab.cache.verify import SIGNS, Evidence


def evidence(score: float) -> Evidence:
    return Evidence(score, 0.5, (0.0,) * len(SIGNS))


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    # Beta(0.9; k + 1, n - k)
    assert bound(0, 20) == pytest.approx(0.10875, abs=1e-4)
    assert bound(5, 100) == pytest.approx(0.09127, abs=2e-3)
    assert bound(20, 20) == pytest.approx(1.0)


def test_a_bigger_budget_serves_no_less_and_keeps_what_it_promises() -> None:
    dice = np.random.default_rng(0)
    chances = dice.random(5000)
    same = dice.random(5000) < chances
    limits = [limit_for(chances, same, budget) for budget in (0.001, 0.05, 0.1, 0.3, 1.0)]

    assert limits == sorted(limits, reverse=True)
    assert limits[0] == NEVER
    assert (~same[chances >= limits[3]]).mean() <= 0.3


def test_a_calibration_learns_whose_score_means_what() -> None:
    dice = np.random.default_rng(1)
    scores = dice.normal(0, 3, 600)
    same = [bool(score > 1) for score in scores]
    found = calibrate([evidence(score) for score in scores], same, 0.05)

    assert found.pairs == 600
    assert found.served > 100
    assert found.wrong <= 0.05 * found.served
    assert found.probability(evidence(8)) >= found.limit > found.probability(evidence(-2))


def test_too_few_pairs_serve_nothing_and_one_kind_is_an_error() -> None:
    few = [evidence(5), evidence(6), evidence(-5), evidence(-6)]

    assert calibrate(few, [True, True, False, False], 0.01).limit == NEVER
    with pytest.raises(ValueError, match="got 4 and 0"):
        calibrate(few, [True] * 4, 0.01)


def test_the_bound_is_where_so_few_wrong_ones_have_one_chance_in_ten() -> None:
    for wrong, served in ((0, 1), (0, 300), (1, 50), (7, 90), (49, 50)):
        share = bound(wrong, served)
        at_most = sum(
            math.comb(served, k) * share**k * (1 - share) ** (served - k) for k in range(wrong + 1)
        )
        assert at_most == pytest.approx(0.1, abs=1e-6)


def test_a_limit_never_parts_what_is_equally_likely() -> None:
    chances = np.array([0.9] * 40 + [0.5] * 40)
    same = np.array([True] * 40 + [True, False] * 20)

    assert limit_for(chances, same, 0.1) == 0.9
    assert limit_for(chances[::-1], same[::-1], 0.1) == 0.9
    assert limit_for(chances, same, 0.5) == 0.5
    assert limit_for(chances[:0], same[:0], 0.5) == NEVER


def test_a_pair_that_is_ruled_out_is_served_by_no_calibration() -> None:
    dice = np.random.default_rng(0)
    same = [bool(chance < 0.7) for chance in dice.random(400)]
    pairs = [
        Evidence(dice.normal(), 0.95 if one else 0.6 + 0.1 * dice.random(), (0.0,) * len(SIGNS))
        for one in same
    ]
    never = Evidence(RULED_OUT, 0.95, (0.0,) * len(SIGNS))
    found = calibrate([*pairs, *[never] * 30], [*same, *[True] * 30], 0.05)

    assert found.served >= 200 and found.limit > 0
    assert found.probability(evidence(0)) > 0
    assert found.probability(never) == 0
