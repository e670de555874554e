"""The exact cache."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from trimtab import Pipeline
from trimtab.cache import ExactCache, MemoryStore, SqliteStore, tagged
from trimtab.prices import cost
from trimtab.types import Message, Part, Request, Response, ToolCall, Usage

REQUEST = Request("gpt-4o", (Message("user", "hi"),))
ANSWER = Response(
    Message(
        "assistant",
        (Part("Hëllo", '{"citations":[1]}'), Part(None, '{"type":"thinking"}')),
        tool_calls=(ToolCall("call_1", "look_up", '{"id": 7}'),),
        name="clerk",
    ),
    Usage(100, 20, 60, None, 5),
    model="gpt-4o-2024-11-20",
    finish_reason="tool_calls",
    logprobs=(-0.5, -0.25),
)


def said(text: str, **rest) -> Response:
    return Response(Message("assistant", text), **rest)


def test_an_answer_comes_back_without_the_id_and_the_framework_object_of_the_one_paid_for() -> None:
    cache = ExactCache()
    cache.put(REQUEST, replace(ANSWER, id="m1", message=replace(ANSWER.message, source=object())))
    found = cache.get(REQUEST)
    assert found == ANSWER
    assert found is not None and found.message.source is None


def test_another_request_is_a_miss() -> None:
    cache = ExactCache()
    cache.put(REQUEST, ANSWER)
    assert cache.get(replace(REQUEST, model="gpt-4o-mini")) is None
    assert cache.get(replace(REQUEST, tenant="acme")) is None
    assert cache.get(replace(REQUEST, params={"temperature": 1})) is None


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER, cacheable=False),
        said("I can", finish_reason="length"),
        said("I can", finish_reason="MAX_TOKENS"),
        said("", finish_reason="content_filter"),
        said("I cannot help", finish_reason="refusal"),
        said(""),
        said(" \n"),
        Response(Message("assistant", (Part(""), Part(None)))),
    ],
)
def test_what_cannot_be_rebuilt_or_is_cut_short_or_empty_is_not_kept(answer: Response) -> None:
    cache = ExactCache()
    cache.put(REQUEST, answer)
    assert cache.get(REQUEST) is None
    assert not cache.store


@pytest.mark.parametrize(
    "answer",
    [
        said("yes", finish_reason="stop"),
        Response(Message("assistant", "", tool_calls=(ToolCall("1", "f", "{}"),))),
        Response(Message("assistant", (Part(None, '{"type":"image"}'),))),
    ],
)
def test_a_text_a_call_of_a_tool_and_an_image_are_answers(answer: Response) -> None:
    cache = ExactCache()
    cache.put(REQUEST, answer)
    assert cache.get(REQUEST) == answer


CALLED = (
    Message("user", "how many?"),
    Message("assistant", "", tool_calls=(ToolCall("1", "count", "{}"),)),
    Message("tool", "3", tool_call_id="1"),
)


def test_what_is_made_from_a_tools_result_is_kept_only_on_demand() -> None:
    asked = Request("gpt-4o", CALLED)
    cache = ExactCache()
    cache.put(asked, ANSWER)
    assert cache.get(asked) is None and not cache.store
    assert cache.stats().skipped == 1 and cache.stats().misses == 0
    cache = ExactCache(keep_tool_answers=True)
    cache.put(asked, ANSWER)
    assert cache.get(asked) == ANSWER


def test_tools_that_were_called_before_the_users_last_word_do_not_matter() -> None:
    asked = Request("gpt-4o", (*CALLED, Message("assistant", "3"), Message("user", "thanks")))
    cache = ExactCache()
    cache.put(asked, ANSWER)
    assert cache.get(asked) == ANSWER


def test_statistics_count_hits_misses_and_what_was_saved() -> None:
    cache = ExactCache()
    assert cache.stats().hit_rate is None
    cache.get(REQUEST)
    usage = Usage(10, 2, 0, 0, 0)
    cache.put(REQUEST, replace(ANSWER, usage=usage))
    cache.get(REQUEST)
    cache.get(REQUEST)
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (2, 1)
    assert stats.hit_rate == pytest.approx(2 / 3)
    assert stats.saved == Usage(20, 4, 0, 0, 0)
    price = cost(ANSWER.model, usage)
    assert price is not None and stats.dollars == 2 * price > 0
    assert (stats.untold, stats.unpriced) == (0, 0)


def test_an_answer_of_unknown_usage_is_counted_and_leaves_the_sum_as_it_is() -> None:
    cache = ExactCache()
    other = replace(REQUEST, model="mine")
    cache.put(REQUEST, replace(ANSWER, usage=None))
    cache.put(other, replace(ANSWER, model="", usage=Usage(10, 2, cache_read_tokens=None)))
    assert cache.stats().saved == Usage(0, 0, 0, 0, 0)
    for request in (REQUEST, other):
        cache.get(request)
    stats = cache.stats()
    assert stats.saved == Usage(10, 2, None, None, None)
    assert (stats.untold, stats.unpriced, stats.dollars) == (1, 2, Decimal(0))


def test_answers_are_json_in_the_callers_own_mapping() -> None:
    store: dict[str, str] = {}
    ExactCache(store).put(REQUEST, ANSWER)
    assert list(store) == [REQUEST.key]
    assert ExactCache(store).get(REQUEST) == ANSWER


def test_an_empty_mapping_of_the_caller_is_used_all_the_same() -> None:
    store: dict[str, str] = {}
    assert ExactCache(store).store is store


def test_clearing_forgets_all_answers_and_not_the_statistics() -> None:
    cache = ExactCache()
    cache.put(REQUEST, ANSWER)
    cache.get(REQUEST)
    cache.clear()
    assert cache.get(REQUEST) is None
    assert cache.stats().hits == 1


def test_a_store_with_foreign_texts_does_not_stop_the_call() -> None:
    cache = ExactCache(store := MemoryStore())
    pipeline = Pipeline(cache=cache)
    store[pipeline.plan(REQUEST).asked.key] = "???"
    assert pipeline.run(REQUEST, lambda _: ANSWER) == ANSWER
    assert pipeline.failures["cache"] == 1
    assert pipeline.run(REQUEST, lambda _: pytest.fail("called")) == ANSWER


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_time_to_live_that_is_over_at_once_is_refused(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl must be positive"):
        ExactCache(ttl=ttl)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_answer_ends_after_its_time(kind: str, tmp_path: Path) -> None:
    now = [1e9]
    store = (
        MemoryStore(clock=lambda: now[0])
        if kind == "memory"
        else SqliteStore(tmp_path / "cache.db", clock=lambda: now[0])
    )
    cache = ExactCache(store, ttl=60)
    cache.put(REQUEST, ANSWER)
    now[0] += 59
    assert cache.get(REQUEST) == ANSWER
    now[0] += 2
    assert cache.get(REQUEST) is None


@pytest.fixture(params=["memory", "dict", "sqlite"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "cache.db")
    return MemoryStore() if request.param == "memory" else {}


def test_new_data_makes_the_answers_made_from_it_unknown(shared) -> None:
    cache, other = ExactCache(shared), ExactCache(shared)
    plain = replace(REQUEST, model="gpt-4o-mini")
    with tagged("prices"), tagged("stock", "weather"):
        assert cache.get(REQUEST) is None
        cache.put(REQUEST, ANSWER)
    cache.put(plain, ANSWER)
    assert other.get(REQUEST) == ANSWER
    other.invalidate("news")
    assert cache.get(REQUEST) == ANSWER
    other.invalidate("prices")
    assert cache.get(REQUEST) is None
    assert cache.get(plain) == ANSWER


def test_an_answer_that_is_asked_for_by_more_of_its_data_than_is_known_is_unknown() -> None:
    cache = ExactCache()
    cache.put(REQUEST, ANSWER)
    with tagged("prices"):
        assert cache.get(REQUEST) is None
        cache.put(REQUEST, ANSWER)
        assert cache.get(REQUEST) == ANSWER
    assert cache.get(REQUEST) == ANSWER


def test_an_answer_made_from_old_data_is_not_kept_under_the_new() -> None:
    cache = ExactCache(tags=lambda request: [request.model])
    assert cache.get(REQUEST) is None
    cache.invalidate("gpt-4o")
    cache.put(REQUEST, ANSWER)
    assert cache.get(REQUEST) is None
    cache.put(REQUEST, ANSWER)
    assert cache.get(REQUEST) == ANSWER


def test_a_question_asked_twice_before_it_is_answered_twice_is_kept_once() -> None:
    cache = ExactCache(tags=lambda _: ["a"])
    assert cache.get(REQUEST) is cache.get(REQUEST) is None
    cache.invalidate("a")
    cache.put(REQUEST, ANSWER)
    cache.put(REQUEST, ANSWER)
    assert cache.get(REQUEST) is None


def test_an_answer_may_come_from_another_thread_than_the_question() -> None:
    cache = ExactCache(tags=lambda _: ["a"])
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.get, REQUEST).result() is None
        cache.invalidate("a")
    cache.put(REQUEST, ANSWER)
    assert cache.get(REQUEST) is None


def test_who_asks_after_the_data_changed_does_not_wait_for_an_answer_made_before() -> None:
    cache = ExactCache(tags=lambda _: ["a"], patience=60)
    assert cache.get(REQUEST) is None
    cache.invalidate("a")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.get, REQUEST).result(timeout=30) is None


def test_many_threads_cause_one_call() -> None:
    cache, calls, start = ExactCache(), list[int](), threading.Barrier(20)

    def ask(name: int) -> Response:
        start.wait()
        found = cache.get(REQUEST)
        if found is None:
            calls.append(name)
            cache.put(REQUEST, replace(ANSWER, id="m1"))
        return found or ANSWER

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert answers == [ANSWER] * 20 and len(calls) == 1
    assert (cache.stats().hits, cache.stats().misses) == (19, 1)


@pytest.mark.parametrize("retry, calls", [(True, 10), (False, 10)])
def test_who_gives_no_answer_leaves_nobody_waiting(retry: bool, calls: int) -> None:
    cache, asked = ExactCache(patience=60), list[Response | None]()

    def ask(_: int) -> None:
        asked.append(cache.get(REQUEST))
        cache.release(REQUEST, retry=retry)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(ask, range(10)))
    assert asked == [None] * calls


async def test_many_tasks_cause_one_call(tmp_path: Path) -> None:
    for store in (None, SqliteStore(tmp_path / "cache.db")):
        cache, calls = ExactCache(store), list[int]()

        async def ask(
            name: int, cache: ExactCache = cache, calls: list[int] = calls
        ) -> Response | None:
            if (found := await cache.aget(REQUEST)) is not None:
                return found
            calls.append(name)
            await asyncio.sleep(0)
            await cache.aput(REQUEST, ANSWER)
            return ANSWER

        assert await asyncio.gather(*map(ask, range(50))) == [ANSWER] * 50
        assert len(calls) == 1
        await cache.aclear()
        assert await cache.aget(REQUEST) is None
        cache.release(REQUEST)


async def test_tags_hold_in_async_code() -> None:
    cache = ExactCache()
    with tagged("a"):
        assert await cache.aget(REQUEST) is None
    cache.invalidate("a")
    await cache.aput(REQUEST, ANSWER)
    assert await cache.aget(REQUEST) is None


class Full(dict[str, str]):
    """A mapping that takes nothing."""

    def __setitem__(self, key: str, text: str) -> None:
        raise OSError("full")


def test_an_answer_that_cannot_be_stored_reaches_those_who_wait() -> None:
    cache, pipeline = ExactCache(Full(), patience=60), Pipeline()
    pipeline.cache = cache
    asked, waits = threading.Event(), threading.Event()

    def lead() -> Response:
        def call(_: Request) -> Response:
            asked.set()
            waits.wait(30)
            return ANSWER

        return pipeline.run(REQUEST, call)

    def follow() -> Response:
        asked.wait(30)
        waits.set()
        return pipeline.run(REQUEST, lambda _: ANSWER)

    with ThreadPoolExecutor(2) as pool:
        answers = [job.result(30) for job in [pool.submit(lead), pool.submit(follow)]]
    assert answers == [ANSWER, ANSWER]
    assert pipeline.failures["cache"] >= 1


def test_two_caches_over_one_file_cause_one_call(tmp_path: Path) -> None:
    caches = [ExactCache(SqliteStore(tmp_path / "cache.db")) for _ in range(2)]
    calls, start = list[int](), threading.Barrier(2)

    def ask(name: int) -> None:
        start.wait()
        if caches[name].get(REQUEST) is None:
            calls.append(name)
            caches[name].put(REQUEST, ANSWER)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, range(2)))
    assert len(calls) == 1


def test_importing_the_caches_loads_no_numpy() -> None:
    code = "import sys, trimtab.cache; print([m for m in ('numpy', 'asyncio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
