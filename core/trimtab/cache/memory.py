"""Stores in the memory of this process, and in mappings of the user's own."""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from itertools import count
from typing import TYPE_CHECKING

from trimtab.cache.meanings import Meanings
from trimtab.cache.store import Near
from trimtab.cache.tags import EPOCH

if TYPE_CHECKING:
    from trimtab.types import Vector

USUAL = 0.001
"""Dollars that an answer is taken to be worth where its price is not known."""
MOST_PLACED = 100_000
"""Questions that are remembered beside a mapping, which tells nobody what it drops."""
STAMP = '{"until":'
"""How a text starts that carries the time of its end."""


class _Entry:
    """A text, and what says whether it is worth its place. Changes with each hit."""

    __slots__ = ("ends", "hits", "key", "priority", "text", "value")

    def __init__(self, key: str, text: str, ends: float | None, value: float) -> None:
        self.key = key
        self.text = text
        self.ends = ends
        self.value = value
        self.hits, self.priority = 1, 0.0


class MemoryStore(MutableMapping[str, str]):
    """Keeps texts in this process; the least valuable ones go when there is no more room.

    A text's value is what finding it has saved and may save again: the dollars it is worth times
    how often it was asked for, and for each of its bytes where bytes are limited. It ages: what
    was valuable once makes way for what is asked for now (Greedy-Dual-Size-Frequency, Cherkasova
    1998). Epochs of tags never go.

    Args:
        max_bytes: Limits the length of all keys and texts, in UTF-8 where they are ASCII.
        clock: Tells the time, in seconds.

    >>> from trimtab.cache import ExactCache, MemoryStore
    >>> cache = ExactCache(MemoryStore(max_entries=1000, max_bytes=10_000_000))
    """

    def __init__(
        self,
        max_entries: int = 10_000,
        max_bytes: int | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_entries < 1 or (max_bytes is not None and max_bytes < 1):
            raise ValueError(f"no room for anything: {max_entries} entries, {max_bytes} bytes")
        self.max_entries, self.max_bytes, self.clock = max_entries, max_bytes, clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._epochs: dict[str, str] = {}
        self._ranked: list[tuple[float, int, _Entry]] = []
        self._ending: list[tuple[float, int, _Entry]] = []
        self._numbers = count()
        self._bytes, self._age = 0, 0.0
        self._leases: dict[str, tuple[str, float]] = {}
        self._meanings = Meanings()

    def load(self, key: str) -> str | None:
        """Return a text, which makes it more valuable."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return self._epochs.get(key)
            if entry.ends is not None and entry.ends <= self.clock():
                self._remove(entry)
                return None
            entry.hits += 1
            entry.priority = self._age + entry.hits * entry.value
            return entry.text

    def save(self, key: str, text: str, *, ttl: float | None = None, worth: float = 0.0) -> None:
        """Keep a text, unless it is larger than the whole store."""
        if key.startswith(EPOCH):
            self._epochs[key] = text
            return
        size = len(key) + len(text)
        value = (worth or USUAL) / (size if self.max_bytes else 1)
        entry = _Entry(key, text, None if ttl is None else self.clock() + ttl, value)
        with self._lock:
            if (old := self._entries.get(key)) is not None:
                entry.hits = old.hits
                self._remove(old)
            if self.max_bytes is None or size <= self.max_bytes:
                self._make_room(size)
                self._add(entry)

    def drop(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._epochs.pop(key, None)
            if (entry := self._entries.get(key)) is not None:
                self._remove(entry)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for held in (self._entries, self._epochs, self._leases):
                held.clear()
            self._ranked, self._ending = [], []
            self._bytes, self._age = 0, 0.0
            self._meanings.clear()

    def place(self, partition: str, near: Near, *, ttl: float | None = None) -> None:
        """Make a text findable by its question, as long as it is there."""
        with self._lock:
            if near.key in self._entries:
                self._meanings.place(partition, near)
        self._meanings.settle(partition)

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        while True:
            found = self._meanings.nearest(partition, vector, count)
            ended = [near.key for near in found if self._has_ended(near.key)]
            if not ended:
                return found
            for key in ended:
                self.drop(key)

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take a lease for the threads of this process."""
        now = self.clock()
        with self._lock:
            holder, ends = self._leases.get(key, (owner, now))
            if holder != owner and ends > now:
                return False
            self._leases[key] = (owner, now + seconds)
            return True

    def release(self, key: str, owner: str) -> None:
        """Give a lease back."""
        with self._lock:
            if self._leases.get(key, ("", 0.0))[0] == owner:
                del self._leases[key]

    def __getitem__(self, key: str) -> str:
        if (text := self.load(key)) is None:
            raise KeyError(key)
        return text

    def __setitem__(self, key: str, text: str) -> None:
        self.save(key, text)

    def __delitem__(self, key: str) -> None:
        self[key]
        self.drop(key)

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter([*self._entries, *self._epochs])

    def __len__(self) -> int:
        return len(self._entries) + len(self._epochs)

    def _add(self, entry: _Entry) -> None:
        self._entries[entry.key] = entry
        self._bytes += len(entry.key) + len(entry.text)
        entry.priority = self._age + entry.hits * entry.value
        heapq.heappush(self._ranked, (entry.priority, next(self._numbers), entry))
        if entry.ends is not None:
            heapq.heappush(self._ending, (entry.ends, next(self._numbers), entry))
        if len(self._ranked) > 2 * len(self._entries) + 64:
            self._tidy()

    def _remove(self, entry: _Entry) -> None:
        # Its places in the heaps are found out when they come up.
        del self._entries[entry.key]
        self._meanings.forget(entry.key)
        self._bytes -= len(entry.key) + len(entry.text)

    def _has_ended(self, key: str) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.ends is not None and entry.ends <= self.clock()

    def _is_held(self, entry: _Entry) -> bool:
        return self._entries.get(entry.key) is entry

    def _make_room(self, size: int) -> None:
        while self._ending and self._ending[0][0] <= self.clock():
            entry = heapq.heappop(self._ending)[2]
            if self._is_held(entry):
                self._remove(entry)
        while len(self._entries) >= self.max_entries or (
            self.max_bytes is not None and self._bytes + size > self.max_bytes
        ):
            self._evict()

    def _evict(self) -> None:
        """Remove the least valuable entry; one that was asked for since it was ranked is not."""
        while True:
            ranked, number, entry = self._ranked[0]
            if not self._is_held(entry):
                heapq.heappop(self._ranked)
            elif ranked < entry.priority:
                heapq.heapreplace(self._ranked, (entry.priority, number, entry))
            else:
                heapq.heappop(self._ranked)
                self._age = ranked
                self._remove(entry)
                return

    def _tidy(self) -> None:
        held = list(self._entries.values())
        self._ranked = [(entry.priority, next(self._numbers), entry) for entry in held]
        self._ending = [(e.ends, next(self._numbers), e) for e in held if e.ends is not None]
        heapq.heapify(self._ranked)
        heapq.heapify(self._ending)


class Mapped:
    """Any mapping from str to str as a store: a dict, a shelf, a Redis hash.

    What is to end carries the time of its end with it, because a mapping knows of none. Vectors
    stay in the memory of this process.
    """

    def __init__(
        self, mapping: MutableMapping[str, str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.mapping = mapping
        self.clock = clock
        self._meanings = Meanings(MOST_PLACED)

    def load(self, key: str) -> str | None:
        """Return a text that has not ended."""
        text = self.mapping.get(key)
        if text is None or not text.startswith(STAMP):
            return text
        stamped = json.loads(text)
        if stamped["until"] is None or stamped["until"] > self.clock():
            return str(stamped["text"])
        self.drop(key)
        return None

    def save(self, key: str, text: str, *, ttl: float | None = None, worth: float = 0.0) -> None:
        """Keep a text. What it is worth is of no use to a mapping."""
        if ttl is not None or text.startswith(STAMP):
            until = None if ttl is None else self.clock() + ttl
            text = json.dumps({"until": until, "text": text}, separators=(",", ":"))
        self.mapping[key] = text

    def drop(self, key: str) -> None:
        """Forget a key."""
        self.mapping.pop(key, None)
        self._meanings.forget(key)

    def clear(self) -> None:
        """Forget everything in the mapping."""
        self.mapping.clear()
        self._meanings.clear()

    def place(self, partition: str, near: Near, *, ttl: float | None = None) -> None:
        """Make a text findable by its question. The mapping itself may drop it unseen."""
        self._meanings.place(partition, near)
        self._meanings.settle(partition)

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        return self._meanings.nearest(partition, vector, count)
