from pathlib import Path

import numpy as np
import pytest

from trimtab.cache.calibrate import Calibration
from trimtab.cache.semantic import SemanticCache
from trimtab.cache.trial import Pair, Share, Trial, Tried, read_pairs, try_pairs
from trimtab.cache.verify import Evidence, Reading


class Lengths:
    """Takes questions for the same the more their lengths are alike."""

    fingerprint = "lengths"

    def read(self, text: str) -> Reading:
        return Reading(text, np.ones(4, np.float32) / 2, b"")

    def compare(self, one: Reading, other: Reading) -> Evidence:
        return Evidence(-abs(len(one.text) - len(other.text)), 1.0)

    def same(self, one: Reading, other: Reading) -> float:
        return 1 + self.compare(one, other).score / 10


PAIRS = [
    Pair("same length?", "12 letters !", True, "right"),
    Pair("one more", "one less", False, "wrong"),
    Pair("short", "much longer", True, "right"),
    Pair("a", "bb", False),
]


def cache(**settings: object) -> SemanticCache:
    return SemanticCache(reader=Lengths(), **{"threshold": 0.95, **settings})


def test_what_is_served_is_counted() -> None:
    trial = try_pairs(cache(), PAIRS)
    assert [one.served for one in trial.tried] == [True, True, False, False]
    assert [one.probability for one in trial.tried] == pytest.approx([1, 1, 0.4, 0.9])
    assert trial.served == trial.traps == trial.error == trial.precision == Share(1, 2)
    assert trial.worst(5) == [trial.tried[1]]


def test_each_pair_is_in_a_partition_of_its_own() -> None:
    alike = [Pair("aaaa", "bbbb", True), Pair("cccc", "d", False)]
    assert try_pairs(cache(), alike).error == Share(0, 1)


def test_a_trial_leaves_the_reader_as_it_was() -> None:
    tried = cache()
    reader = tried.reader
    try_pairs(tried, PAIRS)
    assert tried.reader is reader


def test_other_limits_are_told_without_asking_again() -> None:
    trial = try_pairs(cache(), PAIRS)
    for limit in (0.0, 0.5, 0.95, 1.01):
        served = [one.served for one in try_pairs(cache(threshold=min(limit, 1)), PAIRS).tried]
        assert [one.served for one in trial.at(limit).tried] == (
            served if limit <= 1 else [False] * 4
        )


def test_categories_are_told_apart() -> None:
    categories = try_pairs(cache(), PAIRS).categories
    assert {name: trial.error for name, trial in categories.items()} == {
        "right": Share(0, 1),
        "wrong": Share(1, 1),
    }


def test_the_very_same_question_is_served_without_being_compared() -> None:
    (one,) = try_pairs(cache(), [Pair("a", "a", True)]).tried
    assert one == Tried(Pair("a", "a", True), True, None)
    assert Trial((one,)).at(1.0) == Trial((one,))


def test_a_calibrated_cache_is_tried_with_its_own_probabilities() -> None:
    rest = len(Evidence(0.0, 1.0).row) - 1
    weights = (9.0, *[0.0] * rest, 5.0)
    learned = Calibration(weights, (0.0,) * (rest + 1), (1.0,) * (rest + 1), limit=0.9)
    tried = try_pairs(cache(threshold=None, calibration=learned), PAIRS).tried
    expected = [learned.probability(Evidence(-score, 1.0)) for score in (0, 0, 6, 1)]
    assert [one.probability for one in tried] == expected
    assert [one.served for one in tried] == [True, True, False, False]


@pytest.mark.parametrize(
    ("part", "whole", "interval"),
    [
        # Of Wilson's interval, by Newcombe 1998, table I.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (20, 20, (0.8389, 1.0)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_intervals_are_those_of_the_books(
    part: int, whole: int, interval: tuple[float, float]
) -> None:
    assert Share(part, whole).interval == pytest.approx(interval, abs=1e-4)


def test_none_of_none_is_unknown() -> None:
    assert Share(0, 0).value is None


def test_pairs_are_read_under_either_names(tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    path.write_text(
        '\ufeff{"a": "was", "b": "is", "same": 1}\n\n'
        '{"question": "is", "cached": "was", "same": false, "category": 3}\n'
    )
    assert read_pairs(path) == [Pair("is", "was", True), Pair("is", "was", False, "3")]
