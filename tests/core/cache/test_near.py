"""What stores on servers must do besides, where they find by meaning."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from servers import ENGINE, SETS, postgres_store, redis_store

from trimtab.cache.store import Near

SIZE = 16
Vector = NDArray[np.float32]
STORES: dict[str, Callable[[Any], Any]] = {
    ENGINE: lambda clock: redis_store(ENGINE, clock),
    SETS: lambda clock: redis_store(SETS, clock),
    "postgres": postgres_store,
    "postgres with graphs": lambda clock: postgres_store(clock, graph_from=20),
}


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, now: list[float]) -> Iterator[Any]:
    store = STORES[request.param](lambda: now[0])
    yield store
    store.clear()
    store.close()


def vectors(count: int, size: int = SIZE, seed: int = 0) -> list[Vector]:
    drawn = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return list(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def put(store: Any, partition: str, key: str, vector: Vector, ttl: float | None = None) -> None:
    store.save(key, f"answer {key}", ttl=ttl)
    store.place(partition, Near(key, f"question {key}", vector, 1.0, b"note\0\xff"), ttl=ttl)


def keys(store: Any, partition: str, vector: Vector, count: int = 5) -> list[str]:
    return [near.key for near in store.nearest(partition, vector, count)]


def test_what_is_found_comes_back_as_it_was_placed(store: Any) -> None:
    (vector,) = vectors(1)
    store.save("a", "x")
    store.place("p", Near("a", "half \ud83d \0", vector, 1.0, b"\0\xff"))
    (near,) = store.nearest("p", vector, 3)
    assert (near.key, near.question, near.note) == ("a", "half \ud83d \0", b"\0\xff")
    assert np.allclose(near.vector, vector, atol=1e-3)
    assert near.similarity == pytest.approx(1.0, abs=1e-3)


def test_the_nearest_come_first(store: Any) -> None:
    drawn, (asked,) = vectors(60), vectors(1, seed=1)
    for i, vector in enumerate(drawn):
        put(store, "p", f"{i}", vector)
    order = sorted(range(60), key=lambda i: -float(drawn[i] @ asked))
    found = store.nearest("p", asked, 7)
    assert [near.key for near in found] == [f"{i}" for i in order[:7]]
    assert [n.similarity for n in found] == pytest.approx(
        [float(drawn[i] @ asked) for i in order[:7]], abs=1e-3
    )


def test_no_partition_sees_another(store: Any) -> None:
    """Also where the other one holds many that are nearer, and names look like patterns."""
    near, *far = vectors(40)
    names = ["a", "A", "a*", "a|b", "a} @x:{b", "{a}", "ä \ud83d", "a" * 3000, ""]
    for i in range(30):
        put(store, "crowd", f"crowd {i}", near)
    for i, name in enumerate(names):
        put(store, name, f"own {i}", far[i])
    assert [keys(store, name, near) for name in names] == [[f"own {i}"] for i in range(len(names))]
    assert keys(store, "*", near) == keys(store, "a, A", near) == []


def test_what_is_dropped_is_not_found_and_hides_nothing(store: Any) -> None:
    near, other = vectors(2)
    for i in range(40):
        put(store, "p", f"{i}", near)
    put(store, "p", "other", other)
    for i in range(40):
        store.drop(f"{i}")
    assert keys(store, "p", near, 1) == ["other"]


def test_what_has_ended_is_not_found_and_hides_nothing(store: Any, now: list[float]) -> None:
    near, other = vectors(2)
    for i in range(40):
        put(store, "p", f"{i}", near, ttl=10)
    put(store, "p", "other", other, ttl=20)
    put(store, "q", "forever", near)
    now[0] += 11
    assert keys(store, "p", near, 1) == ["other"]
    now[0] += 10
    assert keys(store, "p", near, 1) == []
    assert keys(store, "q", near, 1) == ["forever"]


def test_a_vector_ends_when_its_own_time_is_over(store: Any, now: list[float]) -> None:
    (vector,) = vectors(1)
    store.save("a", "x")
    store.place("p", Near("a", "?", vector, 1.0), ttl=10)
    now[0] += 9
    assert keys(store, "p", vector) == ["a"]
    now[0] += 2
    assert keys(store, "p", vector) == []


def search(store: Any, found: Any) -> None:
    found.put(keys(store, "p", vectors(1)[0]))


def test_a_forked_process_and_its_parent_go_on_with_it(store: Any) -> None:
    (vector,) = vectors(1)
    put(store, "p", "a", vector)
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    child = context.Process(target=search, args=(store, found))
    child.start()
    for _ in range(20):
        assert keys(store, "p", vector) == ["a"]
    assert found.get(timeout=20) == ["a"]
    child.join(20)
    assert child.exitcode == 0
    assert keys(store, "p", vector) == ["a"]
