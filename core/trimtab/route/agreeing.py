"""Whether two answers to one question say the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.route.arithmetic import same
from trimtab.route.case import Case
from trimtab.route.forms import chosen, options, read_json, wanted_schema
from trimtab.types import Request, Response, ToolCall, canonical_json

_WORD = re.compile(r"\w+")


def agreement(request: Request, one: Response, other: Response) -> float:
    """Return how far two answers agree, from 0 to 1.

    Where one can tell what the answers come to, only that counts: the tools they call, the option
    they take, the number they end with, the JSON they are. Else the words that they share.

    >>> from trimtab import Message, Request, Response
    >>> from trimtab.route import agreement
    >>> asked = Request("gpt-4o", (Message("user", "How much is 17 * 3?"),))
    >>> one, other = (Response(Message("assistant", text)) for text in ("17 * 3 = 51", "51"))
    >>> agreement(asked, one, other)
    1.0
    """
    calls = one.message.tool_calls, other.message.tool_calls
    if any(calls):
        return float(_calls(calls[0]) == _calls(calls[1]))
    mine, others = Case(request, one), Case(request, other)
    if not mine.answer or not others.answer:
        return float(mine.answer == others.answer)
    if options(mine.question):
        taken = chosen(mine.answer), chosen(others.answer)
        if None not in taken:
            return float(taken[0] == taken[1])
    if mine.wants_number and mine.final is not None and others.final is not None:
        return float(same(mine.final, others.final))
    if wanted_schema(request) is not None or mine.answer[0] in "{[":
        found = read_json(one.message.text), read_json(other.message.text)
        if found[0] is not None and found[1] is not None:
            return _alike(found[0][0], found[1][0])
    return _shared(mine.answer, others.answer)


def _calls(calls: Sequence[ToolCall]) -> Counter[str]:
    return Counter(canonical_json([call.name, _arguments(call)]) for call in calls)


def _arguments(call: ToolCall) -> Any:
    found = read_json(call.arguments or "{}")
    return call.arguments if found is None else found[0]


def _alike(one: Any, other: Any) -> float:
    """Compare two values of JSON: objects by their keys, one by one."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping) or not (one or other):
        return float(canonical_json(one) == canonical_json(other))
    keys = set(one) | set(other)
    equal = [
        key in one and key in other and canonical_json(one[key]) == canonical_json(other[key])
        for key in keys
    ]
    return sum(equal) / len(keys)


def _shared(one: str, other: str) -> float:
    """Return the share of their words that two texts have in common."""
    mine, others = (Counter(_WORD.findall(text.lower())) for text in (one, other))
    whole = mine.total() + others.total()
    return 2 * (mine & others).total() / whole if whole else float(one == other)
