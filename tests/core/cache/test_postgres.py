"""The store in PostgreSQL: outages, room, graphs, and several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import servers

import trimtab
from trimtab import Message, Pipeline, Request, Response
from trimtab.cache import ExactCache
from trimtab.cache.store import Near

psycopg = pytest.importorskip("psycopg")

from trimtab.cache.postgres import PostgresStore  # noqa: E402

REQUEST = Request("gpt-4o", (Message("user", "How far is the moon?"),))
NEAR = Near("a", "?", np.ones(4, np.float32) / 2, 1.0)
CORE = str(Path(trimtab.__file__).parents[1])


@pytest.fixture
def store() -> Iterator[Any]:
    with servers.postgres_store() as store:
        yield store


@pytest.fixture(scope="module")
def own() -> Iterator[servers.Server]:
    """A server that a test may kill."""
    server = servers.new_postgres()
    yield server
    server.kill()


@pytest.fixture
def admin() -> Iterator[Any]:
    url = servers.postgres_url(servers.postgres())
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_a_cache_misses_while_the_server_is_down_and_hits_again_when_it_is_back(
    own: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(cache=ExactCache(PostgresStore(servers.postgres_url(own), timeout=10.0)))
    calls = []

    def ask() -> str:
        answer = Response(Message("assistant", "far"), finish_reason="stop")
        return pipeline.run(REQUEST, lambda request: calls.append(1) or answer).message.text

    assert [ask(), ask(), len(calls)] == ["far", "far", 1]
    own.kill()
    assert [ask(), ask(), len(calls)] == ["far", "far", 3]
    servers.start_postgres(own)
    monkeypatch.setattr("trimtab.cache.outage.PAUSE", 0.0)
    assert [ask(), ask(), len(calls)] == ["far", "far", 3]


def test_a_server_that_says_nothing_is_given_up_and_then_left_alone(store: Any, admin: Any) -> None:
    frozen = PostgresStore(
        f"{servers.postgres_url(servers.postgres())}?application_name=frozen",
        table=store.tables.table, timeout=0.2,
    )  # fmt: skip
    frozen.save("a", "x")
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'frozen'"
    (process,) = admin.execute(query).fetchone()
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(psycopg.OperationalError, match="in time"):
            frozen.load("a")
    finally:
        os.kill(process, signal.SIGCONT)
    assert frozen.load("a") == "x"
    frozen.close()


def test_a_statement_that_takes_too_long_is_given_up_and_the_server_left_alone(
    store: Any, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = PostgresStore(
        servers.postgres_url(servers.postgres()), table=store.tables.table, timeout=0.2
    )
    slow.save("a", "x")
    with admin.transaction():
        admin.execute(f"LOCK TABLE {store.tables.table}")
        for _ in range(3):
            with pytest.raises(psycopg.errors.QueryCanceled):
                slow.load("a")
        with pytest.raises(ConnectionError, match="down a moment ago"):
            slow.load("a")
    monkeypatch.setattr("trimtab.cache.outage.PAUSE", 0.0)
    assert slow.load("a") == "x"
    slow.close()


def test_connections_that_broke_while_they_lay_there_are_replaced(store: Any, admin: Any) -> None:
    store.save("a", "x")
    admin.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'trimtab'"
    )
    assert store.load("a") == "x"


def test_tables_that_are_gone_are_made_again(store: Any, admin: Any) -> None:
    store.save("a", "x")
    store.place("p", NEAR)
    table = store.tables.table
    admin.execute(f"DROP TABLE {table}, {table}_leases, {table}_meta, {table}_vectors")
    assert store.load("a") is None and store.claim("a", "me", 10)
    store.save("a", "x")
    store.place("p", NEAR)
    assert [near.key for near in store.nearest("p", NEAR.vector, 1)] == ["a"]


def test_several_may_make_the_tables_at_once() -> None:
    url, table = servers.postgres_url(servers.postgres()), f"t{uuid.uuid4().hex}"
    start = threading.Barrier(4)

    def begin(_: int) -> list[str]:
        with PostgresStore(url, table=table, timeout=10.0) as store:
            start.wait()
            store.save("a", "x")
            store.place("p", NEAR)
            return [near.key for near in store.nearest("p", NEAR.vector, 1)]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(begin, range(4))) == [["a"]] * 4


def test_tables_of_a_newer_version_are_left_alone(store: Any, admin: Any) -> None:
    store.save("a", "x")
    admin.execute(f"UPDATE {store.tables.table}_meta SET version = 99")
    url = servers.postgres_url(servers.postgres())
    with pytest.raises(ValueError, match="upgrade"):
        PostgresStore(url, table=store.tables.table).load("a")


def test_a_user_who_may_not_turn_on_vectors_is_told_and_still_keeps_texts(admin: Any) -> None:
    user, server = f"u{uuid.uuid4().hex}", servers.postgres()
    admin.execute(f"CREATE ROLE {user} LOGIN")
    admin.execute(f"CREATE DATABASE {user}")
    with psycopg.connect(servers.postgres_url(server, database=user)) as connection:
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {user}")
    with PostgresStore(servers.postgres_url(server, user, user), timeout=10.0) as store:
        store.save("a", "x")
        for _ in range(2):
            with pytest.raises(NotImplementedError, match="pgvector"):
                store.place("p", NEAR)
            with pytest.raises(NotImplementedError, match="pgvector"):
                store.nearest("p", NEAR.vector, 1)
        assert store.load("a") == "x" and store.claim("a", "me", 10)


def test_it_holds_few_more_than_it_may(admin: Any) -> None:
    with servers.postgres_store(max_entries=20) as store:
        store.save("dear", "x", worth=5.0)
        store.save("asked", "x")
        store.save("epoch:a", "x")
        for i in range(100):
            store.load("asked")
            store.save(f"{i}", "x")
        (rows,) = admin.execute(f"SELECT count(*) FROM {store.tables.table}").fetchone()
        assert rows <= 20 + 10 + 1
        assert store.load("asked") == store.load("dear") == store.load("epoch:a") == "x"
        assert store.load("99") == "x" and store.load("0") is None


def test_what_has_ended_is_swept_out(admin: Any) -> None:
    with servers.postgres_store(max_entries=20) as store:
        store.save("a", "x", ttl=0.001)
        store.place("p", NEAR)
        store.claim("a", "me", 0.001)
        for i in range(9):
            store.save(f"{i}", "x")
        counts = [
            admin.execute(f"SELECT count(*) FROM {store.tables.table}{name}").fetchone()[0]
            for name in ("", "_leases", "_vectors")
        ]
        assert counts == [9, 0, 0]


def test_a_large_partition_gets_a_graph_and_finds_the_same() -> None:
    drawn = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    with servers.postgres_store(graph_from=100) as store:
        for i, vector in enumerate(drawn):
            store.save(f"{i}", "x")
            store.place("large" if i else "small", Near(f"{i}", "?", vector, 1.0))
        graphs = [thread for thread in store._builders if thread is not None]
        for thread in graphs:
            thread.join(20)
        with psycopg.connect(servers.postgres_url(servers.postgres())) as connection:
            query = "SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef ~ 'hnsw'"
            found = connection.execute(query, (f"{store.tables.table}_vectors",)).fetchall()
        assert len(found) == 1 and "WHERE (partition =" in found[0][0]
        for i in range(1, 200):
            assert store.nearest("large", drawn[i], 1)[0].key == f"{i}"
        for i in range(1, 199):
            store.drop(f"{i}")
        assert [near.key for near in store.nearest("large", drawn[5], 2)] == ["199"]
        assert [near.key for near in store.nearest("small", drawn[5], 2)] == ["0"]


def test_a_pool_of_the_users_own_will_do() -> None:
    pools = pytest.importorskip("psycopg_pool")
    url = servers.postgres_url(servers.postgres())
    with pools.ConnectionPool(url, min_size=1, max_size=2, open=True) as pool:
        store = PostgresStore(pool, table=f"t{uuid.uuid4().hex}", graph_from=10)
        for i in range(12):
            store.save(f"{i}", "x")
            store.place("p", Near(f"{i}", "?", NEAR.vector, 1.0))
        assert len(store.nearest("p", NEAR.vector, 20)) == 12
        assert store.claim("a", "me", 10) and not store.claim("a", "you", 10)
        for thread in store._builders:
            thread.join(20)
        store.clear()
        assert store.load("1") is None and store.claim("a", "you", 10)


@pytest.mark.parametrize(
    "settings", [{"table": ""}, {"table": "t" * 41}, {"timeout": 0}, {"max_entries": 0}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        PostgresStore("postgresql://127.0.0.1:1/nowhere", **settings)


def test_a_store_can_be_made_while_no_server_is_there() -> None:
    store = PostgresStore("postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(psycopg.OperationalError):
        store.load("a")


def test_without_its_package_it_says_how_to_get_it() -> None:
    code = (
        f"import sys; sys.path.insert(0, {CORE!r}); sys.modules['psycopg'] = None\n"
        "import trimtab.cache.postgres"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'trimtab[postgres]'" in done.stderr
