"""Answers as text: JSON, and nothing that could run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from trimtab.types import Message, Part, Response, ToolCall, Usage

USAGE = tuple(vars(Usage()))
"""The names of its fields."""
Made = TypeVar("Made", Message, Response, Usage)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Kept:
    """An answer as a cache keeps it."""

    answer: Response
    worth: Decimal | None = None
    """Dollars that it cost, or None where no price was known."""
    epochs: Mapping[str, str] = field(default_factory=dict)
    """The epoch of each of its tags when its question was asked."""


def pack(kept: Kept) -> str:
    """Write an answer, without its id and what belongs to a framework, and what is noted of it."""
    response = kept.answer
    fields = {
        "message": _plain(response.message),
        "usage": None if response.usage is None else vars(response.usage),
        "model": response.model,
        "finish_reason": response.finish_reason,
        "logprobs": response.logprobs,
    }
    if kept.worth is not None:
        fields["worth"] = str(kept.worth)
    if kept.epochs:
        fields["epochs"] = dict(kept.epochs)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def unpack(text: str) -> Kept:
    """Read what `pack` wrote.

    Raises:
        ValueError: The text is something else.
    """
    try:
        fields, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise ValueError("more follows")
        usage, logprobs = fields["usage"], fields["logprobs"]
        answer = _made(
            Response,
            {
                "message": _message(fields["message"]),
                "usage": None if usage is None else _usage(usage),
                "model": fields["model"],
                "finish_reason": fields["finish_reason"],
                "logprobs": None if logprobs is None else tuple(logprobs),
                "id": None,
                "cacheable": True,
            },
        )
        worth = fields.get("worth")
        return Kept(answer, worth and Decimal(worth), fields.get("epochs") or {})
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not an answer that this cache wrote: {text[:80]!r}") from error


def encode(response: Response) -> str:
    """Write a bare answer."""
    return pack(Kept(response))


def decode(text: str) -> Response:
    """Read the answer out of what `encode` or `pack` wrote.

    Raises:
        ValueError: The text is something else.
    """
    return unpack(text).answer


def _plain(message: Message) -> dict[str, Any]:
    content = message.content
    return {
        "role": message.role,
        "content": content if isinstance(content, str) else [[p.text, p.data] for p in content],
        "tool_calls": [[call.id, call.name, call.arguments] for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
        "name": message.name,
        "pinned": message.pinned,
        "encoded": message.encoded,
    }


def _message(fields: Mapping[str, Any]) -> Message:
    content, calls = fields["content"], fields["tool_calls"]
    return _made(
        Message,
        {
            "role": fields["role"],
            "content": content if isinstance(content, str) else _parts(content),
            "tool_calls": tuple([ToolCall(*call) for call in calls]) if calls else (),
            "tool_call_id": fields["tool_call_id"],
            "name": fields["name"],
            "pinned": fields["pinned"],
            "encoded": fields["encoded"],
            "source": None,
        },
    )


def _parts(content: Iterable[Sequence[str]]) -> tuple[Part, ...]:
    return tuple([Part(*part) for part in content])


def _usage(fields: Mapping[str, int | None]) -> Usage:
    return _made(Usage, {name: fields[name] for name in USAGE})


def _made(kind: type[Made], fields: dict[str, Any]) -> Made:
    """Make a value as `copy` does: the constructor of a frozen class takes three times as long."""
    made = object.__new__(kind)
    vars(made).update(fields)
    return made
