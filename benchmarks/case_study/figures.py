"""Figures of a day, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from case_study.play import Played, Record
from numpy.typing import NDArray

METRICS = ("tokens", "plain", "cached")
"""Tokens sent and received; dollars without the provider's prefix cache, and with it."""
DRAWS = 2000
Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}-{self.high:.2f})"

    @property
    def written(self) -> dict[str, Any]:
        """The figure for a file."""
        return {"value": round(self.value, 4), "95 %": [round(self.low, 4), round(self.high, 4)]}


class Compared:
    """Days beside the one without trimtab, drawn anew by conversations and by questions.

    A question and all that repeat or resemble it are drawn together.
    """

    def __init__(self, base: Played) -> None:
        self.base = _sums(base)
        dice = np.random.default_rng(0)
        self.drawn = [
            np.array([np.bincount(dice.integers(n, size=n), minlength=n) for _ in range(DRAWS)])
            for n in map(len, self.base)
            if n
        ]

    def ratio(self, day: Played, part: int | None = None) -> dict[str, Figure]:
        """Compare a day, or one part of it: 0 for the questions, 1 for the cases."""
        return self._share(_sums(day), part)

    def gain(self, more: Played, less: Played) -> dict[str, Figure]:
        """Return the share of the whole bill by which one day costs less than another."""
        pairs = zip(_sums(more), _sums(less), strict=True)
        return self._share([one - other for one, other in pairs], None)

    def _share(self, sums: Sequence[Sums], part: int | None) -> dict[str, Figure]:
        parts = [i for i in range(len(self.base)) if part in (None, i) and len(self.base[i])]
        top = sum(sums[i].sum(axis=0) for i in parts)
        bottom = sum(self.base[i].sum(axis=0) for i in parts)
        tops = sum(self.drawn[i] @ sums[i] for i in parts)
        ratios = tops / sum(self.drawn[i] @ self.base[i] for i in parts)
        low, high = np.quantile(ratios, (0.025, 0.975), axis=0)
        values = zip(top / bottom, low, high, strict=True)
        return dict(zip(METRICS, (Figure(*map(float, v)) for v in values), strict=True))


def _sums(day: Played) -> list[Sums]:
    """Add up what was spent, family by family, and case by case."""
    return [_by_family(day.questions), _by_family(day.cases)]


def _by_family(records: Sequence[Record]) -> Sums:
    places: dict[str, int] = {}
    for record in records:
        places.setdefault(record.family, len(places))
    found = np.zeros((len(places), len(METRICS)))
    for record in records:
        spent = record.spent
        found[places[record.family]] += (spent.input + spent.output, spent.plain, spent.cached)
    return found


def wilson(part: int, whole: int) -> Figure:
    """Return a share with Wilson's interval."""
    if not whole:
        return Figure(0.0, 0.0, 1.0)
    z, share = 1.96, part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    reach = z * np.sqrt(share * (1 - share) / whole + z * z / (4 * whole**2)) / (1 + z * z / whole)
    return Figure(share, float(middle - reach), float(middle + reach))
