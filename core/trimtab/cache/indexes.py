"""Indexes in memory of vectors that are kept elsewhere."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Protocol

from trimtab.cache.aside import begin
from trimtab.cache.index import SMALL, Found, Index
from trimtab.cache.store import Near

if TYPE_CHECKING:
    from trimtab.cache.index import Ids
    from trimtab.types import Vector, Vectors

log = logging.getLogger("trimtab")
MOST = 500_000
"""Vectors in memory, of all partitions; those of the partitions longest unused make room."""
CATCH_UP = 10_000
"""Rows that are read at a time, so that no call waits for all of a large partition."""
ROUNDS = 8
"""Searches that may meet rows that are gone before the rest counts as not found."""
LARGEST = 900_000_000
"""Bytes of an index that is still saved: SQLite takes a little more."""


class Rows(Protocol):
    """Where the vectors are kept, numbered as they were placed, by whatever process."""

    def since(self, partition: str, seq: int, dimension: int) -> tuple[Sequence[int], Vectors]:
        """Return the first of the vectors after one, in order."""

    def fetch(self, partition: str, seqs: Sequence[int]) -> dict[int, Near]:
        """Return the questions with these numbers that are still there."""

    def seqs(self, partition: str) -> Ids:
        """Return all numbers."""

    def load_index(self, partition: str) -> bytes | None:
        """Return what was saved of an index."""

    def save_index(self, partition: str, seq: int, data: bytes) -> None:
        """Save what an index makes of the vectors up to one."""


class Indexes:
    """An index for each partition that is in use, which follows the rows.

    The rows alone are true. What an index knows and the rows do not is not found, and an index
    that is missing or damaged is made again.
    """

    def __init__(self, rows: Rows, *, most: int = MOST, small: int = SMALL) -> None:
        self.rows = rows
        self.most = most
        self.small = small
        self._begin()

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        index = self._current(partition, len(vector))
        near: dict[int, Near] = {}
        found: list[Found] = []
        for turn in range(ROUNDS):
            if not (found := index.nearest(vector, count)):
                break
            near = self.rows.fetch(partition, [one.id for one in found])
            if len(near) == len(found):
                break
            index.remove([one.id for one in found if one.id not in near])
            if turn and 2 * len(near) < len(found):
                self._sweep(partition, index)
        return [
            Near(one.key, one.question, one.vector, cosine, one.note)
            for seq, cosine, _ in found
            if (one := near.get(seq)) is not None
        ]

    def follow(self, partition: str, dimension: int) -> None:
        """Take in what was placed, and do a part of the work that it brings."""
        index = self._current(partition, dimension)
        index.settle()
        if index.grown >= max(self.small, 1.5 * self._saved.get(partition, 0)):
            self._save_later(partition, index)

    def save(self) -> None:
        """Save all indexes that took work to make."""
        with self._lock:
            held = list(self._held.items())
        for partition, index in held:
            if index.grown != self._saved.get(partition, 0):
                self._save(partition, index)
        if self._saving is not None:
            self._saving.result()

    def clear(self) -> None:
        """Forget everything that is in memory."""
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Index] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._size = 0
        self._saving: Future[None] | None = None

    def _current(self, partition: str, dimension: int) -> Index:
        """Return an index that knows of all rows, or of some more than before."""
        if self._process != os.getpid():
            self._begin()  # a thread of the parent may have held a lock of these
        index = self._held.get(partition)
        if index is None or index.dimension != dimension:
            index = self._load(partition, dimension)
        seqs, vectors = self.rows.since(partition, index.last, dimension)
        if len(seqs):
            index.add(seqs, vectors)
        self._hold(partition, index)
        return index

    def _load(self, partition: str, dimension: int) -> Index:
        data = self.rows.load_index(partition)
        index = Index(dimension, small=self.small)
        if data is None:
            return index
        try:
            index = Index.from_bytes(data, dimension, small=self.small)
            self._sweep(partition, index)
            self._saved[partition] = index.grown
        except Exception as error:
            log.info("the saved index of a semantic cache is of no use, and made anew: %r", error)
        return index

    def _sweep(self, partition: str, index: Index) -> None:
        """Forget what has no row. What is placed meanwhile is newer, and stays."""
        last = index.last
        index.keep(self.rows.seqs(partition), upto=last)

    def _hold(self, partition: str, index: Index) -> None:
        """Keep an index, and let go of those that were not used for longest."""
        with self._lock:
            self._held[partition] = index
            self._held.move_to_end(partition)
            size = len(index) + 1
            self._size += size - self._sizes.get(partition, 0)
            self._sizes[partition] = size
            while self._size > self.most and len(self._held) > 1:
                oldest, gone = self._held.popitem(last=False)
                self._size -= self._sizes.pop(oldest)
                if gone.grown != self._saved.pop(oldest, 0):
                    self._saving = begin(partial(self._save, oldest, gone))

    def _save_later(self, partition: str, index: Index) -> None:
        """Save in another thread, because it takes a second where there are 100,000."""
        with self._lock:
            if self._saving is None or self._saving.done():
                self._saved[partition] = index.grown
                self._saving = begin(partial(self._save, partition, index))

    def _save(self, partition: str, index: Index) -> None:
        try:
            data, seq = index.to_bytes()
            if data and len(data) < LARGEST:
                self.rows.save_index(partition, seq, data)
        except Exception as error:
            log.warning("the index of a semantic cache could not be saved: %r", error)
