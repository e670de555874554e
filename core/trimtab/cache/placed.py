"""The vectors in the SQLite file of a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trimtab.cache.indexes import CATCH_UP
from trimtab.cache.store import Near

if TYPE_CHECKING:
    from trimtab.cache.database import Database
    from trimtab.cache.index import Ids
    from trimtab.types import Vectors

HALF = np.dtype("<f2")
PLACE = """
INSERT OR REPLACE INTO vectors (key, partition, ends, vector, question, note)
SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM entries WHERE id = ?)"""
SINCE = """
SELECT seq, vector FROM vectors
WHERE partition = ? AND seq > ? AND length(vector) = ? AND (ends IS NULL OR ends > ?)
ORDER BY seq LIMIT ?"""
FETCH = """
SELECT seq, key, question, vector, note FROM vectors
WHERE partition = ? AND seq IN ({}) AND (ends IS NULL OR ends > ?)"""


class Placed:
    """Vectors in half precision, numbered as they were placed. They go when their texts go."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def place(self, partition: str, near: Near, row: int, ttl: float | None) -> None:
        """Write down a question and its vector, if its text is there, in a certain row."""
        ends = None if ttl is None else self._clock() + ttl
        vector = np.asarray(near.vector, HALF).tobytes()
        question = near.question.encode("utf-8", "surrogatepass")
        values = (near.key, partition, ends, vector, question, near.note, row)
        with self._database.writing() as connection:
            connection.execute(PLACE, values)

    def since(self, partition: str, seq: int, dimension: int) -> tuple[Sequence[int], Vectors]:
        """Return the first of the vectors after one, in order."""
        size = dimension * HALF.itemsize
        rows = self._database.rows(SINCE, (partition, seq, size, self._clock(), CATCH_UP))
        joined = np.frombuffer(b"".join(row[1] for row in rows), HALF)
        return [row[0] for row in rows], joined.reshape(-1, dimension).astype(np.float32)

    def fetch(self, partition: str, seqs: Sequence[int]) -> dict[int, Near]:
        """Return the questions with these numbers that are still there."""
        query = FETCH.format(",".join("?" * len(seqs)))
        found = {}
        for seq, key, question, data, note in self._database.rows(
            query, (partition, *seqs, self._clock())
        ):
            vector = np.frombuffer(data, HALF).astype(np.float32)
            found[seq] = Near(key, question.decode("utf-8", "surrogatepass"), vector, 0.0, note)
        return found

    def seqs(self, partition: str) -> Ids:
        """Return all numbers."""
        query = "SELECT seq FROM vectors WHERE partition = ? ORDER BY seq"
        return np.array(self._database.rows(query, (partition,)), np.int64).reshape(-1)

    def load_index(self, partition: str) -> bytes | None:
        """Return what was saved of an index."""
        row = self._database.row("SELECT data FROM blobs WHERE partition = ?", (partition,))
        return None if row is None else row[0]

    def save_index(self, partition: str, seq: int, data: bytes) -> None:
        """Save what an index makes of the vectors up to one."""
        with self._database.writing() as connection:
            connection.execute("REPLACE INTO blobs VALUES (?, ?, ?)", (partition, seq, data))
