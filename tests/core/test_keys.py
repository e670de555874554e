"""What the key of a request tells apart, and what it does not."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.types import Message, Part, Request, Tool, ToolCall

words = st.text("ab \n\t\rü😀\ud83d{}[]\"':1", max_size=12)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=3)
)
objects = st.dictionaries(words, values, max_size=3)
calls = st.builds(ToolCall, st.sampled_from("xyz"), words, words | objects.map(json.dumps))
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    words
    | st.lists(st.builds(Part, st.none() | words, st.just("") | words), max_size=3).map(tuple),
    st.lists(calls, max_size=2).map(tuple),
    st.none() | st.sampled_from("xyz"),
    st.none() | words,
)
requests = st.builds(
    Request,
    words,
    st.lists(messages, max_size=4).map(tuple),
    st.lists(st.builds(Tool, words, words, objects), max_size=2).map(tuple),
    objects,
    words,
)


def turned(value: Any) -> Any:
    """Reverse the order of all keys."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


def with_other_ids(message: Message) -> Message:
    made = tuple(
        replace(call, id=f"call_{call.id}", arguments=respelled(call.arguments))
        for call in message.tool_calls
    )
    answered = message.tool_call_id and f"call_{message.tool_call_id}"
    return replace(message, tool_calls=made, tool_call_id=answered, source=object())


def respelled(arguments: str) -> str:
    try:
        return json.dumps(turned(json.loads(arguments)), indent=1)
    except ValueError:
        return arguments


def padded(message: Message) -> Message:
    """Add what nobody sees."""
    content = message.content
    if isinstance(content, str):
        if message.role != "tool":
            content = content.replace("\r", "").replace("\n", " \t\r\n")
        return replace(message, content=f" \n{content}\t\r\n")
    return message


@given(requests)
def test_order_of_keys_ids_metadata_and_space_around_texts_make_no_difference(
    request: Request,
) -> None:
    plain = [
        m
        if not isinstance(m.content, str) or m.role == "tool"
        else replace(m, content=m.content.replace("\r", ""))
        for m in request.messages
    ]
    request = replace(request, messages=tuple(plain))
    other = replace(
        request,
        messages=tuple(padded(with_other_ids(message)) for message in request.messages),
        tools=tuple(
            replace(t, parameters=turned(dict(t.parameters)), source=object())
            for t in request.tools
        ),
        params=turned(dict(request.params)),
        session="another",
    )
    assert other.key == request.key


@settings(max_examples=50)
@given(requests, requests)
def test_requests_that_say_something_else_have_another_key(one: Request, other: Request) -> None:
    assert (one.key == other.key) == (meaning(one) == meaning(other))


@settings(max_examples=50)
@given(requests, st.data())
def test_any_one_change_makes_another_key(request: Request, data: st.DataObject) -> None:
    other = data.draw(requests)
    name = data.draw(st.sampled_from([f.name for f in fields(Request)][:5]))
    changed = replace(request, **{name: getattr(other, name)})
    assert (changed.key == request.key) == (meaning(changed) == meaning(request))


def meaning(request: Request) -> str:
    """Say the same as the key, the slow and simple way."""
    ids: dict[str, int] = {}
    said = [
        [
            m.role,
            m.name,
            seen(m),
            [[number(c.id, ids), c.name, argued(c.arguments)] for c in m.tool_calls],
            None if m.tool_call_id is None else number(m.tool_call_id, ids),
        ]
        for m in request.messages
    ]
    tools = [[t.name, t.description, dict(t.parameters)] for t in request.tools]
    return json.dumps(
        [request.model, request.tenant, said, tools, dict(request.params)], sort_keys=True
    )


def number(key: str, ids: dict[str, int]) -> int:
    return ids.setdefault(key, len(ids))


def argued(text: str) -> list[Any]:
    try:
        return [True, json.loads(text)]
    except ValueError:
        return [False, text]


def seen(message: Message) -> Any:
    content = message.content
    if isinstance(content, str):
        return lines(content, message.role).strip()
    told = [
        [p.text if p.data or p.text is None else lines(p.text, message.role), p.data]
        for p in content
    ]
    if told and told[0][0] is not None and not told[0][1]:
        told[0][0] = told[0][0].lstrip()
    if told and told[-1][0] is not None and not told[-1][1]:
        told[-1][0] = told[-1][0].rstrip()
    return told


def lines(text: str, role: str) -> str:
    if role == "tool":
        return text
    *broken, last = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join([*(line.rstrip(" \t") for line in broken), last])


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("a\r\nb", "a\nb", True),
        ("a  \nb", "a\nb", True),
        ("a\n\nb", "a\nb", False),
        ("if x:\n    y", "if x:\n  y", False),
        ("a b", "a  b", False),
        ("a\xa0\nb", "a\nb", False),
    ],
)
def test_white_space_counts_where_it_is_seen(one: str, other: str, same: bool) -> None:
    def keys(role: str, *parts: str) -> str:
        content = parts[0] if len(parts) == 1 else tuple(map(Part, parts))
        return Request("m", (Message(role, content),)).key

    assert (keys("user", one) == keys("user", other)) is same
    assert (keys("user", one, "x") == keys("user", other, "x")) is same
    assert keys("tool", one) != keys("tool", other)


def test_white_space_between_parts_and_in_parts_with_data_counts() -> None:
    def key(*parts: Part) -> str:
        return Request("m", (Message("user", parts),)).key

    assert key(Part(" a"), Part("b\n")) == key(Part("a"), Part("b"))
    assert key(Part("a "), Part("b")) != key(Part("a"), Part("b"))
    assert key(Part("a ", "{}")) != key(Part("a", "{}"))


def test_a_text_is_not_taken_for_the_json_that_it_looks_like() -> None:
    def key(arguments: str) -> str:
        wish = ToolCall("1", "f", arguments)
        return Request("m", (Message("assistant", "", (wish,)),)).key

    assert len({key("abc"), key('"abc"'), key('["abc"]'), key('{"a":"abc"}')}) == 4
    assert key("[" * 100_000) != key("[" * 100_001)


def test_a_long_text_counts_to_its_end_and_a_long_run_of_blanks_takes_no_time() -> None:
    one, other = (Request("m", (Message("user", " " * 200_000 + end),)) for end in ("\na", "\nb"))
    assert one.key != other.key
    run = Request("m", (Message("user", "a" + " " * 200_000 + "b\r"),))
    assert run.key != one.key


def test_a_message_that_is_said_again_keeps_its_own_place() -> None:
    first, second = Message("user", "a" * 500), Message("user", "b" * 500)
    assert Request("m", (first, second)).key != Request("m", (second, first)).key
    assert Request("m", (first, first)).key != Request("m", (first,)).key
