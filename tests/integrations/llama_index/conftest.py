"""A LlamaIndex LLM that answers by a script and renders tools as OpenAI's does."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import Field, PrivateAttr

from llama_index_trimtab import TrimtabLLM
from trimtab import Pipeline
from trimtab.cache import ExactCache
from trimtab.ledger import Ledger
from trimtab.types import Request, Usage, fold

ROWS = json.dumps([{"order": f"W{i:07}", "status": "delivered"} for i in range(30)], indent=2)


class Scripted(FunctionCallingLLM):
    """Gives the answers of its script in turn, and remembers what it was sent."""

    script: list[Any] = Field(default_factory=list, exclude=True)
    """Texts, calls of tools as (name, arguments), functions that return such, and errors to raise.

    "done" when it is empty.
    """
    model: str = "gpt-4o-mini"
    api_key: str = "sk-secret"
    temperature: float = 0.0
    tooled: bool = True
    _sent: list[Any] = PrivateAttr(default_factory=list)
    _kwargs: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _spent: list[Usage] = PrivateAttr(default_factory=list)

    @property
    def sent(self) -> list[Any]:
        """The messages, or the prompt, of each call."""
        return self._sent

    @property
    def kwargs(self) -> list[dict[str, Any]]:
        return self._kwargs

    @property
    def spent(self) -> list[Usage]:
        """The usage it reported, call by call."""
        return self._spent

    @classmethod
    def class_name(cls) -> str:
        return "Scripted"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            model_name=self.model,
            context_window=9000,
            is_chat_model=True,
            is_function_calling_model=self.tooled,
        )

    def _next(self, sent: Any, kwargs: dict[str, Any]) -> Any:
        self._sent.append(sent)
        self._kwargs.append(kwargs)
        answer = self.script.pop(0) if self.script else "done"
        answer = answer() if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        number = len(self._sent)
        self._spent.append(Usage(100 * number, number, 10 * number, None, 0))
        return answer

    def _raw(self) -> dict[str, Any]:
        usage = self._spent[-1]
        return {
            "id": uuid.uuid4().hex,
            "model": self.model,
            "usage": {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": -1,
                "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def _chunks(self, messages: Any, kwargs: dict[str, Any]) -> Iterator[ChatResponse]:
        answer = self._next(list(messages), kwargs)
        text = answer if isinstance(answer, str) else ""
        heard = ""
        for word in text.split(" "):
            delta = f" {word}" if heard else word
            heard += delta
            blocks = [TextBlock(text=heard)]
            yield ChatResponse(message=ChatMessage(role="assistant", blocks=blocks), delta=delta)
        if isinstance(answer, tuple):
            answer = [answer]
        called = [
            (f"c{len(self._sent)}{i}", name, json.dumps(arguments))
            for i, (name, arguments) in enumerate(answer if isinstance(answer, list) else ())
        ]
        calls = [ToolCallBlock(tool_call_id=i, tool_name=n, tool_kwargs=a) for i, n, a in called]
        specs = [{"id": i, "function": {"name": n, "arguments": a}} for i, n, a in called]
        said = {"tool_calls": specs} if specs else {}
        message = ChatMessage(
            role="assistant", blocks=[TextBlock(text=heard), *calls], additional_kwargs=said
        )
        yield ChatResponse(message=message, delta="", raw=self._raw())

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return list(self._chunks(messages, kwargs))[-1]

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return list(self._chunks(messages, kwargs))[-1]

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        def chunks() -> Iterator[ChatResponse]:
            yield from self._chunks(messages, kwargs)

        return chunks()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        async def chunks() -> AsyncIterator[ChatResponse]:
            for chunk in self._chunks(messages, kwargs):
                yield chunk

        return chunks()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self._next(prompt, kwargs), raw=self._raw())

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return CompletionResponse(text=self._next(prompt, kwargs), raw=self._raw())

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        def chunks() -> Iterator[CompletionResponse]:
            text = self._next(prompt, kwargs)
            yield CompletionResponse(text=text[:2], delta=text[:2])
            yield CompletionResponse(text=text, delta=text[2:], raw=self._raw())

        return chunks()

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        async def chunks() -> AsyncIterator[CompletionResponse]:
            text = self._next(prompt, kwargs)
            yield CompletionResponse(text=text[:2], delta=text[:2])
            yield CompletionResponse(text=text, delta=text[2:], raw=self._raw())

        return chunks()

    def _prepare_chat_with_tools(  # noqa: PLR0917 (the framework's signature)
        self,
        tools: Any,
        user_msg: Any = None,
        chat_history: Any = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or [])
        if user_msg:
            text = isinstance(user_msg, str)
            messages.append(ChatMessage(role="user", content=user_msg) if text else user_msg)
        specs = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
        return {"messages": messages, "tools": specs, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        calls = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)]
        if error_on_no_tool_call and not calls:
            raise ValueError("no tool call")
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "",
                tool_name=call.tool_name,
                tool_kwargs=(
                    json.loads(call.tool_kwargs)
                    if isinstance(call.tool_kwargs, str)
                    else call.tool_kwargs
                ),
            )
            for call in calls
        ]


@fold
def squeeze(request: Request) -> Request:
    """Rewrite what tools returned, and only that, as a compressor would."""
    messages = tuple(
        m.with_texts(lambda text: text.replace(" ", "").replace("\n", ""))
        if m.role == "tool"
        else m
        for m in request.messages
    )
    return replace(request, messages=messages)


class Events(BaseEventHandler):
    """Remembers the names of all events of LLMs."""

    _names: list[str] = PrivateAttr(default_factory=list)
    _spans: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    @property
    def names(self) -> list[str]:
        return self._names

    def handle(self, event: Any, **kwargs: Any) -> None:
        if type(event).__name__.startswith(("LLMChat", "LLMCompletion")):
            self._names.append(type(event).__name__)


@pytest.fixture
def events() -> Iterator[Events]:
    with listening(Events()) as handler:
        yield handler


class listening:
    """Attach a handler to LlamaIndex's dispatcher for a while."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __enter__(self) -> Any:
        get_dispatcher().add_event_handler(self.handler)
        return self.handler

    def __exit__(self, *_: object) -> None:
        get_dispatcher().event_handlers.remove(self.handler)


@pytest.fixture
def listen() -> type[listening]:
    return listening


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    return lambda *script, **fields: Scripted(script=list(script), **fields)


@pytest.fixture
def wrap() -> Callable[..., TrimtabLLM]:
    """Wrap an LLM in a pipeline with a cache, an own ledger and one step, unless told otherwise."""

    def make(inner: Any, *steps: Any, cache: bool = False) -> TrimtabLLM:
        pipeline = Pipeline(
            steps or (squeeze,),
            cache=ExactCache(keep_tool_answers=True) if cache else None,
            ledger=Ledger(),
        )
        return TrimtabLLM(inner, pipeline)

    return make


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """Leave LlamaIndex's global settings as they were."""
    before = dict(vars(Settings))
    yield
    vars(Settings).clear()
    vars(Settings).update(before)


@pytest.fixture
def rows() -> str:
    return ROWS
