"""Break points of a plan, as Anthropic's chat models of LangChain take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import BaseMessage
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.tools import BaseTool

from trimtab.types import Request

MARK = "cache_control"
EPHEMERAL = {"type": "ephemeral"}
BARE = frozenset({"thinking", "redacted_thinking"})
"""Blocks that take no mark."""


def marked(request: ModelRequest[Any], planned: Request) -> ModelRequest[Any]:
    """Copy what the break points of a plan stand at, each with the mark of one.

    Not where the model is none of Anthropic's, on whatever platform, nor where the user has set
    marks: there are at most four.
    """
    if not planned.marks or not _takes_marks(request.model) or _is_marked(request):
        return request
    system = [] if request.system_message is None else [request.system_message]
    messages: list[Any] = [*system, *request.messages]
    tools = list(request.tools)
    for place in planned.marks:
        if place < len(tools):
            tools[place] = _marked_tool(tools[place])
        else:
            messages[place - len(tools)] = _marked(messages[place - len(tools)])
    changes: dict[str, Any] = {"tools": tools}
    if system:
        changes["system_message"] = messages.pop(0)
    return request.override(messages=messages, **changes)


def _takes_marks(model: Any) -> bool:
    while isinstance(model, RunnableBindingBase):
        model = model.bound
    return str(getattr(model, "_llm_type", "")).startswith("anthropic")


def _is_marked(request: ModelRequest[Any]) -> bool:
    messages = [request.system_message, *request.messages]
    contents = [message.content for message in messages if message is not None]
    blocks = [block for each in contents if isinstance(each, list) for block in each]
    told = [getattr(tool, "extras", tool) for tool in request.tools]
    every = (request.model_settings, *blocks, *told)
    return any(isinstance(each, Mapping) and MARK in each for each in every)


def _marked(message: BaseMessage) -> BaseMessage:
    """Mark the end of a message; one that ends in nothing that takes a mark stays as it is."""
    content = message.content
    blocks: list[Any] = [content] if isinstance(content, str) else list(content)
    last = blocks[-1] if blocks else ""
    block = {"type": "text", "text": last} if isinstance(last, str) else last
    if not block.get("text", True) or block.get("type") in BARE:
        return message
    return message.model_copy(update={"content": [*blocks[:-1], {**block, MARK: EPHEMERAL}]})


def _marked_tool(tool: Any) -> Any:
    if isinstance(tool, BaseTool):
        extras = getattr(tool, "extras", None) or {}
        return tool.model_copy(update={"extras": {**extras, MARK: EPHEMERAL}})
    return {**tool, MARK: EPHEMERAL} if isinstance(tool, dict) else tool
