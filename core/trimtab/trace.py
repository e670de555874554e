"""Recorded conversations in OpenAI's chat format, one a line, and the way back to that format."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from trimtab.errors import TraceError
from trimtab.types import Message, Part, Tool, ToolCall, canonical_json

GZIP = b"\x1f\x8b"
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
Json = dict[str, Any]
"""A JSON object. What a key holds is known only once it has been looked at."""


@dataclass(frozen=True)
class Conversation:
    """One recorded conversation."""

    id: str
    """As recorded, or the number of its line where the record has none."""
    model: str
    """The model that answered, or an empty string where the record does not say."""
    tools: tuple[Tool, ...]
    messages: tuple[Message, ...]
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The line as it was read."""

    @property
    def answers(self) -> tuple[int, ...]:
        """Where the model spoke: the index of each of its messages."""
        return tuple(i for i, m in enumerate(self.messages) if m.role == "assistant")


def read(path: Path | str) -> Iterator[Conversation]:
    """Read conversations one by one, so that a file of any size fits in memory.

    Raises:
        TraceError: A line is not a conversation. Says which line, and what was expected.
    """
    empty = True
    with _open(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            if line.strip():
                empty = False
                yield _at(f"{path}, line {number}", line, number)
    if empty:
        raise TraceError(f"{path}: it is empty; expected {_EXPECTED}")


def count(path: Path | str) -> int:
    """Count the conversations of a file, without looking into them."""
    with _open(path) as file:
        return sum(1 for line in _lines(file, path) if line.strip())


def message_dict(message: Message) -> Json:
    """Write a message in OpenAI's format: the recorded object itself if nothing was edited."""
    if not isinstance(message.source, dict):
        return _fresh_message(message)
    edits: Json = {}
    if message.content != _content(message.source):
        edits["content"] = _content_dict(message.content)
    if message.tool_calls != _recorded_calls(message):
        edits["tool_calls"] = [_call_dict(call) for call in message.tool_calls]
    return {**message.source, **edits} if edits else message.source


def tool_dict(tool: Tool) -> Json:
    """Write a tool in OpenAI's format: the recorded object itself if nothing was edited."""
    source = tool.source
    if not isinstance(source, dict):
        return {"type": "function", "function": _said_of(tool)}
    wrapped = isinstance(source.get("function"), dict)
    recorded = source["function"] if wrapped else source
    before = _said_of(_tool(source))
    edits = {key: value for key, value in _said_of(tool).items() if before[key] != value}
    if not edits:
        return source
    return {**source, "function": {**recorded, **edits}} if wrapped else {**source, **edits}


_EXPECTED = 'one JSON object a line: {"id", "model", "tools", "messages"}, plain or gzipped'


def _open(path: Path | str) -> BinaryIO:
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP
    return gzip.open(path, "rb") if zipped else open(path, "rb")  # type: ignore[return-value]


def _lines(file: BinaryIO, path: Path | str) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: the gzip data is damaged or cut short: {error}") from error


def _at(place: str, line: bytes, number: int) -> Conversation:
    """Read one line, and say where it stands if that fails."""
    try:
        return _conversation(_parse(line), number)
    except TraceError as error:
        raise TraceError(f"{place}: {error}") from None


def _parse(line: bytes) -> Json:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TraceError(f"this is not text in UTF-8; expected {_EXPECTED}") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(f"this is not JSON ({error}); expected {_EXPECTED}") from error
    if not isinstance(value, dict):
        raise TraceError(f"expected an object, got {_kind(value)}")
    return value


def _conversation(raw: Json, number: int) -> Conversation:
    messages = raw.get("messages")
    if not isinstance(messages, list):
        raise TraceError(f'expected a list under "messages", got {_kind(messages)}')
    tools = raw.get("tools") or []
    if not isinstance(tools, list):
        raise TraceError(f'expected a list under "tools", got {_kind(tools)}')
    return Conversation(
        id=str(raw.get("id", number)),
        model=str(raw.get("model") or ""),
        tools=tuple(_tool(tool, i) for i, tool in enumerate(tools)),
        messages=_messages(messages),
        source=raw,
    )


def _messages(raw: Sequence[object]) -> tuple[Message, ...]:
    """Read messages in order, because a result may only follow the call that it answers."""
    messages: list[Message] = []
    called: set[str] = set()
    for i, one in enumerate(raw):
        try:
            message = _message(one, i, messages)
            # Providers reuse ids within a conversation, so an answered call stays known.
            if message.tool_call_id is not None and message.tool_call_id not in called:
                raise TraceError(
                    f"a tool result answers {message.tool_call_id!r}, which no call before it has"
                )
        except TraceError as error:
            raise TraceError(f"message {i}: {error}") from None
        called.update(call.id for call in message.tool_calls)
        messages.append(message)
    return tuple(messages)


def _message(raw: object, index: int, before: Sequence[Message]) -> Message:
    if not isinstance(raw, dict):
        raise TraceError(f"expected an object, got {_kind(raw)}")
    role = raw.get("role")
    if role not in ROLES:
        raise TraceError(f"unknown role {role!r}; expected one of {', '.join(ROLES)}")
    if raw.get("content") is None and role != "assistant":
        raise TraceError(f"a message of role {role} needs content")
    if not isinstance(raw.get("name"), str | None):
        raise TraceError(f'expected a string under "name", got {_kind(raw["name"])}')
    return Message(
        role="tool" if role == "function" else role,
        content=_content(raw),
        tool_calls=_calls(raw, index),
        tool_call_id=_answered(raw, before),
        name=raw.get("name"),
        source=raw,
    )


def _content(raw: Json) -> str | tuple[Part, ...]:
    content = raw.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TraceError(f"expected content as a string or a list of parts, got {_kind(content)}")
    return tuple(_part(part) for part in content)


def _part(raw: object) -> Part:
    if not isinstance(raw, dict) or "type" not in raw:
        raise TraceError(f'expected a part as an object with a "type", got {_kind(raw)}')
    if raw["type"] == "text" and isinstance(raw.get("text"), str):
        return Part(raw["text"], canonical_json({k: v for k, v in raw.items() if k != "text"}))
    return Part(None, canonical_json(raw))


def _calls(raw: Json, index: int) -> tuple[ToolCall, ...]:
    if isinstance(legacy := raw.get("function_call"), dict):
        return (_call({"id": f"function-{index}", "function": legacy}),)
    calls = raw.get("tool_calls") or []
    if not isinstance(calls, list):
        raise TraceError(f'expected a list under "tool_calls", got {_kind(calls)}')
    return tuple(_call(call) for call in calls)


def _call(raw: object) -> ToolCall:
    made = raw.get("function", raw.get("custom")) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(made, dict) or not made.get("name"):
        raise TraceError('expected a tool call as {"id", "function": {"name", "arguments"}}')
    arguments = made.get("arguments", made.get("input", ""))
    if not isinstance(arguments, str):
        raise TraceError(f"expected a call's arguments as a string of JSON, got {_kind(arguments)}")
    if not isinstance(raw.get("id"), str):
        raise TraceError(f'a call of {made["name"]!r} needs an "id", a string')
    return ToolCall(raw["id"], str(made["name"]), arguments)


def _answered(raw: Json, before: Sequence[Message]) -> str | None:
    """Which call a message answers. The retired `function` role names a function, not a call."""
    if raw["role"] == "function":
        calls = (call for m in reversed(before) for call in m.tool_calls)
        found = next((call.id for call in calls if call.name == raw.get("name")), None)
        if found is None:
            raise TraceError(f"no call before it has the name {raw.get('name')!r}")
        return found
    if raw["role"] != "tool":
        return None
    if not isinstance(raw.get("tool_call_id"), str):
        raise TraceError('a tool result needs a "tool_call_id", a string')
    return str(raw["tool_call_id"])


def _tool(raw: object, index: int = 0) -> Tool:
    if not isinstance(raw, dict):
        raise TraceError(f"tool {index}: expected an object, got {_kind(raw)}")
    told = raw.get("function", raw)
    if isinstance(told, dict) and isinstance(told.get("name"), str) and told["name"]:
        parameters = told.get("parameters") or {}
        if not isinstance(parameters, dict):
            kind = _kind(parameters)
            raise TraceError(f'tool {index}: expected an object under "parameters", got {kind}')
        return Tool(told["name"], str(told.get("description") or ""), parameters, source=raw)
    # What a provider runs itself, such as {"type": "web_search"}, has a type and no name.
    if told is raw and isinstance(raw.get("type"), str) and raw["type"] != "function":
        return Tool(raw["type"], pinned=True, source=raw)
    raise TraceError(f'tool {index}: it needs a name, as {{"function": {{"name": ...}}}}')


def _recorded_calls(message: Message) -> tuple[ToolCall, ...]:
    """The calls that were recorded; the ids of the retired `function_call` are never edited."""
    if "function_call" in message.source:
        return message.tool_calls
    return _calls(message.source, 0)


def _fresh_message(message: Message) -> Json:
    """Write a message that no recorded object stands behind."""
    raw: Json = {"role": message.role, "content": _content_dict(message.content)}
    optional = {
        "tool_calls": [_call_dict(call) for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
        "name": message.name,
    }
    return {**raw, **{key: value for key, value in optional.items() if value}}


def _call_dict(call: ToolCall) -> Json:
    made = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": made}


def _content_dict(content: str | tuple[Part, ...]) -> str | list[Json]:
    return content if isinstance(content, str) else [_part_dict(part) for part in content]


def _part_dict(part: Part) -> Json:
    rest: Json = json.loads(part.data) if part.data else {"type": "text"}
    return rest if part.text is None else {**rest, "text": part.text}


def _said_of(tool: Tool) -> Json:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _kind(value: object) -> str:
    """Name a value's JSON type as its author would."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "nothing" if value is None else kinds.get(type(value), "a number")
