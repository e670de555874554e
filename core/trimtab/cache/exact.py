"""A cache that answers only the very same request."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from trimtab.types import Message, Part, Request, Response, ToolCall, Usage


@dataclass(frozen=True)
class Stats:
    """How often a cache could answer, and what that saved."""

    hits: int = 0
    misses: int = 0
    saved: Usage = field(default_factory=lambda: Usage(0, 0, 0, 0, 0))
    """Tokens of the answers found. What one of them does not tell is unknown in the sum."""

    @property
    def hit_rate(self) -> float | None:
        """The share of requests that were answered; None before the first one."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class ExactCache:
    """Keeps answers as JSON in any mapping from str to str: a dict, a file, a Redis hash.

    An answer from the cache has no id, because it is another message than the one that was paid
    for.
    """

    def __init__(self, store: MutableMapping[str, str] | None = None) -> None:
        self.store: MutableMapping[str, str] = {} if store is None else store
        self._stats = Stats()
        self._lock = threading.Lock()

    def get(self, request: Request) -> Response | None:
        """Return the answer to the very same request, if any."""
        text = self.store.get(request.key)
        response = None if text is None else decode(text)
        with self._lock:
            self._stats = _counted(self._stats, response)
        return response

    def put(self, request: Request, response: Response) -> None:
        """Remember an answer, unless it could not be rebuilt from its message."""
        if response.cacheable:
            self.store[request.key] = encode(response)

    def clear(self) -> None:
        """Forget all answers. The statistics go on."""
        self.store.clear()

    def stats(self) -> Stats:
        """Return what happened so far in this process."""
        return self._stats


def encode(response: Response) -> str:
    """Write a response as JSON, without its id and what belongs to a framework."""
    fields = {
        "message": _plain(response.message),
        "usage": None if response.usage is None else vars(response.usage),
        "model": response.model,
        "finish_reason": response.finish_reason,
        "logprobs": response.logprobs,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Response:
    """Read what `encode` wrote.

    Raises:
        ValueError: The text is something else.
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        return Response(
            _message(fields["message"]),
            None if fields["usage"] is None else Usage(**fields["usage"]),
            model=fields["model"],
            finish_reason=fields["finish_reason"],
            logprobs=None if fields["logprobs"] is None else tuple(fields["logprobs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an answer that this cache wrote: {text[:80]!r}") from error


def _plain(message: Message) -> dict[str, Any]:
    content = message.content
    return {
        "role": message.role,
        "content": content if isinstance(content, str) else [[p.text, p.data] for p in content],
        "tool_calls": [[call.id, call.name, call.arguments] for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
        "name": message.name,
        "pinned": message.pinned,
        "encoded": message.encoded,
    }


def _message(fields: Mapping[str, Any]) -> Message:
    content = fields["content"]
    parts = content if isinstance(content, str) else tuple(Part(*part) for part in content)
    calls = tuple(ToolCall(*call) for call in fields["tool_calls"])
    return Message(**{**fields, "content": parts, "tool_calls": calls})


def _counted(stats: Stats, found: Response | None) -> Stats:
    if found is None:
        return Stats(stats.hits, stats.misses + 1, stats.saved)
    return Stats(stats.hits + 1, stats.misses, stats.saved + (found.usage or Usage()))
