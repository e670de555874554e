"""Other ways to shrink a request, for comparison. Each takes and returns OpenAI chat messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Shrink = Callable[[list[Json]], list[Json]]


def peers() -> Iterator[tuple[str, Shrink]]:
    """Yield those that are installed."""
    yield from _langchain()
    try:
        yield "headroom-ai compress()", _headroom()
    except ImportError:
        print("headroom-ai is not installed, and is left out")
    try:
        yield "llmslim tool output middleware", _llmslim()
    except ImportError:
        print("llmslim is not installed, and is left out")


def _langchain() -> Iterator[tuple[str, Shrink]]:
    from langchain.agents.middleware import ClearToolUsesEdit
    from langchain_core.messages import (
        convert_to_messages,
        convert_to_openai_messages,
        trim_messages,
    )
    from langchain_core.messages.utils import count_tokens_approximately

    def there(messages: list[Json]) -> list[Any]:
        # A provider's own tool calls may hold arguments that are not JSON, which LangChain refuses.
        return convert_to_messages([_valid(m) for m in messages])

    def back(messages: list[Any]) -> list[Json]:
        return [
            {**m, "content": m.get("content") or ""} for m in convert_to_openai_messages(messages)
        ]

    for budget in (2000, 4000):
        yield (
            f"LangChain trim_messages({budget})",
            lambda messages, budget=budget: back(
                trim_messages(
                    there(messages),
                    max_tokens=budget,
                    token_counter=count_tokens_approximately,
                    include_system=True,
                    start_on="human",
                )
            ),
        )

    def clear(messages: list[Json]) -> list[Json]:
        edited = there(messages)
        ClearToolUsesEdit(trigger=2000, keep=3).apply(
            edited, count_tokens=count_tokens_approximately
        )
        return back(edited)

    yield "LangChain ContextEditing(2000, keep 3)", clear


def _valid(message: Json) -> Json:
    calls = [
        {**c, "function": {**c["function"], "arguments": _object(c["function"]["arguments"])}}
        for c in message.get("tool_calls") or []
    ]
    return {**message, "tool_calls": calls} if calls else message


def _object(text: str) -> str:
    try:
        return text if isinstance(json.loads(text), dict) else "{}"
    except ValueError:
        return "{}"


def _headroom() -> Shrink:
    from headroom import compress

    def shrink(messages: list[Json]) -> list[Json]:
        done: list[Json] = compress([dict(m) for m in messages], model="gpt-4o").messages
        return done

    return shrink


def _llmslim() -> Shrink:
    from langchain_core.messages import ToolMessage
    from llmslim.integrations.langchain_agents import LLMSlimToolOutputMiddleware

    middleware = LLMSlimToolOutputMiddleware()

    def shorten(message: Json, call: Json) -> Json:
        told = ToolMessage(message["content"], tool_call_id=call["id"], name=call["name"], id="1")
        update = middleware.before_model({"messages": [call["message"], told]}, None)
        return {**message, "content": update["messages"][0].content} if update else message

    def shrink(messages: list[Json]) -> list[Json]:
        calls, done = {}, []
        for message in messages:
            for call in message.get("tool_calls") or []:
                calls[call["id"]] = _call(call)
            known = calls.get(message.get("tool_call_id"))
            done.append(shorten(message, known) if known and message.get("content") else message)
        return done

    return shrink


def _call(call: Json) -> Json:
    from langchain_core.messages import AIMessage

    name, arguments = call["function"]["name"], json.loads(_object(call["function"]["arguments"]))
    asked = {"id": call["id"], "name": name, "args": arguments}
    return {"id": call["id"], "name": name, "message": AIMessage("", tool_calls=[asked])}
