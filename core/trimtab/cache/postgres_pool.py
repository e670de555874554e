"""Connections to a PostgreSQL server, shared by the threads of a process."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import ceil
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.waiting import wait_selector

CONNECTIONS = 8
"""How many a process opens at most."""
QUEUE = 5.0
"""Seconds that a thread waits for one of them to be free."""
GRACE = 1.25
"""How much longer than the server's own timeout a client waits, so that mostly that one comes."""
LOOK = 0.1
"""Seconds between two looks at the time while a client waits."""
EFFORT = 100
"""How many candidates a search in a graph keeps."""
SETTINGS = """
SELECT set_config('statement_timeout', %s, false), set_config('hnsw.ef_search', %s, false)"""
Connection = psycopg.Connection[Any]
Found = TypeVar("Found")


class Pool(Protocol):
    """What the pools of psycopg_pool offer."""

    def connection(self) -> AbstractContextManager[Connection]:
        """Lend a connection, and commit at the end."""


class Late(psycopg.OperationalError):
    """The server did not answer in time, and the connection was given up."""


class Connections:
    """A pool without threads of its own, so that it can be forked, and says at once what failed.

    Args:
        conninfo: A URL or a list of settings, as libpq reads it.
        timeout: Seconds for each statement. libpq takes two at least to connect.
    """

    def __init__(self, conninfo: str, timeout: float) -> None:
        self.timeout = timeout
        settings = conninfo_to_dict(conninfo)
        settings.setdefault("connect_timeout", max(2, ceil(timeout)))
        settings.setdefault("application_name", "trimtab")
        self._conninfo = make_conninfo("", **settings)
        self._home = _Home()
        self._left: list[_Home] = []

    def run(self, work: Callable[[Connection], Found]) -> Found:
        """Work with a connection; a second time, if the first one broke while it lay there."""
        home = self._at_home()
        if not home.free.acquire(timeout=QUEUE):
            raise Late(f"all {CONNECTIONS} connections were busy for {QUEUE} s")
        try:
            if (connection := home.take()) is not None:
                try:
                    return home.use(connection, work)
                except psycopg.OperationalError as error:
                    if isinstance(error, Late) or not connection.closed:
                        raise
                    home.close()  # what broke one has broken all
            return home.use(self._opened(), work)
        finally:
            home.free.release()

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Open a connection for work that takes long."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            yield connection

    def close(self) -> None:
        """Close what is not in use."""
        self._at_home().close()

    def _at_home(self) -> _Home:
        home = self._home
        if home.process != os.getpid():
            # Closing the parent's connections would end them for the parent, so they are kept.
            self._left.append(home)
            home = self._home = _Home()
        return home

    def _opened(self) -> Connection:
        connection = _Timed.connect(self._conninfo, autocommit=True)
        connection.patience = self.timeout * GRACE
        milliseconds = f"{ceil(self.timeout * 1000)}"
        try:
            connection.execute(SETTINGS, (milliseconds, f"{EFFORT}"))
        except BaseException:
            connection.close()
            raise
        return connection


class Borrowed:
    """A pool of the user's own, with timeouts and retries of its own."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def run(self, work: Callable[[Connection], Found]) -> Found:
        """Work with one of its connections."""
        with self.pool.connection() as connection:
            return work(connection)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Use one of its connections outside of any transaction."""
        with self.pool.connection() as connection:
            before = connection.autocommit
            connection.autocommit = True
            try:
                yield connection
            finally:
                connection.autocommit = before

    def close(self) -> None:
        """Leave it to its owner."""


class _Home:
    """The connections that belong to one process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.free = threading.BoundedSemaphore(CONNECTIONS)
        self.idle: deque[Connection] = deque()

    def take(self) -> Connection | None:
        """Take the connection that was used last."""
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def use(self, connection: Connection, work: Callable[[Connection], Found]) -> Found:
        """Work with a connection, and keep it if it is as good as before."""
        try:
            return work(connection)
        finally:
            if connection.info.transaction_status == TransactionStatus.IDLE:
                self.idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close what is not in use."""
        while (connection := self.take()) is not None:
            connection.close()


class _Timed(psycopg.Connection[Any]):
    """A connection that gives up on a server that is there, but says nothing.

    A frozen machine still holds its connections, and libpq would wait for it without end.
    """

    patience = 0.0

    def wait(self, gen: Generator[Any, Any, Found], *_: Any, **__: Any) -> Found:
        """Wait until a step is done, or it is too late."""
        steps = _until(gen, time.monotonic() + self.patience)
        try:
            # The faster ways to wait do not call back in all versions.
            return wait_selector(steps, self.pgconn.socket, interval=LOOK)
        except Late:
            self.close()
            raise


def _until(steps: Generator[Any, Any, Found], deadline: float) -> Generator[Any, Any, Found]:
    """Go through the steps of psycopg, and be called back now and then while it waits."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise Late("the server did not answer in time")
            wanted = steps.send(ready)
    except StopIteration as done:
        result: Found = done.value
        return result
