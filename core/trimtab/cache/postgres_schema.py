"""The tables of a store in PostgreSQL: their names, and how several processes make them at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from psycopg.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedFile
from psycopg.sql import SQL, Identifier, Literal

from trimtab.cache.postgres_pool import Connection

VERSION = 1
LONGEST = 40
"""Bytes of a name, so that the server cuts off nothing of what is made of it."""
LOCK = "SELECT pg_advisory_xact_lock(%s)"
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
MADE = "SELECT to_regclass(%s) IS NOT NULL"
TABLES = """
CREATE TABLE IF NOT EXISTS {meta} (version integer NOT NULL, age float8 NOT NULL);
INSERT INTO {meta} SELECT {version}, 0 WHERE NOT EXISTS (SELECT FROM {meta});
CREATE TABLE IF NOT EXISTS {entries} (
    key bytea PRIMARY KEY, text bytea NOT NULL, ends timestamptz, hits bigint NOT NULL,
    value float8, priority float8);
CREATE INDEX IF NOT EXISTS {by_end} ON {entries} (ends) WHERE ends IS NOT NULL;
CREATE INDEX IF NOT EXISTS {by_priority} ON {entries} (priority) WHERE priority IS NOT NULL;
CREATE TABLE IF NOT EXISTS {leases} (
    key bytea PRIMARY KEY, owner text NOT NULL, ends timestamptz NOT NULL)"""
"""Entries without a value are epochs, which are never evicted. Texts are bytes, because those of
the server refuse zeros and halves of emoji."""
VECTORS = """
CREATE TABLE IF NOT EXISTS {vectors} (
    key bytea PRIMARY KEY REFERENCES {entries} ON DELETE CASCADE, partition text NOT NULL,
    question bytea NOT NULL, note bytea NOT NULL, vector vector NOT NULL, ends timestamptz);
CREATE INDEX IF NOT EXISTS {by_partition} ON {vectors} (partition)"""
"""Vectors of all sizes in one column: the graphs over them are made for one size each."""
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
GRAPH = """
CREATE INDEX CONCURRENTLY {graph} ON {vectors}
USING hnsw ((vector::vector({size})) vector_cosine_ops) WHERE partition = {tag}"""


class Tables:
    """The names of the tables, and queries that hold them."""

    def __init__(self, table: str) -> None:
        if not table or len(table.encode()) > LONGEST:
            raise ValueError(f"table must be a name of up to {LONGEST} bytes, got {table!r}")
        self.names = {
            "entries": Identifier(table),
            "leases": Identifier(f"{table}_leases"),
            "meta": Identifier(f"{table}_meta"),
            "vectors": Identifier(f"{table}_vectors"),
            "by_end": Identifier(f"{table}_by_end"),
            "by_priority": Identifier(f"{table}_by_priority"),
            "by_partition": Identifier(f"{table}_by_partition"),
        }
        self.table = table
        digest = hashlib.blake2b(table.encode(), digest_size=8).digest()
        self.lock = int.from_bytes(digest, "big", signed=True)
        """The number under which processes take turns."""
        self._queries: dict[str, bytes] = {}

    def query(self, text: str) -> bytes:
        """Fill in the names."""
        if text not in self._queries:
            self._queries[text] = self.fill(text)
        return self._queries[text]

    def fill(self, text: str, **values: Any) -> bytes:
        """Fill in the names, and other things that a query cannot be given as parameters."""
        return SQL(text).format(**self.names, **values).as_bytes(None)

    def graph(self, tag: str, size: int) -> str:
        """Name the graph of a partition."""
        data = f"{self.table} {tag} {size}".encode()
        return f"trimtab_near_{hashlib.blake2b(data, digest_size=16).hexdigest()}"

    def is_made(self, connection: Connection, name: str) -> bool:
        """Tell whether one of the tables is there."""
        return bool(first(connection, MADE, (self.names[name].as_string(None),)))


def prepare(connection: Connection, tables: Tables) -> None:
    """Make the tables for texts and leases.

    Raises:
        ValueError: A newer version of this library made them.
    """
    with connection.transaction():
        # Looked at before, because a user who may not make tables may use those that are there.
        if not tables.is_made(connection, "meta"):
            connection.execute(LOCK, (tables.lock,))
            connection.execute(tables.fill(TABLES, version=Literal(VERSION)))
        version = first(connection, tables.query("SELECT version FROM {meta}"))
        if version is None or version > VERSION:
            raise ValueError(
                f"the tables {tables.table!r} were not made by this version of trimtab, in format"
                f" {VERSION}: give the cache another table, or upgrade"
            )


def prepare_vectors(connection: Connection, tables: Tables) -> None:
    """Make the table for vectors.

    Raises:
        NotImplementedError: The server has no pgvector, or the user may not turn it on.
    """
    with connection.transaction():
        if not tables.is_made(connection, "vectors"):
            connection.execute(LOCK, (tables.lock,))
            _turn_on(connection)
            connection.execute(tables.query(VECTORS))


def build_graph(connection: Connection, tables: Tables, tag: str, size: int) -> None:
    """Make the graph of a partition, unless it is there, or somebody is at it."""
    graph = tables.graph(tag, size)
    turn = int(graph[-15:], 16)
    if not first(connection, "SELECT pg_try_advisory_lock(%s)", (turn,)):
        return
    try:
        valid = first(connection, VALID, (graph,))
        if valid is False:
            # Left by a process that died while it built it.
            connection.execute(tables.fill("DROP INDEX {graph}", graph=Identifier(graph)))
        if not valid:
            names = {"graph": Identifier(graph), "size": Literal(size), "tag": Literal(tag)}
            connection.execute(tables.fill(GRAPH, **names))
            # Without knowing how large the partition is, the server would not use it.
            connection.execute(tables.query("ANALYZE {vectors}"))
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (turn,))


def _turn_on(connection: Connection) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (FeatureNotSupported, InsufficientPrivilege, UndefinedFile) as error:
        raise NotImplementedError(
            "this database cannot find vectors: a semantic cache needs the pgvector extension,"
            f" and CREATE EXTENSION vector said: {error}"
        ) from error


def first(connection: Connection, query: str | bytes, values: Sequence[object] = ()) -> Any:
    """Return the first value that a query finds."""
    found = connection.execute(query, values).fetchone()
    return None if found is None else found[0]
