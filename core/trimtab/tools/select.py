"""Offering a model the tools that a session will need, and the rest by search."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from trimtab.called import RECALL
from trimtab.folding import CONVERSATIONS
from trimtab.prices import Outlook, outlook_for
from trimtab.tokens import count_tool, count_tools, counter_for
from trimtab.tools.follows import Follows
from trimtab.tools.ranking import margin, scores
from trimtab.tools.search import CALL, SEARCH, Catalogue, Execute, is_ours
from trimtab.types import Counter, Embed, Message, Request, RunnableTool, Tool, digest, fold

if TYPE_CHECKING:
    from trimtab.tools.ranking import Scores

DETOUR = 800
"""What a search costs, in uncached input tokens: a call more, its output, and the schemas found."""
SHARPNESS = 0.5
"""How far a better score makes a tool more likely."""


@fold
@dataclass(frozen=True)
class Select:
    """Offers the tools that a session will need; `search_tools` and `call_tool` reach the others.

    Tools stand at the front of the prefix that a provider caches, so they are chosen once a
    session, by the messages that open it, up to the first of the user: the same in every process.
    Tools called in the transcript are kept, pinned ones too. Nothing is left out where the two
    tools of ours are not bound, or where that would not pay, as with few tools.

    With neither `k` nor `budget`, the number of tools varies with how sure the choice is.

    >>> from trimtab import Message, Request, Tool
    >>> from trimtab.static import Static
    >>> from trimtab.tools import Catalogue, Select
    >>> tools = tuple(Tool(f"book_{n}", f"Book a table in town {n}. " * 20) for n in range(40))
    >>> ours = tuple(one.tool for one in Catalogue(tools).runnables())
    >>> asked = Request("gpt-4o", (Message("user", "A table in town 7, please."),), tools + ours)
    >>> [tool.name for tool in Select(k=1, embed=Static())(asked).tools]
    ['book_7', 'search_tools', 'call_tool']
    """

    k: int | None = None
    """How many tools to offer, beside `search_tools` and `call_tool`."""
    budget: int | None = None
    """Tokens that the definitions of the tools offered may have."""
    recall: float = 0.95
    """How often all tools that the first question needs should be among those offered."""
    always_include: tuple[str, ...] = ()
    follows: Follows = field(default_factory=dict)
    """What earlier sessions used: `learn_follows(ledger.calls())`."""
    embed: Embed | None = None
    """See `rank`."""
    outlook: Outlook | None = None
    """What is known of the request's model if it is not given."""
    count: Counter | None = None
    _chosen: OrderedDict[str, frozenset[str] | None] = field(
        init=False, repr=False, compare=False, default_factory=OrderedDict
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    def __post_init__(self) -> None:
        for name, value in (("k", self.k), ("budget", self.budget)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 < self.recall < 1:
            raise ValueError(f"recall must be between 0 and 1, got {self.recall}")
        if isinstance(self.always_include, str):
            raise ValueError(f"always_include must be names, got {self.always_include!r}")

    @property
    def tools(self) -> tuple[RunnableTool, ...]:
        """`search_tools` and `call_tool`, for an adapter to bind.

        They know no session. An adapter runs those of `catalogue(request)` in their place.
        """
        return Catalogue((), self.embed).runnables()

    def catalogue(self, tools: Iterable[Tool]) -> Catalogue:
        """Return what a session can search and call: the tools of its request, before this step."""
        return Catalogue(tuple(tool for tool in tools if not is_ours(tool)), self.embed)

    def runnables(
        self, tools: Iterable[Tool], execute: Execute | None = None
    ) -> tuple[RunnableTool, RunnableTool]:
        """Return `search_tools` and `call_tool` for a session's tools; see `Catalogue`."""
        return self.catalogue(tools).runnables(execute)

    def __call__(self, request: Request) -> Request:
        """Return the request with the tools that were chosen for its session."""
        theirs = tuple(tool for tool in request.tools if not is_ours(tool))
        if len(theirs) == len(request.tools):
            return request
        # What was cut names the tool that gives it back, so that one is never left out.
        chosen = self._latched(request, tuple(tool for tool in theirs if tool.name != RECALL))
        if chosen is None:
            return replace(request, tools=theirs)
        names = chosen | self._always(theirs, request.messages) | {RECALL}
        left = tuple(tool for tool in request.tools if is_ours(tool) or tool.name in names)
        return replace(request, tools=left)

    def hidden(self, request: Request) -> frozenset[str]:
        """Name the tools that a session was not offered when it opened: they go by `call_tool`."""
        offered = self(replace(request, messages=_opening(request.messages))).tools
        names = frozenset(tool.name for tool in offered)
        return frozenset(t.name for t in request.tools if not is_ours(t)) - names

    def _latched(self, request: Request, tools: tuple[Tool, ...]) -> frozenset[str] | None:
        """Return what was chosen when the session opened; None where nothing is to be left out."""
        key = digest([_session(request), [tool.name for tool in tools]])
        with self._lock:
            if key in self._chosen:
                self._chosen.move_to_end(key)
                return self._chosen[key]
        chosen = self._choose(request, tools)
        with self._lock:
            # Whoever asked at the same time chose the same.
            self._chosen[key] = chosen
            if len(self._chosen) > CONVERSATIONS:
                self._chosen.popitem(last=False)
        return chosen

    def _choose(self, request: Request, tools: tuple[Tool, ...]) -> frozenset[str] | None:
        """Choose by the opening messages, if that pays."""
        opening = _opening(request.messages)
        always = self._always(tools, opening)
        query = opening[-1].text if opening and opening[-1].role == "user" else ""
        # Rounded, because vectors differ in their last digits from machine to machine.
        found = scores(query, tools, embed=self.embed).round(3)
        wanted = self._wanted(found, needed(found, tools, self.follows))
        count = self.count or counter_for(request.model)
        chosen = [tool for tool in tools if tool.name in always]
        used = count_tools(chosen, count)
        for tool in (tools[place] for place in wanted):
            size = 0 if tool.name in always else count_tool(tool, count)
            full = self.k is not None and len(chosen) >= self.k
            if size and not full and (self.budget is None or used + size <= self.budget):
                chosen.append(tool)
                used += size
        saved = count_tools(tools, count) - used - count_tools((SEARCH, CALL), count)
        return frozenset(t.name for t in chosen) if self._pays(saved, request.model) else None

    def _wanted(self, found: Scores, need: Scores) -> list[int]:
        """Put the tools in order; without a limit, only those that are likely enough."""
        order: list[int] = np.argsort(-need, kind="stable").tolist()
        if self.k is not None or self.budget is not None:
            return order
        least = found.max(initial=-np.inf) - margin(self.recall, self.embed)
        return [place for place in order if found[place] >= least or need[place] > 1 - self.recall]

    def _always(self, tools: Iterable[Tool], messages: Iterable[Message]) -> frozenset[str]:
        """Name the tools that are not ours to leave out."""
        called = {call.name for message in messages for call in message.tool_calls}
        named = called.union(self.always_include)
        return frozenset(tool.name for tool in tools if tool.pinned or tool.name in named)

    def _pays(self, saved: int, model: str) -> bool:
        """Tell whether a session saves more than the searches for what was left out will cost."""
        outlook = self.outlook or outlook_for(model)
        won = saved * (outlook.write + outlook.read * (outlook.calls - 1))
        return won > DETOUR * (1 - self.recall) * outlook.calls


def needed(found: Scores, tools: Sequence[Tool], follows: Follows) -> Scores:
    """Tell how likely a session is to need each tool, shape (n,).

    By the first question, by what sessions use anyway, and by what follows the tools that the
    question asks for.
    """
    asked = np.exp(SHARPNESS * (found - found.max(initial=-np.inf)))
    asked = asked / asked.sum() if len(asked) else asked
    missed = 1 - asked
    places = {tool.name: place for place, tool in enumerate(tools)}
    for name, others in follows.items():
        if name and name not in places:
            continue
        sure = asked[places[name]] if name else 1.0
        for other, often in others.items():
            if other in places:
                missed[places[other]] *= 1 - sure * often
    need: Scores = (1 - missed).astype(np.float32)
    return need


def _session(request: Request) -> str:
    """Name a session by what no step rewrites, so that it is the same before and after them."""
    if request.session:
        return request.conversation
    said = [m.text for m in _opening(request.messages) if m.role == "user"]
    return digest([request.tenant, said])


def _opening(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages up to the first of the user, which do not change as a session goes on."""
    end = next((i for i, m in enumerate(messages) if m.role == "user"), len(messages) - 1)
    return tuple(messages[: end + 1])
