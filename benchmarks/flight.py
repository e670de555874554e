"""A thousand askers at once: how often the model is called, and how long they wait beyond it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import save, show

from trimtab import Message, Pipeline, Request, Response, Usage
from trimtab.cache import ExactCache, MemoryStore, SqliteStore

ASKERS = 1000
PROCESSES = 4
SECONDS = 1.0
"""How long the model takes."""
RUNS = 3
LEASE = 10.0
"""Seconds after which the others go on if a process was killed; the usual ones."""
REQUEST = Request("gpt-4o", (Message("user", "How far is the moon?"),))
ANSWER = Response(
    Message("assistant", "384,400 km on average."), Usage(12, 9), finish_reason="stop"
)
Stores = dict[str, Callable[[Path], Any]]


def stores() -> Stores:
    """Name what several processes share, and how each of them opens it.

    Those on a network are measured where TRIMTAB_REDIS and TRIMTAB_POSTGRES say where they are.
    """
    found: Stores = {"SQLite": lambda folder: SqliteStore(folder / "cache.db")}
    if url := os.environ.get("TRIMTAB_REDIS"):
        found["Redis"] = lambda folder: _redis(url, folder.name)
    if dsn := os.environ.get("TRIMTAB_POSTGRES"):
        found["PostgreSQL"] = lambda folder: _postgres(dsn, folder.name)
    return found


def main() -> None:
    warm_up()
    rows = [
        measured(f"{ASKERS} threads, in memory", lambda folder: threads(MemoryStore(), folder)),
        measured(f"{ASKERS} asyncio tasks, in memory", lambda folder: tasks(MemoryStore(), folder)),
    ]
    for name, opened in stores().items():
        each = ASKERS // PROCESSES
        rows += [
            measured(f"{ASKERS} threads, {name}", lambda f, o=opened: threads(o(f), f)),
            measured(f"{ASKERS} asyncio tasks, {name}", lambda f, o=opened: tasks(o(f), f)),
            measured(
                f"{PROCESSES} processes of {each} threads, {name}",
                lambda f, n=name: processes(n, f, "threads"),
            ),
            measured(
                f"{PROCESSES} processes of {each} tasks, {name}",
                lambda f, n=name: processes(n, f, "tasks"),
            ),
            measured(
                f"the same, the first one killed as it calls, {name}",
                lambda f, n=name: processes(n, f, "tasks", kill=True),
            ),
        ]
    head = ["askers of one question", "calls", "same answer", "all answered after, s"]
    shown = [[r["askers"], str(r["calls"]), str(r["right"]), f"{r['seconds']:.2f}"] for r in rows]
    show(f"single flight: the model takes {SECONDS} s; the most of {RUNS} runs", head, shown)
    save("flight", {"model_seconds": SECONDS, "lease_seconds": LEASE, "runs": RUNS, "rows": rows})


def measured(name: str, work: Callable[[Path], int]) -> dict[str, object]:
    """Count the calls of each run, and keep the most of all runs."""
    calls, ends, right = [], [], []
    for _ in range(1 if "killed" in name else RUNS):
        with tempfile.TemporaryDirectory() as folder:
            right.append(work(Path(folder)))
            ends.append(time.time() - (Path(folder) / "begun").stat().st_mtime)
            calls.append(len((Path(folder) / "calls").read_text()))
    return {"askers": name, "calls": max(calls), "right": min(right), "seconds": max(ends)}


def threads(store: Any, folder: Path, count: int = ASKERS) -> int:
    """Ask from so many threads at once; returns how many got the answer."""
    pipeline = Pipeline(cache=ExactCache(store))
    ready = Barrier(count, action=partial(begin, folder))

    def ask(_: int) -> Response:
        ready.wait()
        return pipeline.run(REQUEST, lambda request: model(folder))

    with ThreadPoolExecutor(count) as pool:
        return right(list(pool.map(ask, range(count))))


def tasks(store: Any, folder: Path, count: int = ASKERS) -> int:
    """Ask from so many tasks of one event loop."""
    pipeline = Pipeline(cache=ExactCache(store))

    async def call(request: Request) -> Response:
        note(folder)
        await asyncio.sleep(SECONDS)
        return ANSWER

    async def ask() -> list[Response]:
        begin(folder)
        return await asyncio.gather(*(pipeline.arun(REQUEST, call) for _ in range(count)))

    return right(asyncio.run(ask()))


def processes(store: str, folder: Path, way: str, *, kill: bool = False) -> int:
    """Ask from several processes; `kill`: the first of them dies in the middle of its call."""
    with started(store, folder, way) as children:
        for child in children:
            print("go", file=child.stdin, flush=True)
            while kill and child is children[0] and not (folder / "calls").exists():
                time.sleep(0.01)
        if kill:
            children[0].send_signal(signal.SIGKILL)
        alive = children[1:] if kill else children
        return sum(int(child.communicate()[0]) for child in alive)


@contextmanager
def started(store: str, folder: Path, way: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the processes, and wait until all of them could ask."""
    command = [sys.executable, __file__, store, str(folder), way]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for child in children:
            child.stdout.readline()  # type: ignore[union-attr]
        yield children
    finally:
        for child in children:
            child.kill()
            child.wait()


def child(store: str, folder: str, way: str) -> None:
    """Ask as one of several processes."""
    opened = stores()[store](Path(folder))
    warm_up()
    print("ready", flush=True)
    sys.stdin.readline()
    ask = threads if way == "threads" else tasks
    print(ask(opened, Path(folder), ASKERS // PROCESSES))


def warm_up() -> None:
    """Load the tokenizer, which is not what is measured."""
    Pipeline().run(REQUEST, lambda request: ANSWER)


def model(folder: Path) -> Response:
    note(folder)
    time.sleep(SECONDS)
    return ANSWER


def note(folder: Path) -> None:
    """Count a call, whichever process makes it."""
    with open(folder / "calls", "a", encoding="utf-8") as calls:
        calls.write("x")


def begin(folder: Path) -> None:
    """Note when the first process began to ask."""
    with suppress(FileExistsError):
        (folder / "begun").touch(exist_ok=False)


def right(answers: list[Response]) -> int:
    return sum(answer.message.text == ANSWER.message.text for answer in answers)


def _redis(url: str, name: str) -> Any:
    from trimtab.cache.redis import RedisStore

    return RedisStore(url, prefix=name)


def _postgres(dsn: str, name: str) -> Any:
    from trimtab.cache.postgres import PostgresStore

    return PostgresStore(dsn, table=name)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(*sys.argv[1:])
    else:
        main()
