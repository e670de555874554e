"""Between LlamaIndex's messages, tools and answers, and trimtab's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llama_index_trimtab.convert import (
    answer_from_chat,
    chats_back,
    extras,
    from_chat,
    new_chat,
    plain,
    tool_from,
    tools_back,
)
from trimtab.cache.answers import decode, encode
from trimtab.types import Message, Part, Request, Response, Tool, ToolCall

IMAGE = ImageBlock(url="https://example.org/cat.png")
POINT = CachePoint(cache_control=CacheControl(type="ephemeral"))
CALL = ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a": 1}')
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
OPENAI = {
    "type": "function",
    "function": {"name": "add", "description": "Add.", "parameters": SCHEMA, "strict": True},
}
RESPONSES = {"type": "function", "name": "add", "description": "Add.", "parameters": SCHEMA}
ANTHROPIC = {
    "name": "add",
    "description": "Add.",
    "input_schema": SCHEMA,
    "cache_control": {"type": "ephemeral"},
}


def user(*blocks: Any) -> ChatMessage:
    return ChatMessage(role="user", blocks=list(blocks))


def shouted(message: Message) -> Message:
    return message.with_texts(str.upper)


def test_messages_say_in_trimtab_what_they_say_in_llama_index() -> None:
    assert from_chat(ChatMessage(role="system", content="be brief")) == Message(
        "system", "be brief"
    )
    assert from_chat(ChatMessage(role="assistant", blocks=[CALL])) == Message(
        "assistant", "", tool_calls=(ToolCall("c1", "add", '{"a": 1}'),)
    )
    result = ChatMessage(role="tool", content="2", additional_kwargs={"tool_call_id": "c1"})
    assert from_chat(result) == Message("tool", "2", tool_call_id="c1")
    assert from_chat(ChatMessage(role="model", content="hi")).role == "assistant"
    assert from_chat(ChatMessage(role="function", content="2")).role == "tool"


@pytest.mark.parametrize(
    "held",
    [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}},
    ],
)
def test_calls_of_tools_are_found_where_integrations_kept_them_before_there_were_blocks(
    held: Any,
) -> None:
    class Call(BaseModel):
        model_config = {"extra": "allow"}

    for call in (held, Call(**held)):
        message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})
        assert from_chat(message).tool_calls == (ToolCall("c1", "add", '{"a": 1}'),)


def test_unedited_messages_come_back_as_the_very_same_objects() -> None:
    sources = [user(TextBlock(text="a"), IMAGE, POINT), user(), user(TextBlock(text=""))]
    asked = [from_chat(source) for source in sources]
    assert all(a is b for a, b in zip(chats_back(asked, asked), sources, strict=True))


def test_edited_messages_are_copies_block_by_block_with_all_else_kept() -> None:
    kwargs = {"tool_call_id": "c1", "citations": [1]}
    blocks = [TextBlock(text="a"), IMAGE, TextBlock(text="b"), POINT]
    source = ChatMessage(role="tool", blocks=blocks, additional_kwargs=kwargs)
    message = from_chat(source)
    (edited,) = chats_back([shouted(message)], [message])
    assert edited.blocks == [TextBlock(text="A"), IMAGE, TextBlock(text="B"), POINT]
    assert edited.role == "tool"
    assert edited.additional_kwargs == kwargs
    assert [block.text for block in source.blocks if isinstance(block, TextBlock)] == ["a", "b"]
    edited.additional_kwargs.clear()
    assert source.additional_kwargs == kwargs


def test_calls_of_tools_and_thoughts_survive_an_edit() -> None:
    thought = ThinkingBlock(content="hm", additional_information={"signature": "s"})
    source = ChatMessage(role="assistant", blocks=[thought, TextBlock(text="a"), CALL])
    message = from_chat(source)
    (edited,) = chats_back([shouted(message)], [message])
    assert edited.blocks == [thought, TextBlock(text="A"), CALL]


def test_a_message_whose_parts_became_one_text_keeps_what_is_not_a_text() -> None:
    message = from_chat(user(TextBlock(text="a"), IMAGE, TextBlock(text="b")))
    (edited,) = chats_back([replace(message, content="summary")], [message])
    assert edited.blocks == [TextBlock(text="summary"), IMAGE]


def test_a_text_can_be_given_to_a_message_that_had_none() -> None:
    message = from_chat(user(IMAGE))
    (edited,) = chats_back([replace(message, content=(*message.content, Part("cat")))], [message])
    assert edited.blocks == [IMAGE, TextBlock(text="cat")]


def test_dropped_and_new_messages_find_their_places() -> None:
    sources = [ChatMessage(role="user", content=text) for text in "abca"]
    asked = [from_chat(source) for source in sources]
    back = chats_back([Message("user", "summary"), asked[2], asked[3]], asked)
    assert back[0] == ChatMessage(role="user", content="summary")
    assert back[1] is sources[2]
    assert back[2] is sources[3]


def test_a_message_that_a_step_remembers_from_an_earlier_call_is_todays_object() -> None:
    old = from_chat(ChatMessage(role="user", content="a", additional_kwargs={"seen": 1}))
    today = ChatMessage(role="user", content="a", additional_kwargs={"seen": 2})
    asked = [from_chat(today)]
    assert chats_back([old], asked)[0] is today
    assert chats_back([shouted(old)], asked)[0].additional_kwargs == {"seen": 2}


def test_new_messages_hold_calls_ids_and_names() -> None:
    call = Message("assistant", "", tool_calls=(ToolCall("c1", "add", '{"a": 1}'),))
    assert new_chat(call).blocks[-1].tool_kwargs == {"a": 1}
    result = Message("tool", "2", tool_call_id="c1", name="add")
    assert new_chat(result).additional_kwargs == {"tool_call_id": "c1", "name": "add"}
    assert from_chat(new_chat(result)) == result


def test_what_additional_kwargs_say_is_part_of_the_request_and_what_they_repeat_is_not() -> None:
    said = [
        ChatMessage(role="user", content="a", additional_kwargs={"documents": ["d"]}),
        ChatMessage(role="assistant", content="b", additional_kwargs={"usage": {"x": 1}}),
        ChatMessage(role="assistant", content="", additional_kwargs={"function_call": {"n": 1}}),
        ChatMessage(role="tool", content="c", additional_kwargs={"tool_call_id": "c1"}),
    ]
    assert extras(said) == [(0, {"documents": ["d"]}), (2, {"function_call": {"n": 1}})]


def test_ids_of_calls_make_no_other_request() -> None:
    def request(identifier: str) -> Request:
        call = ToolCallBlock(tool_call_id=identifier, tool_name="add", tool_kwargs={"a": 1})
        asked = ChatMessage(role="assistant", blocks=[call])
        got = ChatMessage(role="tool", content="2", additional_kwargs={"tool_call_id": identifier})
        return Request("m", (from_chat(asked), from_chat(got)))

    assert request("c1").key == request("c2").key


def test_another_image_at_the_same_path_is_another_message(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"one")
    before = from_chat(user(ImageBlock(path=path)))
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert from_chat(user(ImageBlock(path=path))) != before


blocks = st.lists(
    st.builds(TextBlock, text=st.text())
    | st.builds(ThinkingBlock, content=st.text(), num_tokens=st.none() | st.integers(0, 9))
    | st.just(IMAGE)
    | st.builds(ImageBlock, image=st.binary(min_size=1, max_size=9)),
    max_size=4,
)
calls = st.lists(
    st.builds(
        ToolCallBlock,
        tool_call_id=st.text(),
        tool_name=st.text(),
        tool_kwargs=st.dictionaries(st.text(), st.integers() | st.text(), max_size=2),
    ),
    max_size=2,
)
said = st.dictionaries(st.sampled_from(["tool_calls", "x", "usage"]), st.just([{"a": 1}]))


@given(blocks, calls, said)
def test_an_answer_survives_the_cache(blocks: Any, calls: Any, said: Any) -> None:
    source = ChatMessage(role="assistant", blocks=[*blocks, *calls], additional_kwargs=said)
    again = new_chat(decode(encode(Response(answer_from_chat(source)))).message)
    empty = TextBlock(text="")
    assert [b for b in again.blocks if b != empty] == [b for b in source.blocks if b != empty]
    assert again.additional_kwargs == {k: v for k, v in said.items() if k != "usage"}


def test_an_answer_that_json_cannot_hold_is_refused() -> None:
    source = ChatMessage(role="assistant", content="a", additional_kwargs={"socket": object()})
    with pytest.raises(ValueError, match="not JSON"):
        answer_from_chat(source)


@pytest.mark.parametrize("spec", [OPENAI, RESPONSES, ANTHROPIC])
def test_tools_are_rewritten_where_their_form_is_known(spec: Any) -> None:
    tool = tool_from(spec)
    assert tool == Tool("add", "Add.", SCHEMA)
    assert tools_back([tool], [tool])[0] is spec
    (edited,) = tools_back([replace(tool, description="+")], [tool])
    before, after = (repr(s) for s in (spec, edited))
    assert after == before.replace("Add.", "+")


@pytest.mark.parametrize("spec", [OPENAI, RESPONSES, ANTHROPIC])
def test_a_steps_own_tool_is_written_in_the_form_of_the_others(spec: Any) -> None:
    own = Tool("more", "More.", {"type": "object"})
    written = tools_back([tool_from(spec), own], [tool_from(spec)])[1]
    assert tool_from(written) == own
    assert "cache_control" not in written


def test_a_steps_own_tool_needs_an_example() -> None:
    with pytest.raises(ValueError, match="no tool shows"):
        tools_back([Tool("more")], [])


def test_tools_of_unknown_form_are_hands_off_and_still_part_of_the_request() -> None:
    def add(a: int) -> int:
        """Add."""
        return a

    class Declared(BaseModel):
        name: str

    searching = {"type": "web_search_20250305", "name": "web_search"}
    for spec in (FunctionTool.from_defaults(add), Declared(name="x"), searching):
        tool = tool_from(spec)
        assert tool.pinned
        assert tools_back([tool], [tool])[0] is spec
    assert tool_from(Declared(name="x")) != tool_from(Declared(name="y"))


def test_values_become_json() -> None:
    class City(BaseModel):
        name: str

    assert plain({"a": (1, City(name="x"))}) == {"a": [1, {"name": "x"}]}
    assert plain(City) == City.model_json_schema()
    assert plain(len) == repr(len)
