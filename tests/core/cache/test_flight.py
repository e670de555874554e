"""One call for many askers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from trimtab.cache import flight as module
from trimtab.cache.askers import askers
from trimtab.cache.flight import Flight
from trimtab.cache.heartbeat import Heartbeat, Lease, heartbeat

MANY = 200
LONG = 20.0
"""Seconds after which a test counts as stuck."""


class Held:
    """Leases in this process, as another process would see them."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.claims: list[str] = []
        self.lock = threading.Lock()

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        with self.lock:
            self.claims.append(owner)
            return self.held.setdefault(key, owner) == owner

    def release(self, key: str, owner: str) -> None:
        with self.lock:
            if self.held.get(key) == owner:
                del self.held[key]


class Down:
    """Leases whose server is gone."""

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        raise ConnectionError("no route")

    def release(self, key: str, owner: str) -> None:
        raise ConnectionError("no route")


def nothing() -> str | None:
    return None


async def later_nothing() -> str | None:
    return None


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(askers().questions)
    yield
    assert set(askers().questions) <= before


@contextmanager
def threads(count: int = MANY) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(count) as pool:
        yield pool


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline, "stuck"
        time.sleep(0.001)


async def auntil(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline, "stuck"
        await asyncio.sleep(0)


def waiting(flight: Flight[str], key: str = "k") -> int:
    question = askers().questions.get((flight, key))
    return 0 if question is None else len(question.waiters)


def ask(flight: Flight[str], calls: list[str], key: str = "k", waiters: int = 0) -> str:
    """Ask as a cache's user does; the call to the model lasts until so many others wait."""
    if (found := flight.join(key, nothing)) is not None:
        return found
    calls.append(key)
    until(lambda: waiting(flight, key) >= waiters)
    flight.land(key, "answer")
    return "answer"


async def aask(flight: Flight[str], calls: list[str], waiters: int = 0) -> str:
    if (found := await flight.ajoin("k", later_nothing)) is not None:
        return found
    calls.append("k")
    await auntil(lambda: waiting(flight) >= waiters)
    flight.land("k", "answer")
    return "answer"


@pytest.mark.parametrize("leases", [None, Held(), Down()], ids=["alone", "leased", "down"])
def test_many_threads_make_one_call(leases: Held | Down | None) -> None:
    flight, calls = Flight[str](leases), []

    with threads() as pool:
        asked = [pool.submit(ask, flight, calls, "k", MANY - 1) for _ in range(MANY)]
        answers = [one.result(LONG) for one in asked]

    assert (answers, calls) == (["answer"] * MANY, ["k"])


@pytest.mark.parametrize("leases", [None, Held(), Down()], ids=["alone", "leased", "down"])
def test_many_tasks_make_one_call_and_take_no_threads(leases: Held | Down | None) -> None:
    flight, calls = Flight[str](leases), []

    async def main() -> list[str]:
        before = threading.active_count()
        found = await asyncio.gather(*(aask(flight, calls, 999) for _ in range(1000)))
        assert threading.active_count() <= before + (10 if leases else 0)
        return list(found)

    assert (asyncio.run(main()), calls) == (["answer"] * 1000, ["k"])


def test_threads_and_the_tasks_of_several_loops_wait_for_the_same_call() -> None:
    flight, calls = Flight[str](), []

    async def tasks() -> list[str]:
        return list(await asyncio.gather(*(aask(flight, calls, 59) for _ in range(20))))

    with threads(40) as pool:
        loops = [pool.submit(asyncio.run, tasks()) for _ in range(2)]
        asked = [pool.submit(ask, flight, calls, "k", 59) for _ in range(20)]
        answers = [found for loop in loops for found in loop.result(LONG)]
        answers += [one.result(LONG) for one in asked]

    assert (answers, calls) == (["answer"] * 60, ["k"])


def test_different_questions_do_not_wait_for_each_other() -> None:
    flight = Flight[str]()

    assert flight.join("a", nothing) is None
    with threads(1) as pool:
        assert pool.submit(flight.join, "b", nothing).result(LONG) is None

    flight.land("a", "1")
    flight.land("b", "2")


def test_two_flights_do_not_share_answers() -> None:
    one, other = Flight[str](), Flight[str]()

    assert one.join("k", nothing) is None
    with threads(1) as pool:
        assert pool.submit(other.join, "k", nothing).result(LONG) is None

    one.land("k", "1")
    other.land("k", "2")


def test_where_calls_fail_the_others_try_one_at_a_time() -> None:
    flight, working, most, failed = Flight[str](), [], [], []

    def attempt() -> str:
        if (found := flight.join("k", nothing)) is not None:
            return found
        working.append(1)
        most.append(len(working))
        until(lambda: waiting(flight) + len(failed) == 9)
        working.pop()
        if len(failed) == 3:
            flight.land("k", "answer")
            return "answer"
        failed.append(1)
        flight.drop("k", retry=True)
        raise TimeoutError("the model")

    with threads(10) as pool:
        asked = [pool.submit(attempt) for _ in range(10)]
        errors = [one.exception(LONG) for one in asked]

    assert (max(most), len(most)) == (1, 4)
    assert sum(isinstance(error, TimeoutError) for error in errors) == 3
    assert sum(error is None for error in errors) == 7


@pytest.mark.parametrize("leases", [None, Held()], ids=["alone", "leased"])
def test_an_answer_that_is_not_kept_lets_all_go_at_once(leases: Held | None) -> None:
    flight = Flight[str](leases)
    assert flight.join("k", nothing) is None

    with threads(9) as pool:
        asked = [pool.submit(flight.join, "k", nothing) for _ in range(9)]
        until(lambda: waiting(flight) == 9)
        flight.drop("k", retry=False)
        assert [one.result(LONG) for one in asked] == [None] * 9

    for _ in range(9):
        flight.drop("k", retry=False)
    if leases is not None:
        until(lambda: not leases.held)


def test_an_answer_may_land_from_another_thread() -> None:
    flight = Flight[str]()
    assert flight.join("k", nothing) is None

    with threads(2) as pool:
        other = pool.submit(flight.join, "k", nothing)
        until(lambda: waiting(flight))
        pool.submit(flight.land, "k", "answer").result(LONG)
        assert other.result(LONG) == "answer"


def test_who_asks_twice_is_not_kept_waiting_for_itself() -> None:
    flight = Flight[str]()

    assert flight.join("k", nothing) is None
    assert flight.join("k", nothing) is None

    flight.land("k", "answer")
    flight.land("k", "answer")


def test_of_two_who_work_on_it_the_last_to_fail_lets_the_next_try() -> None:
    flight = Flight[str]()
    for _ in range(2):
        assert flight.join("k", nothing) is None

    with threads(1) as pool:
        other = pool.submit(flight.join, "k", nothing)
        until(lambda: waiting(flight))
        flight.drop("k", retry=True)
        assert waiting(flight) == 1
        flight.drop("k", retry=True)
        assert other.result(LONG) is None

    flight.drop("k", retry=True)


def test_a_task_that_asks_twice_is_not_kept_waiting_for_itself() -> None:
    flight = Flight[str]()

    async def main() -> list[str | None]:
        found = [await flight.ajoin("k", later_nothing), flight.join("k", nothing)]
        flight.land("k", "answer")
        return found

    assert asyncio.run(asyncio.wait_for(main(), LONG)) == [None, None]


def test_a_blocking_asker_does_not_wait_for_a_task_of_its_own_thread() -> None:
    flight, leads, done = Flight[str](), asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        assert await flight.ajoin("k", later_nothing) is None
        leads.set()
        await done.wait()
        flight.land("k", "answer")

    async def main() -> str | None:
        leader = asyncio.create_task(lead())
        await leads.wait()
        found = flight.join("k", nothing)
        done.set()
        await leader
        return found

    assert asyncio.run(main()) is None


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("flights", [1, 2])
def test_crossed_pairs_do_not_wait_for_each_other(flights: int, shared: bool) -> None:
    leases = Held() if shared else None
    one = Flight[str](leases)
    other = one if flights == 1 else Flight[str](leases)
    met = threading.Barrier(2)

    def both(first: tuple[Flight[str], str], second: tuple[Flight[str], str]) -> int:
        assert first[0].join(first[1], nothing) is None
        met.wait(LONG)
        calls = 1
        if second[0].join(second[1], nothing) is None:
            calls += 1
            second[0].land(second[1], "answer")
        first[0].land(first[1], "answer")
        return calls

    with threads(2) as pool:
        asked = [
            pool.submit(both, (one, "a"), (other, "b")),
            pool.submit(both, (other, "b"), (one, "a")),
        ]
        calls = [pair.result(LONG) for pair in asked]

    assert sum(calls) in ((3, 4) if shared else (3,))


def test_a_ring_of_tasks_and_threads_is_broken() -> None:
    flight, leading = Flight[str](), []

    def turn(first: str, second: str) -> None:
        assert flight.join(first, nothing) is None
        leading.append(first)
        until(lambda: len(leading) == 3)
        if flight.join(second, nothing) is None:
            flight.land(second, "answer")
        flight.land(first, "answer")

    async def aturn(first: str, second: str) -> None:
        assert await flight.ajoin(first, later_nothing) is None
        leading.append(first)
        await auntil(lambda: len(leading) == 3)
        if await flight.ajoin(second, later_nothing) is None:
            flight.land(second, "answer")
        flight.land(first, "answer")

    with threads(3) as pool:
        ring = [
            pool.submit(turn, "a", "b"),
            pool.submit(turn, "b", "c"),
            pool.submit(asyncio.run, aturn("c", "a")),
        ]
        for one in ring:
            one.result(LONG)


def test_a_ring_that_closes_when_another_worker_leaves_is_broken_too(monkeypatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    flight = Flight[str]()

    def lead() -> None:
        assert flight.join("a", nothing) is None
        until(lambda: waiting(flight, "a") == 2)
        flight.drop("a", retry=False)

    def then(first: str, second: str) -> None:
        assert flight.join(first, nothing) is None
        until(lambda: (flight, "b") in askers().questions)
        if flight.join(second, nothing) is None:
            flight.land(second, "answer")
        flight.land(first, "answer")

    with threads(3) as pool:
        leading = pool.submit(lead)
        until(lambda: (flight, "a") in askers().questions)
        ring = [pool.submit(then, "a", "b")]
        assert flight.join("a", nothing) is None
        leading.result(LONG)
        ring.append(pool.submit(then, "b", "a"))
        until(lambda: waiting(flight, "a") == waiting(flight, "b") == 1)
        flight.drop("a", retry=True)
        for one in ring:
            one.result(LONG)


def test_nobody_waits_longer_than_the_patience() -> None:
    flight = Flight[str](patience=0.05)
    assert flight.join("k", nothing) is None

    with threads(3) as pool:
        asked = [pool.submit(flight.join, "k", nothing) for _ in range(3)]
        assert [one.result(LONG) for one in asked] == [None] * 3

    flight.land("k", "answer")


def test_who_worked_longer_than_the_patience_is_taken_for_lost() -> None:
    flight = Flight[str](patience=0.01)
    assert flight.join("k", nothing) is None
    time.sleep(0.02)

    with threads(1) as pool:
        assert pool.submit(flight.join, "k", nothing).result(LONG) is None
        assert len(askers().questions[flight, "k"].workers) == 1

    flight.land("k", "answer")


def test_a_cancelled_follower_leaves_and_a_cancelled_leader_hands_on() -> None:
    flight, calls = Flight[str](), []

    async def lead() -> str:
        if (found := await flight.ajoin("k", later_nothing)) is not None:
            return found
        calls.append("k")
        try:
            await asyncio.sleep(LONG if len(calls) < 3 else 0)
        except BaseException:
            flight.drop("k", retry=True)
            raise
        flight.land("k", "answer")
        return "answer"

    async def main() -> list[object]:
        tasks = [asyncio.create_task(lead()) for _ in range(6)]
        await auntil(lambda: waiting(flight) == 5)
        tasks[1].cancel()
        await auntil(lambda: waiting(flight) == 4)
        tasks[0].cancel()
        await auntil(lambda: len(calls) == 2)
        # The next one is chosen, and cancelled before it could begin.
        tasks[2].cancel()
        tasks[3].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(main())

    assert [str(one) for one in found[4:]] == ["answer"] * 2
    assert all(isinstance(one, asyncio.CancelledError) for one in found[:4])


def test_a_task_of_a_loop_that_was_closed_too_early_is_not_waited_for() -> None:
    flight, loop = Flight[str](), asyncio.new_event_loop()
    task = loop.create_task(aask(flight, [], waiters=5))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    assert ask(flight, []) == "answer"
    task._log_destroy_pending = False


def test_a_task_that_fails_without_a_word_hands_on_at_once() -> None:
    flight, follows = Flight[str](), threading.Event()

    async def fails() -> None:
        assert await flight.ajoin("k", later_nothing, bound=True) is None
        await auntil(lambda: waiting(flight))
        raise TimeoutError("the model")

    async def main() -> None:
        failing = asyncio.create_task(fails())
        await asyncio.sleep(0)
        assert await flight.ajoin("k", later_nothing, bound=True) is None
        follows.set()
        assert isinstance((await asyncio.gather(failing, return_exceptions=True))[0], TimeoutError)

    asyncio.run(main())
    assert follows.is_set()


def test_a_thread_that_ended_without_a_word_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    flight, go_on = Flight[str](), threading.Event()

    def fails() -> None:
        assert flight.join("k", nothing, bound=True) is None
        go_on.wait(LONG)

    failing = threading.Thread(target=fails)
    failing.start()
    until(lambda: askers().questions)
    with threads(1) as pool:
        other = pool.submit(flight.join, "k", nothing)
        until(lambda: waiting(flight))
        go_on.set()
        assert other.result(LONG) is None
    flight.drop("k", retry=True)


def test_a_thread_that_tries_again_counts_once() -> None:
    flight = Flight[str]()
    for _ in range(3):
        assert flight.join("k", nothing, bound=True) is None

    assert len(askers().questions[flight, "k"].workers) == 1
    flight.drop_owned()


def test_what_a_thread_works_on_can_be_dropped_without_its_name() -> None:
    flight, other = Flight[str](), Flight[str]()
    assert flight.join("a", nothing, bound=True) is None
    assert flight.join("b", nothing) is None
    assert other.join("c", nothing, bound=True) is None

    flight.drop_owned()

    left = {place for place in askers().questions if place[0] in (flight, other)}
    assert left == {(flight, "b"), (other, "c")}
    flight.land("b", "answer")
    other.land("c", "answer")


def test_a_finalizer_may_drop_while_its_thread_holds_the_lock() -> None:
    flight = Flight[str]()
    assert flight.join("k", nothing) is None

    with askers().changing():
        flight.forsake("k")

    with threads(1) as pool:
        assert pool.submit(flight.join, "k", nothing).result(LONG) is None
    flight.land("k", "answer")


def test_who_ended_without_a_word_is_forgotten_though_nobody_asks_again() -> None:
    flight = Flight[str]()

    def forgetful(number: int) -> None:
        flight.join(str(number), nothing, bound=True)

    for number in range(300):
        thread = threading.Thread(target=forgetful, args=(number,))
        thread.start()
        thread.join()

    assert sum(place[0] is flight for place in askers().questions) < 150
    with askers().changing() as later:
        for question in list(askers().questions.values()):
            askers().prune(question, later)


def test_what_another_process_stored_is_found_and_given_to_all() -> None:
    leases, found = Held(), []
    flight = Flight[str](leases)
    leases.held["k"] = "another process"

    with threads(5) as pool:
        asked = [
            pool.submit(flight.join, "k", lambda: found[0] if found else None) for _ in range(5)
        ]
        until(lambda: waiting(flight) == 4 and len(leases.claims) > 2)
        found.append("answer")
        assert [one.result(LONG) for one in asked] == ["answer"] * 5

    assert leases.held == {"k": "another process"}


def test_tasks_find_what_another_process_stored() -> None:
    leases, found = Held(), []
    flight = Flight[str](leases)
    leases.held["k"] = "another process"

    async def look() -> str | None:
        return found[0] if found else None

    async def main() -> list[str | None]:
        asked = [asyncio.create_task(flight.ajoin("k", look)) for _ in range(5)]
        await auntil(lambda: waiting(flight) == 4 and len(leases.claims) > 2)
        found.append("answer")
        return list(await asyncio.gather(*asked))

    assert asyncio.run(main()) == ["answer"] * 5


def test_what_was_stored_just_before_the_lease_was_won_is_found() -> None:
    leases = Held()
    flight = Flight[str](leases)

    assert flight.join("k", lambda: "answer") == "answer"
    until(lambda: not leases.held)


def test_a_cancelled_asker_gives_back_the_lease_that_it_was_about_to_get() -> None:
    class Slow(Held):
        asked, go_on = threading.Event(), threading.Event()

        def claim(self, key: str, owner: str, seconds: float) -> bool:
            self.asked.set()
            self.go_on.wait(LONG)
            return super().claim(key, owner, seconds)

    leases = Slow()
    flight = Flight[str](leases)

    async def main() -> None:
        task = asyncio.create_task(flight.ajoin("k", later_nothing))
        await auntil(leases.asked.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    leases.go_on.set()
    until(lambda: leases.claims and not leases.held)


def test_who_works_for_other_processes_does_not_wait_for_another_one() -> None:
    leases = Held()
    flight = Flight[str](leases)
    leases.held["b"] = "another process, which may wait for a"

    assert flight.join("a", nothing) is None
    assert flight.join("b", nothing) is None

    flight.land("a", "answer")
    flight.land("b", "answer")
    until(lambda: set(leases.held) == {"b"})


def test_leases_that_fail_are_logged_once_and_left_out(caplog) -> None:
    flight = Flight[str](Down())

    for key in "ab":
        assert flight.join(key, nothing) is None
        flight.land(key, "answer")

    assert flight.failures == 2 and len(caplog.records) == 1


def test_a_lease_is_renewed_while_it_is_wanted_and_then_given_back() -> None:
    leases, wanted = Held(), [True]
    lease, beat = Lease(leases, "k", "me", 0.03), Heartbeat(linger=0.01)
    assert lease.claim()

    beat.hold(lease, lambda: bool(wanted))
    until(lambda: len(leases.claims) > 3)
    wanted.clear()

    until(lambda: not leases.held)
    until(lambda: not beat.running)


def test_a_renewal_that_fails_is_tried_again_and_a_lost_lease_is_not_fought_for() -> None:
    class Shaky(Held):
        def claim(self, key: str, owner: str, seconds: float) -> bool:
            won = super().claim(key, owner, seconds)
            if len(self.claims) == 2:
                raise ConnectionError("for a moment")
            return won

    leases = Shaky()
    lease, beat = Lease(leases, "k", "me", 0.03), Heartbeat(linger=0.01)
    assert lease.claim()

    beat.hold(lease, lambda: True)
    until(lambda: len(leases.claims) > 4)
    leases.held["k"] = "another"

    until(lambda: not beat.running)
    assert leases.held == {"k": "another"}


def test_one_thread_keeps_the_leases_of_all_flights() -> None:
    leases = Held()
    flights = [Flight[str](leases) for _ in range(5)]
    before = {thread.name for thread in threading.enumerate()} - {"trimtab-leases"}

    for number, flight in enumerate(flights):
        assert flight.join(str(number), nothing) is None
    names = [t.name for t in threading.enumerate() if t.name not in before]
    for number, flight in enumerate(flights):
        flight.land(str(number), "answer")

    assert names == ["trimtab-leases"]
    until(lambda: not leases.held)


def test_patience_and_lease_are_positive() -> None:
    with pytest.raises(ValueError, match="patience"):
        Flight[str](patience=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_none_of_its_parents_calls_and_gives_back_no_lease() -> None:
    leases = Held()
    flight = Flight[str](leases)
    assert flight.join("k", nothing) is None
    with threads(1) as pool:
        other = pool.submit(flight.join, "k", nothing)
        until(lambda: waiting(flight))
        child = os.fork()
        if child == 0:
            leases.lock = threading.Lock()
            mine = flight.join("other", nothing) is None
            flight.drop("k", retry=True)
            alone = not heartbeat()._due or len(heartbeat()._due) == 1
            flight.land("other", "answer")
            until(lambda: "other" not in leases.held)
            os._exit(0 if mine and alone and "k" in leases.held else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        flight.land("k", "answer")
        assert other.result(LONG) == "answer"


ASKING = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from trimtab.cache.flight import Flight
from trimtab.cache.sqlite import SqliteStore

folder, seconds, mode = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
store = SqliteStore(folder / "cache.db")
flight = Flight(store, lease_seconds=seconds)

def ask(_):
    found = store.load("k") or flight.join("k", lambda: store.load("k"))
    if found is not None:
        return found
    with open(folder / "calls", "a") as calls:
        calls.write("x")
    time.sleep(1000 if mode == "hang" else 0.1)
    store.save("k", "answer")
    flight.land("k", "answer")
    return "answer"

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(50) as pool:
    print(set(pool.map(ask, range(50))) == {"answer"})
"""


def start(folder: Path, seconds: float = 10.0, mode: str = "") -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", ASKING, str(folder), str(seconds), mode]
    asking = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert asking.stdout is not None and asking.stdout.readline() == "ready\n"
    return asking


def go(asking: subprocess.Popen[str]) -> None:
    assert asking.stdin is not None
    asking.stdin.write("\n")
    asking.stdin.flush()


def test_four_processes_of_fifty_threads_make_one_call(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(4)]
    for process in processes:
        go(process)

    assert [process.communicate(timeout=LONG)[0] for process in processes] == ["True\n"] * 4
    assert (tmp_path / "calls").read_text() == "x"


def test_where_the_calling_process_is_killed_exactly_one_other_takes_over(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    first = start(tmp_path, 0.5, "hang")
    go(first)
    until(calls.exists)
    others = [start(tmp_path, 0.5) for _ in range(2)]
    for process in others:
        go(process)
    first.send_signal(signal.SIGKILL)
    first.communicate()

    assert [process.communicate(timeout=LONG)[0] for process in others] == ["True\n"] * 2
    assert calls.read_text() == "xx"
