"""The store in memory: which texts go."""

from __future__ import annotations

import random

import pytest

from trimtab.cache import MemoryStore


def test_it_is_a_mapping_too() -> None:
    store = MemoryStore()
    store["a"] = "one"
    store["epoch:b"] = "two"
    assert store["a"] == "one" and dict(store) == {"a": "one", "epoch:b": "two"}
    assert len(store) == 2 and "a" in store and "x" not in store
    del store["a"]
    with pytest.raises(KeyError):
        del store["a"]
    assert store.pop("epoch:b") == "two" and not store


@pytest.mark.parametrize("room", [{"max_entries": 0}, {"max_bytes": 0}])
def test_no_room_at_all_is_refused(room: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no room"):
        MemoryStore(**room)


def test_it_never_holds_more_than_it_may() -> None:
    store = MemoryStore(max_entries=10)
    for i in range(100):
        store.save(f"{i}", "x")
        assert len(store) <= 10
    assert store.load("99") == "x"


def test_it_never_holds_more_bytes_than_it_may() -> None:
    store, dice = MemoryStore(max_bytes=1000), random.Random(0)
    for _ in range(300):
        store.save(f"{dice.randrange(50)}", "x" * dice.randrange(400))
        assert sum(len(key) + len(store[key]) for key in store) <= 1000


def test_a_text_that_is_larger_than_the_store_is_not_kept_and_drives_nothing_out() -> None:
    store = MemoryStore(max_bytes=100)
    store.save("a", "x")
    store.save("b", "x" * 200)
    assert store.load("a") == "x" and store.load("b") is None
    store.save("a", "x" * 200)
    assert store.load("a") is None


def test_what_is_asked_for_outlives_what_is_not() -> None:
    store = MemoryStore(max_entries=10)
    store.save("asked", "x")
    for i in range(100):
        store.load("asked")
        store.save(f"{i}", "x")
    assert store.load("asked") == "x"


def test_what_was_dear_outlives_what_was_cheap() -> None:
    store = MemoryStore(max_entries=10)
    for i in range(5):
        store.save(f"dear {i}", "x", worth=0.5)
    for i in range(100):
        store.save(f"{i}", "x", worth=0.001)
    assert all(store.load(f"dear {i}") for i in range(5))


def test_what_was_dear_and_is_never_asked_for_makes_way_in_time() -> None:
    store = MemoryStore(max_entries=10)
    store.save("dear", "x", worth=0.1)
    for i in range(3000):
        store.save(f"{i}", "x", worth=0.001)
    assert store.load("dear") is None


def test_small_texts_outlive_large_ones_where_bytes_are_limited() -> None:
    store = MemoryStore(max_bytes=1000)
    for i in range(5):
        store.save(f"{i}", "x")
    for i in range(10):
        store.save(f"large {i}", "x" * 400)
    assert all(store.load(f"{i}") for i in range(5))


def test_what_has_ended_goes_first() -> None:
    now = [0.0]
    store = MemoryStore(max_entries=3, clock=lambda: now[0])
    store.save("ended", "x", ttl=10, worth=100)
    store.save("a", "x")
    store.save("b", "x")
    now[0] = 11
    store.save("c", "x")
    assert [store.load(key) for key in ("a", "b", "c")] == ["x"] * 3


def test_epochs_never_go() -> None:
    store = MemoryStore(max_entries=2)
    store.save("epoch:a", "x")
    for i in range(50):
        store.save(f"{i}", "x")
    assert store.load("epoch:a") == "x"


def test_saving_the_same_key_over_and_over_takes_no_more_memory() -> None:
    store = MemoryStore(max_entries=2)
    for _ in range(1000):
        store.save("a", "x", ttl=100)
    assert len(store._ranked) < 100 and len(store._ending) < 100


def test_by_value_more_dollars_are_saved_than_by_recency() -> None:
    dice = random.Random(1)
    worth = [0.002 * 2 ** dice.gauss(0, 1.7) for _ in range(2000)]
    often = [1 / (i + 1) ** 0.8 for i in range(2000)]
    store, saved = MemoryStore(max_entries=100), 0.0
    recent, by_recency = dict[int, None](), 0.0
    for i in dice.choices(range(2000), often, k=8000):
        if store.load(f"{i}") is None:
            store.save(f"{i}", "x", worth=worth[i])
        else:
            saved += worth[i]
        if i in recent:
            del recent[i]
            by_recency += worth[i]
        elif len(recent) == 100:
            del recent[next(iter(recent))]
        recent[i] = None
    assert saved > 1.3 * by_recency
