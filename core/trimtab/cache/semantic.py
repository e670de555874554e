"""A cache that answers a question also where it was asked before in other words."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, replace
from inspect import iscoroutinefunction
from typing import Any, cast

from trimtab.cache.answers import Kept
from trimtab.cache.aside import aside
from trimtab.cache.calibrate import NEVER, Calibration, calibrate, limit_for
from trimtab.cache.exact import ExactCache
from trimtab.cache.memory import MemoryStore
from trimtab.cache.notes import Asked
from trimtab.cache.partition import Meant, meant
from trimtab.cache.stats import Stats
from trimtab.cache.store import Near, Store, Vectors
from trimtab.cache.tags import EPOCH
from trimtab.cache.verify import Evidence, Reader, Reading
from trimtab.embed import embedder
from trimtab.latest import Latest
from trimtab.types import Request, Response, digest

log = logging.getLogger("trimtab")
DEFAULT = 0.9
"""The limit of a reader of the user's own, which says nothing of its errors."""
LOOKED_AT = 5
"""How many of the nearest questions are compared: the nearest need not be the same."""
TIE = 0.02
"""Cosine. Where one is sure enough, only those nearly as near are compared with it."""
Judge = Callable[[str, str], "bool | None"] | Callable[[str, str], Awaitable["bool | None"]]
"""(question, cached question) -> whether one answer serves both, or None where it cannot tell."""


@dataclass(frozen=True)
class Match:
    """A question that was answered before, beside the one that is asked now."""

    question: str
    near: Near
    probability: float
    """That one answer serves both."""


class SemanticCache(ExactCache):
    """Looks for the same request first, and then for the same question in other words.

    Only the user's last words may differ, and only where they are all that is asked: not the
    tenant, the model, the tools, the parameters, nor anything said before.

    Args:
        embed: A function of texts, a LangChain or LlamaIndex embedding, a model's name; MiniLM
            where it is not given and installed.
        max_error: At most so many of the answers served by meaning may be wrong ones.
        threshold: Serve from this probability on, whatever `max_error` says.
        max_entries: Of the store made where none is given; other stores have limits of their own.
        judge: Asked about the best match where its probability is not quite high enough, in place
            of the model, so that it should cost less. One that is a coroutine function is asked
            by `aget` alone.
        band: The probability from which on the judge is asked.
        reader: Compares questions, in place of the one that works with `embed`.
        calibration: An earlier result of `calibrate`.

    >>> from dataclasses import replace
    >>> from trimtab import Message, Request, Response
    >>> from trimtab.cache import SemanticCache
    >>> cache = SemanticCache()
    >>> asked = Request("gpt-4o", (Message("user", "How do I renew my passport?"),))
    >>> cache.put(asked, Response(Message("assistant", "At the town hall.")))
    >>> again = replace(asked, messages=(Message("user", "how do i renew my passport"),))
    >>> cache.get(again).message.text
    'At the town hall.'
    """

    def __init__(  # noqa: PLR0913
        self,
        embed: Any = None,
        *,
        max_error: float = 0.01,
        threshold: float | None = None,
        ttl: float | None = None,
        max_entries: int = 100_000,
        store: Store | MutableMapping[str, str] | None = None,
        tags: Callable[[Request], Iterable[str]] | None = None,
        judge: Judge | None = None,
        band: float = 0.5,
        keep_tool_answers: bool = False,
        patience: float = 120.0,
        reader: Reader | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        _check_shares(max_error=max_error, threshold=threshold, band=band)
        super().__init__(
            MemoryStore(max_entries) if store is None else store,
            ttl=ttl,
            tags=tags,
            keep_tool_answers=keep_tool_answers,
            patience=patience,
        )
        if store is None:
            self.flight.leases = None  # nobody else can use the store
        if not hasattr(self._texts, "nearest"):
            raise ValueError(f"a semantic cache needs a store with vectors, got {store!r}")
        self.max_error = max_error
        self.judge = judge
        self.band = band
        self.reader = Reader(embedder(embed)) if reader is None else reader
        self.threshold = threshold
        self.calibration = calibration
        """What the user's own pairs taught, or None."""
        self.limit = self._start()
        """The probability from which on an answer is served."""
        self.failures = 0
        """How often the search by meaning failed, and was left out."""
        self._vectors = cast(Vectors, self._texts)
        self._readings: Latest[Reading] = Latest()
        self._served: Latest[Match] = Latest()
        self._semantic, self._counting = 0, threading.Lock()
        self._lessons: list[tuple[Evidence, bool]] = []
        self._reported = 0

    def get(self, request: Request, *, bound: bool = False) -> Response | None:
        """Return an answer to the question, or wait for one; None makes it the caller's to find.

        Args:
            request: What is asked.
            bound: True where a caller that fails will not say `release`.
        """
        if (question := self._meant(request)) is None:
            return super().get(request, bound=bound)
        asked = self._ask(request.key, self._names(request))
        found = self._joined(asked, bound)
        if found is None:
            with _Leading(self, asked) as leading:
                found, doubtful = self._recall(asked, question)
                if doubtful is not None and self._agrees(doubtful):
                    found = self._serve(asked, doubtful)
                leading.found(found)
        return self._told(asked, found)

    async def aget(self, request: Request, *, bound: bool = False) -> Response | None:
        """Do the same, awaiting."""
        if (question := self._meant(request)) is None:
            return await super().aget(request, bound=bound)
        asked = await self._aside(self._ask, request.key, self._names(request))
        found = await self._ajoined(asked, bound)
        if found is None:
            with _Leading(self, asked) as leading:
                found, doubtful = await aside(self._recall, asked, question)
                if doubtful is not None and await self._aagrees(doubtful):
                    found = await self._aside(self._serve, asked, doubtful)
                leading.found(found)
        return self._told(asked, found)

    def put(self, request: Request, response: Response) -> None:
        """Remember an answer, if it is worth it, and give it to all who wait for it."""
        super().put(request, response)
        if response.keepable and (question := self._meant(request)) is not None:
            self._place(request.key, question)

    async def aput(self, request: Request, response: Response) -> None:
        """Do the same, awaiting."""
        await super().aput(request, response)
        if response.keepable and (question := self._meant(request)) is not None:
            await aside(self._place, request.key, question)

    def calibrate(self, pairs: Iterable[tuple[str, str, bool]]) -> Calibration:
        """Learn from pairs of the application's own what counts as the same question.

        Some 300 pairs are a beginning, 1,000 are better; they should be such as the cache meets: a
        question, the nearest one asked before, and whether one answer served both. With too few to
        be sure of the error budget nothing is served by meaning. A plain threshold goes.

        Args:
            pairs: (question, cached question, same?).

        Raises:
            ValueError: There are no two pairs of either kind.
        """
        rows = list(pairs)
        texts = sorted({text for pair in rows for text in pair[:2]})
        readings = dict(zip(texts, self.reader.read_all(texts), strict=True))
        return self._learn(
            [(self.reader.compare(readings[a], readings[b]), same) for a, b, same in rows]
        )

    def wrong(self, request: Request) -> bool:
        """Say that the answer last given to a request was a wrong one; False if none is known.

        The two questions are never again taken for one another. Where more are wrong than the
        error budget allows, the limit rises above this one. An answer to the very same request is
        forgotten.
        """
        match, question = self._served.pop(request.key), self._meant(request)
        if match is None or question is None:
            return super().wrong(request)
        self._texts.save(_wrong(question.partition, question.question, match.near.question), "1")
        self._reported += 1
        if self._lessons:
            near = Reading(match.near.question, match.near.vector, match.near.note)
            evidence = self.reader.compare(self.reader.read(question.question), near)
            self._learn([*self._lessons, (evidence, False)])
        elif self._reported > self.max_error * self._semantic:
            self.limit = max(self.limit, math.nextafter(match.probability, 2))
        return True

    def clear(self) -> None:
        """Forget all answers. The statistics go on."""
        super().clear()
        self._readings.clear()
        self._served.clear()

    def stats(self) -> Stats:
        """Return what happened so far in this process."""
        return replace(super().stats(), semantic=self._semantic)

    def _told(self, asked: Asked, found: Kept | None) -> Response | None:
        if found is not None and found.answer.cached == "semantic":
            with self._counting:
                self._semantic += 1
        else:
            self._served.pop(asked.key)  # what is wrong from now on is another answer
        return super()._told(asked, found)

    def _learn(self, lessons: list[tuple[Evidence, bool]]) -> Calibration:
        evidence, same = [one for one, _ in lessons], [same for _, same in lessons]
        found = calibrate(evidence, same, self.max_error)
        self.calibration, self.threshold, self._lessons = found, None, lessons
        self.limit = self._start()
        return found

    def _start(self) -> float:
        limit = self._first_limit()
        if limit >= NEVER:
            log.warning(
                "nothing is served by meaning: too few pairs are known to be sure that at most %s"
                " of the answers are wrong; raise max_error, or calibrate with more of your own",
                self.max_error,
            )
        return limit

    def _first_limit(self) -> float:
        if self.threshold is not None:
            return self.threshold
        if self.calibration is not None:
            return self.calibration.limit
        held_out = getattr(self.reader, "held_out", None)
        if held_out is None:
            return DEFAULT
        chances, same = held_out()
        return limit_for(chances, same, self.max_error)

    def _probability(self, reading: Reading, other: Reading) -> float:
        if self.calibration is None:
            return self.reader.same(reading, other)
        return self.calibration.probability(self.reader.compare(reading, other))

    def _meant(self, request: Request) -> Meant | None:
        return None if self._passes(request) else meant(request, self.reader.fingerprint)

    def _recall(self, asked: Asked, meant: Meant) -> tuple[Kept | None, Match | None]:
        """Find an answer by meaning, or the match that only a judge can decide on."""
        try:
            for match in self._matches(asked.key, meant):
                if match.probability < self.limit:
                    return None, match if match.probability >= self.band else None
                if (found := self._serve(asked, match)) is not None:
                    return found, None
        except Exception as error:
            self._failed(error)
        return None, None

    def _matches(self, key: str, meant: Meant) -> list[Match]:
        """Compare the question with the nearest ones, and return the likeliest first."""
        reading = self.reader.read(meant.question)
        self._readings[key] = reading
        found: list[Match] = []
        enough = -1.0
        for near in self._vectors.nearest(meant.partition, reading.vector, LOOKED_AT):
            if near.similarity < enough:
                break
            other = Reading(near.question, near.vector, near.note)
            if not self._may_match(reading, other):
                continue
            found.append(Match(meant.question, near, self._probability(reading, other)))
            if found[-1].probability >= self.limit:
                enough = max(enough, near.similarity - TIE)
        found.sort(key=lambda match: -match.probability)
        return [match for match in found if not self._is_wrong(meant, match)]

    def _may_match(self, reading: Reading, other: Reading) -> bool:
        """Tell at little cost whether a comparison can come to anything."""
        may_reach = getattr(self.reader, "may_reach", None)
        if may_reach is None or self.calibration is not None:
            return True
        least = min(self.limit, self.band) if self.judge else self.limit
        return bool(may_reach(reading, other, least))

    def _is_wrong(self, meant: Meant, match: Match) -> bool:
        """Tell whether somebody said so, of a match that would be served or judged."""
        if match.probability < min(self.limit, self.band):
            return False
        said = _wrong(meant.partition, meant.question, match.near.question)
        return self._texts.load(said) is not None

    def _serve(self, asked: Asked, match: Match) -> Kept | None:
        """Load the answer to another question, unless it is gone or made from other data."""
        found = self._look(replace(asked, key=match.near.key))
        if found is None:
            if self._texts.load(match.near.key) is None:
                self._texts.drop(match.near.key)
            return None
        self._served[asked.key] = match
        return replace(found, answer=replace(found.answer, cached="semantic"))

    def _agrees(self, match: Match) -> bool:
        if self.judge is None or iscoroutinefunction(self.judge):
            return False
        try:
            return self.judge(match.question, match.near.question) is True
        except Exception as error:
            self._failed(error)
            return False

    async def _aagrees(self, match: Match) -> bool:
        if self.judge is None or not iscoroutinefunction(self.judge):
            return self.judge is not None and await aside(self._agrees, match)
        try:
            return await self.judge(match.question, match.near.question) is True
        except Exception as error:
            self._failed(error)
            return False

    def _place(self, key: str, meant: Meant) -> None:
        """Make an answer findable by its question, which was mostly read when it was asked."""
        try:
            reading = self._readings.pop(key) or self.reader.read(meant.question)
            near = Near(key, meant.question, reading.vector, 1.0, reading.note)
            self._vectors.place(meant.partition, near, ttl=self.ttl)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if not self.failures:
            log.warning("the search by meaning failed, and is left out of this call: %r", error)
        self.failures += 1


def _check_shares(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")


def _wrong(partition: str, question: str, other: str) -> str:
    """Make the key under which two questions are noted as not the same, which is never evicted."""
    return f"{EPOCH}wrong {digest([partition, *sorted((question, other))])}"


class _Leading:
    """The duty to tell those who wait what became of a search."""

    def __init__(self, cache: SemanticCache, asked: Asked) -> None:
        self._cache = cache
        self._place = asked.place

    def found(self, kept: Kept | None) -> None:
        """Give an answer to all who wait. Without one the search goes on at the model."""
        if kept is not None:
            self._cache.flight.land(self._place, kept)

    def __enter__(self) -> _Leading:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is GeneratorExit:
            self._cache.flight.forsake(self._place)  # a task is collected, maybe under a lock
        elif kind is not None:
            self._cache.flight.drop(self._place, retry=True)
