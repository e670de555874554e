"""The wrapper, called as LlamaIndex's components call an LLM."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core import MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.mock import MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel

from llama_index_trimtab import TrimtabLLM
from llama_index_trimtab.rounds import ROUNDS
from trimtab import Ledger, Pipeline
from trimtab.cache import ExactCache
from trimtab.errors import BudgetExceeded
from trimtab.recipes import balanced, lean
from trimtab.tenant import tenant
from trimtab.types import Message, Request, RunnableTool, Tool, tail

HELLO = [ChatMessage(role="user", content="hello")]
Make = Callable[..., Any]


class City(BaseModel):
    """A city."""

    name: str
    people: int = 0


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


def ways() -> list[tuple[str, Callable[[Any], Any]]]:
    """All ways to ask an LLM for a text; the async ones return coroutines."""

    async def chunks(stream: Any) -> str:
        return "".join([chunk.delta or "" async for chunk in await stream])

    async def text(answer: Any) -> str:
        found = await answer
        return found.text if hasattr(found, "text") else found.message.content

    return [
        ("chat", lambda llm: llm.chat(HELLO).message.content),
        ("achat", lambda llm: text(llm.achat(HELLO))),
        ("stream_chat", lambda llm: "".join(c.delta or "" for c in llm.stream_chat(HELLO))),
        ("astream_chat", lambda llm: chunks(llm.astream_chat(HELLO))),
        ("complete", lambda llm: llm.complete("hello").text),
        ("acomplete", lambda llm: text(llm.acomplete("hello"))),
        ("stream_complete", lambda llm: "".join(c.delta for c in llm.stream_complete("hello"))),
        ("astream_complete", lambda llm: chunks(llm.astream_complete("hello"))),
    ]


def ask(way: Callable[[Any], Any], llm: Any) -> Any:
    found = way(llm)
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


each_way = pytest.mark.parametrize("way", [w for _, w in ways()], ids=[n for n, _ in ways()])


@each_way
def test_the_ledger_holds_the_usage_that_the_model_reported(
    way: Any, scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted("one two", "three"))
    assert [ask(way, llm), ask(way, llm)] == ["one two", "three"]
    recorded = llm.pipeline.ledger.events
    assert [event.usage for event in recorded] == llm.inner.spent
    assert all(e.model == "gpt-4o-mini" and e.latency is not None and not e.hit for e in recorded)


@each_way
def test_an_answer_from_the_cache_never_reaches_the_model_and_costs_nothing(
    way: Any, scripted: Make, wrap: Make, events: Any
) -> None:
    llm = wrap(scripted("one two", "other"), cache=True)
    first = ask(way, llm)
    told = list(events.names)
    assert ask(way, llm) == first == "one two"
    assert events.names == told
    assert len(llm.inner.sent) == 1
    paid, free = llm.pipeline.ledger.events
    assert (free.hit, free.saved, free.usage.input_tokens) == (True, paid.usage, 0)


@each_way
def test_the_inner_model_tells_its_events_once(
    way: Any, scripted: Make, wrap: Make, events: Any
) -> None:
    ask(way, scripted("one two"))
    alone = list(events.names)
    events.names.clear()
    ask(way, wrap(scripted("one two")))
    assert events.names == alone
    assert sum(name.endswith("EndEvent") for name in alone) == 1


@each_way
def test_token_counting_handlers_count_once_through_the_settings(
    way: Any, scripted: Make, wrap: Make
) -> None:
    counter = TokenCountingHandler()
    Settings.callback_manager = CallbackManager([counter])
    Settings.llm = wrap(scripted("one two"), cache=True)
    ask(way, Settings.llm)
    ask(way, Settings.llm)
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (100, 1)


@each_way
def test_an_error_of_the_model_is_raised_and_recorded(way: Any, scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted(RuntimeError("overloaded"), "fine"), cache=True)
    with pytest.raises(RuntimeError, match="overloaded"):
        ask(way, llm)
    assert ask(way, llm) == "fine"
    failed, answered = llm.pipeline.ledger.events
    assert "overloaded" in failed.error
    assert not answered.error


@each_way
def test_a_pipeline_that_breaks_lets_the_call_through_unchanged(way: Any, scripted: Make) -> None:
    class Broken(Pipeline):
        def plan(self, request: Request) -> Any:
            raise ZeroDivisionError

        async def aplan(self, request: Request) -> Any:
            raise ZeroDivisionError

    llm = TrimtabLLM(scripted("fine"), Broken())
    assert ask(way, llm) == "fine"
    assert llm.pipeline.failures["llama_index"] == 1


@each_way
def test_a_spent_budget_stops_the_call(way: Any, scripted: Make, wrap: Make) -> None:
    def spent(request: Request) -> Request:
        raise BudgetExceeded("all gone")

    llm = wrap(scripted(), spent)
    with pytest.raises(BudgetExceeded):
        ask(way, llm)
    assert llm.inner.sent == []


def test_what_a_step_makes_of_the_prompt_is_what_a_completion_sends(
    scripted: Make, wrap: Make
) -> None:
    def shout(request: Request) -> Request:
        return replace(request, messages=tuple(m.with_texts(str.upper) for m in request.messages))

    llm = wrap(scripted(), shout)
    llm.complete("hello")
    assert llm.inner.sent == ["HELLO"]


def test_a_prompt_that_became_several_messages_is_sent_as_it_was(
    scripted: Make, wrap: Make
) -> None:
    def add_rules(request: Request) -> Request:
        return replace(request, messages=(Message("system", "be brief"), *request.messages))

    llm = wrap(scripted(), add_rules)
    llm.complete("hello")
    llm.chat(HELLO)
    assert llm.inner.sent[0] == "hello"
    assert [message.content for message in llm.inner.sent[1]] == ["be brief", "hello"]
    assert llm.pipeline.failures["llama_index"] == 1


def test_what_steps_make_of_parameters_and_model_is_sent(scripted: Make, wrap: Make) -> None:
    @tail
    def limit(request: Request) -> Request:
        return replace(request, model="gpt-4o", params={**request.params, "max_tokens": 9})

    llm = wrap(scripted(), limit)
    llm.chat(HELLO, stop=["x"])
    assert llm.inner.kwargs == [{"stop": ["x"], "max_tokens": 9, "model": "gpt-4o"}]


def test_unedited_messages_are_the_very_same_objects(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted())
    llm.chat(HELLO)
    assert llm.inner.sent[0][0] is HELLO[0]


def test_a_stream_dropped_early_is_abandoned_and_its_model_is_told(
    scripted: Make, wrap: Make, events: Any
) -> None:
    llm = wrap(scripted("one two three"), cache=True)
    chunks = llm.stream_chat(HELLO)
    next(chunks)
    chunks.close()
    assert "GeneratorExit" in llm.pipeline.ledger.events[0].error
    assert not any(name.endswith("EndEvent") for name in events.names)
    uncached = wrap(scripted())
    uncached.stream_chat(HELLO).close()
    assert len(uncached.pipeline.ledger.events) == 1


async def test_an_async_stream_dropped_early_is_abandoned(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted("one two three"), cache=True)
    chunks = await llm.astream_chat(HELLO)
    await anext(chunks)
    await chunks.aclose()
    uncached = wrap(scripted())
    unread = await uncached.astream_chat(HELLO)
    await unread.aclose()
    for wrapper in (llm, uncached):
        assert ["GeneratorExit" in e.error for e in wrapper.pipeline.ledger.events] == [True]


def test_an_error_in_the_middle_of_a_stream_is_abandoned(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted("one two three"))
    with pytest.raises(KeyError):
        for _ in llm.stream_chat(HELLO):
            raise KeyError
    # The reader's own error closes the stream once nothing holds it.
    assert len(llm.pipeline.ledger.events) == 1


def test_tools_reach_the_model_as_it_renders_them_and_shorter_where_a_step_says_so(
    scripted: Make, wrap: Make
) -> None:
    def terse(request: Request) -> Request:
        tools = tuple(replace(tool, description="sum") for tool in request.tools)
        return replace(request, tools=tools)

    llm = wrap(scripted(("add", {"a": 1, "b": 2})), terse)
    answer = llm.chat_with_tools([ADD], user_msg="1 + 2?")
    (spec,) = llm.inner.kwargs[0]["tools"]
    whole = ADD.metadata.to_openai_tool()
    assert spec == {**whole, "function": {**whole["function"], "description": "sum"}}
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 1, "b": 2})


def test_a_tool_that_must_be_called_is_offered_even_where_a_step_left_it_out(
    scripted: Make, wrap: Make
) -> None:
    def none(request: Request) -> Request:
        return replace(request, tools=())

    choice = {"type": "function", "function": {"name": "add"}}
    llm = wrap(scripted(), none)
    llm.chat_with_tools([ADD], user_msg="1 + 2?", tool_choice=choice)
    assert [t["function"]["name"] for t in llm.inner.kwargs[0]["tools"]] == ["add"]


def test_a_tool_of_a_step_is_written_as_the_provider_writes_tools(
    scripted: Make, wrap: Make
) -> None:
    more = Tool("more", "Get more.", {"type": "object", "properties": {}})

    def offer(request: Request) -> Request:
        return replace(request, tools=(*request.tools, more)) if request.tools else request

    llm = wrap(scripted(), offer)
    llm.chat_with_tools([ADD], user_msg="1 + 2?")
    function = {"name": "more", "description": "Get more.", "parameters": dict(more.parameters)}
    assert llm.inner.kwargs[0]["tools"][1] == {"type": "function", "function": function}


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agents_tool_results_are_compressed_on_their_way_and_kept_whole_in_its_memory(
    scripted: Make, wrap: Make, rows: str, streaming: bool
) -> None:
    def orders(customer: str) -> str:
        """List a customer's orders."""
        return rows

    llm = wrap(scripted(("orders", {"customer": "ann"}), "all delivered"))
    tool = FunctionTool.from_defaults(orders)
    agent = FunctionAgent(tools=[tool], llm=llm, streaming=streaming)
    handler = agent.run("what did ann order?")
    said = "".join([e.delta async for e in handler.stream_events() if hasattr(e, "delta")])
    result = await handler
    assert str(result) == "all delivered"
    assert said == ("all delivered" if streaming else "")
    sent = llm.inner.sent[1][-1]
    assert sent.role == "tool"
    assert json.loads(sent.content) == json.loads(rows)
    assert len(sent.content) < len(rows) == len(result.tool_calls[0].tool_output.content)
    assert sent.additional_kwargs == {"tool_call_id": "c10"}
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent
    assert llm.pipeline.ledger.events[1].changes[0].after < 0.8 * len(rows)


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agent_whose_run_is_repeated_never_reaches_the_model(
    scripted: Make, wrap: Make, streaming: bool
) -> None:
    llm = wrap(scripted(("add", {"a": 1, "b": 2}), "3"), cache=True)
    for _ in range(2):
        agent = FunctionAgent(tools=[ADD], llm=llm, streaming=streaming)
        assert str(await agent.run("1 + 2?")) == "3"
    assert len(llm.inner.sent) == 2
    assert [event.hit for event in llm.pipeline.ledger.events] == [False, False, True, True]


async def test_a_react_agent_works_over_a_model_without_tools(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted("Thought: easy\nAnswer: 3", tooled=False))
    assert str(await ReActAgent(tools=[ADD], llm=llm).run("1 + 2?")) == "3"
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent


def test_query_engines_work_sync_and_streamed(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted("meow", "meow meow"))
    index = VectorStoreIndex.from_documents(
        [Document(text="cats meow")], embed_model=MockEmbedding(embed_dim=4)
    )
    assert str(index.as_query_engine(llm=llm).query("what do cats do?")) == "meow"
    streamed = index.as_query_engine(llm=llm, streaming=True).query("what do cats do?")
    assert "".join(streamed.response_gen) == "meow meow"
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent


async def test_query_engines_work_async(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted("meow"))
    index = VectorStoreIndex.from_documents(
        [Document(text="cats meow")], embed_model=MockEmbedding(embed_dim=4)
    )
    assert str(await index.as_query_engine(llm=llm).aquery("what do cats do?")) == "meow"


@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
async def test_chat_engines_work(scripted: Make, wrap: Make, mode: Any) -> None:
    llm = wrap(scripted("one", "two words", "three words", "four", "five"))
    index = VectorStoreIndex.from_documents(
        [Document(text="cats meow")], embed_model=MockEmbedding(embed_dim=4)
    )
    assert str(index.as_chat_engine(chat_mode=mode, llm=llm).chat("hello")) == "one"
    streamed = index.as_chat_engine(chat_mode=mode, llm=llm).stream_chat("hello")
    assert "".join(streamed.response_gen) == "two words"
    engine = index.as_chat_engine(chat_mode=mode, llm=llm)
    assert str(await engine.achat("hello")) == "three words"
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent


async def test_structures_are_predicted_through_the_pipeline(scripted: Make, wrap: Make) -> None:
    oslo, prompt = ("City", {"name": "Oslo", "people": 7}), PromptTemplate("a city of {land}")
    llm = wrap(scripted(oslo, oslo, oslo, oslo, oslo))
    city = City(name="Oslo", people=7)
    assert llm.structured_predict(City, prompt, land="Norway") == city
    assert await llm.astructured_predict(City, prompt, land="Norway") == city
    assert list(llm.stream_structured_predict(City, prompt, land="Norway"))[-1] == city
    stream = await llm.astream_structured_predict(City, prompt, land="Norway")
    assert [found async for found in stream][-1] == city
    assert llm.as_structured_llm(City).chat(HELLO).raw == city
    assert len(llm.pipeline.ledger.events) == 5
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent


def test_structures_streamed_from_the_cache_are_as_whole_as_the_models(
    scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted(("City", {"name": "Oslo"})), cache=True)
    prompt = PromptTemplate("a city")
    cities = [list(llm.stream_structured_predict(City, prompt))[-1] for _ in range(2)]
    assert cities == [City(name="Oslo")] * 2
    assert len(llm.inner.sent) == 1


def test_a_providers_own_way_to_predict_structures_goes_through_the_pipeline(
    scripted: Make, wrap: Make
) -> None:
    class Native(type(scripted())):  # type: ignore[misc]
        def structured_predict(self, output_cls: Any, prompt: Any, **kwargs: Any) -> Any:
            answer = self.chat(prompt.format_messages(), response_format="json")
            return output_cls.model_validate_json(answer.message.content)

    llm = wrap(Native(script=['{"name": "Oslo"}']), cache=True)
    prompt = PromptTemplate("a city")
    found = [llm.structured_predict(City, prompt) for _ in range(2)]
    assert found == [City(name="Oslo")] * 2
    assert llm.inner.kwargs == [{"response_format": "json"}]
    assert [event.hit for event in llm.pipeline.ledger.events] == [False, True]


async def test_predict_and_call_runs_the_tool(scripted: Make, wrap: Make) -> None:
    calls = [("add", {"a": 1, "b": 2})] * 2
    llm = wrap(scripted(*calls))
    assert llm.predict_and_call([ADD], user_msg="1 + 2?").response == "3"
    assert (await llm.apredict_and_call([ADD], user_msg="1 + 2?")).response == "3"
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent


async def test_any_llm_can_be_wrapped() -> None:
    llm = TrimtabLLM(MockLLM(max_tokens=2), Pipeline())
    assert llm.chat(HELLO).message.content == "text text"
    assert (await llm.acomplete("hello")).text == "text text"
    assert not llm.metadata.is_function_calling_model
    with pytest.raises(NotImplementedError, match="MockLLM cannot call tools"):
        llm.chat_with_tools([ADD], user_msg="hello")
    assert len(llm.pipeline.ledger.events) == 2


def test_tools_in_a_form_of_their_own_are_left_alone(scripted: Make, wrap: Make) -> None:
    class Bare(type(scripted())):  # type: ignore[misc]
        def _prepare_chat_with_tools(self, tools: Any, **kwargs: Any) -> Any:
            return {"messages": HELLO, "tools": tools}

    def terse(request: Request) -> Request:
        tools = tuple(t if t.pinned else replace(t, description="") for t in request.tools)
        return replace(request, tools=tools)

    llm = wrap(Bare(), terse, WithNotes())
    llm.chat_with_tools([ADD], user_msg="hello")
    assert llm.inner.kwargs[0]["tools"] == [ADD]
    assert llm.inner.kwargs[0]["tools"][0] is ADD


def test_it_is_what_llama_index_asks_for(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted(system_prompt="be brief"))
    assert isinstance(llm, FunctionCallingLLM)
    assert llm.metadata == llm.inner.metadata
    assert llm.class_name() == "TrimtabLLM"
    assert llm.predict(PromptTemplate("hello")) == "done"
    assert [message.content for message in llm.inner.sent[0]] == ["be brief", "hello"]


def test_no_secret_is_in_its_repr_or_its_json(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted())
    for text in (repr(llm), str(llm), llm.to_json(), json.dumps(llm.to_dict())):
        assert "sk-secret" not in text
    assert "gpt-4o-mini" in repr(llm)


def test_json_restores_all_but_the_llm_and_the_pipeline(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted(system_prompt="be brief"))
    text = llm.to_json()
    again = TrimtabLLM.from_json(text, inner=scripted(), pipeline=llm.pipeline)
    assert again.system_prompt == "be brief"
    assert again.pipeline is llm.pipeline
    with pytest.raises(TypeError, match="pass inner="):
        TrimtabLLM.from_json(text)


def test_one_around_another_needs_a_ledger_of_its_own(scripted: Make) -> None:
    ledger = Ledger()
    within = TrimtabLLM(scripted(), Pipeline(ledger=ledger))
    with pytest.raises(ValueError, match="count each call twice"):
        TrimtabLLM(within, Pipeline(ledger=ledger))
    around = TrimtabLLM(within, Pipeline())
    around.chat(HELLO)
    spent = within.inner.spent
    assert [event.usage for event in ledger.events] == spent
    assert [event.usage for event in around.pipeline.ledger.events] == spent


def test_the_default_pipeline_is_the_balanced_recipe(scripted: Make) -> None:
    llm = TrimtabLLM(scripted())
    assert llm.pipeline.fingerprint == balanced("gpt-4o-mini").fingerprint


def test_tenants_and_sessions_reach_the_ledger_and_part_the_cache(
    scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted(), cache=True)
    with instrument_tags({"tenant": "acme", "session": "s1"}):
        llm.chat(HELLO)
    with tenant("umbrella"):
        llm.chat(HELLO)
    llm.chat(HELLO)
    recorded = llm.pipeline.ledger.events
    assert [event.tenant for event in recorded] == ["acme", "umbrella", ""]
    assert [event.hit for event in recorded] == [False, False, False]
    assert recorded[0].session != recorded[1].session


def test_models_that_are_set_differently_never_share_an_answer(scripted: Make) -> None:
    pipeline = Pipeline(cache=ExactCache())
    for fields in ({}, {"temperature": 1.0}, {"api_key": "sk-other"}, {"model": "gpt-4o"}):
        TrimtabLLM(scripted(**fields), pipeline).chat(HELLO)
    assert [event.hit for event in pipeline.ledger.events] == [False, False, True, False]


def test_other_arguments_are_another_request(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted(), cache=True)
    llm.chat(HELLO)
    llm.chat(HELLO, temperature=1)
    llm.chat(HELLO, response_format=City)
    llm.complete("hello")
    llm.chat([ChatMessage(role="user", content="hello", additional_kwargs={"documents": [1]})])
    assert len(llm.inner.sent) == 5


def test_an_answer_from_the_cache_is_a_copy_that_nobody_can_spoil(
    scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted("fine"), cache=True)
    for _ in range(3):
        message = llm.chat(HELLO).message
        assert message.content == "fine"
        message.blocks.clear()


def test_a_cached_answer_says_so_and_reports_no_usage(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted("fine"), cache=True)
    llm.chat(HELLO)
    raw = llm.chat(HELLO).raw
    assert (raw["trimtab"]["cache"], raw["trimtab"]["kind"]) == ("hit", "exact")
    assert raw["trimtab"]["saved"]["input_tokens"] == 100
    assert "usage" not in raw


NOTES = Tool("notes", "Read notes.", {"type": "object", "properties": {"page": {}}})


class WithNotes:
    """A step that needs a tool of its own."""

    def __init__(self, read: Callable[[Any], str] = lambda arguments: f"page {arguments['page']}"):
        self.tools = (RunnableTool(NOTES, read),)

    def __call__(self, request: Request) -> Request:
        return request


def names(kwargs: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in kwargs["tools"]]


async def tooled(llm: Any, way: str, **kwargs: Any) -> tuple[Any, list[Any]]:
    """Ask with a tool in one of the ways there are; return the last answer and all chunks."""
    if way == "chat":
        found = [llm.chat_with_tools([ADD], user_msg="1 + 2?", **kwargs)]
    elif way == "achat":
        found = [await llm.achat_with_tools([ADD], user_msg="1 + 2?", **kwargs)]
    elif way == "stream":
        found = list(llm.stream_chat_with_tools([ADD], user_msg="1 + 2?", **kwargs))
    else:
        stream = await llm.astream_chat_with_tools([ADD], user_msg="1 + 2?", **kwargs)
        found = [chunk async for chunk in stream]
    return found[-1], found


each_tooled_way = pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])


@each_tooled_way
async def test_a_tool_of_a_step_is_run_here_and_its_caller_never_sees_it(
    way: str, scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted(("notes", {"page": 7}), ("notes", {"page": 8}), "3"), WithNotes())
    answer, chunks = await tooled(llm, way)
    assert answer.message.content == "3"
    assert not any(llm.get_tool_calls_from_response(c, error_on_no_tool_call=False) for c in chunks)
    assert not any(c.message.additional_kwargs.get("tool_calls") for c in chunks)
    assert [names(kwargs) for kwargs in llm.inner.kwargs] == [["add", "notes"]] * 3
    asked, called, result = llm.inner.sent[1]
    assert (asked.content, called.role, result.role) == ("1 + 2?", "assistant", "tool")
    assert result.content == "page 7"
    assert result.additional_kwargs["tool_call_id"] == called.blocks[-1].tool_call_id
    assert [event.usage for event in llm.pipeline.ledger.events] == llm.inner.spent
    assert len(llm.inner.spent) == 3


@each_tooled_way
async def test_where_both_are_called_the_callers_tools_come_first(
    way: str, scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted([("notes", {"page": 7}), ("add", {"a": 1, "b": 2})]), WithNotes())
    answer, _ = await tooled(llm, way)
    assert [c.tool_name for c in llm.get_tool_calls_from_response(answer)] == ["add"]
    assert len(llm.inner.sent) == 1


@each_tooled_way
async def test_a_model_that_never_stops_calling_our_tools_is_stopped(
    way: str, scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted(*[("notes", {"page": 7})] * 20), WithNotes())
    answer, _ = await tooled(llm, way)
    assert not llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    assert len(llm.inner.sent) == ROUNDS


@each_tooled_way
async def test_rounds_are_remembered_each(way: str, scripted: Make, wrap: Make) -> None:
    pipeline = Pipeline([WithNotes()], cache=ExactCache(keep_tool_answers=True))
    llm = TrimtabLLM(scripted(("notes", {"page": 7}), "3"), pipeline)
    answers = [(await tooled(llm, way))[0].message.content for _ in range(2)]
    assert answers == ["3", "3"]
    assert len(llm.inner.sent) == 2


async def test_a_stream_dropped_while_our_tools_are_called_is_abandoned(
    scripted: Make, wrap: Make
) -> None:
    llm = wrap(scripted(("notes", {"page": 7}), "one two three"), WithNotes())
    chunks = llm.stream_chat_with_tools([ADD], user_msg="1 + 2?")
    while "one" not in (next(chunks).delta or ""):
        pass
    chunks.close()
    assert [event.error for event in llm.pipeline.ledger.events] == ["", "GeneratorExit()"]


def test_a_tool_of_ours_that_fails_is_explained_to_the_model(scripted: Make, wrap: Make) -> None:
    llm = wrap(scripted(("notes", {}), "3"), WithNotes())
    assert llm.chat_with_tools([ADD], user_msg="1 + 2?").message.content == "3"
    assert llm.inner.sent[1][-1].content == "notes failed: KeyError('page')"


def test_a_tool_of_ours_is_not_offered_where_it_cannot_be_called_or_must_not(
    scripted: Make, wrap: Make
) -> None:
    def notes(page: int) -> str:
        """Read the caller's own notes."""
        return "own"

    llm = wrap(scripted("a", "b", ("notes", {"page": 1})), WithNotes())
    llm.chat(HELLO)
    llm.chat_with_tools([ADD], user_msg="1 + 2?", tool_choice="required")
    theirs = [FunctionTool.from_defaults(notes)]
    answer = llm.chat_with_tools(theirs, user_msg="1 + 2?")
    assert "tools" not in llm.inner.kwargs[0]
    assert [names(kwargs) for kwargs in llm.inner.kwargs[1:]] == [["add"], ["notes"]]
    assert [c.tool_name for c in llm.get_tool_calls_from_response(answer)] == ["notes"]


async def test_an_agents_model_gets_back_what_a_recipe_left_out(scripted: Make) -> None:
    lines = "\n".join(f"line {i}: {'x' * (i % 7)} nothing to see" for i in range(3000))

    def read_log(name: str) -> str:
        """Read a log file."""
        return lines.replace("line 1777: ", "line 1777: the culprit is pump 9, ")

    def recall_what_was_left_out(messages: Any) -> tuple[str, dict[str, str]]:
        handle = re.search(r"recall\W+(\d+)|handle\W+(\d+)", messages[-1].content)
        assert handle, messages[-1].content[-500:]
        return "recall", {"handle": next(filter(None, handle.groups())), "query": "culprit"}

    class Curious(type(scripted())):  # type: ignore[misc]
        def _next(self, sent: Any, kwargs: Any) -> Any:
            if len(self.sent) == 1 and "recall" in names(kwargs):
                self.script.insert(0, recall_what_was_left_out(sent))
            return super()._next(sent, kwargs)

    inner = Curious(script=[("read_log", {"name": "pump"}), "pump 9"])
    llm = TrimtabLLM(inner, lean("gpt-4o-mini"))
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(read_log)], llm=llm)
    assert str(await agent.run("what happened last night?")) == "pump 9"
    assert len(inner.sent[1][-1].content) < len(lines) / 10
    assert "the culprit is pump 9" in inner.sent[2][-1].content
    assert [event.usage for event in llm.pipeline.ledger.events] == inner.spent


def test_a_wrong_answer_is_reported_by_its_id(scripted: Any, wrap: Any) -> None:
    llm = wrap(scripted("one", "two"), cache=True)
    for _ in range(2):
        answer = llm.chat([ChatMessage("q")])
    assert llm.pipeline.wrong(answer.raw["trimtab"]["id"])
    assert llm.chat([ChatMessage("q")]).message.content == "two"
    assert not Pipeline().wrong("an unknown one")
