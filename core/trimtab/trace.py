"""Recorded conversations, and the way back to OpenAI's chat format, in which they are kept.

What a log is, is told by its content: conversations in that format, one a line, or what one of the
modules in `trimtab.traces` reads.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from trimtab.errors import TraceError
from trimtab.traces import anthropic, atif, langsmith, otel
from trimtab.traces.record import Json, Record
from trimtab.traces.record import kind as _kind
from trimtab.traces.strands import Strand, Strands
from trimtab.types import Message, Part, Tool, ToolCall, canonical_json, digest

GZIP = b"\x1f\x8b"
OWN = ("function", "custom")
"""Types of tools that the caller runs."""
ROLES = ("system", "developer", "user", "assistant", "tool", "function")


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
    """The line as it was read, in OpenAI's chat format."""
    calls: tuple[int, ...] | None = None
    """Which messages a model was called for, or None for each of the assistant's. One past the end
    is a call whose answer is not recorded."""

    @property
    def answers(self) -> tuple[int, ...]:
        """Where a model was called: the index of each message that it was called for."""
        if self.calls is not None:
            return self.calls
        return tuple(i for i, m in enumerate(self.messages) if m.role == "assistant")


def read(path: Path | str) -> Iterator[Conversation]:
    """Read conversations one by one, so that a file of any size fits in memory.

    A log of single calls is read to its end first, and the longest of each conversation's kept.

    Raises:
        TraceError: A line cannot be read. Says which line, and what was expected.

    >>> from trimtab.demo import TRAFFIC
    >>> from trimtab.trace import Conversation, read
    >>> conversation: Conversation = next(read(TRAFFIC))
    >>> conversation.model, len(conversation.tools), conversation.answers[:3]
    ('gpt-5.2', 22, (2, 4, 6))
    """
    empty, found = True, False
    folding = _Folding()
    with _open(path) as file:
        for place, number, value in _values(file, path):
            empty = False
            for record, conversation in _at(place, number, value):
                found = True
                if record.single:
                    folding.add(conversation, record)
                else:
                    yield conversation
    if empty:
        raise TraceError(f"{path}: it is empty; expected {_EXPECTED}")
    if not found:
        raise TraceError(f"{path}: it holds no call of a model with its messages")
    yield from folding.conversations()


def count(path: Path | str) -> int:
    """Count the conversations of a file, without looking into them where they stand one a line.

    >>> from trimtab.demo import TRAFFIC
    >>> from trimtab.trace import count
    >>> count(TRAFFIC)
    16
    """
    with _open(path) as file:
        lines = _lines(file, path)
        first = next((line for line in lines if line.strip()), b"")
        if not first or _is_plain(first):
            return bool(first) + sum(1 for line in lines if line.strip())
    return sum(1 for _ in read(path))


def message_dict(message: Message) -> Json:
    """Write a message in OpenAI's format: the recorded object itself if nothing was edited.

    >>> from trimtab import Message
    >>> from trimtab.trace import message_dict
    >>> message_dict(Message("user", "Hello!"))
    {'role': 'user', 'content': 'Hello!'}
    """
    if not isinstance(message.source, dict):
        return _fresh_message(message)
    edits: Json = {}
    if message.content != _content(message.source):
        edits["content"] = _content_dict(message.content)
    if message.tool_calls != _recorded_calls(message):
        edits["tool_calls"] = [_call_dict(call) for call in message.tool_calls]
    return {**message.source, **edits} if edits else message.source


def tool_dict(tool: Tool) -> Json:
    """Write a tool in OpenAI's format: the recorded object itself if nothing was edited.

    >>> from trimtab import Tool
    >>> from trimtab.trace import tool_dict
    >>> tool_dict(Tool("look_up", "Look up an order"))["type"]
    'function'
    """
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


_EXPECTED = (
    'one JSON object a line: {"id", "model", "tools", "messages"} in OpenAI\'s chat format, a'
    " request of Anthropic's, a run of LangSmith's, spans of OpenTelemetry's GenAI conventions or"
    " an ATIF trajectory, plain or gzipped"
)
_FORMATS = (atif, otel, langsmith, anthropic)


class _Folding:
    """Puts single calls together to the conversations that they came from."""

    def __init__(self) -> None:
        self.strands = Strands()
        self.longest: dict[Strand, Conversation] = {}
        self.names: dict[str, int] = {}

    def add(self, one: Conversation, record: Record) -> None:
        """Add a call. A conversation is named after the first of its calls."""
        about = (record.session, one.model, digest([_said_of(tool) for tool in one.tools]))
        strand, ends = self.strands.add(about, one.messages, one.answers[0])
        if strand not in self.longest:
            again = self.names[one.id] = self.names.get(one.id, 0) + 1
            self.longest[strand] = one if again == 1 else replace(one, id=f"{one.id}-{again}")
        elif ends:
            self.longest[strand] = replace(one, id=self.longest[strand].id)

    def conversations(self) -> Iterator[Conversation]:
        """Close all conversations."""
        for strand, one in self.longest.items():
            yield replace(one, calls=_called(one.messages, sorted(strand.calls)))


def _open(path: Path | str) -> BinaryIO:
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP
    return gzip.open(path, "rb") if zipped else open(path, "rb")  # type: ignore[return-value]


def _lines(file: BinaryIO, path: Path | str) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: the gzip data is damaged or cut short: {error}") from error


def _values(file: BinaryIO, path: Path | str) -> Iterator[tuple[str, int, object]]:
    """Read JSON values one a line, or those of documents that stretch over lines.

    Yields where each stands, its number, and what it is.
    """
    lines = _lines(file, path)
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            value = _parse(line)
        except _Unfinished:
            yield from _documents(b"".join([line, *lines]), number, path)
            return
        except TraceError as error:
            raise TraceError(f"{place}: {error}") from None
        yield from _entries(place, number, value)


def _documents(data: bytes, number: int, path: Path | str) -> Iterator[tuple[str, int, object]]:
    """Read documents that stretch over lines, one after the other."""
    text = data.decode("utf-8-sig", "replace")
    end = 0
    while (start := _BLANK.match(text, end).end()) < len(text):  # type: ignore[union-attr]
        line = number + text.count("\n", 0, start)
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            wrong = number + text.count("\n", 0, getattr(error, "pos", start))
            told = getattr(error, "msg", error)
            raise TraceError(
                f"{path}, line {wrong}: this is not JSON ({told}); expected {_EXPECTED}"
            ) from error
        yield from _entries(f"{path}, line {line}", line, value)


def _entries(place: str, number: int, value: object) -> Iterator[tuple[str, int, object]]:
    """Take a list of objects apart: an array of records is a log, too."""
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        for i, one in enumerate(value, start=1):
            yield f"{place}, entry {i}", i, one
    else:
        yield place, number, value


_BLANK = re.compile(r"\s*")


class _Unfinished(TraceError):
    """A line on which a document begins that goes on below."""


def _parse(line: bytes) -> object:
    try:
        text = line.decode("utf-8-sig")
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise TraceError(f"this is not text in UTF-8; expected {_EXPECTED}") from error
    except json.JSONDecodeError as error:
        told = f"this is not JSON ({error}); expected {_EXPECTED}"
        unfinished = error.pos >= len(text.rstrip())
        raise (_Unfinished if unfinished else TraceError)(told) from error
    except RecursionError as error:
        raise TraceError(f"this is not JSON ({error}); expected {_EXPECTED}") from error


def _is_plain(line: bytes) -> bool:
    """Whether a line is a conversation in OpenAI's format, as far as it can be told."""
    try:
        value = _parse(line)
    except TraceError:
        return False
    return isinstance(value, dict) and not any(form.recognised(value) for form in _FORMATS)


def _at(place: str, number: int, value: object) -> Iterator[tuple[Record, Conversation]]:
    """Read one value, and say where it stands if that fails."""
    try:
        for record in _records(value):
            yield record, _conversation(record, number)
    except TraceError as error:
        raise TraceError(f"{place}: {error}") from None


def _records(value: object) -> Iterator[Record]:
    """Read what a value says, by the first format that knows it for its own."""
    if not isinstance(value, dict):
        raise TraceError(f"expected an object, got {_kind(value)}")
    form = next((form for form in _FORMATS if form.recognised(value)), None)
    if form is None:
        yield Record(value)
    else:
        yield from form.records(value)


def _conversation(record: Record, number: int) -> Conversation:
    raw = record.line
    messages = raw.get("messages")
    if not isinstance(messages, list):
        told = f'expected a list under "messages", got {_kind(messages)}'
        raise TraceError(told if messages is not None else f"{told}; a log is {_EXPECTED}")
    tools = raw.get("tools") or []
    if not isinstance(tools, list):
        raise TraceError(f'expected a list under "tools", got {_kind(tools)}')
    said = _messages(messages)
    return Conversation(
        id=str(raw.get("id", record.id or number)),
        model=str(raw.get("model") or ""),
        tools=tuple(_tool(tool, i) for i, tool in enumerate(tools)),
        messages=said,
        calls=None if record.calls is None else _called(said, record.calls),
        source=raw,
    )


def _called(messages: Sequence[Message], calls: Sequence[int]) -> tuple[int, ...] | None:
    """Leave out where a model was called if that is no news."""
    every = [i for i, message in enumerate(messages) if message.role == "assistant"]
    return None if list(calls) == every else tuple(calls)


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
        # What a provider runs itself may have a name of its own, but another type.
        hosted = told is raw and raw.get("type", "function") not in OWN
        about = str(told.get("description") or "")
        return Tool(told["name"], about, parameters, pinned=hosted, source=raw)
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
