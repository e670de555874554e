"""A store in a PostgreSQL database, for many machines."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

try:
    from psycopg import Error, OperationalError
    from psycopg.errors import UndefinedTable
    from psycopg.sql import SQL, Literal
except ImportError as error:
    raise ImportError("a PostgresStore needs psycopg: pip install 'trimtab[postgres]'") from error

from trimtab.cache.memory import USUAL
from trimtab.cache.outage import Outage
from trimtab.cache.postgres_pool import Borrowed, Connection, Connections, Pool
from trimtab.cache.postgres_schema import (
    TRY_LOCK,
    Tables,
    build_graph,
    first,
    prepare,
    prepare_vectors,
)
from trimtab.cache.store import Near
from trimtab.cache.tags import EPOCH

if TYPE_CHECKING:
    from trimtab.types import Vector

log = logging.getLogger("trimtab")
HITS_NOTED = 1024
"""Of how many texts the hits are noted between two writes."""
BATCH = 10_000
"""How many rows are swept out at once."""
SPARE = 8
"""How many more than wanted are looked up, because some may have ended."""
CHECKS = 16
"""How often the size of a partition is looked at while it grows to where it gets a graph."""
GRAPH_SIZE = 2000
"""Dimensions that the graphs of pgvector can hold."""

LOAD = "SELECT text FROM {entries} WHERE key = %s AND (ends IS NULL OR ends > clock_timestamp())"
SAVE = """
INSERT INTO {entries} AS kept (key, text, ends, hits, value, priority)
SELECT %(key)s, %(text)s, clock_timestamp() + make_interval(secs => %(ttl)s), 1,
    %(value)s::float8, age + %(value)s::float8 FROM {meta}
ON CONFLICT (key) DO UPDATE SET text = excluded.text, ends = excluded.ends,
    value = excluded.value, priority = excluded.priority + (kept.hits - 1) * excluded.value"""
CLAIM = """
INSERT INTO {leases} AS held (key, owner, ends)
SELECT %(key)s, %(owner)s, clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE NOT EXISTS (
    SELECT FROM {leases}
    WHERE key = %(key)s AND owner <> %(owner)s AND ends > clock_timestamp())
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, ends = excluded.ends
    WHERE held.owner = excluded.owner OR held.ends <= clock_timestamp()"""
"""Looks before it writes, because those who wait ask often."""
NOTE = """
UPDATE {entries} AS kept SET hits = kept.hits + noted.hits,
    priority = (SELECT age FROM {meta}) + (kept.hits + noted.hits) * kept.value
FROM unnest(%s::bytea[], %s::bigint[]) AS noted (key, hits)
WHERE kept.key = noted.key AND kept.priority IS NOT NULL"""
SWEEP = """
DELETE FROM {entries} WHERE key IN (
    SELECT key FROM {entries} WHERE ends <= clock_timestamp() LIMIT %s)"""
EVICT = """
WITH gone AS (
    DELETE FROM {entries} WHERE key IN (
        SELECT key FROM {entries} WHERE priority IS NOT NULL ORDER BY priority LIMIT %s)
    RETURNING priority)
UPDATE {meta} SET age = greatest(age, (SELECT max(priority) FROM gone))"""
PLACE = """
INSERT INTO {vectors} (key, partition, question, note, vector, ends)
SELECT key, %(tag)s, %(question)s, %(note)s, %(vector)s::vector,
    clock_timestamp() + make_interval(secs => %(ttl)s)
FROM {entries} WHERE key = %(key)s FOR KEY SHARE
ON CONFLICT (key) DO UPDATE SET partition = excluded.partition, question = excluded.question,
    note = excluded.note, vector = excluded.vector, ends = excluded.ends"""
NEAREST = """
SELECT near.key, near.question, near.note, near.vector, held.total,
    coalesce(near.ends, 'infinity') > clock_timestamp()
    AND coalesce(kept.ends, 'infinity') > clock_timestamp()
FROM (
    SELECT count(*) AS total FROM (
        SELECT FROM {vectors} WHERE partition = {tag} LIMIT %(count)s) AS few) AS held
LEFT JOIN (
    SELECT key, question, note, vector, ends FROM {vectors} WHERE partition = {tag}
    ORDER BY {vector} <=> %(vector)s::vector({size}) LIMIT %(count)s) AS near ON true
LEFT JOIN {entries} AS kept ON kept.key = near.key"""
"""Searches inside the partition, in its graph where it has one, and tells how many there are."""
GROWN = "SELECT count(*) FROM (SELECT FROM {vectors} WHERE partition = %s LIMIT %s) AS few"

Found = TypeVar("Found")


class PostgresStore:
    """Keeps texts in tables of a PostgreSQL database, for processes on many machines.

    The tables are made when they are first needed. When there is no more room, the least valuable
    texts go, as in a `MemoryStore`; that is looked after now and then, so that there may be a few
    more than the limit.

    Questions are found by meaning with the pgvector extension: exactly while a partition is small,
    and in a graph of its own when it is large. Without the extension, texts are still kept.

    Args:
        database: A URL or settings as libpq reads them, or a pool of psycopg_pool, which brings
            its own timeouts and retries.
        table: How the names of all tables start.
        timeout: Seconds that the server may take for a statement.
        graph_from: So many questions in a partition are too many to look at each one.

    >>> from trimtab.cache import ExactCache, PostgresStore
    >>> cache = ExactCache(PostgresStore("postgresql://localhost/answers"), ttl=3600)
    """

    def __init__(
        self,
        database: str | Pool,
        *,
        table: str = "trimtab_cache",
        max_entries: int = 1_000_000,
        timeout: float = 1.0,
        graph_from: int = 5000,
    ) -> None:
        if max_entries < 1 or timeout <= 0 or graph_from < 1:
            raise ValueError(f"must be positive: {max_entries=}, {timeout=}, {graph_from=}")
        self.max_entries, self.graph_from = max_entries, graph_from
        self.tables = Tables(table)
        self._pool: Connections | Borrowed = (
            Connections(database, timeout) if isinstance(database, str) else Borrowed(database)
        )
        self._outage = Outage(OperationalError)
        self._preparing = threading.Lock()
        self._prepared: set[Callable[[Connection, Tables], None]] = set()
        self._saves, self._places = count(1), count()
        self._hits: dict[str, int] = {}
        self._builders: list[threading.Thread] = []

    def load(self, key: str) -> str | None:
        """Return a text that has not ended."""
        rows = self._rows(self.tables.query(LOAD), (_bytes(key),))
        if not rows:
            return None
        hits = self._hits
        if key in hits or len(hits) < HITS_NOTED:
            hits[key] = hits.get(key, 0) + 1
        return _text(rows[0][0])

    def save(self, key: str, text: str, *, ttl: float | None = None, worth: float = 0.0) -> None:
        """Keep a text. Its vector, if it has one, stays."""
        row = {
            "key": _bytes(key),
            "text": _bytes(text),
            "ttl": ttl,
            "value": None if key.startswith(EPOCH) else worth or USUAL,
        }
        self._do(self.tables.query(SAVE), row)
        if next(self._saves) % min(1000, max(10, self.max_entries // 50)) == 0:
            self._run(self._tidy)

    def drop(self, key: str) -> None:
        """Forget a key and its vector."""
        self._do(self.tables.query("DELETE FROM {entries} WHERE key = %s"), (_bytes(key),))

    def clear(self) -> None:
        """Forget everything."""
        self._hits.clear()
        self._do(self.tables.query("TRUNCATE {entries}, {leases} CASCADE"), ())

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take a lease for all processes that use the database, by the server's clock."""
        lease = {"key": _bytes(key), "owner": owner, "seconds": seconds}
        return self._do(self.tables.query(CLAIM), lease) == 1

    def release(self, key: str, owner: str) -> None:
        """Give a lease back."""
        query = "DELETE FROM {leases} WHERE key = %s AND owner = %s"
        self._do(self.tables.query(query), (_bytes(key), owner))

    def place(self, partition: str, near: Near, *, ttl: float | None = None) -> None:
        """Make a text that is kept findable."""
        tag = _tag(partition, near.vector)
        row = {
            "key": _bytes(near.key),
            "tag": tag,
            "question": _bytes(near.question),
            "note": near.note,
            "vector": _written(near.vector),
            "ttl": ttl,
        }
        self._do(self.tables.query(PLACE), row, vectors=True)
        if next(self._places) % max(1, self.graph_from // CHECKS) == 0:
            self._look_at(tag, len(near.vector))

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        tag, asked, exact = _tag(partition, vector), count + SPARE, False
        while True:
            query = self._near_query(tag, len(vector), exact)
            values = {"vector": _written(vector), "count": asked}
            rows = self._rows(query, values, vectors=True)
            total, seen = rows[0][4], [row for row in rows if row[0] is not None]
            found = [_near(row, vector) for row in seen if row[5]]
            if len(found) >= count or len(seen) == total < asked:
                return sorted(found, key=lambda near: -near.similarity)[:count]
            # A graph may hold many that are gone; the rows of the table are certain.
            exact = exact or len(seen) < total
            asked *= 2

    def close(self) -> None:
        """Write down the hits and close all connections. The next call opens new ones."""
        try:
            self._run(self._note_hits)
        finally:
            self._pool.close()

    def __enter__(self) -> PostgresStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _near_query(self, tag: str, size: int, exact: bool) -> bytes:
        # The graphs are over a cast, so that what is not cast is looked at row by row. A partition
        # is written out, because plans for any partition would not use the graph of one.
        column = SQL("vector" if exact else f"(vector::vector({size}))")
        return self.tables.fill(NEAREST, tag=Literal(tag), size=Literal(size), vector=column)

    def _do(self, query: bytes, values: Any, *, vectors: bool = False) -> int:
        """Change something; returns how many rows that were."""
        return self._run(lambda c: c.execute(query, values).rowcount, vectors=vectors)

    def _rows(self, query: bytes, values: Any, *, vectors: bool = False) -> list[Any]:
        return self._run(
            lambda c: c.execute(query, values, binary=True).fetchall(), vectors=vectors
        )

    def _run(self, work: Callable[[Connection], Found], *, vectors: bool = False) -> Found:
        """Work with a connection to a database that has the tables."""
        with self._outage.watch():
            try:
                self._prepare(vectors)
                return self._pool.run(work)
            except UndefinedTable:
                # Somebody restored, or replaced, the database.
                self._prepared.clear()
                self._prepare(vectors)
                return self._pool.run(work)

    def _prepare(self, vectors: bool) -> None:
        for step in (prepare, prepare_vectors) if vectors else (prepare,):
            if step not in self._prepared:
                with self._preparing:
                    self._pool.run(partial(step, tables=self.tables))
                    self._prepared.add(step)

    def _tidy(self, connection: Connection) -> None:
        """Sweep out what has ended, and evict the least valuable texts, if nobody else does."""
        query = self.tables.query
        with connection.transaction():
            if not first(connection, TRY_LOCK, (self.tables.lock,)):
                return
            self._note_hits(connection)
            connection.execute(query(SWEEP), (BATCH,))
            connection.execute(query("DELETE FROM {leases} WHERE ends <= clock_timestamp()"))
            counted = query("SELECT count(*) FROM {entries} WHERE priority IS NOT NULL")
            over = first(connection, counted) - self.max_entries
            if over > 0:
                connection.execute(query(EVICT), (min(over, BATCH),))

    def _note_hits(self, connection: Connection) -> None:
        noted, self._hits = self._hits, {}
        if noted:
            values = ([_bytes(key) for key in noted], list(noted.values()))
            connection.execute(self.tables.query(NOTE), values)

    def _look_at(self, tag: str, size: int) -> None:
        """Give a partition that has grown large a graph, without waiting for it."""
        rows = self._rows(self.tables.query(GROWN), (tag, self.graph_from), vectors=True)
        if rows[0][0] == self.graph_from and size <= GRAPH_SIZE:
            builder = threading.Thread(target=self._build, args=(tag, size), daemon=True)
            self._builders = [thread for thread in self._builders if thread.is_alive()]
            self._builders.append(builder)
            builder.start()

    def _build(self, tag: str, size: int) -> None:
        try:
            with self._pool.alone() as connection:
                build_graph(connection, self.tables, tag, size)
        except Error as error:
            log.warning("a large partition goes without its graph: %r", error)


def _near(row: Any, vector: Vector) -> Near:
    import numpy as np

    # As pgvector sends it: the number of dimensions, two bytes that mean nothing, the numbers.
    kept = np.frombuffer(row[3], dtype=">f4", offset=4).astype("f4")
    return Near(_text(row[0]), _text(row[1]), kept, float(kept @ vector), row[2])


def _tag(partition: str, vector: Vector) -> str:
    """Name a partition so briefly that it can be indexed, and only like vectors are compared."""
    return hashlib.blake2b(_bytes(f"{len(vector)} {partition}"), digest_size=20).hexdigest()


def _written(vector: Vector) -> str:
    return str(vector.tolist())  # which happens to be how pgvector reads it


def _bytes(text: str) -> bytes:
    # Texts cut in the middle of an emoji hold half of a pair, which UTF-8 proper refuses.
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
