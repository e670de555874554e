"""Applying a compressor to the messages of a request."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass, field

from trimtab.compress.recall import Recent
from trimtab.folding import Transcripts, is_observation, query_before
from trimtab.types import Compressor, Message, Request, digest, fold

log = logging.getLogger("trimtab")
REMEMBERED = 20_000_000
"""Characters of all texts together that a step remembers what it made of."""
OWN_TOOLS = frozenset({"recall"})
"""Tools whose results are sent as they are: the model asked for the original."""


@fold
@dataclass(frozen=True)
class Compress:
    """Shortens each message of some roles once, with the question that stood before it.

    What a text became is remembered, and a text that a compressor fails on stays as it is.

    >>> from trimtab import Message, Request
    >>> from trimtab.compress import Compress
    >>> shout = Compress(lambda text, query: text.upper(), roles=("system",))
    >>> shout(Request("gpt-4o", (Message("system", "Be brief."),))).messages[0].text
    'BE BRIEF.'
    """

    compressor: Compressor
    roles: Collection[str] = ("tool",)
    observations: bool = False
    """Whether to shorten what reaches an agent without tools as a message of the user, too."""
    _run: Compressor = field(init=False, repr=False, compare=False)
    _transcripts: Transcripts[None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_run", _careful(self.compressor))
        object.__setattr__(self, "_transcripts", Transcripts(lambda: None))

    @property
    def name(self) -> str:
        """The compressor's name, by which reports tell one such step from another."""
        return getattr(self.compressor, "__name__", type(self.compressor).__name__)

    def __call__(self, request: Request) -> Request:
        """Return the request with those messages shortened."""
        return self._transcripts.map(request, self._make)

    def _make(self, _: None, request: Request, place: int) -> Message:
        message = request.messages[place]
        if not (
            message.role in self.roles or (self.observations and is_observation(request, place))
        ):
            return message
        if message.pinned or message.encoded or is_own_result(message, request.messages[:place]):
            return message
        query = query_before(request, place)
        return message.with_texts(lambda text: self._run(text, query))


def is_own_result(message: Message, before: Collection[Message]) -> bool:
    """Whether a message is the result of one of the library's own tools."""
    if message.role != "tool":
        return False
    if message.name is not None:
        return message.name in OWN_TOOLS
    calls = (call for m in before for call in m.tool_calls if call.id == message.tool_call_id)
    return any(call.name in OWN_TOOLS for call in calls)


def _careful(compressor: Compressor) -> Compressor:
    made = Recent(REMEMBERED, age=math.inf)

    def run(text: str, query: str) -> str:
        key = digest([text, query])
        if (known := made.get(key)) is not None:
            return known
        try:
            short = compressor(text, query)
        except Exception as error:
            log.warning("%r failed on a text, which is sent as it is: %r", compressor, error)
            short = text
        made[key] = short
        return short

    return run
