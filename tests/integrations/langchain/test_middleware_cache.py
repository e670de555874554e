"""The cache in the middleware: what is kept, who waits, and who is let go."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import StructuredOutputError, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from langchain_trimtab import TrimtabCache, TrimtabMiddleware
from trimtab import Pipeline
from trimtab.cache import ExactCache
from trimtab.errors import BudgetExceeded
from trimtab.types import Request

QUESTION = {"messages": [HumanMessage("Which orders went to Austin?")]}


class City(BaseModel):
    """A city."""

    town: str


@pytest.fixture
def cache() -> Iterator[ExactCache]:
    """A cache with nobody left who leads or waits, whatever happened in the test."""
    cache = ExactCache()
    yield cache
    gc.collect()
    cache.flight.join("other", lambda: None)  # Hears what finalizers said.
    cache.flight.drop("other", retry=True)
    assert not [place for place in cache.flight._askers.questions if place[0] is cache.flight]


def agent_of(model: Any, cache: ExactCache, *more: AgentMiddleware, **rest: Any) -> Any:
    middleware = TrimtabMiddleware(Pipeline(cache=cache))
    return create_agent(model, rest.pop("tools", []), middleware=[middleware, *more], **rest)


def waiting(cache: ExactCache) -> int:
    questions = cache.flight._askers.questions.values()
    return sum(len(q.waiters) for q in questions if q.place[0] is cache.flight)


def until(done: Callable[[], bool]) -> None:
    """Wait for others, but not forever."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def last(found: dict[str, Any]) -> AIMessage:
    message = found["messages"][-1]
    assert isinstance(message, AIMessage)
    return message


def test_threads_that_run_an_agent_at_once_make_one_call(scripted: Any, cache: ExactCache) -> None:
    def answer(_: Any) -> str:
        until(lambda: waiting(cache) == 9)
        return "once"

    model = scripted(script=[answer])
    agent = agent_of(model, cache)
    with ThreadPoolExecutor(10) as pool:
        found = [last(f) for f in pool.map(lambda _: agent.invoke(QUESTION), range(10))]
    assert model.calls == 1
    assert {message.content for message in found} == {"once"}
    assert sum("trimtab" in message.response_metadata for message in found) == 9


async def test_tasks_that_run_an_agent_at_once_make_one_call(
    scripted: Any, cache: ExactCache
) -> None:
    def answer(_: Any) -> str:
        until(lambda: waiting(cache) == 9)
        return "once"

    model = scripted(script=[answer])
    agent = agent_of(model, cache)
    found = await asyncio.gather(*(agent.ainvoke(QUESTION) for _ in range(10)))
    assert model.calls == 1
    assert {last(f).content for f in found} == {"once"}


@pytest.mark.parametrize("mode", ["messages", "updates", "values"])
def test_a_hit_is_served_in_a_stream(mode: str, scripted: Any, cache: ExactCache) -> None:
    model = scripted(script=["once"])
    agent = agent_of(model, cache)
    agent.invoke(QUESTION)
    assert _served(list(agent.stream(QUESTION, stream_mode=mode)), mode) == "once"
    assert model.calls == 1


@pytest.mark.parametrize("mode", ["messages", "updates", "values"])
async def test_a_hit_is_served_in_an_async_stream(
    mode: str, scripted: Any, cache: ExactCache
) -> None:
    model = scripted(script=["once upon"])
    agent = agent_of(model, cache)
    # The first one is streamed word by word, and remembered whole.
    for _ in range(2):
        parts = [part async for part in agent.astream(QUESTION, stream_mode=mode)]
        assert _served(parts, mode).strip() == "once upon"
    assert model.calls == 1


def _served(parts: list[Any], mode: str) -> str:
    if mode == "messages":
        return "".join(message.content for message, _ in parts)
    found = parts[-1]["model"] if mode == "updates" else parts[-1]
    return str(last(found).content)


def test_answers_made_from_what_tools_returned_are_not_kept(
    scripted: Any, tool_call: Any, orders_tool: Any, cache: ExactCache
) -> None:
    model = scripted(script=[tool_call("orders", city="Austin"), "thirty", "thirty-one"])
    agent = agent_of(model, cache, tools=[orders_tool])
    assert [last(agent.invoke(QUESTION)).content for _ in range(2)] == ["thirty", "thirty-one"]
    assert model.calls == 3
    assert (cache.stats().hits, cache.stats().skipped) == (1, 2)


def test_a_call_that_failed_lets_the_next_one_ask(scripted: Any, cache: ExactCache) -> None:
    def fail(_: Any) -> str:
        until(lambda: waiting(cache) == 2)
        raise ConnectionError("down")

    agent = agent_of(scripted(script=[fail, "second"]), cache)
    stay = threading.Barrier(3)

    def ask(_: int) -> str:
        try:
            return str(last(agent.invoke(QUESTION)).content)
        except ConnectionError:
            return "error"
        finally:
            stay.wait(20)

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(ask, range(3))) == ["error", "second", "second"]


async def test_a_run_that_is_cancelled_lets_the_next_one_ask(
    scripted: Any, cache: ExactCache
) -> None:
    class Slow(scripted):  # type: ignore[misc]
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            if self.calls == 0:
                self.sent.append([])
                await asyncio.Event().wait()
            return self._generate(*args, **kwargs)

    agent = agent_of(Slow(), cache)
    first, other = (asyncio.create_task(agent.ainvoke(QUESTION)) for _ in range(2))
    while waiting(cache) < 1:
        await asyncio.sleep(0.001)
    first.cancel()
    assert str(last(await other).content).startswith("read")
    await asyncio.wait([first])


def test_an_answer_in_the_wrong_form_holds_nobody_up(
    scripted: Any, tool_call: Any, cache: ExactCache
) -> None:
    model = scripted(script=[tool_call("City"), tool_call("City", town="Austin")])
    strategy = ToolStrategy(City, handle_errors=False)
    agent = agent_of(model, cache, response_format=strategy)
    with pytest.raises(StructuredOutputError):
        agent.invoke(QUESTION)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(agent.invoke, QUESTION).result(20)
    assert found["structured_response"] == City(town="Austin")


def test_a_hit_in_the_models_own_cache_holds_nobody_up(scripted: Any, cache: ExactCache) -> None:
    own = TrimtabCache()
    model = scripted(script=["once"], cache=own)
    agent_of(model, ExactCache()).invoke(QUESTION)
    agent = agent_of(model, cache)
    with ThreadPoolExecutor(5) as pool:
        found = {last(f).content for f in pool.map(lambda _: agent.invoke(QUESTION), range(5))}
    assert found == {"once"} and model.calls == 1


def test_a_step_that_stops_the_call_holds_nobody_up(scripted: Any, cache: ExactCache) -> None:
    def spent(_: Request) -> Request:
        raise BudgetExceeded("spent")

    middleware = TrimtabMiddleware(Pipeline([spent], cache=cache))
    with pytest.raises(BudgetExceeded):
        create_agent(scripted(), middleware=[middleware]).invoke(QUESTION)


async def test_a_stream_that_nobody_reads_to_its_end_holds_nobody_up(
    scripted: Any, cache: ExactCache
) -> None:
    agent = agent_of(scripted(), cache)
    parts = agent.astream(QUESTION, stream_mode="messages")
    await anext(parts)
    await parts.aclose()
    sync = agent.stream(QUESTION, stream_mode="messages")
    next(sync)
    del sync
    assert str(last(await agent.ainvoke(QUESTION)).content).startswith("read")


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal"])
def test_what_was_cut_or_refused_is_not_kept(reason: str, scripted: Any, cache: ExactCache) -> None:
    class Cut(scripted):  # type: ignore[misc]
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            result = super()._generate(*args, **kwargs)
            result.generations[0].message.response_metadata["finish_reason"] = reason
            return result

    middled, direct = Cut(), Cut(cache=TrimtabCache())
    agent = agent_of(middled, cache)
    for _ in range(2):
        agent.invoke(QUESTION)
        direct.invoke("q")
    assert (middled.calls, direct.calls) == (2, 2)


def test_a_wrong_answer_is_reported_by_the_id_of_its_message(scripted: Any) -> None:
    model, pipeline = scripted(), Pipeline(cache=ExactCache())
    agent = create_agent(model, middleware=[TrimtabMiddleware(pipeline)])
    for _ in range(2):
        answer = agent.invoke({"messages": [HumanMessage("q")]})["messages"][-1]
    assert pipeline.wrong(answer.id)
    assert not pipeline.wrong(answer.id)
    agent.invoke({"messages": [HumanMessage("q")]})
    assert model.calls == 2
