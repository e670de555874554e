"""A provider's prefix cache for all sessions of a day, and what it bills."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, replace

from trimtab.fronts import is_front
from trimtab.prefix import break_points
from trimtab.prices import PrefixCache, cost, rule_for
from trimtab.tokens import count_message, count_tool, counter_for, openai_definition
from trimtab.types import Message, Request, Tool, Usage

FRONTS = 5
"""Of how many other sessions the tools and instructions are looked for in the cache."""


@dataclass
class Spent:
    """What was sent and billed, of one call or of many."""

    calls: int = 0
    input: int = 0
    output: int = 0
    plain: float = 0.0
    """Dollars where no prefix is cached."""
    cached: float = 0.0
    """Dollars with the provider's prefix cache."""

    def add(self, other: Spent) -> None:
        """Add another's."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class _Front:
    """The tools and instructions with which sessions begin."""

    parts: tuple[str, ...]
    marks: tuple[int, ...] | None


class Provider:
    """Simulates what a provider has cached, session by session.

    The simulator of the library knows one session. A session's first call finds besides what other
    sessions have sent of the same tools and instructions, as long as that stays cached.
    """

    def __init__(self, model: str) -> None:
        self.model, self.count, self.rule = model, counter_for(model), rule_for(model)
        self.sizes: dict[str, int] = {}
        self.pieces: dict[int, tuple[object, str]] = {}
        self.sessions: dict[str, PrefixCache] = {}
        self.fronts: OrderedDict[_Front, float] = OrderedDict()

    def send(self, request: Request, output: int, at: float) -> Spent:
        """Bill a call."""
        parts = [*map(self._piece, request.tools), *map(self._piece, request.messages)]
        marks = (request.marks or break_points(request, self.count)) if self.rule.marks else None
        usage = self._session(request).send(parts, at, marks)
        self._remember(request, parts, marks, at)
        billed = replace(usage, output_tokens=output)
        plain = Usage(usage.input_tokens, output, 0, 0, 0)
        found = [cost(self.model, one) for one in (plain, billed)]
        assert None not in found, self.model
        return Spent(1, usage.input_tokens or 0, output, *(float(d or 0) for d in found))

    def _session(self, request: Request) -> PrefixCache:
        """Return the cache of a session, which begins with what others have sent."""
        known = self.sessions.get(request.conversation)
        if known is None:
            known = PrefixCache(self.sizes.__getitem__, self.rule, self.count.shared)
            self.sessions[request.conversation] = known
            for front, at in list(self.fronts.items())[-FRONTS:]:
                known.send(front.parts, at, front.marks)
        return known

    def _remember(
        self, request: Request, parts: list[str], marks: tuple[int, ...] | None, at: float
    ) -> None:
        told = (i for i, m in enumerate(request.messages) if not is_front(m))
        end = len(request.tools) + next(told, len(request.messages))
        kept = None if marks is None else tuple(mark for mark in marks if mark < end)
        front = _Front(tuple(parts[:end]), kept)
        self.fronts[front] = at
        self.fronts.move_to_end(front)

    def _piece(self, one: Tool | Message) -> str:
        """Write what is tokenised in one go, and remember how many tokens it has."""
        known = self.pieces.get(id(one))
        if known is not None and known[0] is one:
            return known[1]
        if isinstance(one, Tool):
            text, size = json.dumps(openai_definition(one)), count_tool(one, self.count)
        else:
            calls = [(call.id, call.name, call.arguments) for call in one.tool_calls]
            text = f"{one.role}\n{one.text}\n{calls or ''}{one.tool_call_id or ''}"
            size = count_message(one, self.count)
        self.sizes[text] = size
        self.pieces[id(one)] = (one, text)
        return text
