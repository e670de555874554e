"""What every store of a cache must do. A new one adds a line to STORES."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from servers import EXACT, postgres_store, redis_store

from trimtab.cache import MemoryStore, SqliteStore
from trimtab.cache.memory import Mapped
from trimtab.cache.store import Store


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


Make = Callable[[Path, Clock], Any]
STORES: dict[str, Make] = {
    "memory": lambda path, clock: MemoryStore(clock=clock),
    "memory, limited by bytes": lambda path, clock: MemoryStore(max_bytes=10**7, clock=clock),
    "a dict": lambda path, clock: Mapped({}, clock=clock),
    "sqlite": lambda path, clock: SqliteStore(path / "cache.db", clock=clock),
    "redis": lambda path, clock: redis_store(EXACT, clock),
    "postgres": lambda path, clock: postgres_store(clock),
}
LEASES = {name: make for name, make in STORES.items() if name != "a dict"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    yield from opened(STORES[request.param](tmp_path, clock))


@pytest.fixture(params=LEASES)
def leases(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Any]:
    yield from opened(LEASES[request.param](tmp_path, clock))


def opened(store: Any) -> Iterator[Any]:
    yield store
    if hasattr(store, "close"):
        store.close()


def test_what_is_saved_is_found_until_it_is_dropped(store: Store) -> None:
    assert store.load("a") is None
    store.save("a", "one")
    store.save("b", "two", worth=0.5)
    assert (store.load("a"), store.load("b")) == ("one", "two")
    store.drop("a")
    store.drop("never there")
    assert (store.load("a"), store.load("b")) == (None, "two")


def test_the_last_text_saved_is_the_one_found(store: Store) -> None:
    for text in ("one", "two", ""):
        store.save("a", text)
        assert store.load("a") == text


@pytest.mark.parametrize(
    "text",
    ["😀 ümläut\0\r\n", "half \ud83d", '{"until": 1}', '{"until":null}', "x" * 3_000_000],
    ids=["emoji", "half", "stamp", "stamp of ours", "large"],
)
def test_any_text_comes_back(store: Store, text: str) -> None:
    store.save("a", text)
    assert store.load("a") == text
    store.save("a", text, ttl=60)
    assert store.load("a") == text


def test_a_text_ends_when_its_time_is_over(store: Store, clock: Clock) -> None:
    store.save("short", "x", ttl=10)
    store.save("long", "x", ttl=20)
    store.save("forever", "x")
    clock.passes(9.9)
    assert [store.load(key) for key in ("short", "long", "forever")] == ["x"] * 3
    clock.passes(0.2)
    assert [store.load(key) for key in ("short", "long", "forever")] == [None, "x", "x"]


def test_saving_again_begins_a_new_time(store: Store, clock: Clock) -> None:
    store.save("a", "x", ttl=10)
    store.save("b", "x", ttl=10)
    clock.passes(5)
    store.save("a", "y", ttl=10)
    store.save("b", "y")
    clock.passes(6)
    assert (store.load("a"), store.load("b")) == ("y", "y")
    clock.passes(5)
    assert (store.load("a"), store.load("b")) == (None, "y")


def test_clearing_forgets_everything(store: Store) -> None:
    for key in ("a", "b", "epoch:c"):
        store.save(key, "x")
    store.clear()
    assert [store.load(key) for key in ("a", "b", "epoch:c")] == [None] * 3
    store.save("a", "y")
    assert store.load("a") == "y"


def test_threads_may_use_it_at_once(store: Store) -> None:
    def work(name: int) -> list[str | None]:
        for i in range(20):
            store.save(f"{name} {i}", f"{name}")
            store.save("shared", f"{name}")
            store.load("shared")
            if i % 2:
                store.drop(f"{name} {i}")
        return [store.load(f"{name} {i}") for i in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [[f"{name}", None] * 10 for name in range(8)]


def test_a_lease_has_one_owner_at_a_time(leases: Any) -> None:
    assert leases.claim("a", "me", 10)
    assert not leases.claim("a", "you", 10)
    assert leases.claim("b", "you", 10)
    leases.release("a", "you")
    assert not leases.claim("a", "you", 10)
    leases.release("a", "me")
    assert leases.claim("a", "you", 10)


def test_a_lease_runs_out_unless_it_is_prolonged(leases: Any, clock: Clock) -> None:
    leases.claim("a", "me", 10)
    clock.passes(9)
    assert leases.claim("a", "me", 10)
    clock.passes(9)
    assert not leases.claim("a", "you", 10)
    clock.passes(2)
    assert leases.claim("a", "you", 10)
    assert not leases.claim("a", "me", 10)
    leases.release("a", "me")
    assert not leases.claim("a", "me", 10)


def test_leases_and_texts_do_not_mix(leases: Any) -> None:
    leases.save("a", "x")
    assert leases.claim("a", "me", 10)
    leases.drop("a")
    assert not leases.claim("a", "you", 10)
    assert leases.load("a") is None
    leases.clear()
    assert leases.claim("a", "you", 10)


def test_of_many_threads_that_claim_at_once_one_succeeds(leases: Any) -> None:
    start = threading.Barrier(8)

    def claim(name: int) -> bool:
        start.wait()
        return bool(leases.claim("a", f"{name}", 10))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            leases.clear()
            assert sum(pool.map(claim, range(8))) == 1
