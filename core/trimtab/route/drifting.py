"""Whether new traffic is like the traffic that a router knows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from trimtab.route.rows import request_of
from trimtab.types import Request

RISK = 0.01
"""How often traffic that did not move is said to have."""
TERMS = 100


class _Ranks(Protocol):
    @property
    def traffic(self) -> int: ...

    def percentile(self, request: Request) -> float | None: ...


@dataclass(frozen=True)
class Drift:
    """How far new queries are from a router's traffic: Kolmogorov and Smirnov's test."""

    distance: float
    """The greatest difference between the shares of queries that are easier than any score."""
    p: float
    """How often traffic that did not move would differ as much by chance."""
    harder: float
    """The mean percentile of the queries, minus a half: positive where they became harder."""
    queries: int

    @property
    def moved(self) -> bool:
        """Whether the traffic moved: then the router is to be fitted anew."""
        return self.p < RISK

    def __str__(self) -> str:
        size = f"{self.queries:,} queries"
        if not self.moved:
            return f"{size} are as hard as those that the router knows (p {self.p:.2g})"
        how = "harder" if self.harder > 0 else "easier"
        far = f"by {abs(self.harder):.0%} of the scale" if abs(self.harder) > 0.005 else "in spread"
        return f"{size} moved {far}, on the whole {how} (p {self.p:.2g}): fit the router anew"


def drift(router: _Ranks, queries: Iterable[Request | str]) -> Drift:
    """Compare the scores of new queries with those that a router remembers of its traffic.

    A router remembers what it decides on: compare with one that was loaded from its file. Queries
    of which none is harder or easier can still be others; their answers tell.

    Raises:
        ValueError: There are no queries, or the router knows no traffic.

    >>> from trimtab.route import Drift, Length, drift
    >>> by = Length(traffic=["Hello! " * n for n in range(100)])
    >>> found: Drift = drift(by, ["Hello! " * n for n in range(50, 150)])
    >>> print(found)
    100 queries moved by 38% of the scale, on the whole harder (p ...): fit the router anew
    """
    asked = (request_of(query) if isinstance(query, str) else query for query in queries)
    found = [router.percentile(request) for request in asked]
    places = sorted(place for place in found if place is not None)
    if not places:
        raise ValueError("drift needs queries, and a router that knows some traffic")
    number = len(places)
    distance = max(
        max((i + 1) / number - place, place - i / number) for i, place in enumerate(places)
    )
    size = number * router.traffic / (number + router.traffic)
    return Drift(distance, _chance(distance, size), sum(places) / number - 0.5, number)


def _chance(distance: float, size: float) -> float:
    """Return how likely such a distance is: Kolmogorov's series, as corrected by Stephens."""
    x = distance * (math.sqrt(size) + 0.12 + 0.11 / math.sqrt(size))
    if x < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, TERMS))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))
