"""Break points of a plan, as LlamaIndex's Anthropic integration takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import CacheControl, CachePoint, ChatMessage, TextBlock
from llama_index.core.llms import LLM

from trimtab.types import Request

TAKES = "Anthropic_LLM"
MARK = "cache_control"


def marked(
    llm: LLM, planned: Request, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
) -> tuple[list[ChatMessage], dict[str, Any]]:
    """Set the break points of a plan, unless the model is none of Anthropic's or has some already.

    Only tools and messages of the user take one there. What stands at another is set at the last
    message of the user before it.
    """
    here, tools = list(messages), list(kwargs.get("tools") or ())
    if not planned.marks or llm.class_name() != TAKES or _is_marked(here, tools, kwargs):
        return here, kwargs
    ends = {place - len(planned.tools) for place in planned.marks}
    for place in {_user_before(here, end) for end in ends if end >= 0}:
        if place is not None:
            here[place] = _with_point(here[place])
    if tools and len(planned.tools) - 1 in planned.marks and isinstance(tools[-1], dict):
        tools[-1] = {**tools[-1], MARK: {"type": "ephemeral"}}
        kwargs = {**kwargs, "tools": tools}
    return here, kwargs


def _is_marked(messages: Sequence[ChatMessage], tools: Sequence[Any], kwargs: Any) -> bool:
    points = (isinstance(b, CachePoint) for message in messages for b in message.blocks)
    told = (kwargs, *tools, *(message.additional_kwargs for message in messages))
    return any(points) or any(isinstance(each, dict) and MARK in each for each in told)


def _user_before(messages: Sequence[ChatMessage], place: int) -> int | None:
    users = (i for i in range(place, -1, -1) if messages[i].role.value == "user")
    return next((i for i in users if _says_something(messages[i])), None)


def _says_something(message: ChatMessage) -> bool:
    last = message.blocks[-1] if message.blocks else None
    return last is not None and not (isinstance(last, TextBlock) and not last.text)


def _with_point(message: ChatMessage) -> ChatMessage:
    point = CachePoint(cache_control=CacheControl(type="ephemeral"))
    return message.model_copy(update={"blocks": [*message.blocks, point]})
