"""Counting tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from trimtab.types import Counter, Message, Request, Tool, canonical_json


@lru_cache(maxsize=64)
def counter_for(model: str) -> Counter:
    """Return the counter of a model's tokenizer."""
    import tiktoken

    encoding = tiktoken.get_encoding("o200k_base")
    return lru_cache(maxsize=65_536)(lambda text: len(encoding.encode(text, disallowed_special=())))


def count_message(message: Message, count: Counter) -> int:
    """Count one message, its tool calls and its frame."""
    calls = sum(count(c.name) + count(c.arguments) for c in message.tool_calls)
    return 4 + count(message.text) + calls


def count_tools(tools: Sequence[Tool], count: Counter) -> int:
    """Count tool definitions as serialised JSON."""
    return sum(
        count(canonical_json([t.name, t.description, t.parameters])) for t in tools
    )


def count_request(request: Request, count: Counter) -> int:
    """Count all that a request sends."""
    return count_tools(request.tools, count) + sum(count_message(m, count) for m in request.messages)
