"""A store in an SQLite file, for several processes on one machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from sqlite3 import Connection
from typing import TYPE_CHECKING

from trimtab.cache.database import Database, Row
from trimtab.cache.memory import USUAL
from trimtab.cache.tags import EPOCH

if TYPE_CHECKING:
    from trimtab.cache.indexes import Indexes
    from trimtab.cache.placed import Placed
    from trimtab.cache.store import Near
    from trimtab.types import Vector

HITS_NOTED = 1024
"""Of how many texts the hits are noted between two writes."""
BATCH = 64
"""How many rows are looked at, or swept out, at once."""

LOAD = "SELECT key, text, ends FROM entries WHERE id = ?"
SAVE = """
INSERT INTO entries (id, key, text, ends, size, hits, worth, saved, value, priority) VALUES (
    :id, :key, :text, :ends, :size, 1, :worth, :saved, :value, (SELECT age FROM totals) + :value)
ON CONFLICT (id) DO UPDATE SET key = :key, text = :text, ends = :ends, size = :size, worth = :worth,
    saved = :saved, value = :value, priority = (SELECT age FROM totals) + hits * :value"""
NOTE = """
UPDATE entries SET hits = hits + :hits, priority = (SELECT age FROM totals) + (hits + :hits) * value
WHERE id = :id AND priority IS NOT NULL"""
SWEEP = """
DELETE FROM entries WHERE id IN (
    SELECT id FROM entries WHERE ends IS NOT NULL AND ends <= ? LIMIT ?)"""
LEAST = """
SELECT id, size, priority FROM entries WHERE priority IS NOT NULL AND id != ?
ORDER BY priority LIMIT ?"""
LIST = """
SELECT e.id, e.key, e.text, e.hits, e.worth, e.saved, e.ends, v.partition, v.question
FROM entries e LEFT JOIN vectors v ON v.key = e.key
WHERE e.id > ? AND e.priority IS NOT NULL AND (e.ends IS NULL OR e.ends > ?)
ORDER BY e.id LIMIT ?"""
HOLDER = "SELECT owner FROM leases WHERE key = ? AND ends > ?"
CLAIM = """
INSERT INTO leases VALUES (:key, :owner, :ends)
ON CONFLICT (key) DO UPDATE SET owner = :owner, ends = :ends
    WHERE owner = :owner OR ends <= :now"""


@dataclass(frozen=True)
class Entry:
    """A text in a store, and what is known of it."""

    key: str
    text: str
    hits: int
    """How often it was saved or found, as far as that was written down."""
    worth: float
    """Dollars; zero where that is not known."""
    saved: float
    """Seconds since 1970."""
    ends: float | None
    """Seconds since 1970, or None where it stays."""
    partition: str | None
    """Within which it can be found by its meaning."""
    question: str | None
    """What it answers, where it can be found by its meaning."""


class SqliteStore:
    """Keeps texts in a file that several processes may use at once.

    A process that is killed loses nothing that it saved; a machine that loses power may lose the
    last texts, and no others. When there is no more room, the least valuable texts go, as in a
    `MemoryStore`; hits are written down with the next text, because reading should not write.

    Args:
        max_bytes: Limits the length of all keys and texts; the file is a little larger.
        clock: Tells the time, in seconds, to all processes alike.
        read_only: Looks at a file that is there, for `entries`, and never writes to it.

    >>> from trimtab.cache import SqliteStore
    >>> store = SqliteStore("answers.db")
    >>> store.save("key", "text", ttl=60)
    >>> SqliteStore("answers.db").load("key")
    'text'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_entries: int = 1_000_000,
        max_bytes: int | None = None,
        *,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        if max_entries < 1 or (max_bytes is not None and max_bytes < 1):
            raise ValueError(f"no room for anything: {max_entries} entries, {max_bytes} bytes")
        self.path = os.fspath(path)
        if self.path in ("", ":memory:"):
            raise ValueError(f"{self.path!r} is no path of a file; in memory, use MemoryStore")
        self.max_entries, self.max_bytes, self.clock = max_entries, max_bytes, clock
        self._database = Database(self.path, read_only=read_only)
        self._hits: dict[str, int] = {}

    def load(self, key: str) -> str | None:
        """Return a text that has not ended."""
        row = self._database.row(LOAD, (_id(key),))
        if row is None or row[0] != key or (row[2] is not None and row[2] <= self.clock()):
            return None
        hits = self._hits
        if key in hits or len(hits) < HITS_NOTED:
            hits[key] = hits.get(key, 0) + 1
        return _text(row[1])

    def save(self, key: str, text: str, *, ttl: float | None = None, worth: float = 0.0) -> None:
        """Keep a text, unless it is larger than the whole store."""
        data, now = _bytes(text), self.clock()
        size = len(key) + len(data)
        if self.max_bytes is not None and size > self.max_bytes:
            return self.drop(key)
        value: float | None = (worth or USUAL) / (size if self.max_bytes else 1)
        row = {
            "id": _id(key),
            "key": key,
            "text": data,
            "ends": None if ttl is None else now + ttl,
            "size": size,
            "worth": worth,
            "saved": now,
            "value": None if key.startswith(EPOCH) else value,
        }
        with self._database.writing() as connection:
            self._note_hits(connection)
            connection.execute(SWEEP, (now, BATCH))
            connection.execute(SAVE, row)
            self._make_room(connection, _id(key))

    def drop(self, key: str) -> None:
        """Forget a key and its vector."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM entries WHERE id = ?", (_id(key),))

    def clear(self) -> None:
        """Forget everything."""
        self._hits.clear()
        if "_vectors" in vars(self):
            self._vectors[1].clear()
        with self._database.writing() as connection:
            for table in ("vectors", "entries", "blobs", "leases"):
                connection.execute(f"DELETE FROM {table}")

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take a lease for all processes that use the file."""
        now = self.clock()
        held = self._database.row(HOLDER, (key, now))
        if held is not None and held[0] != owner:
            return False  # without a write, because those who wait ask often
        lease = {"key": key, "owner": owner, "ends": now + seconds, "now": now}
        with self._database.writing() as connection:
            return connection.execute(CLAIM, lease).rowcount == 1

    def release(self, key: str, owner: str) -> None:
        """Give a lease back."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM leases WHERE key = ? AND owner = ?", (key, owner))

    def __len__(self) -> int:
        """How many texts are kept, epochs not counted, and ended ones as long as they are there."""
        row = self._database.row("SELECT entries FROM totals")
        return int(row[0]) if row else 0

    def __bool__(self) -> bool:
        return True  # an empty store is still one

    def entries(self) -> Iterator[Entry]:
        """List what is kept, in no order, without holding anybody up."""
        last = -(2**63)
        while rows := self._database.rows(LIST, (last, self.clock(), BATCH)):
            yield from map(_entry, rows)
            last = rows[-1][0]

    def place(self, partition: str, near: Near, *, ttl: float | None = None) -> None:
        """Make a text findable by its question, as long as it is there, for all processes."""
        placed, indexes = self._vectors
        placed.place(partition, near, _id(near.key), ttl)
        indexes.follow(partition, len(near.vector))

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        return self._vectors[1].nearest(partition, vector, count)

    def close(self) -> None:
        """Write down the hits and the indexes, and close the file for good."""
        if "_vectors" in vars(self):
            self._vectors[1].save()
        if self._hits:
            with self._database.writing() as connection:
                self._note_hits(connection)
        self._database.close()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _vectors(self) -> tuple[Placed, Indexes]:
        from trimtab.cache.indexes import Indexes  # which load NumPy
        from trimtab.cache.placed import Placed

        placed = Placed(self._database, self.clock)
        return placed, Indexes(placed)

    def _note_hits(self, connection: Connection) -> None:
        noted, self._hits = self._hits, {}
        if noted:
            hits = [{"id": _id(key), "hits": count} for key, count in noted.items()]
            connection.executemany(NOTE, hits)

    def _make_room(self, connection: Connection, saved: int) -> None:
        """Evict the least valuable texts, but not the one just saved."""
        entries, size = connection.execute("SELECT entries, bytes FROM totals").fetchone()
        while self._is_over(entries, size):
            for row, freed, priority in connection.execute(LEAST, (saved, BATCH)).fetchall():
                if not self._is_over(entries, size):
                    break
                connection.execute("DELETE FROM entries WHERE id = ?", (row,))
                connection.execute("UPDATE totals SET age = max(age, ?)", (priority,))
                entries, size = entries - 1, size - freed

    def _is_over(self, entries: int, size: int) -> bool:
        return entries > self.max_entries or (self.max_bytes is not None and size > self.max_bytes)


def _id(key: str) -> int:
    # Of two keys with the same one, which a million entries have in one of 10**7 files, the later
    # one stays.
    return int.from_bytes(blake2b(_bytes(key), digest_size=8).digest(), "big", signed=True)


def _bytes(text: str) -> bytes:
    # Texts cut in the middle of an emoji hold half of a pair, which SQLite's own texts refuse.
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _entry(row: Row) -> Entry:
    _, key, text, hits, worth, saved, ends, partition, question = row
    asked = None if question is None else _text(question)
    return Entry(key, _text(text), hits, worth, saved, ends, partition, asked)
