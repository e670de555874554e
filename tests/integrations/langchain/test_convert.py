"""Conversion between LangChain's values and trimtab's."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_trimtab.convert import (
    Messages,
    edited,
    message_to_core,
    new_message,
    response_to_core,
    saved_by_cache,
    unsaid,
    usage_of,
)
from trimtab.types import Message, Part, Request, ToolCall, Usage

CALL = {"name": "look_up", "args": {"id": 7, "größe": "XL"}, "id": "call_1"}
IMAGE = {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": "aGk="}
MESSAGES: list[BaseMessage] = [
    SystemMessage("Be brief."),
    SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]),
    HumanMessage("hi", name="kim", id="h1"),
    HumanMessage([{"type": "text", "text": "what is this?"}, IMAGE]),
    HumanMessage(["plain", {"type": "text", "text": "mixed"}]),
    AIMessage("", tool_calls=[CALL], id="a1"),
    AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}], id="a2"),
    AIMessageChunk("partly"),
    ToolMessage("[]", tool_call_id="call_1", name="look_up", status="error", artifact={"raw": 1}),
    ToolMessage([{"type": "text", "text": "[]"}, IMAGE], tool_call_id="call_1"),
    ChatMessage(content="psst", role="whisperer"),
    FunctionMessage("3", name="add"),
]


def upper(message: Message) -> Message:
    return message.with_texts(str.upper)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_an_unedited_message_comes_back_as_the_very_same_object(message: BaseMessage) -> None:
    convert = Messages()
    core = convert.to_core(message)
    assert next(convert.back([core], [core])) is message
    assert next(convert.back([replace(core, encoded=True)], [core])) is message


def test_an_edited_result_of_a_tool_keeps_all_but_its_text() -> None:
    source = ToolMessage(
        "rows",
        tool_call_id="call_1",
        name="look_up",
        id="t1",
        status="error",
        artifact={"raw": 1},
        additional_kwargs={"note": 1},
        response_metadata={"took": 3},
    )
    back = edited(source, upper(message_to_core(source)))
    assert back is not source
    assert back == source.model_copy(update={"content": "ROWS"})
    assert source.content == "rows"


def test_an_edited_answer_keeps_its_tool_calls_and_its_usage() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    source = AIMessage("let me see", tool_calls=[CALL], usage_metadata=usage, id="a")
    back = edited(source, upper(message_to_core(source)))
    assert back == source.model_copy(update={"content": "LET ME SEE"})


def test_blocks_change_only_their_texts() -> None:
    cached = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}, "id": "b1"}
    cited = {"type": "text", "text": "two", "annotations": [{"url": "x"}], "extras": {"k": 1}}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    server = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "x"}}
    source = AIMessage([cached, IMAGE, "three", thinking, server, cited])
    back = edited(source, upper(message_to_core(source)))
    assert back.content == [
        {**cached, "text": "ONE"},
        IMAGE,
        "THREE",
        thinking,
        server,
        {**cited, "text": "TWO"},
    ]
    assert back.content[1] is source.content[1]
    assert cached["text"] == "one"


def test_blocks_that_a_step_joined_become_one_text() -> None:
    source = HumanMessage([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])
    core = message_to_core(source)
    assert edited(source, replace(core, content="one two")).content == "one two"
    assert isinstance(core.content, tuple)
    fewer = replace(core, content=core.content[:1])
    assert edited(source, fewer).content == [{"type": "text", "text": "one"}]


@pytest.mark.parametrize(
    ("core", "kind"),
    [
        (Message("user", "hi", name="kim"), HumanMessage),
        (Message("assistant", "hello"), AIMessage),
        (Message("assistant", "", (ToolCall("c", "f", '{"a": 1}'),)), AIMessage),
        (Message("assistant", "", (ToolCall("c", "f", "{broken"),)), AIMessage),
        (Message("assistant", "", (ToolCall("c", "f", "[1]"),)), AIMessage),
        (Message("system", "be brief"), SystemMessage),
        (Message("developer", "be brief"), SystemMessage),
        (Message("tool", "3", tool_call_id="c", name="add"), ToolMessage),
        (Message("whisperer", "psst", pinned=True), ChatMessage),
        (Message("user", (Part("a"), Part(None, '{"type":"image","url":"u"}'))), HumanMessage),
    ],
)
def test_a_message_that_a_step_wrote_becomes_one_of_langchain(
    core: Message, kind: type[BaseMessage]
) -> None:
    (made,) = Messages().back([core], [])
    assert type(made) is kind
    assert message_to_core(made) == core


def test_dropped_messages_are_gone_and_new_ones_stand_where_they_were_put() -> None:
    convert, sources = Messages(), [HumanMessage(str(i)) for i in range(4)]
    asked = [convert.to_core(m) for m in sources]
    digest = Message("user", "earlier: 0, 1")
    back = list(convert.back([digest, asked[2], upper(asked[3])], asked))
    assert back == [HumanMessage("earlier: 0, 1"), sources[2], sources[3]]
    assert back[1] is sources[2]


def test_a_step_that_remembers_an_equal_message_of_an_earlier_call_gets_the_one_of_this_call() -> (
    None
):
    convert = Messages()
    old = [HumanMessage("same", id="old"), HumanMessage("same", id="old2"), HumanMessage("x")]
    new = [HumanMessage("same", id="new"), HumanMessage("same", id="new2"), HumanMessage("x")]
    remembered = [convert.to_core(m) for m in old]
    asked = [convert.to_core(m) for m in new]
    back = list(convert.back(remembered, asked))
    assert all(b is n for b, n in zip(back, new, strict=True))
    shortened = list(convert.back([upper(m) for m in remembered], asked))
    assert [m.id for m in shortened] == ["new", "new2", None]


def test_a_message_is_converted_once_for_as_long_as_it_stays_as_it_was() -> None:
    convert = Messages()
    for source in MESSAGES:
        assert convert.to_core(source) is convert.to_core(source)


def test_a_message_edited_in_place_is_converted_again() -> None:
    convert = Messages()
    text, blocks = HumanMessage("before"), HumanMessage([{"type": "text", "text": "before"}])
    answer = AIMessage("", tool_calls=[CALL])
    before = [convert.to_core(m) for m in (text, blocks, answer)]
    text.content = "after"
    blocks.content[0]["text"] = "after"  # type: ignore[index]
    answer.tool_calls = [{**CALL, "args": {"id": 8}}]  # type: ignore[list-item]
    after = [convert.to_core(m) for m in (text, blocks, answer)]
    assert [m.text for m in after] == ["after", "after", ""]
    assert after[2].tool_calls[0].arguments == '{"id": 8}'
    assert all(a is not b for a, b in zip(before, after, strict=True))


def test_converting_keeps_no_message_alive() -> None:
    convert, source = Messages(), HumanMessage("a long transcript")
    alive = weakref.ref(source)
    convert.to_core(source)
    del source
    gc.collect()
    assert alive() is None


def test_ids_of_providers_and_cache_marks_make_no_difference_to_what_a_message_says() -> None:
    def answer(id: str, **mark: Any) -> Request:
        block = {"type": "tool_use", "id": id, "name": "look_up", "input": {"id": 7}}
        text = {"type": "text", "text": "let me see", "index": 0, **mark}
        said = AIMessage([text, block], tool_calls=[{**CALL, "id": id}], id=id)
        result = ToolMessage("3", tool_call_id=id, id=id)
        return Request("m", (message_to_core(said), message_to_core(result)))

    assert answer("one").key == answer("two", cache_control={"type": "ephemeral"}).key


def test_calls_that_cannot_be_parsed_are_calls_too() -> None:
    bad = {"name": "f", "args": "{broken", "id": "c", "error": None, "type": "invalid_tool_call"}
    core = message_to_core(AIMessage("", invalid_tool_calls=[bad]))
    assert core.tool_calls == (ToolCall("c", "f", "{broken"),)


def test_an_error_and_what_only_providers_read_is_told_apart() -> None:
    result = ToolMessage("3", tool_call_id="c")
    failed = ToolMessage("3", tool_call_id="c", status="error")
    signed = AIMessage("x", additional_kwargs={"thought_signature": "s", "refusal": None})
    assert unsaid([result, failed, signed]) == [
        [1, "error", {}],
        [2, "success", {"thought_signature": "s"}],
    ]


def test_a_developers_message_is_one() -> None:
    source = SystemMessage("x", additional_kwargs={"__openai_role__": "developer"})
    assert message_to_core(source).role == "developer"


def test_usage_counts_cached_and_reasoning_tokens() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "input_token_details": {"cache_read": 60, "cache_creation": 30},
        "output_token_details": {"reasoning": 5},
    }
    assert usage_of(AIMessage("", usage_metadata=usage)) == Usage(100, 20, 60, 30, 5)


def test_usage_that_is_not_reported_is_unknown() -> None:
    plain = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert usage_of(AIMessage("", usage_metadata=plain)) == Usage(3, 4)
    assert usage_of(AIMessage("")) is None
    assert usage_of(HumanMessage("")) is None


def test_anthropics_writes_by_lifetime_are_writes() -> None:
    details = {
        "cache_read": 10,
        "cache_creation": 0,
        "ephemeral_5m_input_tokens": 300,
        "ephemeral_1h_input_tokens": 50,
    }
    usage = {"input_tokens": 400, "output_tokens": 1, "total_tokens": 401}
    message = AIMessage("", usage_metadata={**usage, "input_token_details": details})
    assert usage_of(message) == Usage(400, 1, 10, 350)


def test_an_answer_of_many_blocks_comes_back_from_its_message_alone() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "let me see", "citations": [{"n": 1}], "index": 1},
        {"type": "tool_use", "id": "call_1", "name": "look_up", "input": CALL["args"]},
    ]
    source = AIMessage(content, tool_calls=[CALL], name="clerk", id="a1")
    response = response_to_core([source])
    assert response.cacheable and response.id == "a1"
    back = new_message(response.message)
    assert back.content == content
    assert isinstance(back, AIMessage) and back.tool_calls == source.tool_calls
    assert back.name == "clerk" and back.id is None


def test_an_answer_says_which_model_gave_it_and_why_it_ended() -> None:
    openai = AIMessage("x", response_metadata={"model_name": "gpt", "finish_reason": "stop"})
    anthropic = AIMessage("x", response_metadata={"model": "claude", "stop_reason": "end_turn"})
    found = [response_to_core([m]) for m in (openai, anthropic)]
    assert [(r.model, r.finish_reason) for r in found] == [("gpt", "stop"), ("claude", "end_turn")]


def test_an_answer_says_how_sure_the_model_was_of_each_token() -> None:
    tokens = [{"token": "y", "logprob": -0.5}, {"token": "es", "logprob": -0.25}]
    said = [{"logprobs": {"content": tokens}}, {"logprobs": None}, {"logprobs": {"content": None}}]
    found = [response_to_core([AIMessage("yes", response_metadata=s)]).logprobs for s in said]
    assert found == [(-0.5, -0.25), None, None]


@pytest.mark.parametrize(
    ("result", "structured"),
    [
        ([AIMessage("x", id="a1")], {"parsed": 1}),
        ([AIMessage("x", id="a1"), ToolMessage("y", tool_call_id="c")], None),
        ([AIMessage("x", id="a1", additional_kwargs={"thought_signature": "s"})], None),
        ([AIMessage("no model wrote this")], None),
    ],
)
def test_an_answer_that_is_more_than_its_message_is_not_for_a_cache(
    result: list[BaseMessage], structured: object
) -> None:
    assert not response_to_core(result, structured).cacheable


def test_an_answer_of_openai_is_for_a_cache() -> None:
    kwargs = {"refusal": None, "tool_calls": [{"id": "call_1"}]}
    assert response_to_core([AIMessage("x", id="a1", additional_kwargs=kwargs)]).cacheable


def test_a_hit_in_any_cache_is_known_by_what_it_leaves_behind() -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    paid = AIMessage("x", usage_metadata=usage)
    theirs = AIMessage("x")
    theirs.usage_metadata = {**usage, "total_cost": 0}  # type: ignore[typeddict-unknown-key]
    ours = AIMessage("x", response_metadata={"trimtab": {"saved": {"input_tokens": 3}}})
    assert saved_by_cache(paid) is None
    assert saved_by_cache(theirs) == Usage(3, 4)
    assert saved_by_cache(ours) == Usage(3)
