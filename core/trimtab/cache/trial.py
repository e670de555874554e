"""How often a semantic cache would serve a wrong answer, tried on labelled pairs of questions."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from trimtab.cache.semantic import SemanticCache
from trimtab.cache.verify import Evidence, Reader, Reading
from trimtab.types import Message, Request, Response

GZIP = b"\x1f\x8b"
SURE = 1.96
"""Standard deviations that 95 % of a normal distribution lie within."""
EXPECTED = (
    'one JSON object a line, {"question", "cached", "same"} or {"b", "a", "same"}: what is asked,'
    " what was answered before, and whether one answer serves both"
)


@dataclass(frozen=True)
class Pair:
    """A question, one that was answered before, and whether one answer serves both."""

    question: str
    cached: str
    same: bool
    category: str = ""


@dataclass(frozen=True)
class Tried:
    """What a cache made of a pair."""

    pair: Pair
    served: bool
    probability: float | None
    """That one answer serves both, in its eyes; None where it did not compare them."""

    @property
    def wrong(self) -> bool:
        """Whether it served an answer that does not serve."""
        return self.served and not self.pair.same


@dataclass(frozen=True)
class Share:
    """Some of many."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """None of none is unknown, and not zero."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, after Wilson, which holds for few and for rare ones too."""
        if not self.whole:
            return 0.0, 1.0
        square, rate = SURE * SURE / self.whole, self.part / self.whole
        spread = SURE * math.sqrt((rate * (1 - rate) + square / 4) / self.whole)
        low, high = (rate + square / 2 - spread), (rate + square / 2 + spread)
        # At the ends they are these, up to rounding.
        low, high = (low if self.part else 0.0), (high if self.part < self.whole else 1 + square)
        return low / (1 + square), high / (1 + square)


@dataclass(frozen=True)
class Trial:
    """What a cache made of many pairs."""

    tried: tuple[Tried, ...]

    @property
    def served(self) -> Share:
        """Of the pairs that one answer serves, those where it was served."""
        return self._share(lambda one: one.pair.same, lambda one: one.served)

    @property
    def traps(self) -> Share:
        """Of the pairs that one answer does not serve, those where it was served."""
        return self._share(lambda one: not one.pair.same, lambda one: one.served)

    @property
    def error(self) -> Share:
        """Of the answers served, the wrong ones: what `max_error` limits."""
        return self._share(lambda one: one.served, lambda one: one.wrong)

    @property
    def precision(self) -> Share:
        """Of the answers served, the right ones."""
        return self._share(lambda one: one.served, lambda one: not one.wrong)

    @property
    def categories(self) -> dict[str, Trial]:
        """The same by category, in order of their names."""
        names = sorted({one.pair.category for one in self.tried} - {""})
        chosen = ((n, tuple(o for o in self.tried if o.pair.category == n)) for n in names)
        return {name: Trial(tried) for name, tried in chosen}

    def at(self, limit: float) -> Trial:
        """Return what it would have made of them with another limit."""
        return Trial(
            tuple(
                one
                if one.probability is None
                else Tried(one.pair, one.probability >= limit, one.probability)
                for one in self.tried
            )
        )

    def worst(self, count: int) -> list[Tried]:
        """Return wrong answers served, the likeliest in the cache's eyes first."""
        wrong = [one for one in self.tried if one.wrong]
        return sorted(wrong, key=lambda one: -(one.probability or 1.0))[:count]

    def _share(self, among: Callable[[Tried], bool], chosen: Callable[[Tried], bool]) -> Share:
        found = [chosen(one) for one in self.tried if among(one)]
        return Share(sum(found), len(found))


def try_pairs(cache: SemanticCache, pairs: Iterable[Pair]) -> Trial:
    """Answer the one question of each pair and ask the other, each pair in its own partition.

    What it answers stays in the cache: give it an empty one of its own.
    """
    watch = _Watch(cache)
    cache.reader = cast(Reader, watch)
    try:
        return Trial(tuple(_tried(cache, watch, i, pair) for i, pair in enumerate(pairs)))
    finally:
        cache.reader = watch.reader


def read_pairs(path: Path | str) -> list[Pair]:
    """Read labelled pairs.

    Raises:
        ValueError: A line is none. Says which line, and what was expected.
    """
    pairs = []
    with open(path, "rb") as file:
        for number, line in enumerate(_lines(file, path), start=1):
            if line.strip():
                try:
                    pairs.append(_pair(json.loads(line.decode("utf-8-sig"))))
                except (ValueError, RecursionError) as error:
                    why = _why(error)
                    raise ValueError(
                        f"{path}, line {number}: {why}; expected {EXPECTED}"
                    ) from error
    if not pairs:
        raise ValueError(f"{path}: it is empty; expected {EXPECTED}")
    return pairs


class _Watch:
    """Is the reader of a cache, and remembers what that made of the last pair."""

    def __init__(self, cache: SemanticCache) -> None:
        self.reader, self.calibration = cache.reader, cache.calibration
        self.said: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    def same(self, one: Reading, other: Reading) -> float:
        self.said = self.reader.same(one, other)
        return self.said

    def compare(self, one: Reading, other: Reading) -> Evidence:
        found = self.reader.compare(one, other)
        if self.calibration is not None:
            self.said = self.calibration.probability(found)
        return found


def _tried(cache: SemanticCache, watch: _Watch, number: int, pair: Pair) -> Tried:
    first, then = (
        Request("any", (Message("user", text),), tenant=f"pair {number}")
        for text in (pair.cached, pair.question)
    )
    cache.put(first, Response(Message("assistant", "served")))
    watch.said = None
    served = cache.get(then) is not None
    if not served:
        cache.release(then)
    return Tried(pair, served, watch.said)


def _lines(file: BufferedReader, path: Path | str) -> Iterator[bytes]:
    zipped = file.peek(2)[:2] == GZIP
    try:
        yield from gzip.GzipFile(fileobj=file) if zipped else file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: the gzip data is damaged or cut short: {error}") from error


def _pair(fields: Any) -> Pair:
    if not isinstance(fields, dict):
        raise ValueError(f"this is no object but {_short(fields)}")
    names = ("question", "cached") if "question" in fields else ("b", "a")
    for name in names:
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise ValueError(f"{name!r} is no text but {_short(fields.get(name))}")
    if fields.get("same") not in (True, False):
        raise ValueError(f"'same' is neither true nor false but {_short(fields.get('same'))}")
    category = fields.get("category")
    question, cached = (fields[name] for name in names)
    return Pair(question, cached, bool(fields["same"]), "" if category is None else str(category))


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "this is not text in UTF-8"
    if isinstance(error, (json.JSONDecodeError, RecursionError)):
        return f"this is not JSON ({error})"
    return str(error)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}..."
