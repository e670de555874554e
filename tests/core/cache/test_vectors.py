"""What every store that finds questions by meaning must do. A new one adds a line to STORES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import ENGINE, SETS, postgres_store, redis_store

from trimtab.cache import MemoryStore, SqliteStore
from trimtab.cache.memory import Mapped
from trimtab.cache.store import Near

Clock = list[float]
Make = Callable[[Path, Callable[[], float]], Any]
STORES: dict[str, Make] = {
    "memory": lambda path, clock: MemoryStore(max_entries=50, clock=clock),
    "a dict": lambda path, clock: Mapped({}, clock=clock),
    "sqlite": lambda path, clock: SqliteStore(path / "cache.db", max_entries=50, clock=clock),
    ENGINE: lambda path, clock: redis_store(ENGINE, clock),
    SETS: lambda path, clock: redis_store(SETS, clock),
    "postgres": lambda path, clock: postgres_store(clock, max_entries=50),
}


@pytest.fixture
def now() -> Clock:
    return [1_700_000_000.0]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, now: Clock) -> Iterator[Any]:
    store = STORES[request.param](tmp_path, lambda: now[0])
    yield store
    if hasattr(store, "close"):
        store.close()


def towards(*numbers: float) -> Any:
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


def place(store: Any, key: str, vector: Any, partition: str = "p", **rest: Any) -> None:
    store.save(key, "x", **rest)
    store.place(partition, Near(key, f"{key}?", vector, 1.0, key.encode()), **rest)


def found(store: Any, vector: Any, count: int = 5, partition: str = "p") -> list[str]:
    return [near.key for near in store.nearest(partition, vector, count)]


def test_the_nearest_comes_first_with_all_that_was_placed(store: Any) -> None:
    place(store, "east", towards(1, 0))
    place(store, "north", towards(0, 1))
    place(store, "northeast", towards(1, 1))
    near = store.nearest("p", towards(1, 0.1), 2)
    assert [n.key for n in near] == ["east", "northeast"]
    assert [n.question for n in near] == ["east?", "northeast?"]
    assert [n.note for n in near] == [b"east", b"northeast"]
    assert near[1].vector == pytest.approx(towards(1, 1), abs=1e-3)
    assert near[0].similarity == pytest.approx(float(towards(1, 0) @ towards(1, 0.1)), abs=1e-3)


def test_nothing_is_found_in_another_partition(store: Any) -> None:
    place(store, "a", towards(1, 0))
    assert found(store, towards(1, 0), partition="q") == []


def test_placing_a_key_again_replaces_it(store: Any) -> None:
    place(store, "a", towards(1, 0))
    place(store, "a", towards(0, 1))
    assert found(store, towards(0, 1)) == ["a"]
    place(store, "a", towards(0, 1), partition="q")
    assert found(store, towards(0, 1)) == []
    assert found(store, towards(0, 1), partition="q") == ["a"]


def test_what_is_dropped_or_cleared_is_not_found(store: Any) -> None:
    for key in ("a", "b", "c"):
        place(store, key, towards(1, 0))
    store.drop("b")
    assert sorted(found(store, towards(1, 0))) == ["a", "c"]
    store.clear()
    assert found(store, towards(1, 0)) == []
    place(store, "d", towards(1, 0))
    assert found(store, towards(1, 0)) == ["d"]


def test_what_has_ended_hides_nothing_that_has_not(store: Any, now: Clock) -> None:
    if isinstance(store, Mapped):
        pytest.skip("a mapping tells nobody what has ended")
    for i in range(20):
        place(store, f"short {i}", towards(1, 0), ttl=10)
    place(store, "long", towards(1, 1), ttl=100)
    now[0] += 11
    assert found(store, towards(1, 0)) == ["long"]


def test_what_was_evicted_is_not_found(store: Any) -> None:
    if not hasattr(store, "max_entries"):
        pytest.skip("has no bounds that are known")
    for i in range(80):
        place(store, f"{i}", towards(i + 1, 1))
    near = found(store, towards(1, 0), 80)
    assert len(near) == 50 and all(store.load(key) for key in near)
    place(store, "best", towards(1, 0.001))
    assert "best" in found(store, towards(1, 0))


def test_a_vector_without_a_text_is_not_placed(store: Any) -> None:
    if isinstance(store, Mapped):
        pytest.skip("a mapping is not asked")
    store.place("p", Near("nowhere", "?", towards(1, 0), 1.0))
    assert found(store, towards(1, 0)) == []


def test_vectors_of_another_length_are_never_compared(store: Any) -> None:
    place(store, "a", towards(1, 0))
    assert found(store, towards(1, 0, 0)) == []
    place(store, "b", towards(1, 0, 0))
    assert found(store, towards(1, 0, 0)) == ["b"]


def test_threads_may_place_and_search_at_once(store: Any) -> None:
    def work(name: int) -> None:
        for i in range(10):
            place(store, f"{name} {i}", towards(name + 1, i + 1, 1), partition=f"{name % 2}")
            assert len(found(store, towards(1, 1, 1), partition=f"{name % 2}")) >= 1
            if i % 2:
                store.drop(f"{name} {i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    for partition in ("0", "1"):
        near = found(store, towards(1, 1, 1), 100, partition)
        assert len(near) == 10 and all(int(key[0]) % 2 == int(partition) for key in near)
