"""The index of one partition, small and large."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from trimtab.cache.index import Index

WIDE = 16


def vectors(count: int, seed: int = 0) -> Any:
    made = np.random.default_rng(seed).standard_normal((count, WIDE)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def filled(count: int, small: int) -> tuple[Index, Any]:
    """Make an index as puts do, one vector at a time."""
    index, rows = Index(WIDE, small=small), vectors(count)
    for i in range(count):
        index.add([i + 1], rows[i : i + 1])
        index.settle()
    return index, rows


def recall(index: Index, rows: Any, alive: Any) -> float:
    """Return the share of vectors that find themselves."""
    hits = [index.nearest(rows[i], 3)[0][0] == i + 1 for i in alive]
    return sum(hits) / len(hits)


def held(index: Index, rows: Any, id: int) -> Any:
    """Return the vector that is held under an id, if it is."""
    return next((one.vector for one in index.nearest(rows[id - 1], 3) if one.id == id), None)


def test_few_vectors_are_found_exactly() -> None:
    index, rows = filled(300, small=1000)
    query = vectors(1, seed=1)[0]
    best = np.argsort(-(rows @ query))[:5]
    assert [id for id, *_ in index.nearest(query, 5)] == [int(i) + 1 for i in best]
    assert index.nearest(query, 5)[0][1] == pytest.approx(float(rows[best[0]] @ query), abs=1e-6)
    assert index.grown == 0 and len(index) == 300


def test_an_empty_index_finds_nothing() -> None:
    assert Index(WIDE).nearest(vectors(1)[0], 5) == []


def test_more_may_be_asked_for_than_there_is() -> None:
    index, rows = filled(3, small=1000)
    assert len(index.nearest(rows[0], 5)) == 3


def test_many_vectors_move_into_a_graph_and_are_still_found() -> None:
    pytest.importorskip("faiss")
    index, rows = filled(600, small=200)
    assert index.grown > 500 and len(index) == 600
    assert recall(index, rows, range(600)) > 0.99


def test_all_are_found_while_they_move() -> None:
    pytest.importorskip("faiss")
    index, rows = Index(WIDE, small=100), vectors(500)
    index.add(range(1, 501), rows)
    for _ in range(30):
        index.nearest(rows[0], 1)  # each takes one step
        assert len(index) == 500
    assert 100 < index.grown < 400
    assert recall(index, rows, range(0, 500, 7)) > 0.98


@pytest.mark.parametrize("small", [100, 10_000])
def test_what_is_removed_is_not_found_and_hides_nothing(small: int) -> None:
    if small < 400:
        pytest.importorskip("faiss")
    index, rows = filled(400, small=small)
    nearest = [id for id, *_ in index.nearest(rows[7], 50)]
    index.remove([*nearest, 999])
    after = [id for id, *_ in index.nearest(rows[7], 50)]
    assert len(after) == 50 and not set(after) & set(nearest)
    assert len(index) == 350
    index.remove(nearest)
    assert len(index) == 350


def test_a_graph_with_many_removed_is_made_anew_step_by_step() -> None:
    pytest.importorskip("faiss")
    index, rows = filled(600, small=100)
    index.remove(range(1, 301))
    for i in range(100):
        index.add([1000 + i], vectors(1, seed=1000 + i))
        index.settle()
        if i == 20:
            index.remove([301, 599])  # half of what follows is made by now
    assert len(index) == 398 and index.grown > 300
    assert recall(index, rows, [*range(301, 598), 599]) > 0.99
    assert not {301, 599} & {id for id, *_ in index.nearest(rows[300], 398)}
    assert held(index, rows, 302) == pytest.approx(rows[301], abs=1e-3)
    assert held(index, rows, 1) is None


def test_all_but_some_may_be_forgotten_but_not_what_is_newer() -> None:
    pytest.importorskip("faiss")
    for small in (50, 1000):
        index, rows = filled(200, small=small)
        index.keep(np.array([3, 5, 150]), upto=190)
        kept = {id for id, *_ in index.nearest(rows[0], 200)}
        assert kept == {3, 5, 150, *range(191, 201)}


def test_an_index_without_anything_left_begins_again() -> None:
    pytest.importorskip("faiss")
    index, _ = filled(200, small=50)
    index.remove(range(1, 201))
    assert len(index) == 0 and index.nearest(vectors(1)[0], 5) == []
    index.add([201], vectors(1))
    assert index.nearest(vectors(1)[0], 5)[0][0] == 201


def test_ids_that_are_not_newer_were_added_before() -> None:
    index, rows = filled(10, small=100)
    index.add(range(5, 13), vectors(8, seed=3))
    assert len(index) == 12 and index.last == 12
    assert held(index, rows, 5) == pytest.approx(rows[4])


def test_a_graph_comes_back_from_its_bytes() -> None:
    pytest.importorskip("faiss")
    index, rows = filled(600, small=200)
    index.remove([5, 6])
    data, last = index.to_bytes()
    back = Index.from_bytes(data, WIDE, small=200)
    assert back.last == last <= 600 and back.grown == index.grown
    back.add(range(last + 1, 601), rows[last:])
    assert len(back) == 598
    assert recall(back, rows, [0, *range(6, 600)]) > 0.99
    assert held(back, rows, 5) is None
    assert held(back, rows, 7) == pytest.approx(rows[6], abs=1e-3)


def test_an_index_without_a_graph_has_no_bytes() -> None:
    index, _ = filled(5, small=100)
    assert index.to_bytes() == (b"", 0)
    assert len(Index.from_bytes(b"", WIDE)) == 0


@pytest.mark.parametrize("damage", [b"", b"x", b"half"])
def test_damaged_bytes_are_refused(damage: bytes) -> None:
    pytest.importorskip("faiss")
    data, _ = filled(300, small=100)[0].to_bytes()
    broken = data[: len(data) // 2] if damage == b"half" else data[:-1] + damage
    with pytest.raises(ValueError, match="damaged"):
        Index.from_bytes(broken, WIDE)


def test_bytes_of_other_vectors_are_refused() -> None:
    pytest.importorskip("faiss")
    data, _ = filled(300, small=100)[0].to_bytes()
    with pytest.raises(ValueError, match="16 numbers, not 8"):
        Index.from_bytes(data, 8)


def test_without_faiss_all_are_compared_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr("trimtab.cache.index._missing", False)
    index, rows = filled(300, small=100)
    assert index.grown == 0 and recall(index, rows, range(300)) == 1
    assert [r.message for r in caplog.records if "pip install" in r.message] != []
    assert len(caplog.records) == 1
