"""Answers no longer than their kind needs, in the form that is needed, and whole."""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from trimtab.types import (
    AsyncCall,
    Call,
    Message,
    Request,
    Response,
    canonical_json,
    digest,
    tail,
)

log = logging.getLogger("trimtab")
KINDS = ("yes/no", "factual", "explanation", "analysis", "code", "creative")
BRIEF = " (asked to be brief)"
"""What follows the kind of a request that was told to."""
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""What providers call the largest answer they may give."""
ENDED = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"})
"""Finish reasons of an answer that a limit cut short."""
ASK = "[Answer as briefly as the question allows, without repeating it.]"
GO_ON = "[Your answer was cut off. Go on exactly where it stopped, and repeat nothing.]"
FRESH = 60.0
"""Seconds for which what was learned from a ledger is good."""
# In order: the first that fits. Words of the question itself, wherever it stands in the text.
_SIGNS = (
    ("code", r"```|\b(?:function|script|regex|sql|query|unit tests?|stack trace|compile|refactor"
             r"|implement|debug|python|javascript|typescript|bash|code)\b"),
    ("creative", r"\b(?:poem|story|song|lyrics|slogan|essay|brainstorm|imagine|invent|haiku|joke"
                 r"|tagline|names? for|write (?:me )?an? (?:letter|email|post|speech))\b"),
    ("analysis", r"\b(?:analy[sz]e|analysis|compare|contrast|evaluate|assess|trade-?offs?|pros and"
                 r" cons|critique|review|strategy|recommend|implications|should (?:we|i)|step by"
                 r" step|prove|derive)\b"),
    ("yes/no", r"(?:^|[.!?\n]\s*)(?:is|are|was|were|am|do|does|did|can|could|will|would|has|have"
               r"|had|may|must|isn't|aren't|don't|doesn't|didn't|can't|won't)\s[^.!?\n]{1,160}\?\s*$"),
    ("explanation", r"\b(?:explain|why|how (?:do|does|did|can|to|is|are|should)|describe|what does"
                    r" .{1,40} mean|difference between|summari[sz]e|teach|walk me through)\b"),
    ("factual", r"\b(?:what|which|who|whom|whose|when|where|how (?:many|much|old|long|far|big|tall"
                r"|often))\b|\?\s*$"),
)  # fmt: skip
_PATTERNS = tuple((name, re.compile(sign)) for name, sign in _SIGNS)
END = 300
"""Characters of the end of a question by which it is told: what is asked comes last."""


def kind(request: Request) -> str:
    """Tell what kind of answer a request wants: one of `KINDS`, by how its question is put.

    >>> from trimtab import Message, Request
    >>> from trimtab.respond import kind
    >>> [kind(Request("", (Message("user", text),))) for text in ("Is it open?", "Why is it so?")]
    ['yes/no', 'explanation']
    """
    text = request.query[-END:].strip().lower()
    return next((name for name, sign in _PATTERNS if sign.search(text)), "explanation")


def kind_of(asked: Request, sent: Request) -> str:
    """Tell the kind of a request, and whether it was told to be brief when it was sent.

    >>> from dataclasses import replace
    >>> from trimtab import Message, Request
    >>> from trimtab.respond import ASK, kind_of
    >>> asked = Request("gpt-4o", (Message("user", "Is it open?"),))
    >>> kind_of(asked, replace(asked, messages=(*asked.messages, Message("user", ASK))))
    'yes/no (asked to be brief)'
    """
    last = sent.messages[-1:] != asked.messages[-1:] and sent.messages[-1:]
    return kind(asked) + (BRIEF if last and last[0].text == ASK else "")


class Lengths(Protocol):
    """What is known of earlier answers, as by a `Ledger`."""

    def outputs(self, kind: str, *, model: str, top: int = 500) -> list[int]:
        """List the tokens of the latest answers of a kind."""


@dataclass(frozen=True)
class Learned:
    """What answers of a kind have shown.

    >>> from trimtab import Ledger
    >>> from trimtab.respond import Learned, Limit
    >>> known: Learned = Limit(Ledger()).learned("factual", "gpt-4o")
    >>> known.limit is None
    True
    """

    limit: int | None
    """Tokens that an answer may have; None while too few were seen."""
    brief: bool | None
    """Whether asking for brevity saves more than it costs; None while too few were seen."""


@tail
@dataclass(frozen=True)
class Limit:
    """Limits answers by the kind of their question, from what the ledger knows of that kind.

    The limit is what all but few answers of the kind stay under, with room to spare; none is set
    before there are `least` of them, and none that the request does not need: one that it sets
    itself stays. A word about brevity is added at the very end, where it costs no cached prefix:
    to some requests of each kind at first, and then only where the answers to those are shorter
    by more than the word costs. Requests that a program reads, with an output format or tools,
    are left alone.

    >>> from trimtab import Message, Request
    >>> from trimtab.respond import Limit
    >>> class Seen:
    ...     def outputs(self, kind, *, model, top=500):
    ...         return [40, 50, 60] * 20
    >>> Limit(Seen())(Request("gpt-4o", (Message("user", "When do you open?"),))).params
    {'max_tokens': 90}
    """

    ledger: Lengths
    share: float = 0.99
    """Of the answers, those that stay below the limit without its room to spare."""
    room: float = 1.5
    """What the limit is beyond that."""
    least: int = 30
    """Answers of a kind from which on it is known."""
    concise: bool = True
    """Whether to try the word about brevity."""
    control: float = 0.2
    """The share of requests that go without it, so that it is known what it does."""
    floor: int = 64
    output_price: float = 5.0
    """What a token of an answer costs, in tokens of a prompt."""
    _known: dict[tuple[str, str], tuple[float, Learned]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be more than 0 and at most 1, got {self.share}")
        if not 0 <= self.control <= 1:
            raise ValueError(f"control must be between 0 and 1, got {self.control}")
        for name, value, lowest in (
            ("room", self.room, 1),
            ("least", self.least, 2),
            ("floor", self.floor, 1),
        ):
            if value < lowest:
                raise ValueError(f"{name} must be at least {lowest}, got {value}")

    def __call__(self, request: Request) -> Request:
        """Return the request with what limits its answer."""
        if request.tools or any("format" in name for name in request.params):
            return request
        found = self.learned(kind(request), request.model)
        params, messages = request.params, request.messages
        if found.limit is not None and not any(name in params for name in LIMITS):
            params = {**params, LIMITS[0]: found.limit}
        if self.concise and found.brief is not False and not self._spared(request):
            messages = (*messages, Message("user", ASK, encoded=True))
        if params is request.params and messages is request.messages:
            return request
        return replace(request, params=params, messages=messages)

    def learned(self, of: str, model: str) -> Learned:
        """Return what is known of a kind's answers by a model; asked anew once a minute."""
        now = time.monotonic()
        with self._lock:
            at, known = self._known.get((of, model), (-math.inf, Learned(None, None)))
        if now - at < FRESH:
            return known
        known = self._learn(of, model)
        with self._lock:
            self._known[of, model] = now, known
        return known

    def _learn(self, of: str, model: str) -> Learned:
        plain = self.ledger.outputs(of, model=model)
        brief = self.ledger.outputs(of + BRIEF, model=model)
        every = sorted(plain + brief)
        limit = None
        if len(every) >= self.least:
            usual = every[min(len(every) - 1, math.ceil(self.share * len(every)) - 1)]
            limit = max(self.floor, math.ceil(usual * self.room))
        if min(len(plain), len(brief)) < self.least:
            return Learned(limit, None)
        return Learned(limit, self._is_worth(plain, brief))

    def _is_worth(self, plain: Sequence[int], brief: Sequence[int]) -> bool:
        """Tell whether the word saves more than it costs, by more than chance (one-sided, 5 %)."""
        saved = _mean(plain) - _mean(brief)
        error = math.sqrt(_variance(plain) / len(plain) + _variance(brief) / len(brief))
        return (saved - 1.645 * error) * self.output_price > len(ASK) / 4

    def _spared(self, request: Request) -> bool:
        """Choose the requests that go without the word: the same ones each time."""
        drawn = random.Random(digest([request.conversation, request.query])).random()
        return drawn < self.control


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _variance(values: Sequence[int]) -> float:
    middle = _mean(values)
    return sum((value - middle) ** 2 for value in values) / (len(values) - 1)


def continued(call: Call) -> Call:
    """Wrap a call, so that an answer that a limit cut short is gone on with, once.

    >>> from trimtab import Message, Request, Response
    >>> from trimtab.respond import continued
    >>> parts = iter([("First, boil wa", "length"), ("ter.", "stop")])
    >>> def call(request):
    ...     text, reason = next(parts)
    ...     return Response(Message("assistant", text), finish_reason=reason)
    >>> continued(call)(Request("gpt-4o", (Message("user", "How?"),))).message.text
    'First, boil water.'
    """

    def answer(request: Request) -> Response:
        first = call(request)
        return _joined(first, call(_rest(request, first))) if cut_short(first) else first

    return answer


def acontinued(call: AsyncCall) -> AsyncCall:
    """Do the same for a call that is awaited.

    >>> import asyncio
    >>> from trimtab import Message, Request, Response
    >>> from trimtab.respond import acontinued
    >>> async def call(request):
    ...     return Response(Message("assistant", "Boil water."), finish_reason="stop")
    >>> asked = Request("gpt-4o", (Message("user", "How?"),))
    >>> asyncio.run(acontinued(call)(asked)).message.text
    'Boil water.'
    """

    async def answer(request: Request) -> Response:
        first = await call(request)
        return _joined(first, await call(_rest(request, first))) if cut_short(first) else first

    return answer


def cut_short(response: Response) -> bool:
    """Tell whether a limit on its length ended a text; calls of tools cannot be gone on with.

    >>> from trimtab import Message, Response
    >>> from trimtab.respond import cut_short
    >>> cut_short(Response(Message("assistant", "First, boil wa"), finish_reason="length"))
    True
    """
    text = response.message.text.strip()
    ended = (response.finish_reason or "").lower() in ENDED
    return ended and bool(text) and not response.message.tool_calls


def _rest(request: Request, first: Response) -> Request:
    said = Message("assistant", first.message.text)
    messages = (*request.messages, said, Message("user", GO_ON, encoded=True))
    return replace(request, messages=messages)


def _joined(first: Response, second: Response) -> Response:
    """Put two parts together; what the second repeats of the first's end is left out."""
    one, two = first.message.text, second.message.text
    longest = min(len(one), len(two), 200)
    again = next((n for n in range(longest, 9, -1) if one.endswith(two[:n])), 0)
    message = replace(second.message, content=one + two[again:], source=None)
    return replace(second, message=message, asides=(*second.asides, first))


def schema(fields: Mapping[str, Any] | type[Any], name: str = "answer") -> dict[str, Any]:
    """Return the JSON schema of an answer: of a pydantic model, or of fields by name.

    Args:
        fields: What each is: a type (str, int, float, bool, list, dict), a description, or a
            schema of its own.
        name: What the answer is called.

    Raises:
        ValueError: There are no fields, or one is none of those.

    >>> from trimtab.respond import schema
    >>> schema({"name": str, "age": "In years"})["properties"]
    {'name': {'type': 'string'}, 'age': {'type': 'string', 'description': 'In years'}}
    """
    if isinstance(fields, type):
        made: dict[str, Any] = fields.model_json_schema()
        return made
    if not fields:
        raise ValueError("an answer needs at least one field")
    return {
        "title": name,
        "type": "object",
        "properties": {key: _field(key, value) for key, value in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


_TYPES = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    list: {"type": "array"},
    dict: {"type": "object"},
}


def _field(name: str, given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str):
        return {"type": "string", "description": given}
    if given in _TYPES:
        return dict(_TYPES[given])
    raise ValueError(f"the field {name!r} must be a type, a description or a schema, got {given!r}")


@tail
@dataclass(frozen=True)
class Format:
    """Asks for an answer in JSON of a schema: by the provider's own means, or by a prompt.

    Args:
        fields: See `schema`.
        native: By `response_format`, which constrains the answer and costs little; else by a word
            at the end of the request, for models that know no such thing.
        stop: Stop sequences to add.

    >>> from trimtab import Message, Request
    >>> from trimtab.respond import Format
    >>> asked = Request("gpt-4o", (Message("user", "Ada is 36."),))
    >>> Format({"name": str, "age": int})(asked).params["response_format"]["type"]
    'json_schema'
    """

    fields: Any
    native: bool = True
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        schema(self.fields)

    def __call__(self, request: Request) -> Request:
        """Return the request, asking for the format."""
        wanted = schema(self.fields)
        params = dict(request.params)
        if self.stop:
            params["stop"] = [*(params.get("stop") or ()), *self.stop]
        if not self.native:
            text = f"[Answer with JSON of this schema, and nothing else: {canonical_json(wanted)}]"
            last = Message("user", text, encoded=True)
            return replace(request, params=params, messages=(*request.messages, last))
        # Strictness asks more of a schema than pydantic promises.
        strict = not isinstance(self.fields, type)
        given = {"name": wanted.get("title", "answer"), "schema": wanted, "strict": strict}
        params["response_format"] = {"type": "json_schema", "json_schema": given}
        return replace(request, params=params)
