"""A chat model that answers by a script, and tools whose results are worth compressing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from trimtab import Ledger
from trimtab.types import Request, Usage, fold

ROWS = [{"order": f"W{i:07}", "status": "delivered", "city": "Austin"} for i in range(30)]


class Scripted(BaseChatModel):
    """Gives the answers of its script in turn, and remembers what it was sent."""

    script: list[Any] = Field(default_factory=list)
    """Answers, functions of what was sent, and errors to raise; then it says how much was sent."""
    model_name: str = "gpt-4o-mini"
    sent: list[list[BaseMessage]] = Field(default_factory=list)
    bound: list[dict[str, Any]] = Field(default_factory=list)
    spent: list[dict[str, Any]] = Field(default_factory=list)
    """The usage it reported, call by call."""
    report_name: bool = True
    cached_tokens: int = 8

    @property
    def calls(self) -> int:
        return len(self.sent)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _answer(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        self.sent.append(list(messages))
        self.bound.append(kwargs)
        words = sum(len(str(m.content).split()) for m in messages)
        answer = self.script.pop(0) if self.script else f"read {len(messages)} messages"
        answer = answer(messages) if callable(answer) else answer
        if isinstance(answer, BaseException):
            raise answer
        usage = {
            "input_tokens": words + 10,
            "output_tokens": 5,
            "total_tokens": words + 15,
            "input_token_details": {"cache_read": self.cached_tokens},
        }
        self.spent.append(usage)
        message = AIMessage(answer) if isinstance(answer, str) else answer.model_copy()
        said = {"model_name": self.model_name} if self.report_name else {}
        return message.model_copy(update={"usage_metadata": usage, "response_metadata": said})

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(
            generations=[ChatGeneration(message=self._answer(messages, kwargs))],
            llm_output={"model_name": self.model_name},
        )

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, kwargs)):
            part = ChatGenerationChunk(message=chunk)
            if run_manager and chunk.content:
                run_manager.on_llm_new_token(str(chunk.content), chunk=part)
            yield part


def _chunks(answer: AIMessage) -> Iterator[AIMessageChunk]:
    for word in str(answer.content).split(" "):
        yield AIMessageChunk(word + " ")
    for i, call in enumerate(answer.tool_calls):
        arguments = json.dumps(call["args"])
        piece = tool_call_chunk(name=call["name"], args=arguments, id=call["id"], index=i)
        yield AIMessageChunk("", tool_call_chunks=[piece])
    yield AIMessageChunk(
        "", usage_metadata=answer.usage_metadata, response_metadata=answer.response_metadata
    )


def call(name: str, id: str = "call_1", **arguments: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": id}])


@tool
def orders(city: str) -> str:
    """List the orders of a city."""
    return json.dumps(ROWS, indent=2)


@tool(response_format="content_and_artifact")
def blocks(city: str) -> tuple[list[Any], dict[str, str]]:
    """List the orders of a city, as an MCP server would: in blocks."""
    content = [
        {"type": "text", "text": json.dumps(ROWS, indent=2), "annotations": [{"audience": "all"}]},
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
    ]
    return content, {"raw": "artifact"}


def _unpadded(text: str) -> str:
    return "".join(line.strip() for line in text.splitlines())


@fold
def unpad(request: Request) -> Request:
    """Write the results of tools without indentation."""
    from dataclasses import replace

    changed = tuple(m.with_texts(_unpadded) if m.role == "tool" else m for m in request.messages)
    return replace(request, messages=changed)


class Agrees:
    """Whether a ledger holds what a model reported, once."""

    def __call__(self, ledger: Ledger, *models: Scripted) -> bool:
        found = ledger.analytics()
        calls = sum(len(model.spent) for model in models)
        answered = found.calls - found.hits - found.failed
        return (answered, self.known(found.usage)) == (calls, self.reported(*models))

    def reported(self, *models: Scripted) -> Usage:
        total = Usage(0, 0, 0)
        for used in (used for model in models for used in model.spent):
            read = used["input_token_details"]["cache_read"]
            total += Usage(used["input_tokens"], used["output_tokens"], read)
        return self.known(total)

    def known(self, usage: Usage) -> Usage:
        return Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)


@pytest.fixture
def agrees() -> Agrees:
    return Agrees()


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def tool_call() -> Callable[..., AIMessage]:
    return call


@pytest.fixture
def orders_tool() -> BaseTool:
    return orders


@pytest.fixture
def blocks_tool() -> BaseTool:
    return blocks


@pytest.fixture
def unpadding() -> Any:
    return unpad
