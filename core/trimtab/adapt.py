"""What the adapters to frameworks share: the way back to the framework's own objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from trimtab.types import Message, Tool

Theirs = TypeVar("Theirs")


def messages_back(
    planned: Sequence[Message],
    asked: Sequence[Message],
    *,
    convert: Callable[[Theirs], Message],
    edit: Callable[[Theirs, Message], Theirs],
    write: Callable[[Message], Theirs],
) -> Iterator[Theirs]:
    """Convert back: what was not edited, as the very object that was asked with.

    A step may remember an equal message of an earlier call, whose object has had its day.

    Args:
        planned: What to send.
        asked: What it was made of.
        convert: Makes a message of one of the framework's.
        edit: Gives one of the framework's the text of a message.
        write: Makes one of the framework's of a message that has none.
    """
    place = 0
    for message in planned:
        found = _place(message, asked, place, convert)
        if found is not None:
            place, source = found + 1, asked[found].source
            yield source if message is asked[found] else edit(source, message)
        elif message.source is not None:
            yield edit(message.source, message)
        else:
            yield write(message)


def function_of(spec: Any) -> tuple[dict[str, Any], str] | None:
    """Find the part of a provider's tool that describes a function, and its schema's name there."""
    function = spec.get("function", spec) if isinstance(spec, dict) else None
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        for key in ("parameters", "input_schema"):
            if isinstance(function.get(key), Mapping):
                return function, key
    return None


def described(spec: dict[str, Any], tool: Tool) -> dict[str, Any]:
    """Copy a provider's tool that has a function, with another description of that function."""
    function, key = function_of(spec) or (spec, "parameters")
    edited = {**function, "name": tool.name, key: dict(tool.parameters)}
    if tool.description or "description" in function:
        edited["description"] = tool.description
    return edited if function is spec else {**spec, "function": edited}


def _place(
    message: Message, asked: Sequence[Message], start: int, convert: Callable[[Any], Message]
) -> int | None:
    """Find what a planned message was before its edits, from some place on."""
    if message.source is None:
        first = message
    elif start < len(asked) and message.source is asked[start].source:
        return start
    else:
        first = convert(message.source)
    places = range(start, len(asked))
    return next((i for i in places if asked[i] is first or asked[i] == first), None)
