"""Usage in the shapes that providers report it in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from llama_index_trimtab.usage import Receipt, receipt
from trimtab.types import Usage

SAID = ChatMessage(role="assistant", content="fine")


def chat(raw: Any = None, said: Any = None, **kwargs: Any) -> ChatResponse:
    message = ChatMessage(role="assistant", content="fine", additional_kwargs=said or {})
    return ChatResponse(message=message, raw=raw, additional_kwargs=kwargs)


OPENAI = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
RESPONSES = {
    "input_tokens": 100,
    "output_tokens": 20,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens_details": {"reasoning_tokens": 5},
}
ANTHROPIC = {
    "input_tokens": 30,
    "output_tokens": 20,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 10,
}
GEMINI = {
    "prompt_token_count": 90,
    "tool_use_prompt_token_count": 10,
    "candidates_token_count": 15,
    "thoughts_token_count": 5,
    "cached_content_token_count": 60,
}
BEDROCK = {
    "inputTokens": 30,
    "outputTokens": 20,
    "cacheReadInputTokens": 60,
    "cacheWriteInputTokens": 10,
}


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (chat({"usage": OPENAI}), Usage(100, 20, 60, None, 5)),
        (chat(SimpleNamespace(usage=SimpleNamespace(**OPENAI))), Usage(100, 20, 60, None, 5)),
        (chat({"usage": {"prompt_tokens": 9, "completion_tokens": 1}}), Usage(9, 1)),
        (
            chat({"usage": {**OPENAI, "prompt_tokens_details": None}}),
            Usage(100, 20, None, None, 5),
        ),
        (
            chat({"usage": {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}}),
            Usage(9, None, 4),
        ),
        (chat({"usage": None}, prompt_tokens=9, completion_tokens=1), Usage(9, 1)),
        (chat({"usage": RESPONSES}), Usage(100, 20, 60, None, 5)),
        (chat({"type": "done", "response": {"usage": RESPONSES}}), Usage(100, 20, 60, None, 5)),
        (chat(None, usage=SimpleNamespace(**RESPONSES)), Usage(100, 20, 60, None, 5)),
        (chat({"usage": ANTHROPIC}), Usage(100, 20, 60, 10)),
        (chat({}, {"usage": {"input_tokens": 9, "output_tokens": 1}}), Usage(9, 1)),
        (chat({"usage_metadata": GEMINI}), Usage(100, 20, 60, None, 5)),
        (chat({"usage": BEDROCK}), Usage(100, 20, 60, 10)),
        (CompletionResponse(text="fine", raw={"usage": OPENAI}), Usage(100, 20, 60, None, 5)),
        (chat(), None),
        (chat("a text"), None),
        (chat({"usage": {}}), None),
        (chat({"usage": {"prompt_tokens": "many"}}), None),
        (None, None),
    ],
)
def test_usage_is_read_from_whichever_shape_a_provider_uses(answer: Any, usage: Any) -> None:
    assert receipt(answer).usage == usage


def test_model_and_finish_reason_are_read_too() -> None:
    openai = {"id": "chatcmpl-1", "model": "gpt-4o", "choices": [{"finish_reason": "length"}]}
    assert receipt(chat(openai)) == Receipt(None, "gpt-4o", "length")
    anthropic = {"id": "msg_1", "model": "claude", "stop_reason": "end_turn"}
    assert receipt(chat(anthropic)) == Receipt(None, "claude", "end_turn")
    gemini = {"finish_reason": SimpleNamespace(value="MAX_TOKENS")}
    assert receipt(chat(gemini)).finish_reason == "max_tokens"
    assert receipt(chat({}, {"stop_reason": "refusal"})).finish_reason == "refusal"


def test_a_streams_later_chunks_win_where_they_say_something() -> None:
    first = Receipt(Usage(9, 1), "gpt-4o")
    last = Receipt(Usage(9, 5), finish_reason="stop")
    assert first.then(last) == Receipt(Usage(9, 5), "gpt-4o", "stop")
    assert first.then(Receipt()) == first
