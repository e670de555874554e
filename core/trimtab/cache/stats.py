"""What a cache did for its owner."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from decimal import Decimal

from trimtab.types import Usage


@dataclass(frozen=True)
class Stats:
    """How often a cache could answer, and what that saved.

    >>> from trimtab import Message, Request
    >>> from trimtab.cache import ExactCache, Stats
    >>> cache = ExactCache()
    >>> cache.get(Request("gpt-4o", (Message("user", "Hello!"),)))
    >>> stats: Stats = cache.stats()
    >>> stats.misses, stats.hit_rate
    (1, 0.0)
    """

    hits: int = 0
    misses: int = 0
    skipped: int = 0
    """Requests that it has no say in, because their answers are made from what tools returned."""
    saved: Usage = field(default_factory=lambda: Usage(0, 0, 0, 0, 0))
    """Tokens of the answers found, as far as these told them; None where not one of them did."""
    untold: int = 0
    """Answers found that did not tell both their input and their output."""
    dollars: Decimal = Decimal(0)
    """What the answers found had cost, as far as their prices were known."""
    unpriced: int = 0
    """Answers found whose price was not known."""
    semantic: int = 0
    """Hits on a question that was asked in other words, among the hits."""

    @property
    def hit_rate(self) -> float | None:
        """The share of requests that were answered; None before the first one."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Tally:
    """Counts up what becomes `Stats`, for threads that do so at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = self._misses = self._skipped = self._untold = self._unpriced = 0
        self._tokens: list[int | None] = [None] * len(vars(Usage()))
        self._dollars = Decimal(0)

    def hit(self, usage: Usage | None, worth: Decimal | None) -> None:
        """Count an answer found, what it told of its tokens, and the dollars it had cost."""
        with self._lock:
            self._hits += 1
            if usage is not None:
                for i, count in enumerate(vars(usage).values()):
                    if count is not None:
                        self._tokens[i] = (self._tokens[i] or 0) + count
            if usage is None or usage.input_tokens is None or usage.output_tokens is None:
                self._untold += 1
            if worth is None:
                self._unpriced += 1
            else:
                self._dollars += worth

    def miss(self) -> None:
        """Count a request that the cache had no answer to."""
        with self._lock:
            self._misses += 1

    def skip(self) -> None:
        """Count a request that the cache was not to answer."""
        with self._lock:
            self._skipped += 1

    def stats(self) -> Stats:
        """Return the counts so far."""
        with self._lock:
            return Stats(
                self._hits,
                self._misses,
                self._skipped,
                Usage(*self._tokens) if self._hits else Usage(0, 0, 0, 0, 0),
                self._untold,
                self._dollars,
                self._unpriced,
            )
