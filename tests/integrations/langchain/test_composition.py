"""The middleware beside LangChain's own, before and after it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_trimtab import TrimtabMiddleware, UsageCallback
from trimtab import Pipeline
from trimtab.cache import ExactCache
from trimtab.compress import Compress, Lossless
from trimtab.errors import BudgetExceeded
from trimtab.route import Rule, Tiers
from trimtab.types import Message, Request, RunnableTool, Tool, fold


def question() -> dict[str, Any]:
    return {"messages": [HumanMessage("Which orders went to Austin?")]}


@pytest.fixture
def pipeline(unpadding: Any) -> Pipeline:
    return Pipeline([unpadding])


@pytest.fixture(params=["outermost", "innermost"])
def around(request: Any, pipeline: Pipeline) -> Any:
    """Puts ours before or after some other middleware."""

    def chain(*others: AgentMiddleware[Any, Any]) -> list[Any]:
        ours = TrimtabMiddleware(pipeline)
        return [ours, *others] if request.param == "outermost" else [*others, ours]

    return chain


@pytest.fixture
def agree(pipeline: Pipeline, agrees: Any) -> Any:
    """Whether the pipeline's ledger holds what some models reported."""

    def check(*models: Any, failed: int = 0) -> bool:
        same = pipeline.ledger.analytics().failed == failed
        return same and bool(agrees(pipeline.ledger, *models))

    return check


def run(model: Any, tools: list[Any], chain: list[Any]) -> list[Any]:
    """Run an agent, with a callback on the ledger of our middleware."""
    agent = create_agent(model, tools, middleware=chain)
    ours = next(m for m in chain if isinstance(m, TrimtabMiddleware))
    config = {"callbacks": [UsageCallback(ours.ledger)]}
    return list(agent.invoke(question(), config)["messages"])


def test_with_a_summary_of_the_history(
    scripted: Any, tool_call: Any, orders_tool: Any, around: Any
) -> None:
    script = [tool_call("orders", id=f"c{i}", city="x") for i in range(4)]
    model, writer = scripted(script=script), scripted(script=["the summary"] * 9)
    summary = SummarizationMiddleware(model=writer, trigger=("messages", 4), keep=("messages", 2))
    run(model, [orders_tool], around(summary))
    assert writer.calls > 0
    assert any("the summary" in str(m.content) for m in model.sent[-1])
    assert all("\n" not in m.content for m in model.sent[-1] if m.type == "tool")


def test_with_results_that_are_cleared(
    scripted: Any, tool_call: Any, orders_tool: Any, around: Any, agree: Any
) -> None:
    script = [tool_call("orders", id=f"c{i}", city="x") for i in range(4)]
    model = scripted(script=script)
    edit = ClearToolUsesEdit(trigger=100, keep=1, placeholder="[cleared]")
    kept = run(model, [orders_tool], around(ContextEditingMiddleware(edits=[edit])))
    results = [m.content for m in model.sent[-1] if m.type == "tool"]
    assert results[:3] == ["[cleared]"] * 3
    assert "W0000029" in results[3] and "\n" not in results[3]
    assert all("W0000029" in m.content for m in kept if m.type == "tool")
    assert agree(model)


def test_with_a_fallback(
    scripted: Any, tool_call: Any, orders_tool: Any, around: Any, agree: Any
) -> None:
    script = [tool_call("orders", city="x"), ConnectionError("down")]
    model, other = scripted(script=script), scripted(model_name="gpt-4o")
    chain = around(ModelFallbackMiddleware(other))
    kept = run(model, [orders_tool], chain)
    assert kept[-1].response_metadata["model_name"] == "gpt-4o"
    assert "\n" not in other.sent[0][2].content
    assert agree(model, other, failed=1)


def test_with_retries(
    scripted: Any, tool_call: Any, orders_tool: Any, around: Any, agree: Any
) -> None:
    script = [ConnectionError("down"), tool_call("orders", city="x")]
    model = scripted(script=script)
    chain = around(ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False))
    kept = run(model, [orders_tool], chain)
    assert [m.type for m in kept] == ["human", "ai", "tool", "ai"]
    assert agree(model, failed=1)


def test_what_retries_say_when_they_give_up_is_never_remembered(scripted: Any) -> None:
    model = scripted(script=[ConnectionError("down")] * 2)
    retries = ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
    chain = [TrimtabMiddleware(Pipeline(cache=ExactCache())), retries]
    assert "down" in run(model, [], chain)[-1].content
    assert run(model, [], chain)[-1].content == "read 1 messages"


def test_a_spent_budget_is_not_retried(scripted: Any, around: Any, pipeline: Pipeline) -> None:
    tried: list[int] = []

    @fold
    def stop(request: Request) -> Request:
        tried.append(1)
        raise BudgetExceeded("spent")

    pipeline.steps = (stop,)
    pytest.importorskip("langchain_core", minversion="1.3")
    with pytest.raises(BudgetExceeded):
        run(scripted(), [], around(ModelRetryMiddleware(max_retries=2, initial_delay=0)))
    assert len(tried) == 1


def test_a_spent_budget_is_not_spent_by_a_fallback(
    scripted: Any, around: Any, pipeline: Pipeline
) -> None:
    @fold
    def stop(request: Request) -> Request:
        raise BudgetExceeded("spent")

    pipeline.steps = (stop,)
    model, other = scripted(), scripted()
    with pytest.raises(BudgetExceeded):
        run(model, [], around(ModelFallbackMiddleware(other)))
    assert (model.calls, other.calls) == (0, 0)


@fold
class Recalling:
    """A step with a tool of its own, which it tells about where it is offered."""

    tools = (RunnableTool(Tool("recall", "Returns the original."), lambda arguments: "all of it"),)

    def __call__(self, request: Request) -> Request:
        if not any(tool.name == "recall" for tool in request.tools):
            return request
        shorter = [m.with_texts(lambda text: text[:9]) for m in request.messages[1:]]
        return replace(request, messages=(request.messages[0], *shorter))

    def __repr__(self) -> str:
        return "Recalling()"


def test_a_selector_of_tools_cannot_take_ours_away(scripted: Any, orders_tool: Any) -> None:
    chosen = AIMessage("", tool_calls=[])
    picker = scripted(script=[chosen])

    class Picker(type(picker)):  # type: ignore[misc]
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return self | (lambda _: {"tools": ["orders"]})

    model = scripted()
    select = LLMToolSelectorMiddleware(model=Picker(), max_tools=1)
    others = [orders_tool.model_copy(update={"name": f"tool_{i}"}) for i in range(5)]
    chain = [select, TrimtabMiddleware(Pipeline([Recalling()]))]
    run(model, [orders_tool, *others], chain)
    assert [t["function"]["name"] for t in model.bound[0]["tools"]] == ["orders", "recall"]


def test_with_a_selector_of_tools_that_comes_after_and_always_includes_ours(
    scripted: Any, orders_tool: Any
) -> None:
    class Picker(type(scripted())):  # type: ignore[misc]
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return self | (lambda _: {"tools": ["orders"]})

    model = scripted()
    select = LLMToolSelectorMiddleware(model=Picker(), max_tools=1, always_include=["recall"])
    others = [orders_tool.model_copy(update={"name": f"tool_{i}"}) for i in range(5)]
    run(model, [orders_tool, *others], [TrimtabMiddleware(Pipeline([Recalling()])), select])
    assert [t["function"]["name"] for t in model.bound[0]["tools"]] == ["orders", "recall"]


def test_with_a_person_who_edits_a_call(
    scripted: Any, tool_call: Any, orders_tool: Any, around: Any, agree: Any
) -> None:
    model = scripted(script=[tool_call("orders", city="Austin")])
    agent = create_agent(
        model,
        [orders_tool],
        middleware=around(HumanInTheLoopMiddleware(interrupt_on={"orders": True})),
        checkpointer=InMemorySaver(),
    )
    config = {"configurable": {"thread_id": "t"}}
    agent.invoke(question(), config)
    edited = {"name": "orders", "args": {"city": "Dallas"}}
    decision = {"type": "edit", "edited_action": edited}
    kept = agent.invoke(Command(resume={"decisions": [decision]}), config)["messages"]
    assert "Dallas" in str(model.sent[1])
    assert "\n" not in model.sent[1][2].content and "\n" in kept[2].content
    assert agree(model)


def test_with_a_limit_of_calls_and_a_list_of_tasks(
    scripted: Any, tool_call: Any, orders_tool: Any, around: Any
) -> None:
    model = scripted(script=[tool_call("orders", id=f"c{i}", city="x") for i in range(9)])
    run(model, [orders_tool], around(TodoListMiddleware(), ModelCallLimitMiddleware(run_limit=3)))
    assert model.calls == 3
    assert "\n" not in model.sent[2][-1].content
    assert "write_todos" in str(model.sent[2][0].content)


def claude(requests: list[Any]) -> Any:
    """A model that the caching middleware takes for Anthropic's, and that sends nothing."""
    anthropic = pytest.importorskip("langchain_anthropic")
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Offline(anthropic.ChatAnthropic):  # type: ignore[misc, name-defined]
        api_down: bool = False

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kw: Any):
            requests.append(self._get_request_payload(messages, stop=stop, **kw))
            if self.api_down:
                raise ConnectionError("down")
            usage = {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
            return ChatResult(
                generations=[ChatGeneration(message=AIMessage("ok", usage_metadata=usage))]
            )

    return Offline(model="claude-haiku-4-5", api_key="none")


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_with_anthropics_prompt_cache(
    first: str, orders_tool: Any, tool_call: Any, unpadding: Any
) -> None:
    requests: list[Any] = []
    model = claude(requests)
    from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware

    def shorten(request: Request) -> Request:
        tools = tuple(replace(t, description="Orders.") for t in request.tools)
        system = request.messages[0].with_texts(str.upper)
        return replace(request, tools=tools, messages=(system, *request.messages[1:]))

    ours = TrimtabMiddleware(Pipeline([fold(shorten), unpadding]))
    theirs = AnthropicPromptCachingMiddleware()
    chain = [ours, theirs] if first == "ours" else [theirs, ours]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent = create_agent(model, [orders_tool], system_prompt="Be brief.", middleware=chain)
        talk = [
            HumanMessage("q"),
            tool_call("orders", city="x"),
            orders_tool.invoke({**tool_call("orders", city="x").tool_calls[0]}),
        ]
        agent.invoke({"messages": talk})
    (sent,) = requests
    mark = {"type": "ephemeral", "ttl": "5m"}
    assert sent["system"] == [{"type": "text", "text": "BE BRIEF.", "cache_control": mark}]
    assert sent["tools"][0]["description"] == "Orders."
    assert sent["tools"][0]["cache_control"] == mark
    assert sent["tools"][0]["input_schema"]["required"] == ["city"]
    assert "\\n" not in str(sent["messages"][2])


def test_anthropics_marks_make_no_difference_to_our_cache(unpadding: Any) -> None:
    requests: list[Any] = []
    model = claude(requests)
    from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware

    chain = [TrimtabMiddleware(Pipeline(cache=ExactCache())), AnthropicPromptCachingMiddleware()]
    agent = create_agent(model, system_prompt="Be brief.", middleware=chain)
    for _ in range(2):
        assert agent.invoke(question())["messages"][-1].content == "ok"
    assert len(requests) == 1


def test_two_of_ours_in_one_agent(scripted: Any, tool_call: Any, orders_tool: Any) -> None:
    model = scripted(script=[tool_call("orders", city="x")])
    note = fold(lambda r: replace(r, messages=(*r.messages, Message("user", "Be brief."))))
    chain = [
        TrimtabMiddleware(Pipeline([Compress(Lossless())])),
        TrimtabMiddleware(Pipeline([note]), name="notes"),
    ]
    kept = run(model, [orders_tool], chain)
    assert model.sent[1][-1].content == "Be brief."
    assert len(model.sent[1][2].content) < len(kept[2].content) / 2


def test_a_pipeline_shared_by_agents_keeps_their_conversations_apart(
    scripted: Any, tool_call: Any, orders_tool: Any, pipeline: Pipeline, agree: Any
) -> None:
    models = [scripted(script=[tool_call("orders", city="x")]) for _ in range(2)]
    for model in models:
        run(model, [orders_tool], [TrimtabMiddleware(pipeline)])
    assert agree(*models)
    assert not any(m.sent[1][0] is models[0].sent[1][0] for m in models[1:])


TERMS = "Answer only what the airline's rules allow, and say which rule it was. " * 400
MARK = {"type": "ephemeral"}


def marks_of(payload: Any) -> list[Any]:
    blocks = [
        b for m in payload["messages"] if isinstance(m["content"], list) for b in m["content"]
    ]
    every = [*payload["tools"], *payload["system"], *blocks]
    return [block for block in every if isinstance(block, dict) and "cache_control" in block]


def test_anthropics_models_are_asked_to_cache_what_the_next_call_begins_with(
    orders_tool: Any, tool_call: Any
) -> None:
    requests: list[Any] = []
    agent = create_agent(
        claude(requests), [orders_tool], system_prompt=TERMS, middleware=[TrimtabMiddleware()]
    )
    call = tool_call("orders", city="x")
    talk = [HumanMessage("Where is my order?"), call, orders_tool.invoke({**call.tool_calls[0]})]
    before = [message.content for message in talk]
    state = agent.invoke({"messages": talk})
    (sent,) = requests
    assert sent["system"][-1]["cache_control"] == MARK
    assert sent["messages"][-1]["content"][-1]["cache_control"] == MARK
    assert len(marks_of(sent)) == 2  # so few tools alone would not be cached
    assert [message.content for message in state["messages"][:3]] == before


def test_marks_of_the_users_own_are_the_only_ones(orders_tool: Any) -> None:
    requests: list[Any] = []
    system = SystemMessage([{"type": "text", "text": TERMS, "cache_control": MARK}])
    agent = create_agent(
        claude(requests), [orders_tool], system_prompt=system, middleware=[TrimtabMiddleware()]
    )
    agent.invoke({"messages": [HumanMessage("Hello? " * 2000)]})
    assert [mark["text"][:6] for mark in marks_of(requests[0])] == ["Answer"]


def test_a_stand_in_of_another_provider_is_sent_no_marks(orders_tool: Any, scripted: Any) -> None:
    requests: list[Any] = []
    first, spare = claude(requests), scripted()
    first.api_down = True
    tiers = Tiers(
        {"fast": "scripted", "strong": "claude-haiku-4-5"},
        rules=[Rule("strong", lambda asked: True, "a test")],
    )
    ours = TrimtabMiddleware(models={"fast": spare, "strong": first}, tiers=tiers)
    create_agent(first, [orders_tool], system_prompt=TERMS, middleware=[ours]).invoke(question())
    assert len(marks_of(requests[0])) == 2
    assert spare.calls == 1
    assert all(isinstance(message.content, str) for message in spare.sent[0])
