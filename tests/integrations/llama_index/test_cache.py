"""The cache in the wrapper: streams, many callers at once, and questions in other words."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from llama_index.core import MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.schema import Document
from llama_index_instrumentation.dispatcher import instrument_tags

from llama_index_trimtab import TrimtabLLM
from trimtab import Pipeline
from trimtab.cache import ExactCache
from trimtab.cache.semantic import SemanticCache
from trimtab.cache.verify import Reading
from trimtab.tenant import tenant

Make = Callable[..., Any]
Way = Callable[[Any, str], str]


class Alike:
    """Takes all questions for the same one, so that nothing but the partition parts them."""

    fingerprint = "alike"

    def read(self, text: str) -> Reading:
        return Reading(text, np.ones(4, np.float32) / 2, b"")

    def same(self, one: Reading, other: Reading) -> float:
        return 1.0


def user(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


def ways() -> dict[str, Way]:
    """All ways to ask for a text, the async ones from a loop of their own."""

    async def chunks(stream: Any) -> str:
        return "".join([chunk.delta or "" async for chunk in await stream])

    async def text(answer: Any) -> str:
        return str((await answer).message.content)

    return {
        "chat": lambda llm, q: str(llm.chat(user(q)).message.content),
        "stream": lambda llm, q: "".join(c.delta or "" for c in llm.stream_chat(user(q))),
        "achat": lambda llm, q: asyncio.run(text(llm.achat(user(q)))),
        "astream": lambda llm, q: asyncio.run(chunks(llm.astream_chat(user(q)))),
        "complete": lambda llm, q: str(llm.complete(q).text),
        "stream_complete": lambda llm, q: "".join(c.delta for c in llm.stream_complete(q)),
        "astream_complete": lambda llm, q: asyncio.run(chunks(llm.astream_complete(q))),
    }


each_way = pytest.mark.parametrize("way", ways().values(), ids=list(ways()))


@pytest.fixture
def cache() -> Iterator[ExactCache]:
    """A cache with nobody left who leads or waits, whatever happened in the test."""
    cache = ExactCache()
    yield cache
    gc.collect()
    cache.flight.join("other", lambda: None)  # Hears what finalizers said.
    cache.flight.drop("other", retry=True)
    assert not [place for place in cache.flight._askers.questions if place[0] is cache.flight]


@pytest.fixture
def cached(scripted: Make, cache: ExactCache) -> Callable[..., TrimtabLLM]:
    return lambda *script: TrimtabLLM(scripted(*script), Pipeline(cache=cache))


@pytest.fixture
def alike(scripted: Make) -> Callable[..., TrimtabLLM]:
    """Make one whose cache takes all questions for the same."""

    def make(*script: Any, cache: SemanticCache | None = None) -> TrimtabLLM:
        found = cache or SemanticCache(reader=Alike())  # type: ignore[arg-type]
        return TrimtabLLM(scripted(*script), Pipeline(cache=found))

    return make


def waiting(cache: ExactCache) -> int:
    questions = cache.flight._askers.questions.values()
    return sum(len(q.waiters) for q in questions if q.place[0] is cache.flight)


def until(done: Callable[[], bool]) -> None:
    """Wait for others, but not forever."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@each_way
def test_threads_that_ask_the_same_at_once_make_one_call(
    way: Way, cached: Make, cache: ExactCache
) -> None:
    def answer() -> str:
        until(lambda: waiting(cache) == 7)
        return "once upon"

    llm = cached(answer)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: way(llm, "q"), range(8)))
    assert len(llm.inner.sent) == 1
    assert set(found) == {"once upon"}
    assert llm.pipeline.ledger.analytics().hits == 7


async def test_streams_of_one_event_loop_make_one_call(cached: Make, cache: ExactCache) -> None:
    llm = cached("once upon")

    async def ask() -> str:
        return "".join([chunk.delta async for chunk in await llm.astream_chat(user("q"))])

    first = await llm.astream_chat(user("q"))
    assert (await anext(first)).delta == "once"
    others = [asyncio.create_task(ask()) for _ in range(9)]
    while waiting(cache) < 9:
        await asyncio.sleep(0.001)
    assert [chunk.delta async for chunk in first] == [" upon", ""]
    assert {*await asyncio.gather(*others)} == {"once upon"}
    assert len(llm.inner.sent) == 1


@each_way
def test_a_call_that_failed_lets_the_next_one_ask(
    way: Way, cached: Make, cache: ExactCache
) -> None:
    def fail() -> str:
        until(lambda: waiting(cache) == 2)
        raise ConnectionError("down")

    llm, stay = cached(fail, "second"), threading.Barrier(3)

    def ask(_: int) -> str:
        try:
            return way(llm, "q")
        except ConnectionError:
            return "error"
        finally:
            stay.wait(20)

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(ask, range(3))) == ["error", "second", "second"]


def test_a_stream_that_is_dropped_half_way_is_not_kept_and_holds_nobody_up(
    cached: Make, cache: ExactCache
) -> None:
    llm = cached("one two three", "four five")
    chunks = llm.stream_chat(user("q"))
    assert next(chunks).delta == "one"
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(ways()["stream"], llm, "q")
        until(lambda: waiting(cache) == 1)
        chunks.close()
        assert other.result(20) == "four five"
    assert ways()["stream"](llm, "q") == "four five"


def test_a_stream_that_nobody_reads_calls_nothing_and_holds_nobody_up(
    cached: Make, cache: ExactCache
) -> None:
    llm = cached("one two")
    unread = llm.stream_chat(user("q"))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ways()["stream"], llm, "q").result(20) == "one two"
    assert "".join(chunk.delta for chunk in unread) == "one two"
    assert len(llm.inner.sent) == 1


async def test_an_async_stream_that_nobody_reads_calls_nothing(cached: Make) -> None:
    llm = cached("one two")
    unread = await llm.astream_chat(user("q"))
    assert [c.delta async for c in await llm.astream_chat(user("q"))] == ["one", " two", ""]
    assert [c.delta async for c in unread] == ["one two"]


def test_two_streams_of_one_thread_never_wait_for_each_other(cached: Make) -> None:
    llm = cached("one two", "three four")
    both = zip(llm.stream_chat(user("q")), llm.stream_chat(user("q")), strict=True)
    assert "".join(one.delta + other.delta for one, other in both) == "onethree two four"


def test_a_stream_that_is_read_elsewhere_is_still_its_callers(cached: Make) -> None:
    llm = cached("acme's", "globex's")
    with tenant("acme"):
        chunks = llm.stream_chat(user("q"))
    with instrument_tags({"tenant": "globex"}):
        others = llm.stream_chat(user("q"))
    assert "".join(chunk.delta for chunk in chunks) == "acme's"
    assert "".join(chunk.delta for chunk in others) == "globex's"
    assert {event.tenant for event in llm.pipeline.ledger.events} == {"acme", "globex"}


async def test_a_task_that_is_cancelled_lets_the_next_one_ask(
    cached: Make, cache: ExactCache
) -> None:
    llm = cached("one two three", "four")
    started = asyncio.Event()

    async def read(stay: bool) -> str:
        found = []
        async for chunk in await llm.astream_chat(user("q")):
            found.append(chunk.delta)
            if stay:
                started.set()
                await asyncio.Event().wait()
        return "".join(found)

    first = asyncio.create_task(read(True))
    await started.wait()
    other = asyncio.create_task(read(False))
    while waiting(cache) < 1:
        await asyncio.sleep(0.001)
    first.cancel()
    assert await other == "four"


@each_way
def test_other_words_are_answered_and_the_answer_says_so(way: Way, alike: Make) -> None:
    llm = alike("far away", "next")
    assert [way(llm, q) for q in ("How far?", "What distance?")] == ["far away"] * 2
    assert len(llm.inner.sent) == 1
    assert llm.pipeline.cache.stats().semantic == 1


def test_a_hit_says_which_tier_gave_it(alike: Make) -> None:
    llm = alike("far away")
    llm.chat(user("How far?"))
    kinds = [llm.chat(user(q)).raw["trimtab"]["kind"] for q in ("How far?", "What distance?")]
    assert kinds == ["exact", "semantic"]
    (chunk,) = llm.stream_chat(user("And now?"))
    assert chunk.raw["trimtab"]["kind"] == "semantic"


def test_only_the_users_last_words_may_differ(scripted: Make) -> None:
    cache = SemanticCache(reader=Alike())  # type: ignore[arg-type]
    inner = scripted()
    llm = TrimtabLLM(inner, Pipeline(cache=cache))
    hotter = TrimtabLLM(scripted(temperature=1.0), Pipeline(cache=cache))
    system = ChatMessage(role="system", content="Be brief.")
    for question in ("One?", "Two?"):
        llm.chat(user(question))
        llm.chat([system, *user(question)])
        llm.chat([*user("hi"), ChatMessage(role="assistant", content="hello"), *user(question)])
        llm.chat(user(question), stop=["."])
        llm.complete(question)
        hotter.chat(user(question))
    assert (len(inner.sent), len(hotter.inner.sent)) == (5, 1)
    with tenant("acme"):
        llm.chat(user("Three?"))
    assert len(inner.sent) == 6


@pytest.fixture
def settings(alike: Make) -> Iterator[TrimtabLLM]:
    before = Settings._llm
    Settings.llm = llm = alike("meow", "purr", "hiss")
    yield llm
    Settings._llm = before


def test_a_chat_engine_finds_questions_in_other_words(settings: TrimtabLLM) -> None:
    assert str(SimpleChatEngine.from_defaults().chat("What do cats do?")) == "meow"
    engine = SimpleChatEngine.from_defaults()
    assert str(engine.chat("What is it that cats do?")) == "meow"
    assert str(engine.chat("What else?")) == "purr"
    streamed = SimpleChatEngine.from_defaults().stream_chat("What is done by cats?")
    assert "".join(streamed.response_gen) == "meow"
    assert len(settings.inner.sent) == 2  # type: ignore[attr-defined]


def test_a_query_engine_is_answered_once(settings: TrimtabLLM) -> None:
    index = VectorStoreIndex.from_documents(
        [Document(text="cats meow")], embed_model=MockEmbedding(embed_dim=4)
    )
    assert str(index.as_query_engine().query("what do cats do?")) == "meow"
    streamed = index.as_query_engine(streaming=True).query("what do cats do?")
    assert "".join(streamed.response_gen) == "meow"
    assert len(settings.inner.sent) == 1  # type: ignore[attr-defined]
