"""Questions and their vectors in the memory of this process."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from trimtab.cache.store import Near

if TYPE_CHECKING:
    from trimtab.cache.index import Index
    from trimtab.types import Vector


class Meanings:
    """Finds what was placed in it, until it is forgotten.

    Args:
        most: So many questions; the oldest make room. None: whoever places them forgets them.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._indexes: dict[str, Index] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._asked: dict[int, Near] = {}

    def place(self, partition: str, near: Near) -> None:
        """Make a question findable, in place of what was placed under its key; then `settle`."""
        from trimtab.cache.index import Index  # which loads NumPy

        with self._lock:
            self._forget(near.key)
            if self.most is not None and len(self._places) >= self.most:
                self._forget(next(iter(self._places)))
            number = next(self._numbers)
            dimension = len(near.vector)
            index = self._indexes.get(partition)
            if index is None or index.dimension != dimension:
                index = self._indexes[partition] = Index(dimension)
            index.add([number], near.vector[None])
            self._places[near.key] = partition, number
            # Its vector is in the index alone.
            self._asked[number] = replace(near, vector=near.vector[:0])

    def settle(self, partition: str) -> None:
        """Do a part of the work that a new question brings, which takes milliseconds."""
        if (index := self._indexes.get(partition)) is not None:
            index.settle()

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        index = self._indexes.get(partition)
        if index is None or index.dimension != len(vector):
            return []
        found = []
        for number, similarity, placed in index.nearest(vector, count):
            if (asked := self._asked.get(number)) is not None:  # nobody forgot it meanwhile
                found.append(Near(asked.key, asked.question, placed, similarity, asked.note))
        return found

    def forget(self, key: str) -> None:
        """Forget the question that was placed under a key, if there is one."""
        if key in self._places:
            with self._lock:
                self._forget(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for held in (self._indexes, self._places, self._asked):
                held.clear()

    def _forget(self, key: str) -> None:
        partition, number = self._places.pop(key, ("", 0))
        self._asked.pop(number, None)
        if (index := self._indexes.get(partition)) is not None:
            index.remove([number])
            if not len(index):
                del self._indexes[partition]
