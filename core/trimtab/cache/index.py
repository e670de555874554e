"""The vectors of one partition in memory, and which of them are nearest to another."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.types import Vector, Vectors

    Ids = NDArray[np.int64]

log = logging.getLogger("trimtab")
SMALL = 4096
"""Vectors that are compared one by one: so many take no longer than a search of the graph."""
STEP = 8
"""Vectors that move into the graph at a time, which takes some milliseconds."""
LINKS, BUILD_WIDTH, SEARCH_WIDTH = 16, 128, 48
"""Of the graph: neighbours of a vector, and how many are looked at to place one and to find one."""
DEAD_SHARE = 4
"""A graph is made anew when one in so many of its vectors was removed."""
CHECK_BYTES = 16


class Found(NamedTuple):
    """A vector near another."""

    id: int
    cosine: float
    vector: Vector
    """Rounded to half precision where it is in the graph."""


class Index:
    """Vectors by positive ids that only grow, safe to use from several threads.

    New ones are compared one by one. Where there are many, the oldest of them move bit by bit into
    a graph (HNSW of FAISS, half precision), so that no call ever waits for one to be built. Where
    FAISS is not installed they stay.
    """

    def __init__(self, dimension: int, *, small: int = SMALL) -> None:
        self.dimension = dimension
        self.small = small
        self._lock = threading.Lock()
        self._graph: _Graph | None = None
        self._next: _Graph | None = None
        """The graph that is to follow, without what was removed."""
        self._copied = 0
        self._recent = _Rows(dimension)
        self._last = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._recent) + (self._graph.alive if self._graph else 0)

    @property
    def last(self) -> int:
        """The newest id that was ever added."""
        return self._last

    @property
    def grown(self) -> int:
        """How many vectors the graph holds."""
        return self._graph.alive if self._graph else 0

    def add(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Add vectors in the order of their ids; those that are not newer were added before."""
        with self._lock:
            fresh = next((i for i, id in enumerate(ids) if id > self._last), len(ids))
            if fresh < len(ids):
                self._recent.add(ids[fresh:], vectors[fresh:])
                self._last = ids[-1]

    def settle(self, steps: int = 1) -> None:
        """Move some vectors into the graph, if there are many. Said with each new vector."""
        with self._lock:
            for _ in range(steps):
                self._advance()

    def remove(self, ids: Sequence[int]) -> None:
        """Forget vectors."""
        with self._lock:
            self._remove(ids)

    def keep(self, ids: Ids, *, upto: int) -> None:
        """Forget all but these and those newer than one."""
        with self._lock:
            graph = [] if self._graph is None else [self._graph.ids]
            for known in (*graph, self._recent.ids):
                self._remove(known[(known <= upto) & ~np.isin(known, ids)])

    def nearest(self, vector: Vector, count: int) -> list[Found]:
        """Return what is nearest to a vector, the nearest first."""
        with self._lock:
            if len(self._recent) > self.small:
                self._advance()
            found = self._recent.nearest(vector, count)
            if self._graph is not None:
                found += self._graph.nearest(vector, count)
        found.sort(key=lambda one: -one.cosine)
        return found[:count]

    def to_bytes(self) -> tuple[bytes, int]:
        """Write down the graph, and up to which id. What is newer is to be added again."""
        with self._lock:
            graph = self._graph
            return (b"", 0) if graph is None else (graph.to_bytes(), int(graph.ids[-1]))

    @classmethod
    def from_bytes(cls, data: bytes, dimension: int, *, small: int = SMALL) -> Index:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: It is damaged, or of another kind.
            ImportError: FAISS is not installed.
        """
        made = cls(dimension, small=small)
        if data:
            made._graph = _Graph.from_bytes(data, dimension)
            made._last = int(made._graph.ids[-1])
        return made

    def _remove(self, gone: Sequence[int] | Ids) -> None:
        for part in (self._recent, self._graph, self._next):
            if part is not None:
                part.remove(gone)
        if self._graph is not None and not self._graph.alive:
            self._graph = self._next = None

    def _advance(self) -> None:
        """Take one step towards a graph that holds what is old and alive, and nothing else."""
        if self._graph is None and len(self._recent) > self.small:
            self._graph = _graph(self.dimension)
        if self._graph is None:
            return
        if len(self._recent):
            self._graph.add(*self._recent.take(STEP))
        if self._next is None and self._graph.dead * DEAD_SHARE > len(self._graph.ids):
            self._next, self._copied = _graph(self.dimension), 0
        if self._next is not None:
            self._copy(self._graph, self._next)

    def _copy(self, old: _Graph, new: _Graph) -> None:
        # Faster than the old one grows, or it would never be reached.
        start, self._copied = self._copied, min(self._copied + 2 * STEP, len(old.ids))
        new.add(*old.part(start, self._copied))
        if self._copied == len(old.ids):
            self._graph, self._next = new, None


class _Rows:
    """Vectors in a matrix that grows at its end and is eaten from its front."""

    def __init__(self, dimension: int) -> None:
        self._ids = np.zeros(0, np.int64)
        self._gone = np.zeros(0, bool)
        self._vectors = np.zeros((0, dimension), np.float32)
        self._start = self._end = self._dead = 0

    def __len__(self) -> int:
        return self._end - self._start - self._dead

    @property
    def ids(self) -> Ids:
        """Those of removed vectors included, for a while."""
        return self._ids[self._start : self._end]

    def add(self, ids: Sequence[int], vectors: Vectors) -> None:
        if self._end + len(ids) > len(self._ids):
            self._pack(max(len(self) + len(ids), 2 * len(self)))
        end = self._end + len(ids)
        self._ids[self._end : end] = ids
        self._vectors[self._end : end] = vectors
        self._gone[self._end : end] = False
        self._end = end

    def take(self, count: int) -> tuple[Ids, Vectors]:
        """Remove the oldest."""
        end = min(self._start + count, self._end)
        live = np.flatnonzero(~self._gone[self._start : end]) + self._start
        self._dead -= end - self._start - len(live)
        self._start = end
        taken = self._ids[live], self._vectors[live]
        if len(self) * 4 < len(self._ids):
            self._pack(2 * len(self))
        return taken

    def remove(self, ids: Sequence[int] | Ids) -> None:
        places = _places(self.ids, ids) + self._start
        self._dead += len(places) - int(self._gone[places].sum())
        self._gone[places] = True
        if self._dead * DEAD_SHARE > self._end - self._start:
            self._pack(len(self))

    def nearest(self, vector: Vector, count: int) -> list[Found]:
        if not len(self):
            return []
        held = slice(self._start, self._end)
        near = _cosines(self._vectors[held], vector)
        if self._dead:
            near[self._gone[held]] = -np.inf
        count = min(count, len(self))
        best = np.argpartition(near, -count)[-count:]
        rows = self._vectors[best + self._start]
        return [
            Found(int(self.ids[i]), float(near[i]), row) for i, row in zip(best, rows, strict=True)
        ]

    def _pack(self, room: int) -> None:
        """Move what is alive into a matrix of its own size."""
        live = np.flatnonzero(~self._gone[self._start : self._end]) + self._start
        ids, vectors = self._ids[live], self._vectors[live]
        self._ids, self._gone = np.zeros(room, np.int64), np.zeros(room, bool)
        self._vectors = np.zeros((room, vectors.shape[1]), np.float32)
        self._ids[: len(ids)], self._vectors[: len(ids)] = ids, vectors
        self._start, self._end, self._dead = 0, len(ids), 0


class _Graph:
    """FAISS's HNSW, whose vectors never go: those removed are left out of what it finds."""

    def __init__(self, index: Any, dimension: int) -> None:
        self._index = index
        self._dimension = dimension
        self._ids = np.zeros(1024, np.int64)
        self._gone = np.zeros(1024, bool)
        self._count = self.dead = 0

    @property
    def ids(self) -> Ids:
        return self._ids[: self._count]

    @property
    def alive(self) -> int:
        return self._count - self.dead

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if not len(ids):
            return
        if self._count + len(ids) > len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._gone = np.concatenate([self._gone, np.zeros_like(self._gone)])
        # So few that FAISS starts no threads, which would wait for each other on a busy machine.
        for start in range(0, len(ids), STEP):
            self._index.add(vectors[start : start + STEP])
        self._ids[self._count : self._count + len(ids)] = ids
        self._count += len(ids)

    def remove(self, ids: Sequence[int] | Ids) -> None:
        places = _places(self.ids, ids)
        self.dead += len(places) - int(self._gone[places].sum())
        self._gone[places] = True

    def nearest(self, vector: Vector, count: int) -> list[Found]:
        """Search wider and wider until enough is found that was not removed."""
        asked = 2 * count if self.dead else count
        while True:
            self._index.hnsw.efSearch = max(SEARCH_WIDTH, asked)
            found = self._index.search_and_reconstruct(vector[None], min(asked, self._count))
            live = [
                Found(int(self._ids[place]), float(cosine), row)
                for cosine, place, row in zip(*(part[0] for part in found), strict=True)
                if place >= 0 and not self._gone[place]
            ]
            if len(live) >= min(count, self.alive) or asked >= self._count:
                return live
            asked *= 4

    def part(self, start: int, end: int) -> tuple[Ids, Vectors]:
        """Return what is alive between two places."""
        places = np.flatnonzero(~self._gone[start:end]) + start
        vectors = np.zeros((len(places), self._dimension), np.float32)
        for row, place in zip(vectors, places, strict=True):
            self._index.reconstruct(int(place), row)
        return self._ids[places], vectors

    def to_bytes(self) -> bytes:
        """Write a checksum, the number of vectors, which of them are alive, and FAISS's own."""
        faiss = _faiss()
        ids = np.where(self._gone[: self._count], -self.ids, self.ids).astype("<i8")
        size = np.array([self._count], "<i8")
        body = b"".join([size.tobytes(), ids.tobytes(), faiss.serialize_index(self._index)])
        return _checksum(body) + body

    @classmethod
    def from_bytes(cls, data: bytes, dimension: int) -> _Graph:
        # Checked before FAISS reads it, which trusts what it is given.
        body = data[CHECK_BYTES:]
        if _checksum(body) != data[:CHECK_BYTES]:
            raise ValueError("the index is damaged")
        faiss = _faiss()
        count = int(np.frombuffer(body, "<i8", 1)[0])
        ids = np.frombuffer(body, "<i8", count, 8).astype(np.int64)
        index = faiss.deserialize_index(np.frombuffer(body, np.uint8, offset=8 * (count + 1)))
        if (index.d, index.ntotal) != (dimension, count):
            raise ValueError(f"an index of other vectors: {index.d} numbers, not {dimension}")
        made = cls(index, dimension)
        made._ids, made._gone, made._count = np.abs(ids), ids < 0, count
        made.dead = int(made._gone.sum())
        return made


def _graph(dimension: int) -> _Graph | None:
    global _missing  # noqa: PLW0603
    if _missing:
        return None
    try:
        faiss = _faiss()
    except ImportError:
        log.warning("large semantic caches are slow without FAISS: pip install 'trimtab[semantic]'")
        _missing = True
        return None
    half = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexHNSWSQ(dimension, half, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_WIDTH
    return _Graph(index, dimension)


_missing = False
"""True where FAISS was looked for in vain, which takes a while."""


def _faiss() -> Any:
    import faiss

    return faiss


def _places(ids: Ids, wanted: Sequence[int] | Ids) -> NDArray[np.intp]:
    """Find ids among ids that grow; those that are not there are left out."""
    if not len(ids):
        return np.zeros(0, np.intp)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.unique(places[ids[places] == wanted])


def _cosines(vectors: Vectors, vector: Vector) -> NDArray[np.float32]:
    """Multiply in this thread alone: the threads of `@` wait for each other on a busy machine."""
    found: NDArray[np.float32]
    if hasattr(np, "vecdot"):  # of NumPy 2
        found = np.vecdot(vectors, vector)
    else:
        found = np.einsum("ij,j->i", vectors, vector)
    return found


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=CHECK_BYTES).digest()
