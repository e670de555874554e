"""The handler of LlamaIndex's own events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from llama_index_trimtab import TrimtabLLM, UsageHandler
from trimtab import Pipeline
from trimtab.ledger import Ledger
from trimtab.types import Request, Usage

HELLO = [ChatMessage(role="user", content="hello")]
Make = Callable[..., Any]


class Local(CustomLLM):
    """A model whose chat is its complete, so that LlamaIndex tells each chat twice."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="local", is_chat_model=True)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raw = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}
        return CompletionResponse(text="fine", raw=raw)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raw = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}
        return (CompletionResponse(text="fine", delta="fine", raw=raw) for _ in range(1))


class City(BaseModel):
    """A city."""

    name: str


async def all_ways(llm: Any) -> None:
    llm.chat(HELLO)
    await llm.achat(HELLO)
    list(llm.stream_chat(HELLO))
    [chunk async for chunk in await llm.astream_chat(HELLO)]
    llm.complete("hello")
    await llm.acomplete("hello")
    list(llm.stream_complete("hello"))
    [chunk async for chunk in await llm.astream_complete("hello")]


async def test_each_call_is_recorded_once_with_the_usage_the_model_reported(
    scripted: Make, listen: Any
) -> None:
    llm = scripted()
    with listen(UsageHandler(Ledger())) as handler:
        await all_ways(llm)
    recorded = handler.ledger.events
    assert [event.usage for event in recorded] == llm.spent
    assert len(recorded) == 8
    assert all(e.model == "gpt-4o-mini" and e.latency is not None and e.cost for e in recorded)


async def test_calls_of_a_wrapper_that_uses_the_same_ledger_are_counted_once(
    scripted: Make, listen: Any
) -> None:
    ledger = Ledger()
    llm = TrimtabLLM(scripted(), Pipeline(ledger=ledger))
    with listen(UsageHandler(ledger)):
        await all_ways(llm)
        scripted().chat(HELLO)
    assert [event.usage for event in ledger.events] == [
        *llm.inner.spent,
        Usage(100, 1, 10, None, 0),
    ]


async def test_calls_without_an_id_are_counted_once_too(listen: Any) -> None:
    ledger = Ledger()
    llm = TrimtabLLM(Local(), Pipeline(ledger=ledger))
    with listen(UsageHandler(ledger)):
        await all_ways(llm)
    assert [event.usage for event in ledger.events] == [Usage(7, 3)] * 8


async def test_answers_of_a_server_that_gives_all_the_same_id_are_calls_of_their_own(
    listen: Any, scripted: Make
) -> None:
    class Same(type(scripted())):  # type: ignore[misc]
        def _raw(self) -> dict[str, Any]:
            return {**super()._raw(), "id": "chatcmpl-1"}

    watched, wrapped = Ledger(), Ledger()
    llm = TrimtabLLM(Same(), Pipeline(ledger=wrapped))
    with listen(UsageHandler(watched)), listen(UsageHandler(watched)):
        await all_ways(llm)
    for ledger in (watched, wrapped):
        assert [event.usage for event in ledger.events] == llm.inner.spent


async def test_a_wrapper_with_another_ledger_hides_nothing(scripted: Make, listen: Any) -> None:
    llm = TrimtabLLM(scripted(), Pipeline(ledger=Ledger()))
    with listen(UsageHandler(Ledger())) as handler:
        await all_ways(llm)
    assert [event.usage for event in handler.ledger.events] == llm.inner.spent
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent


async def test_a_call_made_within_a_call_counts_once(scripted: Make, listen: Any) -> None:
    class Twice(type(scripted())):  # type: ignore[misc]
        @llm_chat_callback()
        async def achat(self, messages: Any, **kwargs: Any) -> Any:
            return self.chat(messages, **kwargs)

    with listen(UsageHandler(Ledger())) as handler:
        await all_ways(Local())
        await Twice().achat(HELLO)
    recorded = handler.ledger.events
    assert [event.usage for event in recorded[:8]] == [Usage(7, 3)] * 8
    assert len(recorded) == 9


def test_a_structured_llm_counts_once(scripted: Make, listen: Any) -> None:
    oslo, ledger = ("City", {"name": "Oslo"}), Ledger()
    llm = scripted(oslo, oslo, oslo)
    with listen(UsageHandler(ledger)):
        llm.as_structured_llm(City).chat(HELLO)
        list(llm.as_structured_llm(City).stream_chat(HELLO))
        TrimtabLLM(llm, Pipeline(ledger=ledger)).as_structured_llm(City).chat(HELLO)
    assert [event.usage for event in ledger.events] == llm.spent


def test_calls_made_while_a_stream_is_open_count(scripted: Make, listen: Any) -> None:
    one, other = scripted("a b c"), scripted()
    with listen(UsageHandler(Ledger())) as handler:
        for _ in one.stream_chat(HELLO):
            other.chat(HELLO)
    assert len(handler.ledger.events) == len(other.sent) + 1


def test_failed_calls_and_broken_streams_are_recorded(scripted: Make, listen: Any) -> None:
    llm = scripted(RuntimeError("overloaded"), "one two", "fine")
    with listen(UsageHandler(Ledger())) as handler:
        with pytest.raises(RuntimeError):
            llm.chat(HELLO)
        chunks = llm.stream_chat(HELLO)
        next(chunks)
        chunks.close()
        llm.chat(HELLO)
    assert [event.error for event in handler.ledger.events] == ["overloaded", "GeneratorExit()", ""]


def test_tags_name_the_tenant_and_the_session(scripted: Make, listen: Any) -> None:
    request = Request("m", (), tenant="acme", session="s1")
    with (
        listen(UsageHandler(Ledger())) as handler,
        instrument_tags({"tenant": "acme", "session": "s1"}),
    ):
        scripted().chat(HELLO)
    (event,) = handler.ledger.events
    assert (event.tenant, event.session) == ("acme", request.conversation)


def test_it_never_raises_and_counts_what_it_could_not_record() -> None:
    class Full(Ledger):
        def record(self, event: Any) -> None:
            raise OSError("disk full")

    handler = UsageHandler(Full())
    handler._start("s1", {})
    handler.handle(LLMChatEndEvent(messages=HELLO, response=None, span_id="s1"))
    assert handler.failures == {"LLMChatEndEvent": 1}


async def test_parallel_calls_are_told_apart(scripted: Make, listen: Any) -> None:
    models = [scripted(model=f"m{i}") for i in range(5)]
    with listen(UsageHandler(Ledger())) as handler:
        await asyncio.gather(*(all_ways(model) for model in models))
    assert {m: f.calls for m, f in handler.ledger.analytics().models.items()} == {
        f"m{i}": 8 for i in range(5)
    }


def test_handlers_are_added_to_the_dispatcher(listen: Any) -> None:
    with listen(UsageHandler()) as handler:
        assert handler in get_dispatcher().event_handlers
        assert handler.class_name() == "UsageHandler"
