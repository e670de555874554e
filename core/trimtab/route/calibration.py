"""Chooses a router for the user's own traffic, and says what it is worth there.

>>> from trimtab.embed import Hashed
>>> from trimtab.route import Calibration, Learned, Length, calibrate, load
>>> rows = [(f"Add {n} and 1.", 1, 1) for n in range(60)]
>>> rows += [(f"Prove that {n} is odd.", 0, 1) for n in range(60)]
>>> found: Calibration = calibrate(rows, embed=Hashed())
>>> found.weak, found.strong, found.beats_chance
(0.5, 1.0, True)
>>> found.router.save("router.json")
>>> by: Length | Learned = load("router.json", embed=Hashed())
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trimtab.route.curve import Curve, Interval
from trimtab.route.dollars import Size, Tier, expected
from trimtab.route.floor import Floor
from trimtab.route.floor import floor as safe_rate
from trimtab.route.learned import FORMAT as LEARNED
from trimtab.route.learned import MOST, Fitted, Learned, fit
from trimtab.route.length import Length
from trimtab.route.rows import GivenRows, Row, read_rows, request_of
from trimtab.route.savings import Savings, estimate
from trimtab.types import Request

RATES = tuple(step / 20 for step in range(21))
"""The strong rates of the curve."""
CONFIDENCE = 0.95
"""Of a floor."""


@dataclass(frozen=True)
class Point:
    """What is to be expected at one strong rate."""

    strong_rate: float
    quality: Interval
    """Share of right answers."""
    cost: float | None
    """Dollars a request, or None where costs are not known."""


@dataclass(frozen=True)
class Calibration:
    """A router, and what it was worth on rows that were kept aside in turn."""

    router: Length | Learned
    reason: str
    """Why this one."""
    rows: int
    weak: float
    """Share of right answers of the weak model alone."""
    strong: float
    points: Sequence[Point]
    learned: Interval
    """The APGR of what was learned, used or not: see `Curve`."""
    length: Interval
    """The APGR of `Length`."""
    half: float
    """The strong rate that recovers 50 % of the gap between the models (CPT50)."""
    most: float
    """The one that recovers 80 % (CPT80)."""
    floor: Floor | None = None

    @property
    def apgr(self) -> Interval:
        """That of the router chosen."""
        return self.learned if isinstance(self.router, Learned) else self.length

    @property
    def beats_chance(self) -> bool:
        """Whether the router is sure to be better than to choose at random."""
        return self.apgr.low > 0.5

    def estimate_savings(
        self, queries: Iterable[Request | str], weak: Tier | str, strong: Tier | str
    ) -> Savings:
        """Estimate what queries would cost with the router, and with the strong model alone."""
        return estimate(self.router, queries, weak, strong)


def calibrate(
    rows: GivenRows,
    *,
    embed: Any = None,
    floor: float | None = None,
    strong_rate: float = 0.3,
    models: tuple[Tier | str, Tier | str] | None = None,
) -> Calibration:
    """Fit, cross-validate, and choose between what was learned and `Length`.

    Args:
        rows: Prompts with outcomes of both models: some 300, up to 4,000; of more, the last.
        embed: See `Learned.fit`.
        floor: Share of right answers that may be lost against the strong model alone: the router
            gets the smallest strong rate that is safe with 95 % confidence.
        strong_rate: The share of requests for the strong model, where there is no `floor`.
        models: The weak and the strong one, to price rows that carry no costs.

    Raises:
        ValueError: There are too few rows, or the strong model is no better on them.
    """
    known = _priced(read_rows(rows)[-MOST:], models)
    fitted = fit(known, embed)
    curve = Curve(fitted.scores, known)
    safe = None if floor is None else safe_rate(curve.scores, known, floor, confidence=CONFIDENCE)
    return Calibration(
        _router(fitted, strong_rate if safe is None else safe.strong_rate, known),
        fitted.reason,
        len(known),
        curve.weak,
        curve.strong,
        _points(curve),
        fitted.apgr,
        fitted.length,
        curve.needed(0.5),
        curve.needed(0.8),
        safe,
    )


def load(path: str | Path, *, embed: Any = None) -> Length | Learned:
    """Read a router that was saved, of either kind.

    Raises:
        ValueError: The file is something else, or was fitted with another embedder.
    """
    saved = json.loads(Path(path).read_text(encoding="utf-8"))
    if isinstance(saved, dict) and saved.get("format") == LEARNED:
        return Learned.load(path, embed=embed)
    return Length.load(path)


def _router(fitted: Fitted, rate: float, rows: Sequence[Row]) -> Length | Learned:
    learned = Learned(fitted, rate)
    return learned if learned.learned else Length(rate, [row.prompt for row in rows])


def _points(curve: Curve) -> tuple[Point, ...]:
    costs: Sequence[float | None] = curve.cost(RATES) or [None] * len(RATES)
    found = zip(RATES, curve.quality(RATES), costs, strict=True)
    return tuple(Point(rate, quality, cost) for rate, quality, cost in found)


def _priced(rows: Sequence[Row], models: tuple[Tier | str, Tier | str] | None) -> Sequence[Row]:
    """Fill in the costs that are not given, by the models' prices."""
    if models is None:
        return rows
    weak, strong = (Tier(model) if isinstance(model, str) else model for model in models)
    return tuple(
        replace(
            row,
            weak_cost=_cost(row.prompt, weak) if row.weak_cost is None else row.weak_cost,
            strong_cost=_cost(row.prompt, strong) if row.strong_cost is None else row.strong_cost,
        )
        for row in rows
    )


def _cost(prompt: str, tier: Tier) -> float | None:
    request = replace(request_of(prompt), model=tier.model)
    found = expected(tier, Size.of(request), warm=False)
    return None if found is None else float(found)
