"""The callback that records what calls cost."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import uuid
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import context

from langchain_trimtab import TrimtabCache, TrimtabMiddleware, UsageCallback, monitor, tenant
from trimtab import Event, Ledger, Pipeline
from trimtab.errors import BudgetExceeded
from trimtab.types import Request, Usage


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.mark.parametrize("way", ["invoke", "stream", "batch", "chain", "agent", "agent stream"])
def test_the_ledger_holds_what_the_model_reported(
    way: str, scripted: Any, agrees: Any, ledger: Ledger
) -> None:
    model, config = scripted(), {"callbacks": [UsageCallback(ledger)]}
    chat = {"messages": [HumanMessage("q")]}
    {
        "invoke": lambda: model.invoke("q", config),
        "stream": lambda: list(model.stream("q", config)),
        "batch": lambda: model.batch(["q", "r r", "s s s"], config),
        "chain": lambda: RunnableLambda(model.invoke).invoke("q", config),
        "agent": lambda: create_agent(model).invoke(chat, config),
        "agent stream": lambda: list(
            create_agent(model).stream(chat, config, stream_mode="messages")
        ),
    }[way]()
    assert model.calls == (3 if way == "batch" else 1)
    assert agrees(ledger, model)
    assert {event.model for event in ledger.events} == {"gpt-4o-mini"}
    assert all(event.latency is not None and event.cost for event in ledger.events)


@pytest.mark.parametrize("way", ["ainvoke", "astream", "abatch", "events", "agent"])
async def test_the_ledger_holds_what_the_model_reported_in_async_code(
    way: str, scripted: Any, agrees: Any, ledger: Ledger
) -> None:
    model, config = scripted(), {"callbacks": [UsageCallback(ledger)]}
    chat = {"messages": [HumanMessage("q")]}
    if way == "ainvoke":
        await model.ainvoke("q", config)
    elif way == "astream":
        _ = [chunk async for chunk in model.astream("q", config)]
    elif way == "abatch":
        await model.abatch(["q", "r r"], config)
    elif way == "events":
        _ = [event async for event in model.astream_events("q", config, version="v2")]
    elif sys.version_info < (3, 11):
        pytest.skip("LangGraph hands callbacks on to async nodes from Python 3.11 on")
    else:
        await create_agent(model).ainvoke(chat, config)
    assert agrees(ledger, model)


@pytest.mark.skipif(not hasattr(BaseChatModel, "stream_events"), reason="langchain-core < 1.3")
@pytest.mark.filterwarnings("ignore:The v3 streaming protocol", "ignore:The method")
@pytest.mark.parametrize("way", ["model", "agent"])
def test_the_ledger_holds_what_a_third_kind_of_stream_reported(
    way: str, scripted: Any, agrees: Any, ledger: Ledger
) -> None:
    model, config = scripted(), {"callbacks": [UsageCallback(ledger)]}
    if way == "model":
        stream = model.stream_events("q", config, version="v3")
    else:
        agent = create_agent(model, middleware=[TrimtabMiddleware(Pipeline(ledger=ledger))])
        stream = agent.stream_events({"messages": [HumanMessage("q")]}, config, version="v3")
    _ = list(stream)
    assert agrees(ledger, model)


def test_an_event_has_the_id_of_its_message(scripted: Any, ledger: Ledger) -> None:
    answer = scripted().invoke("q", {"callbacks": [UsageCallback(ledger)]})
    assert [event.id for event in ledger.events] == [answer.id]


def test_two_callbacks_on_one_ledger_count_a_call_once(
    scripted: Any, agrees: Any, ledger: Ledger
) -> None:
    model = scripted()
    model.invoke("q", {"callbacks": [UsageCallback(ledger), UsageCallback(ledger)]})
    assert agrees(ledger, model)


def test_a_message_that_does_not_name_its_model_is_counted_all_the_same(
    scripted: Any, agrees: Any, ledger: Ledger
) -> None:
    model = scripted(report_name=False)
    _ = list(model.stream("q", {"callbacks": [UsageCallback(ledger)]}))
    assert agrees(ledger, model)
    assert [event.model for event in ledger.events] == ["gpt-4o-mini"]


def test_a_call_that_began_before_the_callback_is_recorded_with_what_is_known(
    ledger: Ledger,
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    message = AIMessage("x", usage_metadata=usage, id="m1")
    result = LLMResult(generations=[[ChatGeneration(message=message)]])
    UsageCallback(ledger).on_llm_end(result, run_id=uuid.uuid4())
    (event,) = ledger.events
    assert (event.id, event.model, event.usage) == ("m1", "", Usage(3, 4))


def test_an_answer_without_generations_is_a_call_of_unknown_usage(ledger: Ledger) -> None:
    UsageCallback(ledger).on_llm_end(LLMResult(generations=[]), run_id=uuid.uuid4())
    assert ledger.analytics().unknown["input_tokens"] == 1


def test_text_models_are_counted(ledger: Ledger) -> None:
    FakeListLLM(responses=["one", "two"]).batch(["q", "r"], {"callbacks": [UsageCallback(ledger)]})
    assert ledger.analytics().calls == 2
    assert [event.usage for event in ledger.events] == [Usage()] * 2


def test_usage_of_a_text_model_is_read_where_it_stands(ledger: Ledger) -> None:
    said = {"token_usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
    result = LLMResult(generations=[[Generation(text="x")]], llm_output=said)
    UsageCallback(ledger).on_llm_end(result, run_id=uuid.uuid4())
    assert ledger.events[0].usage == Usage(3, 4)


@pytest.mark.parametrize("kind", [TrimtabCache, InMemoryCache])
def test_answers_from_a_cache_are_saved_and_not_spent(
    kind: Any, scripted: Any, ledger: Ledger, agrees: Any
) -> None:
    model = scripted(cache=kind())
    for _ in range(3):
        model.invoke("q", {"callbacks": [UsageCallback(ledger)]})
    found = ledger.analytics()
    assert (found.calls, found.hits, found.saved_tokens) == (3, 2, 2 * (11 + 5))
    assert agrees.known(found.usage) == agrees.reported(model) == Usage(11, 5, 8)


def test_a_stream_that_nobody_reads_to_its_end_is_an_error_of_unknown_usage(
    scripted: Any, ledger: Ledger
) -> None:
    stream = scripted().stream("q", {"callbacks": [UsageCallback(ledger)]})
    next(stream)
    stream.close()
    (event,) = ledger.events
    assert event.error == "GeneratorExit()"
    assert event.usage == Usage() and event.cost is None


async def test_an_async_stream_that_nobody_reads_to_its_end_is_an_error_of_unknown_usage(
    scripted: Any, ledger: Ledger
) -> None:
    callback = UsageCallback(ledger)
    stream = scripted().astream("q", {"callbacks": [callback]})
    await anext(stream)
    await stream.aclose()
    await asyncio.sleep(0.05)  # LangChain tells its handlers in the background.
    assert [(event.error != "", event.usage) for event in ledger.events] == [(True, Usage())]


def test_a_call_that_fails_is_recorded_as_such(scripted: Any, ledger: Ledger) -> None:
    model = scripted(script=[ConnectionError("down")])
    with pytest.raises(ConnectionError):
        model.invoke("q", {"callbacks": [UsageCallback(ledger)]})
    (event,) = ledger.events
    assert "down" in event.error and event.model == "gpt-4o-mini"
    assert ledger.analytics().failed == 1


def test_calls_carry_their_tenant_and_their_thread(scripted: Any, ledger: Ledger) -> None:
    config = {"callbacks": [UsageCallback(ledger)], "metadata": {"thread_id": "t1"}}
    with tenant("acme"):
        scripted().invoke("q", config)
    (event,) = ledger.events
    assert event.tenant == "acme"
    assert event.session == Request("", (), tenant="acme", session="t1").conversation


def test_a_ledger_that_fails_is_logged_once_and_breaks_nothing(
    scripted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Ledger):
        def record(self, event: Event) -> None:
            raise BudgetExceeded("spent")

    callback = UsageCallback(Full())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            scripted().invoke("q", {"callbacks": [callback]})
    assert callback.failures == 2
    assert len(caplog.records) == 1


def test_a_callback_remembers_no_call_that_is_over(scripted: Any, ledger: Ledger) -> None:
    callback = UsageCallback(ledger)
    model = scripted(script=["ok", ConnectionError()])
    model.invoke("q", {"callbacks": [callback]})
    with pytest.raises(ConnectionError):
        model.invoke("q", {"callbacks": [callback]})
    assert not callback._runs


def test_a_monitor_records_without_a_change_to_the_code_that_calls(
    scripted: Any, agrees: Any
) -> None:
    model = scripted()
    with monitor() as ledger:
        model.invoke("q")
        RunnableLambda(model.invoke).invoke("q")
        model.batch(["q", "r"])
        create_agent(model).invoke({"messages": [HumanMessage("q")]})
    assert agrees(ledger, model)
    model.invoke("q")
    assert ledger.analytics().calls == 5


def test_a_monitor_that_was_left_by_an_error_is_over(scripted: Any) -> None:
    ledger = Ledger()
    with pytest.raises(RuntimeError), monitor(ledger):
        raise RuntimeError
    scripted().invoke("q")
    assert ledger.analytics().calls == 0


def test_monitors_leave_no_hooks_behind(scripted: Any) -> None:
    before = len(context._configure_hooks)
    for _ in range(5):
        with monitor():
            scripted().invoke("q")
    assert len(context._configure_hooks) == before


def test_a_monitor_and_a_callback_on_one_ledger_count_a_call_once(
    scripted: Any, agrees: Any, ledger: Ledger
) -> None:
    model = scripted()
    with monitor(ledger):
        model.invoke("q", {"callbacks": [UsageCallback(ledger)]})
    assert agrees(ledger, model)


async def test_monitors_of_tasks_do_not_see_each_others_calls(scripted: Any) -> None:
    async def work(calls: int) -> int:
        with monitor() as ledger:
            for _ in range(calls):
                await scripted().ainvoke("q")
                await asyncio.sleep(0)
            return ledger.analytics().calls

    assert await asyncio.gather(work(1), work(2), work(3)) == [1, 2, 3]


def test_a_thread_that_the_caller_starts_is_not_monitored(scripted: Any) -> None:
    with monitor() as ledger:
        thread = threading.Thread(target=lambda: scripted().invoke("q"))
        thread.start()
        thread.join()
    assert ledger.analytics().calls == 0
