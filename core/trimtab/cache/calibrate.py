"""From what probability on a remembered answer may be served, given how many may be wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.cache.verify import Evidence

    Array = NDArray[np.float64]
    Labels = NDArray[np.bool_]

CONFIDENCE = 0.9
"""How sure it is that no more than the budget is wrong, among questions like those given."""
FOLDS = 10
SMALLEST = 20
"""Answers that must have been served for their share of wrong ones to be looked at."""
CLEARLY = 1.5
"""Times as many served. To take the better of two that are about as good is to take the luckier
one, whose budget holds less often."""
PRIOR = 2.0
"""How strongly weights are drawn to zero, which keeps those of few pairs small."""
NEVER = 1.01
"""A limit above every probability: nothing is served."""


@dataclass(frozen=True)
class Calibration:
    """How pairs of the user's own are weighed, and from where on they count as the same.

    >>> from trimtab.cache import Calibration, SemanticCache
    >>> same = [(f"Where is {n}?", f"where is {n}", True) for n in range(40)]
    >>> other = [(f"Where is {n}?", f"Where is {n + 1}?", False) for n in range(40)]
    >>> found: Calibration = SemanticCache(max_error=0.1).calibrate(same + other)
    >>> found.pairs, found.served > found.wrong
    (80, True)
    """

    weights: tuple[float, ...]
    """Of a pair's evidence, as `mean` and `spread` scale it; the last one stands alone."""
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    limit: float
    served: int = 0
    """Of the pairs given, each judged by weights that were fitted on the others."""
    wrong: int = 0
    pairs: int = 0

    def probability(self, evidence: Evidence) -> float:
        """Return the probability that one answer serves both questions."""
        if evidence.ruled_out:
            return 0.0
        row = (np.array(evidence.row) - self.mean) / np.array(self.spread)
        odds = float(row.clip(-6, 6) @ self.weights[:-1] + self.weights[-1])
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, odds))))


def calibrate(evidence: Sequence[Evidence], same: Sequence[bool], max_error: float) -> Calibration:
    """Fit weights and a limit to labelled pairs.

    The shipped score as it is, or, where that serves clearly more of the pairs within the budget,
    a logistic regression with a ridge over all that is known of a pair, whose limit is found by
    probabilities of pairs that the weights were not fitted on, in ten folds.

    Raises:
        ValueError: There are no two pairs of either kind to learn from.
    """
    labels = np.array(same, bool)
    if min(labels.sum(), (~labels).sum()) < 2:
        raise ValueError(
            f"a calibration needs pairs that are the same and pairs that are not, got "
            f"{labels.sum()} and {(~labels).sum()}"
        )
    rows = np.array([one.row for one in evidence], float)
    rows[:, 0] = rows[:, 0].clip(-30, None)  # a template's
    open_ = ~np.array([one.ruled_out for one in evidence])
    shipped, learnt = (
        _weighed(rows, labels, open_, max_error, measures) for measures in (1, rows.shape[1])
    )
    return learnt if learnt.served > CLEARLY * shipped.served else shipped


def _weighed(
    rows: Array, labels: Labels, open_: Labels, max_error: float, measures: int
) -> Calibration:
    """Weigh the first measures, the shipped score being the first of all."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    scaled = ((rows - mean) / spread).clip(-6, 6)
    scaled[:, measures:] = 0
    weights = fit(scaled, labels)
    if measures == 1:  # whose order no fit changes, so nothing is learnt by heart
        held = _odds(scaled, weights)
    else:
        held = np.zeros(len(rows))
        folds = np.random.default_rng(0).permutation(len(rows)) % min(FOLDS, len(rows))
        for fold in range(folds.max() + 1):
            out = folds == fold
            held[out] = _odds(scaled[out], fit(scaled[~out], labels[~out]))
    chances = 1 / (1 + np.exp(-held))
    limit = limit_for(chances[open_], labels[open_], max_error)
    serves = open_ & (chances >= limit)
    return Calibration(
        tuple(map(float, weights)),
        tuple(map(float, mean)),
        tuple(map(float, spread)),
        limit,
        served=int(serves.sum()),
        wrong=int((serves & ~labels).sum()),
        pairs=len(rows),
    )


def limit_for(chances: Array, same: Labels, max_error: float) -> float:
    """Return the lowest probability from which on few enough pairs are wrong, or `NEVER`.

    "Few enough" is the upper bound of Clopper and Pearson (1934) on their share, at `CONFIDENCE`.
    """
    order = np.argsort(-chances, kind="stable")
    wrong = np.cumsum(~same[order])
    best = NEVER
    for i in range(SMALLEST - 1, len(order)):
        last = i + 1 == len(order) or chances[order[i + 1]] < chances[order[i]]
        if last and _is_within(int(wrong[i]), i + 1, max_error):
            best = float(chances[order[i]])
    return best


def _is_within(wrong: int, served: int, max_error: float) -> bool:
    """Tell whether `bound` is within the budget, without working it out."""
    if wrong > max_error * served:
        return False
    return max_error >= 1 or _at_most(wrong, served, max_error) <= 1 - CONFIDENCE


def bound(wrong: int, served: int) -> float:
    """Return the share of wrong answers that is not exceeded, at `CONFIDENCE`."""
    low, high = wrong / served, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if _at_most(wrong, served, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def fit(rows: Array, same: Labels) -> Array:
    """Fit a logistic regression by Newton's method; the last weight stands alone."""
    wide = np.column_stack([rows, np.ones(len(rows))])
    ridge = np.diag([PRIOR] * rows.shape[1] + [1e-3])
    weights = np.zeros(wide.shape[1])
    for _ in range(25):
        chances = 1 / (1 + np.exp(-(wide @ weights).clip(-30, 30)))
        slope = wide.T @ (same - chances) - ridge @ weights
        curve = (wide * (chances * (1 - chances))[:, None]).T @ wide + ridge
        step = np.linalg.solve(curve, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    found: Array = weights
    return found


def _odds(rows: Array, weights: Array) -> Array:
    found: Array = rows @ weights[:-1] + weights[-1]
    return found


def _at_most(wrong: int, served: int, share: float) -> float:
    """Return the chance of at most so many wrong ones."""
    if share >= 1:
        return float(wrong >= served)
    log, total = served * math.log1p(-share), 0.0
    for k in range(wrong + 1):
        total += math.exp(log)
        log += math.log(share / (1 - share)) + math.log((served - k) / (k + 1)) if share else -1e9
    return min(1.0, total)
