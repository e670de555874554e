"""What an exact lookup costs, key included, beside LangChain's caches."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import save, show

from trimtab import Message, Request
from trimtab.cache import ExactCache, MemoryStore, SqliteStore
from trimtab.types import Response, Usage

LOOKUPS = 20_000
SYSTEM = "You help the customers of a small shop. Answer briefly. " * 4
ANSWER = "Your order left our house yesterday and is with you by Friday. " * 5
IN_MEMORY = 100_000
"""How many prompts LangChain's memory holds; more take gigabytes and are found as fast."""
Prepare = Callable[[int], Callable[[], object]]
"""Makes the lookup of one question, which is then timed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="answers in each file")
    rows = parser.parse_args().rows
    result: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, prepare, held in chain(ours(rows, Path(folder)), langchains(rows, Path(folder))):
            result[name] = timed(prepare, held)
    body = [[name, *(f"{us:.1f}" for us in times.values())] for name, times in result.items()]
    show(f"exact lookups (hits, {LOOKUPS:,} each), us", ["", "median", "p99"], body)
    save("exact", {"rows": rows, "lookups": LOOKUPS, "us": result})


def timed(prepare: Prepare, rows: int) -> dict[str, float]:
    """Time single lookups in random order, each by a request of objects that are new."""
    dice, times = random.Random(0), []
    for i in dice.choices(range(rows), k=LOOKUPS):
        lookup = prepare(i)
        start = time.perf_counter()
        found = lookup()
        times.append((time.perf_counter() - start) * 1e6)
        assert found is not None
    return {"median": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}


def question(i: int) -> Request:
    """Make a request of new objects, as each call does."""
    said = (Message("system", SYSTEM), Message("user", f"Where is my order {i}?"))
    return Request("gpt-4o", said, params={"temperature": 0, "max_tokens": 500})


def answer() -> Response:
    used = Usage(250, 80, 0, 0, 0)
    return Response(Message("assistant", ANSWER), used, "gpt-4o-2024-11-20", "stop")


def ours(rows: int, folder: Path) -> Iterator[tuple[str, Prepare, int]]:
    """Fill one store after another."""
    yield "the key alone", lambda i: partial(getattr, question(i), "key"), rows
    memory = ExactCache(MemoryStore(max_entries=rows))
    memory.put(question(0), answer())
    text = memory.store[question(0).key]  # type: ignore[index]
    for i in range(rows):
        memory.store[question(i).key] = text  # type: ignore[index]
    yield f"trimtab, memory, {rows:,} answers", asks(memory), rows
    memory.clear()
    with SqliteStore(folder / "ours.db", max_entries=rows) as store:
        cache = ExactCache(store)
        cache.put(question(0), answer())
        fill(folder / "ours.db", rows)
        yield f"trimtab, SQLite, {rows:,} answers", asks(cache), rows


def asks(cache: ExactCache) -> Prepare:
    return lambda i: partial(cache.get, question(i))


def fill(path: Path, rows: int) -> None:
    """Write the first answer again under other keys, which is faster than to save each."""
    import sqlite3

    def row(i: int) -> tuple[int, str]:
        key = question(i).key
        return int.from_bytes(
            blake2b(key.encode(), digest_size=8).digest(), "big", signed=True
        ), key

    connection = sqlite3.connect(path)
    connection.executemany(
        "INSERT OR IGNORE INTO entries SELECT ?, ?, text, ends, size, hits, worth, value, priority"
        " FROM entries WHERE id = (SELECT min(id) FROM entries)",
        map(row, range(1, rows)),
    )
    connection.commit()
    connection.close()


def langchains(rows: int, folder: Path) -> Iterator[tuple[str, Prepare, int]]:
    """Ask LangChain's caches as its chat models do, with the prompt as JSON; skip what is missing.

    The prompt's JSON is made beforehand, because its model makes it whether there is a cache or
    not.
    """
    try:
        from langchain_core.caches import InMemoryCache
    except ImportError:
        return
    small, held = InMemoryCache(), min(rows, IN_MEMORY)
    for i in range(held):
        small.update(prompt(i), MODEL, generations())
    yield f"LangChain, InMemoryCache, {held:,} answers", looks(small), held
    small.clear()
    try:
        from langchain_community.cache import SQLiteCache
    except ImportError:
        return
    file = SQLiteCache(str(folder / "theirs.db"))
    file.update(prompt(0), MODEL, generations())
    copies(folder / "theirs.db", map(prompt, range(1, rows)))
    yield f"LangChain, SQLiteCache, {rows:,} answers", looks(file), rows


MODEL = "[('_type', 'openai-chat'), ('model', 'gpt-4o'), ('stop', None), ('temperature', 0)]"


def looks(cache: Any) -> Prepare:
    return lambda i: partial(cache.lookup, prompt(i), MODEL)


def prompt(i: int) -> str:
    """Write the messages as LangChain does."""
    return (
        '[{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages",'
        ' "SystemMessage"], "kwargs": {"content": "' + SYSTEM + '", "type": "system"}},'
        ' {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages",'
        f' "HumanMessage"], "kwargs": {{"content": "Where is my order {i}?", "type": "human"}}}}]'
    )


def generations() -> list[Any]:
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration

    return [ChatGeneration(message=AIMessage(ANSWER))]


def copies(path: Path, prompts: Iterable[str]) -> None:
    """Write the first answer again under other prompts."""
    import sqlite3

    connection = sqlite3.connect(path)
    (llm, idx, response) = connection.execute(
        "SELECT llm, idx, response FROM full_llm_cache"
    ).fetchone()
    connection.executemany(
        "INSERT INTO full_llm_cache (prompt, llm, idx, response) VALUES (?, ?, ?, ?)",
        ((said, llm, idx, response) for said in prompts),
    )
    connection.commit()
    connection.close()


if __name__ == "__main__":
    main()
