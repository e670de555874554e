"""Many callers that ask LangChain's models the same at once, and calls that fail meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.language_models import LLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from pydantic import Field

from langchain_trimtab import TrimtabCache
from langchain_trimtab.failures import failures
from trimtab.cache import ExactCache

MANY = 50


class Writer(LLM):
    """A text model that answers with how often it was called."""

    prompts: list[str] = Field(default_factory=list)
    errors: list[BaseException] = Field(default_factory=list)
    before: Callable[[], Any] = lambda: None

    @property
    def _llm_type(self) -> str:
        return "writer"

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        self.prompts.append(prompt)
        self.before()
        if self.errors:
            raise self.errors.pop()
        return f"{prompt} {len(self.prompts)}"


@pytest.fixture
def cache() -> TrimtabCache:
    return TrimtabCache()


def waiting(cache: TrimtabCache) -> int:
    """Count those who wait for an answer."""
    assert isinstance(cache.cache, ExactCache)
    questions = cache.cache.flight._askers.questions.values()
    return sum(len(q.waiters) for q in questions if q.place[0] is cache.cache.flight)


def until(done: Callable[[], bool]) -> None:
    """Wait for others, but not forever."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_fifty_threads_that_ask_the_same_make_one_call(scripted: Any, cache: TrimtabCache) -> None:
    def answer(_: Any) -> str:
        until(lambda: waiting(cache) == MANY - 1)
        return "once"

    model = scripted(script=[answer], cache=cache)
    with ThreadPoolExecutor(MANY) as pool:
        found = list(pool.map(lambda _: model.invoke("q"), range(MANY)))
    assert model.calls == 1
    assert {message.content for message in found} == {"once"}
    assert len({message.id for message in found}) == MANY
    spent = [m.usage_metadata["output_tokens"] for m in found]
    assert sorted(spent)[-2:] == [0, 5]


async def test_fifty_tasks_that_ask_the_same_make_one_call(
    scripted: Any, cache: TrimtabCache
) -> None:
    def answer(_: Any) -> str:
        until(lambda: waiting(cache) == MANY - 1)
        return "once"

    model = scripted(script=[answer], cache=cache)
    found = await asyncio.gather(*(model.ainvoke("q") for _ in range(MANY)))
    assert model.calls == 1
    assert {message.content for message in found} == {"once"}


async def test_a_text_model_is_called_once_by_threads_and_tasks(cache: TrimtabCache) -> None:
    model = Writer(cache=cache, before=lambda: until(lambda: waiting(cache) == 9))
    assert len({*await asyncio.gather(*(model.ainvoke("q") for _ in range(10)))}) == 1
    with ThreadPoolExecutor(10) as pool:
        assert len({*pool.map(lambda _: model.invoke("r"), range(10))}) == 1
    assert model.prompts == ["q", "r"]


def test_the_same_prompt_twice_in_a_batch_never_waits_for_itself(
    scripted: Any, cache: TrimtabCache
) -> None:
    model, question = scripted(cache=cache), [HumanMessage("q")]
    found = model.generate([question, question]).generations
    assert model.calls == 1
    assert found[0][0].text == found[1][0].text
    assert len(model.batch(["q", "q", "r", "r"])) == 4
    assert model.calls == 2


async def test_the_same_prompt_twice_in_an_async_batch_never_waits_for_itself(
    scripted: Any, cache: TrimtabCache
) -> None:
    model, question = scripted(cache=cache), [HumanMessage("q")]
    await model.agenerate([question, question])
    assert model.calls == 1
    assert len(await model.abatch(["q", "q", "r", "r"])) == 4
    assert model.calls == 2


async def test_a_text_model_is_asked_the_same_twice_in_a_batch_without_waiting(
    cache: TrimtabCache,
) -> None:
    model = Writer(cache=cache)
    # LangChain looks up all prompts of a batch before it asks for the first.
    assert len(model.generate(["q", "q", "r"]).generations) == 3
    assert len((await model.agenerate(["s", "s"])).generations) == 2
    assert model.batch(["q", "r", "s"]) == [await model.ainvoke(p) for p in "qrs"]
    assert waiting(cache) == 0


def test_batches_in_opposite_order_never_wait_for_each_other(cache: TrimtabCache) -> None:
    start = threading.Barrier(2)
    model = Writer(cache=cache)

    def ask(prompts: list[str]) -> Any:
        start.wait()
        return model.generate(prompts).generations

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            cache.clear()
            list(pool.map(ask, [["a", "b", "c"], ["c", "b", "a"]]))
    assert waiting(cache) == 0


@pytest.mark.parametrize("make", ["chat", "text"])
def test_a_call_that_failed_lets_the_next_thread_try_at_once(
    make: str, scripted: Any, cache: TrimtabCache
) -> None:
    tried: list[str] = []

    def answer(_: Any = None) -> str:
        tried.append("x")
        if len(tried) > 1:
            return "second"
        until(lambda: waiting(cache) == 4)
        raise ConnectionError("down")

    def text() -> None:
        answer()

    model = scripted(script=[answer] * 5, cache=cache) if make == "chat" else Writer(cache=cache)
    if isinstance(model, Writer):
        model.before = text

    stay = threading.Barrier(5)

    def ask(_: int) -> str:
        try:
            found = model.invoke("q")
            return str(found.content if isinstance(found, AIMessage) else found)
        except ConnectionError:
            return "error"
        finally:
            stay.wait(20)  # A thread of a pool lives on, so its end tells nobody anything.

    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(ask, range(5)))
    assert len(tried) == 2
    assert sorted(found)[0] == "error" and len(set(found)) == 2


def test_when_every_call_fails_each_caller_gets_an_error_of_its_own(
    scripted: Any, cache: TrimtabCache
) -> None:
    model = scripted(script=[ConnectionError(str(i)) for i in range(8)], cache=cache)
    stay = threading.Barrier(8)

    def ask(_: int) -> str:
        try:
            return str(model.invoke("q").content)
        except ConnectionError as error:
            stay.wait(20)
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [str(i) for i in range(8)]


async def test_tasks_whose_calls_fail_get_an_answer_or_an_error_of_their_own(
    scripted: Any, cache: TrimtabCache
) -> None:
    def fail(_: Any) -> str:
        until(lambda: waiting(cache) == 4)
        raise ConnectionError("down")

    model = scripted(script=[fail, "second"], cache=cache)
    found = await asyncio.gather(*(model.ainvoke("q") for _ in range(5)), return_exceptions=True)
    assert [str(f) for f in found if isinstance(f, Exception)] == ["down"]
    assert {f.content for f in found if not isinstance(f, BaseException)} == {"second"}
    assert model.calls == 2


async def test_a_text_models_task_that_fails_and_goes_on_holds_nobody_up(
    cache: TrimtabCache,
) -> None:
    model, failed, done = Writer(cache=cache), asyncio.Event(), asyncio.Event()
    model.errors.append(ConnectionError("down"))

    async def fail() -> None:
        with pytest.raises(ConnectionError):
            await model.ainvoke("q")
        failed.set()
        await done.wait()

    first = asyncio.create_task(fail())
    await failed.wait()
    assert await model.ainvoke("q") == "q 2"
    done.set()
    await first


async def test_a_task_that_is_cancelled_lets_the_next_one_ask(
    scripted: Any, cache: TrimtabCache
) -> None:
    class Slow(scripted):  # type: ignore[misc]
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            if self.calls == 0:
                self.sent.append([])
                await asyncio.Event().wait()
            return self._generate(*args, **kwargs)

    model = Slow(cache=cache)
    first = asyncio.create_task(model.ainvoke("q"))
    others = [asyncio.create_task(model.ainvoke("q")) for _ in range(3)]
    while waiting(cache) < 3:
        await asyncio.sleep(0.001)
    others[0].cancel()
    first.cancel()
    await asyncio.wait([first, *others])
    assert first.cancelled() and others[0].cancelled()
    assert {task.result().content for task in others[1:]} == {"read 1 messages"}
    assert model.calls == 2


def test_an_answer_that_is_not_kept_sends_all_who_wait_to_the_model(
    scripted: Any, cache: TrimtabCache
) -> None:
    together = threading.Barrier(5)
    calls: list[int] = []

    def answer(_: Any) -> str:
        calls.append(1)
        if len(calls) == 1:
            until(lambda: waiting(cache) == 5)
        else:
            together.wait(20)
        return ""

    model = scripted(script=[answer] * 6, cache=cache)
    with ThreadPoolExecutor(6) as pool:
        assert {m.content for m in pool.map(lambda _: model.invoke("q"), range(6))} == {""}
    assert len(calls) == 6


def test_an_answer_that_json_cannot_hold_holds_nobody_up(
    scripted: Any, cache: TrimtabCache
) -> None:
    def answer(_: Any) -> AIMessage:
        until(lambda: waiting(cache) == 1)
        return AIMessage("x", additional_kwargs={"parsed": object()})

    model = scripted(script=[answer, "second"], cache=cache)
    with ThreadPoolExecutor(2) as pool:
        found = {message.content for message in pool.map(lambda _: model.invoke("q"), range(2))}
    assert found == {"x", "second"}
    assert cache.failures == 1


async def test_a_call_whose_events_are_watched_is_one_of_many(
    scripted: Any, cache: TrimtabCache
) -> None:
    def answer(_: Any) -> str:
        until(lambda: waiting(cache) == 1)
        return "once upon"

    model = scripted(script=[answer], cache=cache)

    async def within(_: int) -> Any:
        return await model.ainvoke("q")

    async def events() -> list[str]:
        found = RunnableLambda(within).astream_events(1, version="v2")
        return [event["event"] async for event in found]

    one, other = await asyncio.gather(events(), model.ainvoke("q"))
    assert model.calls == 1
    assert other.content.strip() == "once upon"
    assert "on_chat_model_end" in one


def test_it_hears_of_failures_without_a_trace_of_anything_else(scripted: Any) -> None:
    TrimtabCache()
    heard: list[str] = []

    class Listener(BaseCallbackHandler):
        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            heard.append(str(error))

    manager = CallbackManager.configure([Listener()])
    assert [type(h) for h in manager.handlers].count(type(failures())) == 1
    assert failures() not in manager.inheritable_handlers
    with pytest.raises(ConnectionError):
        scripted(script=[ConnectionError("down")]).invoke("q", {"callbacks": [Listener()]})
    assert heard == ["down"]


def test_caches_that_are_gone_are_forgotten() -> None:
    import gc

    gc.collect()
    before = len(failures()._flights)
    for _ in range(5):
        TrimtabCache()
    gc.collect()
    assert len(failures()._flights) == before
