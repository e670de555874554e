"""A pipeline as middleware of an agent: what the model is sent, and what the thread keeps."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, Any

import pytest
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain.agents.structured_output import ProviderStrategy, StructuredOutputError, ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_trimtab import TrimtabCache, TrimtabMiddleware, UsageCallback, tenant
from langchain_trimtab.request import params_of
from trimtab import Event, Ledger, Pipeline, recipes
from trimtab.cache import ExactCache
from trimtab.compress import Compress, Lossless
from trimtab.errors import BudgetExceeded
from trimtab.types import Message, Part, Request, Response, RunnableTool, Tool, fold, tail

QUESTION = {"messages": [HumanMessage("Which orders went to Austin?", id="q1")]}


def ask(agent: Any, thread: str = "", text: str = "Which orders went to Austin?") -> list[Any]:
    config = {"configurable": {"thread_id": thread}} if thread else {}
    return list(agent.invoke({"messages": [HumanMessage(text)]}, config)["messages"])


@pytest.fixture
def model(scripted: Any, tool_call: Any) -> Any:
    """Calls the tool `orders`, then answers."""
    return scripted(script=[tool_call("orders", city="Austin")])


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def unpadded(model: Any, orders_tool: Any, unpadding: Any, ledger: Ledger) -> Any:
    """An agent whose model reads the results of tools without indentation."""
    middleware = TrimtabMiddleware(Pipeline([unpadding], ledger=ledger))
    return create_agent(model, [orders_tool], middleware=[middleware])


@pytest.fixture(params=["alone", "with a callback"])
def config(request: Any, ledger: Ledger) -> dict[str, Any]:
    return {} if request.param == "alone" else {"callbacks": [UsageCallback(ledger)]}


@pytest.fixture
def both_calls_agree(ledger: Ledger, model: Any, agrees: Any) -> Any:
    return lambda: model.calls == 2 and agrees(ledger, model)


async def run_async(agent: Any, way: str, config: Any) -> None:
    if way == "ainvoke":
        await agent.ainvoke(QUESTION, config)
    elif way == "events":
        _ = [e async for e in agent.astream_events(QUESTION, config, version="v2")]
    else:
        _ = [e async for e in agent.astream(QUESTION, config, stream_mode=way)]


@pytest.mark.parametrize("way", ["invoke", "messages", "updates", "values"])
def test_the_ledger_holds_what_the_model_reported(
    way: str, unpadded: Any, config: Any, both_calls_agree: Any
) -> None:
    if way == "invoke":
        unpadded.invoke(QUESTION, config)
    else:
        _ = list(unpadded.stream(QUESTION, config, stream_mode=way))
    assert both_calls_agree()


@pytest.mark.parametrize("way", ["ainvoke", "messages", "updates", "values", "events"])
async def test_the_ledger_holds_what_the_model_reported_in_async_code(
    way: str, unpadded: Any, config: Any, both_calls_agree: Any
) -> None:
    await run_async(unpadded, way, config)
    assert both_calls_agree()


def test_the_ledger_holds_what_each_step_saved(unpadded: Any, ledger: Ledger) -> None:
    unpadded.invoke(QUESTION)
    assert ledger.analytics().levers["unpad"] > 0


def test_the_model_reads_the_short_text_and_the_thread_keeps_the_long_one(
    model: Any, orders_tool: Any
) -> None:
    pipeline = Pipeline([Compress(Lossless())])
    agent = create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)])
    kept = ask(agent)[2]
    sent = model.sent[1][2]
    assert json.loads(kept.content)[0]["order"] == "W0000000"
    assert len(sent.content) < len(kept.content) / 2
    assert "W0000029" in sent.content
    assert sent == kept.model_copy(update={"content": sent.content})


def test_what_no_step_edited_is_sent_as_the_very_same_object(
    model: Any, orders_tool: Any, unpadding: Any
) -> None:
    seen: list[ModelRequest] = []

    class Watch(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append(request)
            return handler(request)

    class Outer(Watch):
        pass

    chain = [Outer(), TrimtabMiddleware(Pipeline([unpadding])), Watch()]
    ask(create_agent(model, [orders_tool], system_prompt="Be brief.", middleware=chain))
    outer, inner = seen[2], seen[3]
    assert seen[1] is seen[0]
    assert inner is not outer
    assert inner.tools is outer.tools and inner.system_message is outer.system_message
    assert [i is o for i, o in zip(inner.messages, outer.messages, strict=True)] == [1, 1, 0]


def test_lists_of_blocks_are_compressed_block_by_block(
    scripted: Any, tool_call: Any, blocks_tool: Any
) -> None:
    model = scripted(script=[tool_call("blocks", city="Austin")])
    pipeline = Pipeline([Compress(Lossless())])
    agent = create_agent(model, [blocks_tool], middleware=[TrimtabMiddleware(pipeline)])
    kept, sent = ask(agent)[2], model.sent[1][2]
    assert len(sent.content[0]["text"]) < len(kept.content[0]["text"]) / 2
    assert sent.content[0]["annotations"] == kept.content[0]["annotations"]
    assert sent.content[1] == kept.content[1]
    assert sent.artifact == {"raw": "artifact"}


def test_a_failed_result_of_a_tool_stays_one(scripted: Any, unpadding: Any) -> None:
    calls = [{"name": "f", "args": {}, "id": "c"}]
    failed = ToolMessage(
        "no\n   such\n   city", tool_call_id="c", name="f", status="error", id="t", artifact=[1]
    )
    model = scripted()
    agent = create_agent(model, middleware=[TrimtabMiddleware(Pipeline([unpadding]))])
    agent.invoke({"messages": [HumanMessage("q"), AIMessage("", tool_calls=calls), failed]})
    assert model.sent[0][2] == failed.model_copy(update={"content": "nosuchcity"})


def test_a_thread_over_many_turns_grows_and_what_was_sent_stays(
    scripted: Any, tool_call: Any, orders_tool: Any
) -> None:
    script = []
    for turn in range(3):
        script += [tool_call("orders", id=f"call_{turn}", city="Austin"), f"answer {turn}"]
    model = scripted(script=script)
    agent = create_agent(
        model,
        [orders_tool],
        middleware=[TrimtabMiddleware(Pipeline([Compress(Lossless())]))],
        checkpointer=InMemorySaver(),
    )
    for turn in range(3):
        thread = ask(agent, "t1", f"question {turn}")
    assert len(thread) == 12
    for before, after in zip(model.sent, model.sent[1:], strict=False):
        assert after[: len(before)] == before


def test_new_messages_and_dropped_ones_reach_the_model_and_not_the_thread(scripted: Any) -> None:
    def forget(request: Request) -> Request:
        digest = Message("user", "earlier: hello")
        return replace(request, messages=(digest, request.messages[-1]))

    model = scripted()
    agent = create_agent(model, middleware=[TrimtabMiddleware(Pipeline([fold(forget)]))])
    talk: list[BaseMessage] = [HumanMessage("hello"), AIMessage("hi"), HumanMessage("bye")]
    kept = agent.invoke({"messages": talk})["messages"]
    assert [m.content for m in model.sent[0]] == ["earlier: hello", "bye"]
    assert [m.content for m in kept[:3]] == ["hello", "hi", "bye"]


@pytest.mark.parametrize("prompt", ["Be   brief.", None])
def test_a_step_may_edit_the_system_prompt(prompt: str | None, scripted: Any) -> None:
    def tidy(request: Request) -> Request:
        edit = lambda text: " ".join(text.split())  # noqa: E731
        return replace(request, messages=tuple(m.with_texts(edit) for m in request.messages))

    model = scripted()
    middleware = TrimtabMiddleware(Pipeline([fold(tidy)]))
    ask(create_agent(model, system_prompt=prompt, middleware=[middleware]), text="a   b")
    wanted = [SystemMessage("Be brief.")] if prompt else []
    assert [type(m) for m in model.sent[0]] == [*map(type, wanted), HumanMessage]
    assert [m.content for m in model.sent[0]][-1] == "a b"
    assert [m.content for m in model.sent[0]][:-1] == [m.content for m in wanted]


def test_a_step_may_write_or_drop_the_system_prompt(scripted: Any) -> None:
    def write(request: Request) -> Request:
        return replace(request, messages=(Message("system", "Be brief."), *request.messages))

    def drop(request: Request) -> Request:
        return replace(request, messages=request.messages[1:])

    model = scripted()
    ask(create_agent(model, middleware=[TrimtabMiddleware(Pipeline([fold(write)]))]))
    middleware = TrimtabMiddleware(Pipeline([fold(drop)]))
    ask(create_agent(model, system_prompt="Be long.", middleware=[middleware]))
    assert [type(m) for m in model.sent[0]] == [SystemMessage, HumanMessage]
    assert [type(m) for m in model.sent[1]] == [HumanMessage]


def test_a_step_may_shorten_a_tool_and_set_a_parameter(model: Any, orders_tool: Any) -> None:
    def shorten(request: Request) -> Request:
        tools = tuple(replace(t, description="Orders.") for t in request.tools)
        return replace(request, tools=tools, params={**request.params, "max_tokens": 50})

    middleware = TrimtabMiddleware(Pipeline([fold(shorten)]))
    kept = ask(create_agent(model, [orders_tool], middleware=[middleware]))
    (spec,) = model.bound[0]["tools"]
    assert spec["function"]["description"] == "Orders."
    assert spec["function"]["parameters"]["required"] == ["city"]
    assert model.bound[0]["max_tokens"] == 50
    assert "W0000029" in kept[2].content
    assert orders_tool.description == "List the orders of a city."


def test_tokens_saved_add_up_in_the_state_as_plain_numbers(
    scripted: Any, tool_call: Any, orders_tool: Any, unpadding: Any
) -> None:
    script = [tool_call("orders", id="c1", city="x"), tool_call("orders", id="c2", city="y")]
    model, pipeline = scripted(script=script), Pipeline([unpadding])
    agent = create_agent(
        model,
        [orders_tool],
        middleware=[TrimtabMiddleware(pipeline)],
        checkpointer=InMemorySaver(),
    )
    ask(agent, "t")
    state = agent.get_state({"configurable": {"thread_id": "t"}}).values
    assert type(state["tokens_saved"]) is int
    assert state["tokens_saved"] == pipeline.ledger.analytics().lever_tokens > 0


def test_where_nothing_was_saved_the_answer_is_the_handlers_own(scripted: Any) -> None:
    answers: list[Any] = []

    class Watch(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            answers.append(handler(request))
            return answers[-1]

    class Outer(Watch):
        pass

    chain = [Outer(), TrimtabMiddleware(Pipeline()), Watch()]
    ask(create_agent(scripted(), middleware=chain))
    assert answers[0] is answers[1]


def remembering(*found: str) -> tuple[Pipeline, list[Any]]:
    """A pipeline with a tool of its own, and what that tool was asked."""
    asked: list[Any] = []
    schema = {"type": "object", "properties": {"handle": {"type": "string"}}}

    @fold
    class Step:
        tools = (
            RunnableTool(
                Tool("recall", "Returns the original.", schema),
                lambda arguments: asked.append(dict(arguments)) or "  the\n  original",
            ),
        )

        def __call__(self, request: Request) -> Request:
            return request

        def __repr__(self) -> str:
            return "Step()"

    return Pipeline([Step()]), asked


def test_the_pipelines_own_tool_is_offered_and_run(
    scripted: Any, tool_call: Any, orders_tool: Any
) -> None:
    pipeline, asked = remembering()
    model = scripted(script=[tool_call("recall", handle="7f")])
    kept = ask(create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)]))
    assert [t["function"]["name"] for t in model.bound[0]["tools"]] == ["orders", "recall"]
    assert asked == [{"handle": "7f"}]
    assert (kept[2].name, kept[2].content, kept[2].status) == (
        "recall",
        "  the\n  original",
        "success",
    )


async def test_the_pipelines_own_tool_runs_in_async_code(
    scripted: Any, tool_call: Any, orders_tool: Any
) -> None:
    pipeline, asked = remembering()
    model = scripted(script=[tool_call("recall", handle="7f")])
    agent = create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)])
    await agent.ainvoke(QUESTION)
    assert asked == [{"handle": "7f"}]


def test_what_a_recipe_left_out_can_be_recalled(scripted: Any, tool_call: Any) -> None:
    @tool
    def diary(year: int) -> str:
        """Read a diary."""
        return "\n".join(
            f"Day {i}: walked {i * i} steps, {i % 7} of them alone." for i in range(400)
        )

    def recall(messages: list[BaseMessage]) -> AIMessage:
        found = re.search(r'recall\("(\d+)"', str(messages[-1].content))
        assert found
        return tool_call("recall", id="c2", handle=found[1], query="walked 123904 steps")

    model = scripted(script=[tool_call("diary", id="c1", year=1), recall])
    middleware = TrimtabMiddleware(recipes.lean("gpt-4o-mini"))
    kept = ask(create_agent(model, [diary], middleware=[middleware]), text="A day's walk?")
    assert "walked 123904 steps" in kept[2].content
    assert len(model.sent[1][2].content) < len(kept[2].content) / 2
    assert "Day 352: walked 123904 steps" in kept[4].content
    assert model.sent[2][4].content == kept[4].content


def test_what_the_model_recalled_is_never_compressed_again(
    scripted: Any, tool_call: Any, orders_tool: Any
) -> None:
    pipeline, _ = remembering()
    pipeline = Pipeline([Compress(lambda text, query: text[:3]), *pipeline.steps])
    script = [tool_call("orders", id="c1", city="x"), tool_call("recall", id="c2", handle="7f")]
    model = scripted(script=script)
    ask(create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)]))
    results = [m.content for m in model.sent[2] if m.type == "tool"]
    assert results == ["[\n ", "  the\n  original"]


def test_an_agent_without_tools_is_not_offered_ours(scripted: Any) -> None:
    pipeline, _ = remembering()
    model = scripted()
    ask(create_agent(model, middleware=[TrimtabMiddleware(pipeline)]))
    assert "tools" not in model.bound[0]


def test_a_users_tool_of_the_same_name_stays_the_users(scripted: Any, tool_call: Any) -> None:
    @tool
    def recall(product: str) -> str:
        """Call a product back."""
        return f"called back {product}"

    pipeline, asked = remembering()
    model = scripted(script=[tool_call("recall", product="P7")])
    kept = ask(create_agent(model, [recall], middleware=[TrimtabMiddleware(pipeline)]))
    assert kept[2].content == "called back P7" and not asked
    (spec,) = model.bound[0]["tools"]
    assert spec["function"]["description"] == "Call a product back."


def test_a_tool_of_ours_that_fails_tells_the_model_and_the_agent_goes_on(
    scripted: Any, tool_call: Any, orders_tool: Any
) -> None:
    def fail(arguments: Any) -> str:
        raise KeyError("the store is down")

    pipeline, _ = remembering()
    pipeline.steps[0].__class__.tools = (RunnableTool(Tool("recall"), fail),)  # type: ignore
    model = scripted(script=[tool_call("recall", handle="7f")])
    kept = ask(create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)]))
    assert kept[2].status == "error" and "the store is down" in kept[2].content
    assert len(kept) == 4


def test_a_tool_of_ours_that_another_middleware_left_out_is_offered_again(
    scripted: Any, orders_tool: Any
) -> None:
    class Narrow(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tools=[t for t in request.tools if t.name == "orders"]))

    pipeline, _ = remembering()
    model, ours = scripted(), TrimtabMiddleware(pipeline)
    ask(create_agent(model, [orders_tool], middleware=[Narrow(), ours]))
    assert [t["function"]["name"] for t in model.bound[0]["tools"]] == ["orders", "recall"]


def test_a_tool_that_the_provider_runs_is_a_tool(scripted: Any) -> None:
    pipeline, _ = remembering()
    search = {"type": "web_search_20250305", "name": "web_search"}

    class Lenient(scripted):  # type: ignore[misc, valid-type]
        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            return self.bind(tools=list(tools), **kwargs)

    model = Lenient()
    ask(create_agent(model, [search], middleware=[TrimtabMiddleware(pipeline)]))
    assert search in model.bound[0]["tools"] and len(model.bound[0]["tools"]) == 2


def test_a_repeated_conversation_is_answered_from_the_cache(
    scripted: Any, tool_call: Any, orders_tool: Any, agrees: Any
) -> None:
    model = scripted(script=[tool_call("orders", city="Austin"), "thirty"])
    pipeline = Pipeline(cache=ExactCache(keep_tool_answers=True))
    agent = create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)])
    config = {"callbacks": [UsageCallback(pipeline.ledger)]}
    paid, hit = (agent.invoke(QUESTION, config)["messages"] for _ in range(2))
    assert model.calls == 2
    assert [m.content for m in hit] == [m.content for m in paid]
    assert hit[1].tool_calls == paid[1].tool_calls
    for one, other in zip(paid[1:], hit[1:], strict=True):
        assert one.id != other.id
    used = hit[3].usage_metadata
    assert (used["input_tokens"], used["output_tokens"]) == (0, 0)
    assert hit[3].response_metadata["model_name"] == "gpt-4o-mini"
    said = hit[3].response_metadata["trimtab"]
    assert said["kind"] == "exact" and said["saved"]["output_tokens"] == 5
    found = pipeline.ledger.analytics()
    assert (found.calls, found.hits) == (4, 2) and found.saved_tokens > 0
    assert agrees(pipeline.ledger, model)


async def test_a_repeated_conversation_is_answered_from_the_cache_in_async_code(
    scripted: Any, tool_call: Any, orders_tool: Any, agrees: Any
) -> None:
    model = scripted(script=[tool_call("orders", city="Austin"), "thirty"])
    pipeline = Pipeline(cache=ExactCache(keep_tool_answers=True))
    agent = create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)])
    for _ in range(3):
        answer = (await agent.ainvoke(QUESTION))["messages"][-1]
    assert answer.content == "thirty" and model.calls == 2
    assert agrees(pipeline.ledger, model)


def test_a_hit_in_a_stream_is_a_whole_message(scripted: Any) -> None:
    middleware = TrimtabMiddleware(Pipeline(cache=ExactCache()))
    agent = create_agent(scripted(), middleware=[middleware])
    texts = [
        "".join(str(m.content) for m, _ in agent.stream(QUESTION, stream_mode="messages"))
        for _ in range(2)
    ]
    assert texts[0].strip() == texts[1].strip() == "read 1 messages"


def test_two_hits_in_one_thread_are_two_messages(scripted: Any) -> None:
    class Amnesia(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(messages=request.messages[-1:]))

    model = scripted()
    chain = [Amnesia(), TrimtabMiddleware(Pipeline(cache=ExactCache()))]
    agent = create_agent(model, middleware=chain, checkpointer=InMemorySaver())
    for _ in range(3):
        kept = ask(agent, "t", "again")
    assert model.calls == 1 and len(kept) == 6
    assert len({m.id for m in kept}) == 6


@pytest.mark.parametrize("kind", [TrimtabCache, InMemoryCache])
@pytest.mark.parametrize("callback", [False, True])
def test_a_hit_in_the_models_own_cache_is_saved_and_counted_once(
    kind: Any, callback: bool, scripted: Any, agrees: Any
) -> None:
    model, pipeline = scripted(cache=kind()), Pipeline()
    config = {"callbacks": [UsageCallback(pipeline.ledger)]} if callback else {}
    agent = create_agent(model, middleware=[TrimtabMiddleware(pipeline)])
    for _ in range(3):
        agent.invoke(QUESTION, config)
    found = pipeline.ledger.analytics()
    assert (found.calls, found.hits) == (3, 2)
    spent = agrees.reported(model)
    assert found.saved_tokens == 2 * (spent.input_tokens + spent.output_tokens)
    assert agrees(pipeline.ledger, model)


class Answer(BaseModel):
    """The answer."""

    orders: int


class Other(BaseModel):
    """The answer."""

    cities: int


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_a_structured_answer_is_given_and_never_from_the_cache(
    strategy: Any, scripted: Any, tool_call: Any
) -> None:
    given = tool_call("Answer", orders=30) if strategy is ToolStrategy else '{"orders": 30}'
    model = scripted(script=[given, given])
    agent = create_agent(
        model,
        response_format=strategy(Answer),
        middleware=[TrimtabMiddleware(Pipeline(cache=ExactCache()))],
    )
    for _ in range(2):
        assert agent.invoke(QUESTION)["structured_response"] == Answer(orders=30)
    assert model.calls == 2


@pytest.mark.parametrize("recorder", ["alone", "with a callback"])
async def test_an_answer_of_the_wrong_form_was_paid_for(
    recorder: str, scripted: Any, agrees: Any
) -> None:
    model, pipeline = scripted(script=["no JSON"] * 2), Pipeline(cache=ExactCache())
    middleware = TrimtabMiddleware(pipeline)
    agent = create_agent(model, response_format=ProviderStrategy(Answer), middleware=[middleware])
    callbacks = [] if recorder == "alone" else [UsageCallback(pipeline.ledger)]
    with pytest.raises(StructuredOutputError):
        agent.invoke(QUESTION, {"callbacks": callbacks})
    with pytest.raises(StructuredOutputError):
        await agent.ainvoke(QUESTION, {"callbacks": callbacks})
    assert model.calls == 2 and agrees(pipeline.ledger, model)
    assert pipeline.ledger.analytics().calls == 2


def model_request(scripted: Any, **fields: Any) -> ModelRequest:
    given = {"model": scripted(), "messages": [HumanMessage("q")], **fields}
    return ModelRequest(**given)


def test_all_that_can_change_the_answer_is_part_of_the_request(
    scripted: Any, orders_tool: Any
) -> None:
    failed = ToolMessage("3", tool_call_id="c", status="error")
    ways: list[dict[str, Any]] = [
        {},
        {"model": scripted(model_name="gpt-4o")},
        {"model": scripted().bind(temperature=1)},
        {"model": scripted().bind(temperature=1).with_config(configurable={"name": "x"})},
        {"model": scripted().with_fallbacks([scripted(model_name="gpt-4o")])},
        {"model_settings": {"temperature": 1}},
        {"tool_choice": "any"},
        {"response_format": ToolStrategy(Answer)},
        {"response_format": ToolStrategy(Other)},
        {"response_format": ProviderStrategy(Answer)},
        {"response_format": Answer},
        {"tools": [orders_tool.model_copy(update={"extras": {"input_examples": [1]}})]},
        {"messages": [failed]},
    ]
    params = [params_of(model_request(scripted, **way)) for way in ways]
    keys = {Request("m", (), params=p).key for p in params}
    assert len(keys) == len(ways)
    assert Request("m", (), params=params_of(model_request(scripted))).key in keys


def test_a_model_that_the_caller_chooses_at_run_time_never_gives_anothers_answer(
    scripted: Any,
) -> None:
    model = scripted().configurable_fields(model_name=ConfigurableField(id="model"))
    pipeline = Pipeline(cache=ExactCache())
    agent = create_agent(
        model, middleware=[TrimtabMiddleware(pipeline)], checkpointer=InMemorySaver()
    )
    names = ["gpt-4o", "gpt-4o-mini", "gpt-4o"]
    for thread, name in enumerate(names):
        config = {"configurable": {"model": name, "thread_id": str(thread)}}
        answer = agent.invoke({"messages": [HumanMessage("q")]}, config)["messages"][-1]
        assert answer.response_metadata["model_name"] == name
    assert [event.hit for event in pipeline.ledger.events] == [False, False, True]


def test_a_structured_output_without_a_title_has_the_same_key_each_time(scripted: Any) -> None:
    schema = {"type": "object", "properties": {"orders": {"type": "integer"}}}
    wanted = [ToolStrategy(schema), ToolStrategy(dict(schema))]
    one, other = (params_of(model_request(scripted, response_format=w)) for w in wanted)
    assert one == other


def test_marks_for_the_providers_cache_do_not_change_the_key(
    scripted: Any, orders_tool: Any
) -> None:
    marked = orders_tool.model_copy(update={"extras": {"cache_control": {"type": "ephemeral"}}})
    one, other = (params_of(model_request(scripted, tools=[t])) for t in (orders_tool, marked))
    bare = orders_tool.model_copy(update={"extras": {}})
    assert one == other == params_of(model_request(scripted, tools=[bare]))


def test_a_call_that_fails_is_recorded_once_and_the_error_is_the_users(
    scripted: Any,
) -> None:
    pipeline = Pipeline()
    model = scripted(script=[ConnectionError("down")])
    agent = create_agent(model, middleware=[TrimtabMiddleware(pipeline)])
    with pytest.raises(ConnectionError, match="down"):
        agent.invoke(QUESTION, {"callbacks": [UsageCallback(pipeline.ledger)]})
    found = pipeline.ledger.analytics()
    assert (found.calls, found.failed) == (1, 1)


async def test_an_async_call_that_fails_is_recorded_once(scripted: Any) -> None:
    pipeline = Pipeline()
    model = scripted(script=[ConnectionError("down")])
    agent = create_agent(model, middleware=[TrimtabMiddleware(pipeline)])
    with pytest.raises(ConnectionError, match="down"):
        await agent.ainvoke(QUESTION, {"callbacks": [UsageCallback(pipeline.ledger)]})
    assert pipeline.ledger.analytics().failed == pipeline.ledger.analytics().calls == 1


def test_a_spent_budget_stops_the_agent(scripted: Any) -> None:
    @fold
    def stop(request: Request) -> Request:
        raise BudgetExceeded("$5.00 of $5.00 spent")

    model = scripted()
    agent = create_agent(model, middleware=[TrimtabMiddleware(Pipeline([stop]))])
    with pytest.raises(BudgetExceeded, match=r"\$5.00 of"):
        agent.invoke(QUESTION)
    assert model.calls == 0


async def test_a_budget_that_this_call_spent_stops_the_agent_after_it(scripted: Any) -> None:
    def spent(event: Event) -> None:
        raise BudgetExceeded("spent")

    agent = create_agent(
        scripted(), middleware=[TrimtabMiddleware(Pipeline(ledger=Ledger(hooks=[spent])))]
    )
    with pytest.raises(BudgetExceeded):
        await agent.ainvoke(QUESTION)


def test_a_step_that_breaks_is_left_out(scripted: Any) -> None:
    @fold
    def broken(request: Request) -> Request:
        raise RuntimeError

    agent = create_agent(scripted(), middleware=[TrimtabMiddleware(Pipeline([broken]))])
    assert ask(agent)[-1].content == "read 1 messages"


async def test_a_pipeline_that_cannot_count_still_records(scripted: Any, agrees: Any) -> None:
    def count(text: str) -> int:
        raise RuntimeError

    model, pipeline = scripted(), Pipeline(count=count)
    agent = create_agent(model, middleware=[TrimtabMiddleware(pipeline)])
    ask(agent)
    await agent.ainvoke(QUESTION)
    assert model.calls == 2 and agrees(pipeline.ledger, model)


@pytest.mark.parametrize("what", ["recipe", "ledger", "cache"])
async def test_what_breaks_of_ours_is_left_out_of_the_call(
    what: str, scripted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Ledger):
        def record(self, event: Event) -> None:
            raise OSError("disk full")

    class Bad(dict[str, str]):
        def get(self, *_: Any) -> Any:
            return '{"message": {"role": "assistant", "content": [["x", "[broken"]]}}'

    def recipe(model: str) -> Pipeline:
        if what == "recipe" and model != "gpt-4o":
            raise RuntimeError
        cache = ExactCache(Bad()) if what == "cache" else None
        return Pipeline(cache=cache)

    middleware = TrimtabMiddleware(recipe=recipe, ledger=Full() if what == "ledger" else None)
    agent = create_agent(scripted(), middleware=[middleware])
    with caplog.at_level(logging.WARNING, logger="trimtab"):
        for _ in range(2):
            assert ask(agent)[-1].content == "read 1 messages"
            answer = await agent.ainvoke(QUESTION)
            assert answer["messages"][-1].content == "read 1 messages"
    assert len(caplog.records) == 1


def test_a_plan_that_cannot_be_told_in_langchains_terms_is_not_sent_and_saves_nothing(
    scripted: Any,
) -> None:
    @fold
    def nonsense(request: Request) -> Request:
        return replace(request, messages=(Message("user", (Part(data="[broken"),)),))

    model, pipeline = scripted(), Pipeline([nonsense])
    middleware = TrimtabMiddleware(pipeline)
    answer = create_agent(model, middleware=[middleware]).invoke(QUESTION)
    assert answer["messages"][-1].content == "read 1 messages"
    assert model.sent[0] == QUESTION["messages"]
    assert not answer.get("tokens_saved") and middleware.failures == 1
    assert not pipeline.ledger.events[0].changes


def test_an_answer_in_the_cache_that_cannot_be_rebuilt_is_no_hit(scripted: Any) -> None:
    class Wrong(ExactCache):
        def get(self, request: Request) -> Any:
            return replace(answer, message=Message("assistant", 7))  # type: ignore[arg-type]

    answer = Response(Message("assistant", "x"))
    model, middleware = scripted(), TrimtabMiddleware(Pipeline(cache=Wrong()))
    assert ask(create_agent(model, middleware=[middleware]))[-1].content == "read 1 messages"
    assert middleware.failures == 1 and model.calls == 1
    assert middleware.ledger.analytics().hits == 0


def test_the_pipeline_is_made_for_the_first_requests_model(
    scripted: Any, orders_tool: Any, model: Any
) -> None:
    names: list[str] = []

    def recipe(name: str) -> Pipeline:
        names.append(name)
        return remembering()[0]

    middleware = TrimtabMiddleware(recipe=recipe)
    assert [t.name for t in middleware.tools] == ["recall"]
    del names[:]
    ask(create_agent(model, [orders_tool], middleware=[middleware]))
    assert names == ["gpt-4o-mini"]
    assert middleware.pipeline is not None
    assert middleware.pipeline.ledger is middleware.ledger
    assert middleware.ledger.analytics().calls == 2


def test_threads_may_share_it(
    scripted: Any, tool_call: Any, orders_tool: Any, unpadding: Any, agrees: Any
) -> None:
    def answer(messages: list[BaseMessage]) -> Any:
        return "done" if messages[-1].type == "tool" else tool_call("orders", city="x")

    model, pipeline = scripted(script=[answer] * 40), Pipeline([unpadding])
    agent = create_agent(model, [orders_tool], middleware=[TrimtabMiddleware(pipeline)])
    asked = [{"messages": [HumanMessage(f"question {i}")]} for i in range(20)]
    agent.batch(asked, {"callbacks": [UsageCallback(pipeline.ledger)], "max_concurrency": 8})
    assert model.calls == 40
    assert agrees(pipeline.ledger, model)


def test_calls_of_tools_at_once_are_each_compressed_in_a_thread_of_many(
    scripted: Any, tool_call: Any, orders_tool: Any, blocks_tool: Any, agrees: Any
) -> None:
    both = [
        *tool_call("orders", city="x").tool_calls,
        *tool_call("blocks", "c2", city="y").tool_calls,
    ]
    models = [scripted(script=[AIMessage("", tool_calls=both)]) for _ in range(4)]
    pipeline, saver = recipes.lean("gpt-4o-mini"), InMemorySaver()
    middleware = TrimtabMiddleware(pipeline)

    def work(number: int) -> None:
        agent = create_agent(
            models[number], [orders_tool, blocks_tool], middleware=[middleware], checkpointer=saver
        )
        for text in ("Which orders?", "And now?"):
            ask(agent, str(number), text)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert agrees(pipeline.ledger, *models)
    assert not pipeline.failures and not middleware.failures
    for model in models:
        results = [m for m in model.sent[-1] if m.type == "tool"]
        assert [m.tool_call_id for m in results] == ["call_1", "c2"]
        assert results[1].artifact == {"raw": "artifact"}


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_a_task_that_is_cancelled_is_recorded_once_as_such(way: str, scripted: Any) -> None:
    class Slow(scripted):  # type: ignore[misc, valid-type]
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            begun.set()
            await asyncio.Event().wait()

    begun, pipeline = asyncio.Event(), Pipeline()
    agent = create_agent(Slow(), middleware=[TrimtabMiddleware(pipeline)])

    async def run() -> None:
        if way == "ainvoke":
            await agent.ainvoke(QUESTION)
        else:
            _ = [chunk async for chunk in agent.astream(QUESTION)]

    task = asyncio.create_task(run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (event,) = pipeline.ledger.events
    assert "Cancelled" in event.error


async def test_a_stream_of_an_agent_that_nobody_reads_to_its_end_is_recorded_once(
    scripted: Any,
) -> None:
    pipeline = Pipeline()
    agent = create_agent(scripted(), middleware=[TrimtabMiddleware(pipeline)])
    config = {"callbacks": [UsageCallback(pipeline.ledger)]}
    stream = agent.astream(QUESTION, config, stream_mode="messages")
    await anext(stream)
    await stream.aclose()
    await asyncio.sleep(0.05)  # LangChain tells its handlers in the background.
    assert pipeline.ledger.analytics().calls == 1


def test_the_default_is_the_balanced_recipe(model: Any, orders_tool: Any) -> None:
    middleware = TrimtabMiddleware()
    ask(create_agent(model, [orders_tool], middleware=[middleware]))
    assert len(model.sent[1][2].content) < 1500
    assert middleware.ledger.analytics().lever_tokens > 0


def test_a_pipeline_and_a_recipe_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="one of them"):
        TrimtabMiddleware(Pipeline(), recipe=lambda model: Pipeline())
    with pytest.raises(ValueError, match="one of them"):
        TrimtabMiddleware(Pipeline(), ledger=Ledger())


def test_two_of_them_in_one_agent_need_two_names(scripted: Any) -> None:
    with pytest.raises(AssertionError):
        create_agent(scripted(), middleware=[TrimtabMiddleware(), TrimtabMiddleware()])
    two = [TrimtabMiddleware(Pipeline()), TrimtabMiddleware(Pipeline(), name="inner")]
    assert ask(create_agent(scripted(), middleware=two))


class Sessions:
    """A step that notes which session and tenant each request is of."""

    kind = "tail"

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, request: Request) -> Request:
        self.seen.append((request.session, request.tenant))
        return request


def test_a_session_is_a_thread_and_the_tenant_is_the_callers(scripted: Any) -> None:
    step = Sessions()
    middleware = TrimtabMiddleware(Pipeline([tail(step)]))
    agent = create_agent(scripted(), middleware=[middleware], checkpointer=InMemorySaver())
    with tenant("acme"):
        ask(agent, "t1")
        ask(agent, "t1")
    ask(agent, "t2")
    ask(create_agent(scripted(), middleware=[middleware]))
    assert step.seen == [("t1", "acme"), ("t1", "acme"), ("t2", ""), ("", "")]


def test_an_agent_within_an_agent_has_a_session_of_its_own(scripted: Any, tool_call: Any) -> None:
    step = Sessions()
    middleware = TrimtabMiddleware(Pipeline([tail(step)]))
    helper = create_agent(scripted(), middleware=[middleware])

    @tool
    def delegate(task: str) -> str:
        """Let the helper do it."""
        return str(helper.invoke({"messages": [HumanMessage(task)]})["messages"][-1].content)

    script = [tool_call("delegate", id="c1", task="x"), tool_call("delegate", id="c2", task="y")]
    model = scripted(script=script)
    agent = create_agent(model, [delegate], middleware=[middleware], checkpointer=InMemorySaver())
    ask(agent, "t1")
    outer, helped = step.seen[::2], step.seen[1::2]
    assert {session for session, _ in outer} == {"t1"}
    assert len({session for session, _ in helped}) == 2
    assert all(session.startswith("t1/") for session, _ in helped)


def test_nothing_warns(model: Any, orders_tool: Any, unpadding: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = Pipeline([unpadding], cache=ExactCache())
        agent = create_agent(
            model,
            [orders_tool],
            middleware=[TrimtabMiddleware(pipeline)],
            checkpointer=InMemorySaver(),
        )
        ask(agent, "t")
        ask(agent, "u")


def test_a_state_of_the_users_own_stays(model: Any, orders_tool: Any) -> None:
    class Mine(AgentState[Any]):
        tokens_saved: Annotated[int, lambda old, new: max(old or 0, new)]

    agent = create_agent(
        model,
        [orders_tool],
        middleware=[TrimtabMiddleware(Pipeline([Compress(Lossless())]))],
        state_schema=Mine,
    )
    assert agent.invoke(QUESTION)["tokens_saved"] > 0
