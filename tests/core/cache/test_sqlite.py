"""The store in a file: processes, crashes, room, vectors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import trimtab
from trimtab.cache import SqliteStore
from trimtab.cache.store import Near

CORE = str(Path(trimtab.__file__).parents[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


def test_it_is_there_when_opened_again(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save("a", "x")
    with SqliteStore(path) as store:
        assert store.load("a") == "x"


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    with pytest.raises(sqlite3.ProgrammingError, match=r"cache\.db.*closed"):
        store.load("a")


@pytest.mark.parametrize("wrong", ["", ":memory:"])
def test_what_is_no_file_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="MemoryStore"):
        SqliteStore(wrong)


def test_no_room_at_all_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="no room"):
        SqliteStore(path, max_entries=0)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "cache.db")


def test_a_database_of_someone_else_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE entries (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="something else"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(ValueError, match="newer trimtab, in format 99"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_named_and_left_alone(path: Path) -> None:
    path.write_text("a letter to my aunt " * 100)
    with pytest.raises(sqlite3.DatabaseError, match=r"cache\.db"):
        SqliteStore(path)
    assert path.read_text().startswith("a letter")


def test_a_file_that_breaks_in_use_is_named(path: Path) -> None:
    with SqliteStore(path) as store:
        for i in range(200):
            store.save(f"{i}", "x" * 1000)
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 40)
    store = SqliteStore(path)
    with pytest.raises(sqlite3.DatabaseError, match=r"cache\.db"):
        for i in range(200):
            store.load(f"{i}")


def test_a_reader_does_not_wait_for_a_writer(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save("a", "x")
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM entries")
        assert store.load("a") == "x"
        writer.execute("ROLLBACK")
        writer.close()


def test_it_never_holds_more_than_it_may(path: Path) -> None:
    with SqliteStore(path, max_entries=10) as store:
        for i in range(40):
            store.save(f"{i}", "x")
            assert len(store) <= 10
        assert store.load("39") == "x"
        assert sum(1 for _ in store.entries()) == 10


def test_it_never_holds_more_bytes_than_it_may(path: Path) -> None:
    with SqliteStore(path, max_bytes=1000) as store:
        for i in range(60):
            store.save(f"{i % 17}", "x" * (i * 37 % 400))
            assert sum(len(e.key) + len(e.text) for e in store.entries()) <= 1000
        store.save("a", "x")
        store.save("a", "x" * 2000)
        assert store.load("a") is None
        assert len(store) == sum(1 for _ in store.entries()) > 1


def test_what_is_asked_for_and_what_was_dear_outlive_the_rest(path: Path) -> None:
    with SqliteStore(path, max_entries=10) as store:
        store.save("asked", "x")
        store.save("dear", "x", worth=0.5)
        store.save("epoch:a", "x")
        for i in range(100):
            store.load("asked")
            store.save(f"{i}", "x")
        assert store.load("asked") == store.load("dear") == store.load("epoch:a") == "x"


def test_hits_are_written_down_at_the_end_at_the_latest(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save("a", "x", worth=0.25)
        for _ in range(4):
            store.load("a")
    with SqliteStore(path) as store:
        (entry,) = store.entries()
    assert (entry.key, entry.text, entry.hits, entry.worth) == ("a", "x", 5, 0.25)


def test_what_has_ended_is_swept_out(path: Path) -> None:
    now = [0.0]
    with SqliteStore(path, clock=lambda: now[0]) as store:
        store.save("a", "x", ttl=10)
        now[0] = 11
        assert list(store.entries()) == [] and len(store) == 1
        store.save("b", "x")
        assert len(store) == 1


def test_entries_are_listed_while_others_write(path: Path) -> None:
    with SqliteStore(path) as store:
        for i in range(200):
            store.save(f"{i}", "x")
        seen = []
        for entry in store.entries():
            store.drop(entry.key)
            seen.append(entry.key)
        assert sorted(seen, key=int) == [f"{i}" for i in range(200)] and len(store) == 0


def test_an_entry_tells_the_question_by_which_it_is_found(path: Path) -> None:
    with SqliteStore(path) as store:
        for key in ("a", "b"):
            store.save(key, "x")
        store.place("p", Near("a", "half \ud83d", np.ones(4, np.float32) / 2, 1.0))
        assert {entry.key: entry.question for entry in store.entries()} == {
            "a": "half \ud83d",
            "b": None,
        }


def fill(path: str, name: str, texts: int) -> None:
    with SqliteStore(path) as store:
        for i in range(texts):
            store.save(f"{name} {i}", name)
            store.save("shared", name)


def test_processes_may_open_and_use_it_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=fill, args=(str(path), n, 30)) for n in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with SqliteStore(path) as store:
        assert len(store) == 61
        assert all(store.load(f"{n} {i}") == n for n in "ab" for i in range(30))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_and_its_parent_go_on_with_it(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save("a", "x")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                store.save("b", store.load("a") or "")
                code = 0
            finally:
                os._exit(code)
        for i in range(50):
            store.save(f"{i}", "x")
        assert os.waitpid(child, 0)[1] == 0
        assert store.load("b") == "x" and len(store) == 52
    assert sound(path)


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from trimtab.cache import SqliteStore
store = SqliteStore(sys.argv[2], max_entries=500)
i = 0
while True:
    store.save(str(i), "x" * (i * 7919 % 5000), worth=i % 7)
    store.load(str(i - 3))
    print(i, flush=True)
    i += 1
"""


def test_a_writer_that_is_killed_loses_nothing_that_it_saved(path: Path) -> None:
    for kill_at in (1, 150):
        command = [sys.executable, "-c", KILLED, CORE, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            last = next(int(line) for line in writer.stdout if int(line) >= kill_at)
            writer.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            last = max([last, *(int(line) for line in writer.stdout.read().split())])
        with SqliteStore(path, max_entries=500) as store:
            assert store.load(f"{last}") == "x" * (last * 7919 % 5000)
            assert len(store) == sum(1 for _ in store.entries())
            store.save("after", "x")
        assert sound(path)


def test_a_lease_of_a_process_that_is_killed_runs_out(path: Path) -> None:
    with SqliteStore(path) as store:
        code = (
            f"import os, sys; sys.path.insert(0, {CORE!r})\n"
            f"from trimtab.cache import SqliteStore\n"
            f"SqliteStore({str(path)!r}).claim('a', 'dead', 0.01)\nos._exit(9)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
        time.sleep(0.02)
        assert store.claim("a", "me", 10)


def sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
