from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from trimtab import Message, Part, Request, Tool, ToolCall, Usage
from trimtab.types import canonical_json


def ask(*messages: Message, **rest) -> Request:
    return Request("gpt-4o", messages, **rest)


def test_usage_adds_and_what_is_unknown_stays_unknown() -> None:
    total = Usage(10, 2, cache_read_tokens=4) + Usage(5, 1, cache_read_tokens=None)

    assert total == Usage(15, 3, cache_read_tokens=None)


def test_the_query_is_the_latest_text_of_the_user() -> None:
    request = ask(Message("user", "old"), Message("user", "new"), Message("assistant", "hi"))

    assert request.query == "new"
    assert ask(Message("system", "be kind")).query == ""


def test_a_messages_text_joins_its_parts_and_skips_images() -> None:
    parts = (Part("look"), Part(data='{"image_url":"x"}'), Part("here"))

    assert Message("user", parts).text == "look\nhere"


def test_an_edit_that_changes_nothing_returns_the_very_same_message() -> None:
    message = Message("tool", (Part("a", '{"cache_control":1}'), Part(data="{}")), tool_call_id="1")

    assert message.with_texts(str) is message
    edited = message.with_texts(str.upper)
    assert edited.content == (Part("A", '{"cache_control":1}'), Part(data="{}"))
    assert edited.encoded and edited.tool_call_id == "1"


def call(key: str) -> tuple[Message, ...]:
    wish = ToolCall(key, "look_up", '{"id": 1}')
    return (
        Message("user", "find it"),
        Message("assistant", "", tool_calls=(wish,)),
        Message("tool", "found", tool_call_id=key),
    )


def test_the_key_ignores_ids_space_around_a_text_and_the_order_of_keys() -> None:
    one = ask(*call("a"), params={"x": 1, "y": 2}, tools=(Tool("t", "", {"a": 1, "b": 2}),))
    other = ask(*call("b"), params={"y": 2, "x": 1}, tools=(Tool("t", "", {"b": 2, "a": 1}),))

    assert one.key == other.key
    assert ask(Message("user", " hi \n")).key == ask(Message("user", "hi")).key
    assert replace(one, session="s").key == one.key


def test_the_key_tells_apart_whatever_can_change_the_answer() -> None:
    base = ask(*call("a"), tools=(Tool("t", "d"),), params={"temperature": 0})
    others = [
        replace(base, model="gpt-5"),
        replace(base, tenant="acme"),
        replace(base, fingerprint="lean"),
        replace(base, tools=()),
        replace(base, tools=(Tool("t", "other"),)),
        replace(base, params={"temperature": 1}),
        replace(base, messages=base.messages[:-1]),
        replace(base, messages=(*base.messages[:-1], replace(base.messages[-1], role="user"))),
        ask(Message("user", (Part("find it", '{"image": 1}'),)), *base.messages[1:]),
    ]

    assert len({base.key, *(other.key for other in others)}) == len(others) + 1


def test_without_a_session_the_opening_messages_name_the_conversation() -> None:
    opening = (Message("system", "be kind"), Message("user", "hi"))
    first, later = (
        ask(*opening),
        ask(*opening, Message("assistant", "yes?"), Message("user", "bye")),
    )

    assert first.conversation == later.conversation
    assert first.conversation != ask(Message("user", "hi")).conversation
    assert first.conversation != replace(first, tenant="acme").conversation
    assert (
        replace(first, session="s").conversation
        == ask(Message("user", "x"), session="s").conversation
    )


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none())))
def test_equal_values_have_the_same_canonical_json(value) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


def test_half_of_an_emoji_has_a_digest_too() -> None:
    half, other = ask(Message("user", "a\ud83d")), ask(Message("user", "a\ud83c"))

    assert half.key != other.key
    assert half.conversation != other.conversation
