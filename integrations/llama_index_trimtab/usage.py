"""What a provider says about an answer, in whichever of the providers' shapes it says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.types import Usage


@dataclass(frozen=True)
class Receipt:
    """What is known of an answer beside its text."""

    usage: Usage | None = None
    model: str = ""
    finish_reason: str | None = None

    def then(self, later: Receipt) -> Receipt:
        """Add what a later chunk of the same stream says, which counts from the beginning."""
        return Receipt(
            later.usage or self.usage,
            later.model or self.model,
            later.finish_reason or self.finish_reason,
        )


def receipt(answer: Any) -> Receipt:
    """Read the receipt of a LlamaIndex answer, or of one chunk of it."""
    raw = _field(answer, "raw")
    # The last event of a stream of OpenAI's Responses holds the answer as a whole.
    whole = _field(raw, "response") or raw
    found = (usage for place in _places(answer, whole) if (usage := read_usage(place)))
    model = _field(whole, "model") or _field(whole, "modelId")
    return Receipt(
        next(found, None),
        model if isinstance(model, str) else "",
        _finish_reason(answer, whole),
    )


def read_usage(found: Any) -> Usage | None:
    """Read the usage that OpenAI, Anthropic, Gemini or Bedrock report; None if it is none."""
    if (tokens := _number(found, "prompt_tokens")) is not None:
        return _openai(found, tokens, _number(found, "completion_tokens"), "prompt", "completion")
    if (tokens := _number(found, "prompt_token_count")) is not None:
        return _gemini(found, tokens)
    if (tokens := _number(found, "input_tokens")) is None:
        tokens = _number(found, "inputTokens")
    if tokens is None:
        return None
    if _field(found, "input_tokens_details") is not None:
        return _openai(found, tokens, _number(found, "output_tokens"), "input", "output")
    return _anthropic(found, tokens)


def _openai(found: Any, sent: int, got: int | None, of_input: str, of_output: str) -> Usage:
    details = _field(found, f"{of_input}_tokens_details")
    return Usage(
        sent,
        got,
        _first(_number(details, "cached_tokens"), _number(found, "prompt_cache_hit_tokens")),
        _number(details, "cache_write_tokens"),
        _number(_field(found, f"{of_output}_tokens_details"), "reasoning_tokens"),
    )


def _gemini(found: Any, prompt: int) -> Usage:
    """Add what Gemini counts apart: results of its own tools, and thoughts."""
    answer = _number(found, "candidates_token_count")
    thoughts = _number(found, "thoughts_token_count")
    return Usage(
        prompt + (_number(found, "tool_use_prompt_token_count") or 0),
        None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0),
        _number(found, "cached_content_token_count"),
        None,
        thoughts,
    )


def _anthropic(found: Any, fresh: int) -> Usage:
    """Add what Anthropic and Bedrock leave out of the input: reads and writes of the cache."""
    read = _first(_number(found, "cache_read_input_tokens"), _number(found, "cacheReadInputTokens"))
    written = _first(
        _number(found, "cache_creation_input_tokens"), _number(found, "cacheWriteInputTokens")
    )
    output = _first(_number(found, "output_tokens"), _number(found, "outputTokens"))
    return Usage(fresh + (read or 0) + (written or 0), output, read, written)


def _places(answer: Any, whole: Any) -> Iterator[Any]:
    """Where integrations put a usage, the fullest account first."""
    yield _field(whole, "usage")
    yield _field(whole, "usage_metadata")
    yield _field(_field(answer, "additional_kwargs"), "usage")
    yield _field(answer, "additional_kwargs")
    yield _field(_field(_field(answer, "message"), "additional_kwargs"), "usage")


def _finish_reason(answer: Any, whole: Any) -> str | None:
    choices = _field(whole, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    said = _field(_field(answer, "message"), "additional_kwargs")
    places = ((choice, "finish_reason"), (whole, "finish_reason"), (whole, "stop_reason"))
    for place, name in (*places, (whole, "done_reason"), (said, "stop_reason")):
        if (reason := _field(place, name)) is not None:
            return str(getattr(reason, "value", reason)).lower()
    return None


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _number(value: Any, name: str) -> int | None:
    found = _field(value, name)
    return found if isinstance(found, int) else None


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)
