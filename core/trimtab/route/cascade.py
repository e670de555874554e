"""Asks a cheap model first, and a strong one where the answer does not look right."""

from __future__ import annotations

import itertools
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trimtab.errors import BudgetExceeded
from trimtab.route.agreeing import agreement
from trimtab.route.dollars import OUTPUT, Size, Tier, expected
from trimtab.route.judge import confidence
from trimtab.route.length import Length
from trimtab.route.quantile import Quantile
from trimtab.route.rows import Row
from trimtab.types import AsyncCall, Call, Request, Response

log = logging.getLogger("trimtab")
Judge = Callable[..., float]
"""(request, answer, *other answers to it) -> how likely the answer is right, from 0 to 1."""
Line = Generator[Request | Response, Response | Exception, None]
"""Yields what to ask, takes what was answered, and yields the final answer at last."""
AGAIN = 20
"""Where trying did not pay of late, one request of so many tries all the same, to see."""
LATEST = 200
"""Answers by which the share of those that are escalated is known."""
FEW = 20
"""Answers from which on a limit is taken from the traffic."""
FIRST = 0.6
"""The limit before that: rather right than wrong."""


@dataclass(frozen=True)
class Cascade:
    """Judges the cheap model's answer, and asks the strong one if it is among the least sure.

    Wraps a call: `pipeline.run(request, cascade.wrap(call))`. All calls made for an answer are in
    its `asides`, and the ledger counts each. The cheap model is hardly asked where that, with the
    answers that are expected to be escalated, would cost more than the strong one alone. If one
    model's provider fails, the other's answer is taken. Safe to share between threads and tasks.

    >>> from trimtab import Message, Request, Response
    >>> from trimtab.route import Cascade
    >>> says = {"gpt-4o-mini": "Sorry, I cannot answer that.", "gpt-4o": "51"}
    >>> def call(request):
    ...     return Response(Message("assistant", says[request.model]))
    >>> asked = Request("gpt-4o", (Message("user", "How much is 17 * 3?"),))
    >>> answer = Cascade("gpt-4o-mini", "gpt-4o").wrap(call)(asked)
    >>> answer.message.text, len(answer.asides)
    ('51', 1)
    """

    weak: Tier | str
    strong: Tier | str
    judge: Judge = confidence
    """Or `Confidence.fit(rows)`, which knows the user's own traffic."""
    strong_rate: float = 0.25
    """The share of the answers to escalate: the least sure of the user's own traffic."""
    limit: float | None = None
    """Escalate what is less sure than this instead: for a judge that was fitted."""
    samples: int = 1
    """How often to ask the cheap model: the judge hears whether its answers agree."""
    shadow: float = 0.0
    """The share of accepted answers that the strong model is asked for too, to learn from."""
    outcomes: Callable[[Row], None] | None = None
    """Takes a row for each answer of both models: see `Outcomes`."""
    output: int = OUTPUT
    """Tokens that an answer is expected to have."""
    seed: int | None = None
    _sure: Quantile = field(init=False, repr=False, compare=False, default_factory=Quantile)
    _kept: deque[bool] = field(
        init=False, repr=False, compare=False, default_factory=lambda: deque(maxlen=LATEST)
    )
    _skipped: Iterator[int] = field(
        init=False, repr=False, compare=False, default_factory=itertools.count
    )
    _random: random.Random = field(
        init=False, repr=False, compare=False, default_factory=random.Random
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    def __post_init__(self) -> None:
        for name in ("strong_rate", "shadow"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.limit is not None and not 0 <= self.limit <= 1:
            raise ValueError(f"limit must be between 0 and 1, got {self.limit}")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}")
        if self.shadow and self.outcomes is None:
            raise ValueError("shadow asks the strong model to learn from it: give outcomes too")
        self._random.seed(self.seed)

    def score(self, request: Request) -> float:
        """Return how hard a request looks before it is asked; nothing is remembered."""
        return Length().score(request)

    def tries(self, request: Request) -> bool:
        """Tell whether asking the cheap model first is expected to cost less than not to."""
        weak, strong = _tier(self.weak), _tier(self.strong)
        size = Size.of(replace(request, model=strong.model), self.output)
        cheap, dear = expected(weak, size, warm=True), expected(strong, size, warm=True)
        if cheap is None or dear is None or weak.model == strong.model:
            return True  # not known, as is how much longer a model answers with more effort
        pays = cheap * self.samples + dear * Decimal(str(self.escalated)) < dear
        return pays or (cheap * self.samples < dear and next(self._skipped) % AGAIN == AGAIN - 1)

    @property
    def escalated(self) -> float:
        """The share of the latest answers that were escalated; the one wanted, while few are."""
        known = tuple(self._kept)
        return 1 - sum(known) / len(known) if len(known) >= FEW else self.strong_rate

    def accepts(self, request: Request, response: Response, *others: Response) -> bool:
        """Judge an answer of the cheap model, and remember how sure it was."""
        sure = self.judge(request, response, *others)
        limit = self._limit()
        self._sure.add(sure)
        self._kept.append(sure >= limit)
        return sure >= limit

    def _limit(self) -> float:
        if self.limit is not None:
            return self.limit
        found = self._sure.limit(1 - self.strong_rate) if len(self._sure) >= FEW else None
        return FIRST if found is None else found

    def wrap(self, call: Call) -> Call:
        """Return a call that asks the cheap model first."""

        def answer(request: Request) -> Response:
            line = self._line(request)
            asked = next(line)
            while isinstance(asked, Request):
                try:
                    heard: Response | Exception = call(asked)
                except BudgetExceeded:
                    raise
                except Exception as error:
                    heard = error
                asked = line.send(heard)
            return asked

        return answer

    def awrap(self, call: AsyncCall) -> AsyncCall:
        """Do the same for a call that is awaited."""

        async def answer(request: Request) -> Response:
            line = self._line(request)
            asked = next(line)
            while isinstance(asked, Request):
                try:
                    heard: Response | Exception = await call(asked)
                except BudgetExceeded:
                    raise
                except Exception as error:
                    heard = error
                asked = line.send(heard)
            return asked

        return answer

    def _line(self, request: Request) -> Line:
        weak, strong = self._to(request, self.weak), self._to(request, self.strong)
        tried: list[Response] = []
        if self.tries(request):
            for _ in range(self.samples):
                heard = yield weak
                if isinstance(heard, Exception):
                    log.warning("the weak model failed, and the strong one is asked: %r", heard)
                    break
                tried.append(heard)
        accepted = bool(tried) and self.accepts(request, *tried)
        if accepted and not self.shadows():
            yield self._whole(tried[0], tried[1:])
            return
        heard = yield strong
        if not isinstance(heard, Exception):
            self.note(request, tried, heard)
        yield from self._settled(tried, heard, accepted)

    def _settled(
        self, tried: Sequence[Response], heard: Response | Exception, accepted: bool
    ) -> Line:
        if isinstance(heard, Exception):
            if not tried:
                raise heard
            log.warning("the strong model failed, and the weak answer is taken: %r", heard)
            yield self._whole(tried[0], tried[1:])
        elif accepted:
            yield self._whole(tried[0], [*tried[1:], heard])
        else:
            yield self._whole(heard, tried)

    def _whole(self, answer: Response, others: Sequence[Response]) -> Response:
        """Return an answer with the other calls that were made for it."""
        instead = _tier(self.strong).model
        return replace(answer, asides=(*answer.asides, *others), instead=instead)

    def shadows(self) -> bool:
        """Draw whether to ask the strong model too, of an answer that was accepted."""
        if not self.shadow:
            return False
        with self._lock:
            return self._random.random() < self.shadow

    def note(self, request: Request, tried: Sequence[Response], strong: Response) -> None:
        """Hand on what both models answered: the weak one counts as right as far as they agree."""
        if self.outcomes is None or not tried:
            return
        alike = agreement(request, tried[0], strong)
        try:
            self.outcomes(Row(request.query, alike, 1.0, tried[0].message.text))
        except Exception as error:
            log.warning("an outcome could not be kept, and is lost: %r", error)

    def _to(self, request: Request, to: Tier | str) -> Request:
        tier = _tier(to)
        return replace(request, model=tier.model, params={**request.params, **tier.params})


def _tier(given: Tier | str) -> Tier:
    return Tier(given) if isinstance(given, str) else given
