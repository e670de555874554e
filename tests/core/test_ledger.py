from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab import prices
from trimtab.errors import BudgetExceeded
from trimtab.ledger import Change, Event, Ledger, Limits
from trimtab.ledger.figures import count, figures_of, total
from trimtab.ledger.rows import RETALLY
from trimtab.types import Usage

NOW = time.time()
HOUR = 3600.0
FREE = Usage(0, 0, 0, 0, 0)


def call(name: str = "a", **fields: object) -> Event:
    known = {"id": name, "time": NOW, "model": "m", "usage": Usage(100, 20, 60, 0, 5)}
    return Event(**{**known, "cost": Decimal("0.01"), **fields})  # type: ignore[arg-type]


def hit(name: str = "a", **fields: object) -> Event:
    return call(name, **{"usage": FREE, "cost": None, "hit": True, "saved": Usage(9, 1), **fields})


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db" if request.param == "file" else None) as opened:
        yield opened


tokens = st.none() | st.integers(0, 10**9)
usages = st.builds(Usage, tokens, tokens, tokens, tokens, tokens)
costs = st.none() | st.decimals(0, 10**6, places=12)
names = st.text(max_size=8)
numbers = st.integers(-(10**6), 10**6)
events = st.builds(
    Event,
    id=st.sampled_from("abcd"),
    time=st.floats(0, 4e9),
    model=names,
    usage=usages,
    cost=costs,
    saved=st.none() | usages,
    tenant=names,
    session=names,
    latency=st.none() | st.floats(0, 1e6),
    hit=st.booleans(),
    changes=st.lists(st.builds(Change, names, numbers, numbers), max_size=3).map(tuple),
    components=st.dictionaries(names, st.integers(0, 10**6), max_size=3),
    error=names,
    saved_cost=costs,
)


@settings(deadline=None)
@given(events)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    with Ledger() as ledger:
        ledger.record(replace(event, hit=False))
        assert ledger.events == (replace(event, hit=False),)


@settings(max_examples=50, deadline=None)
@given(st.lists(events, max_size=12))
def test_sums_agree_with_the_events_however_often_they_were_merged(seen: list[Event]) -> None:
    with Ledger() as ledger:
        for event in seen:
            ledger.record(event)
        counted: Counter[str] = Counter()
        for event in ledger.events:
            counted.update(count(event))
        found = ledger.analytics(None)
        assert {name: vars(found)[name] for name in vars(figures_of({}))} == vars(
            figures_of(counted)
        )
        assert found.calls == len({(event.id, event.hit) for event in seen})


@settings(deadline=None)
@given(events)
def test_an_event_seen_twice_changes_nothing(event: Event) -> None:
    with Ledger() as ledger:
        ledger.record(event)
        once = ledger.events, ledger.analytics(None)
        ledger.record(event)
        assert (ledger.events, ledger.analytics(None)) == once


def test_two_views_of_a_call_make_one_event_that_knows_what_either_knew(ledger: Ledger) -> None:
    ledger.record(call(usage=Usage(100), cost=None, components={"tools": 40}))
    ledger.record(call(time=NOW + 1, usage=Usage(7, 20), tenant="t", latency=2.0))
    ledger.record(call(cost=Decimal(5), components={"tools": 1, "history": 2}))
    merged = call(components={"tools": 40}, tenant="t", latency=2.0)
    assert ledger.events == (merged,)
    assert ledger.analytics().cost == Decimal("0.01")
    assert list(ledger.analytics().tenants) == ["t"]


def test_a_cached_answer_with_the_id_of_the_call_that_paid_for_it_is_another_call(
    ledger: Ledger,
) -> None:
    ledger.record(call())
    ledger.record(hit())
    found = ledger.analytics()
    assert (found.calls, found.hits, found.hit_rate) == (2, 1, 0.5)
    assert found.cost == Decimal("0.01")
    assert found.usage == Usage(100, 20, 60, 0, 5)


def test_a_cached_answer_costs_nothing_and_saves_what_it_would_have_cost(ledger: Ledger) -> None:
    ledger.record(hit("a", model="gpt-4o", usage=Usage(), saved=Usage(1000, 10, 0, 0, 0)))
    ledger.record(hit("b", saved_cost=Decimal("0.5")))
    first, second = ledger.events
    assert (first.cost, first.usage) == (0, FREE)
    assert first.saved_cost == prices.cost("gpt-4o", Usage(1000, 10, 0, 0, 0))
    assert second.saved_cost == Decimal("0.5")
    assert ledger.analytics().saved_tokens == 1020


def test_what_is_unknown_is_counted_and_never_zero(ledger: Ledger) -> None:
    ledger.record(call("a", usage=Usage(), cost=None))
    alone = ledger.analytics()
    assert (alone.usage, alone.cost) == (Usage(), None)
    ledger.record(call("b", usage=Usage(100, 20)))
    both = ledger.analytics()
    assert both.usage == Usage(100, 20)
    assert both.unknown["input_tokens"] == both.unknown["cost"] == 1
    assert both.unknown["cache_read_tokens"] == 2
    assert both.cache_read_share is None


def test_costs_add_up_exactly(ledger: Ledger) -> None:
    for i in range(30):
        ledger.record(call(str(i), cost=Decimal("0.1"), session="s"))
    ledger.record(call("tiny", cost=Decimal("0.000000000001"), session="s"))
    found = ledger.analytics()
    assert found.cost == found.sessions[0].cost == Decimal("3.000000000001")


def test_no_calls_cost_nothing_and_have_no_rates(ledger: Ledger) -> None:
    found = ledger.analytics()
    assert (found.calls, found.cost, found.hit_rate, found.p50) == (0, 0, None, None)
    assert (found.sessions, found.models, ledger.alerts, ledger.events) == ((), {}, (), ())


def test_only_the_asked_hours_count(ledger: Ledger) -> None:
    for minutes in (1, 58, 62, 23 * 60, 25 * 60):
        ledger.record(call(str(minutes), time=time.time() - minutes * 60, session="s"))
    assert [ledger.analytics(hours).calls for hours in (1, 24, 48, None)] == [2, 4, 5, 5]
    assert [ledger.analytics(hours).sessions[0].calls for hours in (1, 24, None)] == [2, 4, 5]
    with pytest.raises(ValueError, match="hours must be more than 0"):
        ledger.analytics(0)


def test_figures_are_told_apart_by_model_tenant_and_session(ledger: Ledger) -> None:
    ledger.record(call("a", model="big", tenant="x", session="s", cost=Decimal(3)))
    ledger.record(call("b", model="big", tenant="y", session="t", cost=Decimal(1)))
    ledger.record(call("c", model="small", tenant="x", session="s", error="broken"))
    found = ledger.analytics()
    assert found.cost_by_model == {"big": 4, "small": Decimal("0.01")}
    assert list(found.tenants) == ["x", "y"]
    assert [(s.id, s.calls, s.tokens) for s in found.sessions] == [("s", 2, 240), ("t", 1, 120)]
    assert found.failed == found.models["small"].failed == 1
    one = ledger.analytics(tenant="x", model="big")
    assert (one.calls, one.cost, [s.id for s in one.sessions]) == (1, 3, ["s"])
    assert len(ledger.analytics(top=1).sessions) == 1


def test_tokens_are_summed_by_step_and_by_component(ledger: Ledger) -> None:
    changes = (Change("shorten", 100, 60), Change("mark", 60, 62), Change("shorten", 62, 60))
    for name in "ab":
        ledger.record(call(name, changes=changes, components={"tools": 40, "history": 20}))
    found = ledger.analytics()
    assert found.levers == {"shorten": 84, "mark": -4}
    assert found.lever_tokens == 80
    assert found.components == {"tools": 80, "history": 40}
    assert found.cache_read_share == 0.6


def test_tokens_removed_are_worth_something_between_cached_and_not(ledger: Ledger) -> None:
    ledger.record(call(model="gpt-4o", changes=(Change("shorten", 5000, 3000),)))
    ends = ledger.analytics().worth(lambda figures: figures.levers["shorten"])
    read, fresh = (prices.cost("gpt-4o", Usage(1000, 0, cached, 0, 0)) for cached in (1000, 0))
    assert ends == (None if read is None or fresh is None else (2 * read, 2 * fresh))
    ledger.record(call("b", model="nobody's model", changes=(Change("shorten", 2, 1),)))
    assert ledger.analytics().worth(lambda figures: figures.levers["shorten"]) is None


def test_latencies_are_of_calls_that_reached_a_model(ledger: Ledger) -> None:
    for i in range(1, 101):
        ledger.record(call(str(i), latency=i / 10))
    ledger.record(hit("hit", latency=0.001))
    found = ledger.analytics()
    assert found.p50 == pytest.approx(5.0, rel=0.05)
    assert found.p95 == pytest.approx(9.5, rel=0.05)


def test_events_are_read_in_turn_by_time_tenant_and_model(ledger: Ledger) -> None:
    for i in range(1100):
        ledger.record(call(str(i), time=float(i // 3), tenant="xy"[i % 2], model="mn"[i % 5 == 0]))
    assert [event.id for event in ledger.between()] == [str(i) for i in range(1100)]
    some = list(ledger.between(10, 20, tenant="x", model="m"))
    assert [event.id for event in some] == [str(i) for i in range(30, 60, 2) if i % 5]


def test_a_hook_is_told_of_a_call_once_and_after_it_is_safe(tmp_path: Path) -> None:
    told = []

    def hook(event: Event) -> None:
        told.append((event.id, len(ledger.events)))

    with Ledger(tmp_path / "ledger.db", [hook]) as ledger:
        for name in "aba":
            ledger.record(call(name))
    assert told == [("a", 1), ("b", 2)]


def test_a_hook_that_fails_is_logged_once_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        raise OSError("no route")

    ledger = Ledger(hooks=[broken, told.append])
    with caplog.at_level(logging.WARNING, "trimtab"):
        ledger.record(call("a"))
        ledger.record(call("b"))
    assert [record.getMessage() for record in caplog.records] == [
        "the ledger's hook broken failed: OSError('no route')"
    ]
    assert ledger.failures == {"broken": 2}
    assert len(told) == len(ledger.events) == 2


def test_a_spent_budget_stops_the_caller_once_all_is_kept_and_told() -> None:
    told: list[Event] = []

    def budget(event: Event) -> None:
        raise BudgetExceeded("spent")

    ledger = Ledger(hooks=[budget, told.append])
    with pytest.raises(BudgetExceeded):
        ledger.record(call())
    assert ledger.events == tuple(told) == (call(),)


def test_limits_raise_alerts_in_plain_words() -> None:
    limits = Limits(Decimal("0.5"), Decimal(5), hit_rate=0.5, calls=4)
    with Ledger(limits=limits) as ledger:
        for name in "abc":
            ledger.record(call(name, cost=Decimal("0.5")))
        assert ledger.alerts == ()
        ledger.record(call("old", cost=Decimal(9), time=NOW - 25 * HOUR))
        ledger.record(call("dear", cost=Decimal("2.5")))
        found = {alert.kind: alert for alert in ledger.alerts}
        assert list(found) == ["costly request", "budget nearly spent", "low cache hit rate"]
        assert found["costly request"].value == Decimal("2.5")
        assert "dear" in found["costly request"].message
        assert found["budget nearly spent"].value == 4
        assert found["low cache hit rate"].value == 0
        for i in range(4):
            ledger.record(hit(str(i)))
        assert len(ledger.alerts) == 3  # just at its limit, the rate may fall again at once
        ledger.record(hit("more"))
        assert len(ledger.alerts) == 2


def fill(ledger: Ledger, calls: int, *, at: float = NOW, **fields: object) -> None:
    for i in range(calls):
        ledger.record(call(f"{at} {i} {fields}", time=at, **fields))


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (Usage(100, 20, 80, 0, 0), Usage(100, 20, 20, 0, 0), "falling prefix cache reads"),
        (Usage(100, 20, 80, 0, 0), Usage(100, 40, 80, 0, 0), "growing answers"),
        (Usage(100, 20, 80, 0, 0), Usage(100, 25, 70, 0, 0), None),
    ],
)
def test_what_was_better_in_the_week_before_raises_an_alert(
    before: Usage, now: Usage, kind: str | None
) -> None:
    ledger = Ledger(limits=Limits(calls=10))
    fill(ledger, 10, at=NOW - 60 * HOUR, usage=before)
    fill(ledger, 9, usage=now)
    assert ledger.alerts == ()  # too few to tell
    fill(ledger, 1, at=NOW - 1, usage=now)
    assert [alert.kind for alert in ledger.alerts] == ([kind] if kind else [])
    if kind:
        assert "before" in ledger.alerts[0].message


def test_a_response_cache_that_answers_less_than_before_raises_an_alert() -> None:
    ledger = Ledger(limits=Limits(calls=10))
    fill(ledger, 10, at=NOW - 60 * HOUR)
    fill(ledger, 10, at=NOW - 61 * HOUR, hit=True, usage=FREE, saved=Usage(9, 1))
    fill(ledger, 16)
    fill(ledger, 4, hit=True, usage=FREE, saved=Usage(9, 1))
    assert [alert.kind for alert in ledger.alerts] == ["falling cache hit rate"]
    fill(ledger, 5, at=NOW - 2, hit=True, usage=FREE, saved=Usage(9, 1))
    assert [alert.kind for alert in ledger.alerts] == ["falling cache hit rate"]  # 36 of 50 %
    assert Ledger(limits=Limits()).alerts == ()
    fill(ledger, 4, at=NOW - 3, hit=True, usage=FREE, saved=Usage(9, 1))
    assert ledger.alerts == ()


def test_limits_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="daily_cost must not be negative, got -1"):
        Limits(daily_cost=Decimal(-1))


def test_a_report_names_levers_and_figures_and_fits_a_terminal() -> None:
    ledger = Ledger(limits=Limits(call_cost=Decimal(0)))
    assert ledger.report() == "0 calls in 24 hours, 0 failed, 0 from the cache"
    changes = (Change("a step with quite a long name, longer than any table should have", 90, 50),)
    parts = {"tools": 800, "history": 80}
    ledger.record(call(changes=changes, components=parts, session="s" * 80, latency=1.0))
    ledger.record(call("b", usage=Usage(10), cost=None, model="x" * 90))
    text = ledger.report(None)
    assert all(len(line) <= 100 for line in text.splitlines())
    for words in ("since the ledger began", "$0.0100", "tools: only", "ShortenTools(", "1.05 s"):
        assert words in text
    assert "unknown  cost of 1 calls" in text
    assert "costly request: the call a of m cost $0.01" in text
    assert "history:" not in text


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    def work(who: int) -> None:
        for i in range(50):
            ledger.record(call(f"{who} {i}"))
            ledger.record(call(f"all {i}"))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.analytics().calls == len(ledger.events) == 350


async def test_tasks_share_a_ledger(ledger: Ledger) -> None:
    async def work(i: int) -> None:
        await asyncio.sleep(0)
        ledger.record(call(str(i)))

    await asyncio.gather(*(work(i) for i in range(100)))
    assert ledger.analytics().calls == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_goes_on_writing_to_the_same_file(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.db") as ledger, Ledger() as memory:
        ledger.record(call("before"))
        memory.record(call("before"))
        if (child := os.fork()) == 0:
            ledger.record(call("child"))
            memory.record(call("child"))
            os._exit(len(ledger.events) - len(memory.events))
        ledger.record(call("parent"))
        _, status = os.waitpid(child, 0)
        assert {event.id for event in ledger.events} == {"before", "child", "parent"}
        assert [event.id for event in memory.events] == ["before"]
        assert os.WEXITSTATUS(status) in (0, 1)  # the parent may have been faster


WRITER = textwrap.dedent("""
    import sys, time
    from trimtab.ledger import Change, Event, Ledger
    path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with Ledger(path) as ledger:
        for i in range(count):
            event = Event(f"{name} {i}", time.time(), "m", changes=(Change("step", 3, 1),))
            ledger.record(event)
            print(event.id, flush=True)
""")


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_four_processes_write_and_one_is_killed_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    writers = [writer(path, str(who), 400) for who in range(3)]
    victim = writer(path, "victim", 10**9)
    assert victim.stdout
    promised = [victim.stdout.readline() for _ in range(100)]
    victim.send_signal(signal.SIGKILL)
    promised += victim.communicate()[0].splitlines(keepends=True)
    for process in writers:
        promised += process.communicate(timeout=60)[0].splitlines(keepends=True)
        assert process.returncode == 0
    whole = {line.rstrip("\n") for line in promised if line.endswith("\n")}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Ledger(path) as ledger:
        kept = {event.id for event in ledger.events}
        assert len(whole) >= 1300
        assert whole <= kept
        assert len(kept - whole) <= 1  # kept, and killed before it could say so
        found = ledger.analytics()
        assert (found.calls, found.lever_tokens) == (len(kept), 2 * len(kept))


def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    for name in "ab":
        path = tmp_path / name
        writers = [writer(path, str(who), 5) for who in range(4)]
        for process in writers:
            process.communicate(timeout=60)
        assert [process.returncode for process in writers] == [0] * 4
        with Ledger(path) as ledger:
            assert len(ledger.events) == 20


def test_a_path_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    prose = tmp_path / "notes.txt"
    prose.write_text("not a database, and longer than its header would be" * 100)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE people (name)")
    connection.close()
    newer = tmp_path / "newer.db"
    Ledger(newer).close()
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = {path: path.read_bytes() for path in (prose, other, newer)}
    for path, reason in (
        (tmp_path, "unable to open"),
        (tmp_path / "missing" / "ledger.db", "unable to open"),
        (prose, "not a database"),
        (other, "something else"),
        (newer, "format is 99, of a newer trimtab"),
    ):
        with pytest.raises(ValueError, match=reason) as caught:
            Ledger(path)
        assert repr(str(path)) in str(caught.value)
        assert "Give the path of a file that Ledger wrote" in str(caught.value)
    assert before == {path: path.read_bytes() for path in before}


def test_an_empty_path_is_not_a_place_for_a_ledger() -> None:
    with pytest.raises(ValueError, match="'' cannot be used as a ledger"):
        Ledger("")


def test_a_ledger_outlives_its_process_object(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record(call())
    del ledger
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]  # closed: no log beside it
    with Ledger(tmp_path / "ledger.db") as again:
        assert again.events == (call(),)


def test_a_closed_ledger_refuses_to_work(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        ledger.record(call())


def test_an_event_that_cannot_be_kept_leaves_the_ledger_as_it_was(ledger: Ledger) -> None:
    ledger.record(call("a"))
    for wrong in (call("b", time=math.nan), call("b", cost=Decimal(10) ** 9)):
        with pytest.raises((sqlite3.Error, ValueError, OverflowError)):
            ledger.record(wrong)
    ledger.record(call("c"))
    assert ledger.analytics().calls == len(ledger.events) == 2


def test_importing_trimtab_does_not_load_sqlite() -> None:
    code = "import sys, trimtab; trimtab.Ledger(); sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("hours", [None, 30.0, 2.0])
def test_stretches_of_time_add_up_to_the_whole(ledger: Ledger, hours: float | None) -> None:
    for i in range(90):
        ledger.record(call(str(i), time=NOW - i * HOUR / 2, model="mn"[i % 2]))
    whole, course = ledger.analytics(hours), ledger.over_time(hours)
    assert sum(stretch.figures.calls for stretch in course) == whole.calls
    assert sum(stretch.figures.cost or 0 for stretch in course) == whole.cost
    assert all(one.end == other.start for one, other in pairwise(course))
    assert sum(one.models["m"].calls for one in course if "m" in one.models) == (
        whole.models["m"].calls
    )
    assert len(course) <= 61


def test_a_year_is_drawn_in_weeks() -> None:
    with Ledger() as ledger:
        assert ledger.over_time(None) == ()
        for day in range(0, 400, 7):
            ledger.record(call(str(day), time=NOW - day * 24 * HOUR))
        course = ledger.over_time(None)
        assert course[0].end - course[0].start == 7 * 24 * HOUR
        assert len(ledger.over_time(None, most=5)) <= 6


DAY = 24 * HOUR


def summed(ledger: Ledger) -> list[int]:
    """The days that are summed up, and not stale."""
    query = "SELECT DISTINCT day FROM days WHERE day NOT IN (SELECT day FROM stale) ORDER BY day"
    return [day for (day,) in ledger._database.rows(query, ())]


def test_days_that_are_over_are_summed_up_and_late_events_still_count() -> None:
    start = (NOW // DAY - 70) * DAY
    with Ledger() as ledger:
        for hour in range(60 * 24):
            known = {"time": start + hour * HOUR, "model": "mn"[hour % 2], "tenant": "ab"[hour % 2]}
            ledger.record(call(str(hour), **known))
        assert len(summed(ledger)) == 59
        ledger.record(call("late", time=start + 2 * DAY))
        ledger.record(call("7", cost=None, latency=2.0))  # known by now, but for its latency
        ledger.record(hit("late", time=start + 9 * DAY, tenant="a"))
        assert len(summed(ledger)) == 56
        for _ in range(2):
            every = figures_of(total(map(count, ledger.events)))
            found, course = ledger.analytics(None), ledger.over_time(None)
            assert {name: getattr(found, name) for name in vars(every)} == vars(every)
            assert sum(one.figures.calls for one in course) == every.calls
            assert sum(one.figures.cost or 0 for one in course) == every.cost
            assert ledger.analytics(None, tenant="a").calls == 60 * 12 + 1
            for day in range(4):  # new periods, each of which sums up a day again
                ledger.record(call(f"new {day}", time=start + (60 + day) * DAY))
        assert len(summed(ledger)) > 59


def test_events_of_days_to_come_do_not_keep_others_from_being_summed_up() -> None:
    with Ledger() as ledger:
        ledger.record(call("to come", time=NOW + 900 * DAY))
        for day in range(9, 0, -1):
            ledger.record(call(str(day), time=NOW - day * DAY))
        assert len(summed(ledger)) == 8
        assert ledger.analytics(None).calls == 10


SECOND = """
CREATE TABLE events (
    id TEXT NOT NULL, time REAL NOT NULL, model TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
    cache_write_tokens INTEGER, reasoning_tokens INTEGER,
    cost INTEGER, saved TEXT, saved_cost INTEGER, tenant TEXT NOT NULL, session TEXT NOT NULL,
    latency REAL, hit INTEGER NOT NULL, changes TEXT NOT NULL, components TEXT NOT NULL,
    error TEXT NOT NULL, kind TEXT NOT NULL DEFAULT '', calls TEXT NOT NULL DEFAULT '[]',
    UNIQUE (id, hit));
CREATE INDEX by_time ON events (time, cost);
CREATE INDEX by_session
    ON events (session, time, tenant, model, cost, input_tokens, output_tokens);
CREATE INDEX by_kind ON events (kind, model, time, output_tokens);
CREATE TABLE tallies (
    period INTEGER NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL, numbers TEXT NOT NULL,
    UNIQUE (period, tenant, model));
PRAGMA application_id = 1953655149; PRAGMA user_version = 2; PRAGMA journal_mode = WAL;
"""
"""What made a ledger of format 2."""


def test_who_has_a_file_open_while_it_is_brought_up_to_date_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    older = sqlite3.connect(path, isolation_level=None)
    older.executescript(SECOND)
    start = NOW // DAY * DAY - 9 * DAY

    def record(number: int) -> None:  # as it did then
        at, cost = start + (number * 7 + 0.5) * HOUR, 10**10
        older.execute("BEGIN IMMEDIATE")
        row = (f"older {number}", at, "m", cost, "", "", False, "[]", "{}", "")
        names = "id, time, model, cost, tenant, session, hit, changes, components, error"
        older.execute(f"INSERT INTO events ({names}) VALUES ({', '.join('?' * 10)})", row)
        older.execute(RETALLY, (int(at // 900), "", "m", json.dumps({"calls": 1, "cost": cost})))
        older.execute("COMMIT")

    for number in range(10):
        record(number)
    with Ledger(path) as ledger:
        for day in range(7):
            ledger.record(call(str(day), time=start + 3 * DAY + day * DAY / 2))
        assert summed(ledger)
        for number in range(10, 20):
            record(number)  # into days of which some are summed up
        assert len(ledger.events) == ledger.analytics(None).calls == 27
        assert ledger.analytics(None).cost == Decimal("0.27")
    older.close()


def test_who_reads_while_others_write_misses_nothing_that_is_kept(tmp_path: Path) -> None:
    kept: list[int] = []

    def write() -> None:
        with Ledger(tmp_path / "ledger.db") as ledger:
            for number in range(300):  # over three days
                ledger.record(call(str(number), time=NOW - 3 * DAY + number * 900))
                kept.append(number)

    Ledger(tmp_path / "ledger.db").close()
    writer = threading.Thread(target=write)
    with Ledger(tmp_path / "ledger.db") as ledger:
        writer.start()
        while writer.is_alive():
            before = len(kept)
            for hours in (None, 24.0 * 3 + 1):
                found = ledger.analytics(hours)
                assert before <= found.calls <= len(kept) + 1
                assert found.cost == found.calls * Decimal("0.01") or not found.calls
        writer.join()
        assert ledger.analytics(None).calls == 300
