"""Steps that read a transcript from its start, and remember where they were."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from trimtab.types import Message, Request

State = TypeVar("State")
CONVERSATIONS = 256
"""How many conversations a step remembers."""


@dataclass
class Progress(Generic[State]):
    """How far a step has read a transcript, and what it made of it."""

    state: State
    read: list[Message] = field(default_factory=list)
    made: list[Message] = field(default_factory=list)


class Transcripts(Generic[State]):
    """Lets a step make each message from those up to it, and a grown transcript cost its growth.

    A message is given once, in order, so what it becomes cannot depend on later ones: a step that
    works this way is a fold. What is remembered saves time and changes nothing; a conversation
    that is forgotten, or that the caller rewrote, is read again from its start.
    """

    def __init__(self, fresh: Callable[[], State]) -> None:
        self._fresh = fresh
        self._known: OrderedDict[Hashable, Progress[State]] = OrderedDict()
        self._lock = threading.Lock()

    def map(self, request: Request, make: Callable[[State, Request, int], Message]) -> Request:
        """Make each message by `make(state, request, place)`, which may look back, not ahead."""
        key = (request.conversation, bool(request.tools))
        progress = self._take(key, request.messages)
        for place in range(len(progress.read), len(request.messages)):
            progress.made.append(make(progress.state, request, place))
            progress.read.append(request.messages[place])
        messages = tuple(map(_at_home, progress.read, progress.made, request.messages))
        with self._lock:
            self._known[key] = progress
            if len(self._known) > CONVERSATIONS:
                self._known.popitem(last=False)
        same = all(new is old for new, old in zip(messages, request.messages))  # noqa: B905
        return request if same else replace(request, messages=messages)

    def _take(self, key: Hashable, messages: Sequence[Message]) -> Progress[State]:
        """Take the progress on this transcript for this thread alone, or start anew."""
        with self._lock:
            known = self._known.pop(key, None)
        if known is not None and begins_with(messages, known.read):
            return known
        return Progress(self._fresh())


def _at_home(read: Message, made: Message, now: Message) -> Message:
    """Return what a message became, for this call's own message, which equals the one read."""
    if made is read or made is now:
        return now
    return made if made.source is now.source else replace(made, source=now.source)


def begins_with(messages: Sequence[Message], start: Sequence[Message]) -> bool:
    """Whether a transcript begins with certain messages."""
    return len(start) <= len(messages) and all(
        old is new or old == new
        for old, new in zip(start, messages)  # noqa: B905
    )


def query_before(request: Request, place: int) -> str:
    """Return the latest text of the user that stands before a message."""
    before = reversed(request.messages[:place])
    return next((m.text for m in before if m.role == "user"), "")


MANY_LINES = 6


def is_observation(request: Request, place: int) -> bool:
    """Whether a message of the user is what an agent's action gave back.

    Agents without tools read the output of their commands as messages of the user. Those follow an
    answer of the model, and have the many lines that people rarely type.
    """
    message = request.messages[place]
    follows = place > 0 and request.messages[place - 1].role == "assistant"
    return (
        message.role == "user"
        and follows
        and not request.tools
        and message.text.count("\n") >= MANY_LINES
    )
