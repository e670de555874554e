import copy
import json
import logging
import pickle
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import rank_files, tokens
from trimtab.tokens import (
    FRAME,
    IMAGE,
    analyze_text,
    count_block,
    count_message,
    count_request,
    count_tools,
    counter_for,
)
from trimtab.types import Message, Part, Request, Tool, ToolCall, canonical_json

COUNT = counter_for("gpt-4o")


def forget() -> None:
    counter_for.cache_clear()
    tokens._load_once.cache_clear()
    rank_files.encoding.cache_clear()


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without rank files."""
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", {})
    monkeypatch.setattr(rank_files, "_places", lambda name: iter(()))
    forget()
    yield
    forget()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o", "gpt-4o-2024-08-06", "openai:gpt-4o", "openai/gpt-4o-mini", "azure/gpt-4o"),
        *("gpt-5", "gpt-5.2", "gpt-5.6-sol", "gpt-6-luna", "gpt-6.1-terra", "gpt-10", "GPT-4o"),
        *("gpt-4.1-nano", "gpt-4.5-preview", "chatgpt-4o-latest", "gpt-oss-120b", "o1", "o3-mini"),
        *("openai:o4-mini", "openai/o3-2025-04-16", "ft:gpt-4o-mini:org::id", "our-gpt-4o-eu"),
    ],
)
def test_newer_models_of_openai_are_counted_by_their_own_tokenizer(model: str) -> None:
    assert (counter_for(model).name, counter_for(model).exact) == ("o200k_base", True)


@pytest.mark.parametrize(
    "model", ["gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-3.5-turbo", "azure:gpt-35-turbo-16k"]
)
def test_older_models_of_openai_are_counted_by_theirs(model: str) -> None:
    assert (counter_for(model).name, counter_for(model).exact) == ("cl100k_base", True)


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5", "gemini-2.5-pro", "qwen-max", "llama-3.3-70b", "foo1", "yolo3", ""]
)
def test_other_models_are_counted_by_the_nearest_one_and_say_so(model: str) -> None:
    assert not counter_for(model).exact
    assert counter_for(model)("some text of a few words") >= 6


def test_newer_models_of_claude_make_more_tokens_of_a_text() -> None:
    text = "All work and no play makes Jack a dull boy. " * 20
    old, new = counter_for("claude-sonnet-4-5")(text), counter_for("claude-opus-4-8")(text)
    assert COUNT(text) < old < new == counter_for("anthropic/claude-opus-4.8")(text)


def test_counting_is_exact() -> None:
    assert COUNT("hello world") == 2
    assert COUNT("") == 0
    assert COUNT("<|endoftext|>") > 1
    assert COUNT("lone \ud800 surrogate") > 2


def test_counters_are_shared_and_can_be_copied_and_sent_to_other_processes() -> None:
    assert counter_for("gpt-4o") is counter_for("gpt-4o")
    for twin in (copy.deepcopy(COUNT), pickle.loads(pickle.dumps(COUNT)), replace(COUNT)):
        assert twin == COUNT
        assert twin("hello world") == 2
    assert "0x" not in repr(COUNT)


def test_a_text_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr("trimtab.estimate.estimate", lambda text: counted.append(text) or 7)
    count = tokens.TokenCounter("estimate")
    assert [count("again"), count("".join(["ag", "ain"])), count("once")] == [7, 7, 7]
    assert counted == ["again", "once"]


def test_a_counter_does_not_remember_without_end() -> None:
    memo: tokens._Memo[int] = tokens._Memo(8)
    for i in range(100):
        memo.learn(str(i), i)
    assert len(memo) <= 8
    assert memo[hash("99"), 2] == 99


def test_without_rank_files_the_count_is_an_estimate_and_one_warning(
    no_files: None, no_network: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trimtab"):
        count = counter_for("gpt-4o")
        counter_for("gpt-5"), counter_for("claude-opus-5")
    assert (count.name, count.exact) == ("estimate", False)
    assert count("The quick brown fox jumps over the lazy dog.") == pytest.approx(10, abs=2)
    assert len(caplog.records) == 1
    assert "TIKTOKEN_CACHE_DIR" in caplog.text


def test_with_rank_files_no_network_is_asked(
    monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", {})
    forget()
    assert counter_for("gpt-4o").exact
    assert counter_for("gpt-4").exact
    forget()


def test_all_of_a_message_counts() -> None:
    plain = Message("assistant", "On it.")
    call = ToolCall("call_x7f3", "find_orders", '{"customer": "sara"}')
    calling = replace(plain, tool_calls=(call,))
    assert count_message(plain, COUNT) == FRAME + COUNT("On it.")
    texts = sum(map(COUNT, (call.id, call.name, call.arguments)))
    assert count_message(calling, COUNT) == count_message(plain, COUNT) + texts + tokens.CALL_FRAME
    result = Message("tool", "none", tool_call_id=call.id, name="find_orders")
    assert count_message(result, COUNT) == FRAME + sum(map(COUNT, ("none", call.id, "find_orders")))


def image(**block: object) -> Part:
    return Part(data=canonical_json(block))


BYTES = "iVBORw0KGgoAAAANSUhEUgAA" * 4000


@pytest.mark.parametrize(
    "part",
    [
        image(type="image_url", image_url={"url": "data:image/png;base64," + BYTES}),
        image(type="image_url", image_url={"url": "https://example.org/a.png", "detail": "high"}),
        image(type="input_image", image_url="data:image/png;base64," + BYTES),
        image(type="image", source={"type": "base64", "media_type": "image/png", "data": BYTES}),
        image(type="image", base64=BYTES, mime_type="image/png"),
        image(block_type="image", image=BYTES),
    ],
)
def test_an_image_counts_as_an_image(part: Part) -> None:
    assert IMAGE <= count_block(part, COUNT) < IMAGE + 30
    assert count_block(part, len) >= IMAGE
    assert 1600 <= count_block(part, counter_for("claude-opus-5")) < 1650


def test_images_within_a_block_count_as_well_as_its_text() -> None:
    inner = [{"type": "image", "data": BYTES}, {"type": "text", "text": "two words " * 50}]
    size = count_block(image(type="tool_result", content=inner), COUNT)
    assert IMAGE + 100 < size < IMAGE + 200


def test_reasoning_counts_by_its_text_and_not_by_its_signature() -> None:
    part = image(type="thinking", thinking="Let me see. " * 20, signature=BYTES)
    assert 60 < count_block(part, COUNT) < 120


def test_other_blocks_count_by_their_json() -> None:
    part = image(type="search_result", title="Baggage", content="Two bags are free. " * 30)
    assert count_block(part, COUNT) == COUNT(part.data)
    assert count_block(Part(data="not json"), COUNT) == COUNT("not json")


def test_parts_count_like_their_text() -> None:
    message = Message("user", (Part("one"), Part("two"), image(type="image", base64=BYTES)))
    assert count_message(message, COUNT) == FRAME + COUNT("one\ntwo") + IMAGE


TOOL = Tool("find", "Finds things.", {"type": "object", "properties": {"q": {"type": "string"}}})


def test_tools_count_as_they_are_serialised() -> None:
    function = {"name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters}
    assert count_tools([TOOL], COUNT) == COUNT(
        json.dumps({"type": "function", "function": function})
    )
    assert count_tools([TOOL, replace(TOOL)], COUNT) == 2 * count_tools([TOOL], COUNT)


def test_tools_that_take_each_others_place_in_memory_are_told_apart() -> None:
    sizes = [count_tools([Tool("t", "word " * i)], len) for i in range(50)]
    assert sizes == sorted(set(sizes))


def test_a_request_is_the_sum_of_its_parts() -> None:
    messages = (Message("system", "Be brief."), Message("user", "Hi"))
    request = Request("gpt-4o", messages, (TOOL,))
    assert count_request(request, COUNT) == count_tools([TOOL], COUNT) + sum(
        count_message(m, COUNT) for m in messages
    )


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_shared_tokens_are_the_common_prefix_of_both(start: str, one: str, other: str) -> None:
    assert COUNT.encoding is not None
    first, second = map(COUNT.encoding.encode_ordinary, (start + one, start + other))
    shared = COUNT.shared(start + one, start + other)
    assert first[:shared] == second[:shared]
    assert first[shared : shared + 1] != second[shared : shared + 1] or first == second


def test_shared_tokens_can_be_estimated(no_files: None) -> None:
    count = counter_for("gpt-4o")
    start = "the same words stand here " * 20
    assert count.shared(start + "one", start + "two") == pytest.approx(count(start), abs=3)


def test_an_analysis_shows_the_tokens() -> None:
    found = analyze_text("Hello wörld, 12345!", "gpt-4o")
    assert (found.characters, found.tokens) == (19, 9)
    assert found.texts is not None and "".join(found.texts) == "Hello wörld, 12345!"
    assert found.characters_per_token == pytest.approx(19 / 9)
    assert found.inefficient == pytest.approx(7 / 9)
    assert found.efficiency == pytest.approx(19 / 9 / 4)


def test_plain_english_is_as_efficient_as_can_be() -> None:
    assert analyze_text("international communication understanding", "gpt-4o").efficiency == 1.0


def test_an_analysis_of_nothing_knows_no_ratios() -> None:
    found = analyze_text("", "gpt-4o")
    assert (found.tokens, found.texts) == (0, ())
    assert found.characters_per_token is found.inefficient is found.efficiency is None


def test_an_analysis_by_another_tokenizer_shows_no_tokens(no_files: None) -> None:
    for model in ("claude-opus-5", "gpt-4o"):
        found = analyze_text("Hello world", model)
        assert found.texts is None and found.inefficient is None
        assert found.tokens > 0 and found.efficiency is not None
