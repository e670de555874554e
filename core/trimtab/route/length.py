"""Longer questions with more clauses are harder: a router that needs no labels and no model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from trimtab.route.quantile import WINDOW, Quantile
from trimtab.types import Request

CLAUSES = 0.25
"""What a clause counts beside length, both on a logarithmic scale."""
COMMAS = ",;\uff0c\u3001"
USUAL, SPREAD = 6.0, 1.0
"""Of what is measured, where there is no traffic yet to compare with."""
FORMAT = "trimtab-length/1"


class Length:
    """Sends the hardest share of the user's own traffic to the strong model.

    How hard a question is shows in its length and its clauses; how long is long, only the traffic
    knows, so there is no absolute limit. Safe to share between threads.

    Args:
        strong_rate: The share of requests that the strong model is to answer.
        traffic: Prompts seen before, oldest first: some 300 bring the rate within 2 points.
        size: How many prompts are remembered, as one number each.

    >>> from trimtab import Message, Request
    >>> from trimtab.route import Length
    >>> by = Length(strong_rate=0.3, traffic=["Hello! " * n for n in range(100)])
    >>> [by.wants_strong(Request("", (Message("user", "Hello! " * n),))) for n in (5, 95)]
    [False, True]
    """

    def __init__(
        self, strong_rate: float = 0.3, traffic: Iterable[Request | str] = (), size: int = WINDOW
    ) -> None:
        if not 0 <= strong_rate <= 1:
            raise ValueError(f"strong_rate must be between 0 and 1, got {strong_rate}")
        self.strong_rate = strong_rate
        self._seen = Quantile(size=size)
        for prompt in traffic:
            self.observe(prompt)

    def score(self, request: Request) -> float:
        """Return how hard a request looks, from 0 to 1; nothing is remembered."""
        return _share(measure(request.query))

    def percentile(self, request: Request) -> float | None:
        """Return the share of the traffic that looks easier, or None without traffic."""
        return self._seen.rank(measure(request.query))

    def wants_strong(self, request: Request) -> bool:
        """Tell whether a request belongs to the hardest share, and remember it as traffic.

        The first one of all has nothing to compare with: it goes to the strong model.
        """
        limit, size = self._seen.limit(self.strong_rate), measure(request.query)
        self._seen.add(size)
        if limit is None:
            return self.strong_rate > 0
        return size > limit

    def observe(self, request: Request | str) -> None:
        """Remember a prompt as traffic."""
        self._seen.add(measure(request if isinstance(request, str) else request.query))

    def learn(self, request: Request, ok: bool | None = None) -> None:
        """Do nothing: how a request was answered tells length nothing."""

    @property
    def traffic(self) -> int:
        """How many prompts are remembered."""
        return len(self._seen)

    @property
    def limit(self) -> float | None:
        """The score above which requests go to the strong model, or None without traffic."""
        found = self._seen.limit(self.strong_rate)
        return None if found is None else _share(found)

    def save(self, path: str | Path) -> None:
        """Write the rate and the traffic's sizes, without any text of it, as JSON."""
        saved = {
            "format": FORMAT,
            "strong_rate": self.strong_rate,
            "size": self._seen.size,
            "seen": [round(size, 4) for size in self._seen.scores()],
        }
        Path(path).write_text(json.dumps(saved) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Length:
        """Read what `save` wrote.

        Raises:
            ValueError: The file is something else.
        """
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(f"{path} is not a router saved by Length.save")
        found = cls(saved["strong_rate"], size=saved["size"])
        for size in saved["seen"]:
            found._seen.add(size)
        return found


def measure(text: str) -> float:
    """Return a text's length and clauses on a logarithmic scale."""
    clauses = sum(map(text.count, COMMAS))
    return math.log1p(len(text)) + CLAUSES * math.log1p(clauses)


def _share(size: float) -> float:
    """Squeeze a size into 0 to 1, so that its order stays."""
    return 1 / (1 + math.exp((USUAL - size) / SPREAD))
