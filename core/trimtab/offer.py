"""Offering a tool only from the call on at which what needs it pays for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import reduce

from trimtab.folding import CONVERSATIONS, begins_with
from trimtab.prices import Outlook
from trimtab.tokens import count_request, counter_for
from trimtab.types import Counter, Message, Request, RunnableTool, Step, Tool, fold


@fold
@dataclass(frozen=True)
class Offer:
    """Leaves a tool of ours out of a request until the steps that need it save more than it costs.

    Tools stand at the very front of the prefix that a provider caches: one more costs its tokens
    in every call, and to add it later is a cut of the whole prefix. So it is added once, at the
    call where the steps' savings pay for that, and then it stays. The transcript decides, so the
    same transcript always has it, or never.
    """

    tool: RunnableTool
    steps: tuple[Step, ...]
    """What to try. They do nothing where the tool is not offered, and stand after this step."""
    outlook: Outlook = field(default_factory=Outlook)
    count: Counter | None = None
    _known: OrderedDict[str, _Read] = field(
        init=False, repr=False, compare=False, default_factory=OrderedDict
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    @property
    def tools(self) -> tuple[RunnableTool, ...]:
        """The tool, for an adapter to bind."""
        return (self.tool,)

    def __call__(self, request: Request) -> Request:
        """Return the request with the tool, or without it."""
        without = tuple(tool for tool in request.tools if not self._is_ours(tool))
        if len(without) == len(request.tools):
            return request
        return request if self._pays(request) else replace(request, tools=without)

    def _is_ours(self, tool: Tool) -> bool:
        """Tell the tool, its description shortened or not, from another of the same name."""
        ours = self.tool.tool
        arguments = [t.parameters.get("properties", {}).keys() for t in (tool, ours)]
        return tool.name == ours.name and arguments[0] == arguments[1]

    def _pays(self, request: Request) -> bool:
        """Read the transcript on from where this conversation was read to."""
        with self._lock:
            read = self._known.get(request.conversation, _Read())
        if not begins_with(request.messages, read.messages):
            read = _Read()
        for place in range(len(read.messages), len(request.messages)):
            if request.messages[place].role == "assistant":
                read = self._consider(request, place, read)
        with self._lock:
            self._known[request.conversation] = replace(read, messages=request.messages)
            if len(self._known) > CONVERSATIONS:
                self._known.popitem(last=False)
        return self._consider(request, len(request.messages), read).offered

    def _consider(self, request: Request, place: int, read: _Read) -> _Read:
        """Decide for the call that sends the messages up to a place."""
        if read.offered:
            return read
        count = self.count or counter_for(request.model)
        asked = replace(request, messages=request.messages[:place])
        plain = replace(asked, tools=tuple(t for t in asked.tools if not self._is_ours(t)))
        before = count_request(plain, count)
        saved = before - count_request(reduce(lambda r, step: step(r), self.steps, asked), count)
        sent = before if read.sent else 0  # the first call breaks no prefix
        return _Read(self.outlook.gain(sent, saved) > 0, sent=True)


@dataclass(frozen=True)
class _Read:
    """What a transcript up to a call has decided."""

    offered: bool = False
    sent: bool = False
    messages: tuple[Message, ...] = ()
