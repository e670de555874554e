"""Keeps an event for each call, and adds them up."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from trimtab.errors import BudgetExceeded
from trimtab.file import File
from trimtab.ledger.database import DAY, LEDGER, PERIOD
from trimtab.ledger.event import Event, settle
from trimtab.ledger.figures import (
    Analytics,
    Stretch,
    count,
    dearest,
    figures_of,
    joined_of,
    stretches,
    total,
)
from trimtab.ledger.limits import (
    Alert,
    Limits,
    costly,
    grew,
    hits_fell,
    nearly_spent,
    rarely_hit,
    reads_fell,
)
from trimtab.ledger.rows import NAMES, keep, read_event, read_session
from trimtab.prices import to_integer

log = logging.getLogger("trimtab")
Hook = Callable[[Event], object]
Sums = tuple[int, tuple[str, str], dict[str, int]]
"""A period, a tenant and a model, and what their events add up to."""
ONLY = "tenant = coalesce(:tenant, tenant) AND model = coalesce(:model, model)"
PAGE = (
    f"SELECT rowid, {NAMES} FROM events WHERE (time, rowid) > (:time, :row)"
    f" AND time >= :start AND time < :end AND {ONLY} ORDER BY time, rowid LIMIT 500"
)
COSTLIEST = f"SELECT {NAMES} FROM events WHERE time >= ? AND cost > ? ORDER BY cost DESC LIMIT 1"
# First which, because SQLite is slow to add up what is thrown away then.
OF_SESSIONS = f"FROM events INDEXED BY by_session WHERE session > '' AND time >= :start AND {ONLY}"
DEAREST = "GROUP BY session ORDER BY sum(cost) DESC, sum(input_tokens) DESC"
SESSIONS = (
    "SELECT session, count(*), sum(input_tokens), sum(output_tokens), sum(cost), sum(cost IS NULL)"
    f" {OF_SESSIONS} AND session IN (SELECT session {OF_SESSIONS} {DEAREST} LIMIT :top) {DEAREST}"
)
OUTPUTS = (
    "SELECT output_tokens FROM events INDEXED BY by_kind WHERE kind = :kind"
    " AND substr(model, 1, length(:model)) = :model AND NOT hit AND error = ''"
    " AND output_tokens > 0 ORDER BY time DESC LIMIT :top"
)
CALLED = (
    "SELECT session, calls FROM events WHERE calls <> '[]' AND session > '' AND time >= :start"
    " AND tenant = coalesce(:tenant, tenant) ORDER BY session, time"
)
SUMS = f"""
    SELECT period, tenant, model, numbers FROM tallies
        WHERE period >= :period AND period < :day * {DAY} AND {ONLY}
    UNION ALL SELECT day * {DAY}, tenant, model, numbers FROM days
        WHERE day >= :day AND day NOT IN (SELECT day FROM stale) AND {ONLY}
    UNION ALL SELECT period, tenant, model, numbers FROM stale CROSS JOIN tallies
        WHERE day >= :day AND period >= day * {DAY} AND period < (day + 1) * {DAY} AND {ONLY}
"""
"""Periods up to the first whole day, then days; all in one statement, which nobody writes amid."""
SPAN = """
    SELECT (SELECT min(period) FROM tallies WHERE period >= :period),
        (SELECT max(period) FROM tallies WHERE period >= :period)
"""
NEVER = 10**9
"""A day that does not come."""


class Ledger:
    """Keeps an event for each call, and adds them up.

    Safe to share between threads, tasks and forks; any number of processes may write to one file.
    A call that several parties saw (a middleware, a callback, a cache) is one event: what the first
    left unknown is filled in from the others, and nothing is added up. Only an answer from the
    cache is never merged with a paid call, because it may carry the id of the call that paid for
    it.

    Args:
        path: A file to write to, made where it does not exist; in memory where it is not given.
        hooks: Called with each new call's event, once it is safe. One that fails is logged once and
            counted in `failures`; only a spent budget stops the caller.
        limits: What `alerts` watches.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        hooks: Sequence[Hook] = (),
        *,
        limits: Limits | None = None,
    ) -> None:
        self.path = path
        self.hooks = tuple(hooks)
        self.limits = Limits() if limits is None else limits
        self.failures: Tally[str] = Tally()
        self._raised: frozenset[str] = frozenset()
        self._database = File(None if path is None else os.fspath(path), LEDGER)

    def record(self, event: Event) -> None:
        """Keep an event. Once this returns, the death of the process loses nothing.

        A power failure can lose the last moments; it does not corrupt the file.
        """
        event = settle(event)
        with self._database.writing() as connection:
            new = keep(connection, event)
        if new:
            self._tell(event)

    def analytics(
        self,
        hours: float | None = 24,
        *,
        tenant: str | None = None,
        model: str | None = None,
        top: int = 10,
    ) -> Analytics:
        """Add up the events of the last hours, or of all times, and list the `top` sessions."""
        start = _start(hours)
        groups = self._groups(start, tenant, model)
        where = {"start": start, "tenant": tenant, "model": model, "top": top}
        return Analytics(
            **vars(figures_of(total(groups.values()))),
            hours=hours,
            models=dearest((which, numbers) for (_, which), numbers in groups.items()),
            tenants=dearest((whose, numbers) for (whose, _), numbers in groups.items()),
            sessions=tuple(map(read_session, self._database.rows(SESSIONS, where))),
        )

    def over_time(self, hours: float | None = 24, *, most: int = 60) -> tuple[Stretch, ...]:
        """Add up the same events stretch by stretch, in some `most`, of quarters of hours.

        Empty ones are there too, from the first call to the last.
        """
        start = _start(hours)
        first = math.ceil(start / PERIOD)
        ((low, high),) = self._database.rows(SPAN, {"period": first - 1})
        if low is None:
            return ()
        joined = joined_of(high - low + 1, most)
        day = NEVER if joined % DAY else math.ceil(first / DAY)
        found: dict[int, dict[str, Tally[str]]] = defaultdict(lambda: defaultdict(Tally))
        for period, (_, model), numbers in self._sums(start, day):
            found[period][model].update(numbers)
        return tuple(stretches(found, joined, PERIOD))

    def report(self, hours: float | None = 24) -> str:
        """Say in plain words what was spent and saved, and what would save more."""
        from trimtab.ledger.words import describe

        return "\n".join(describe(self.analytics(hours), self.alerts))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What is beyond the limits in the last 24 hours, some of it beside the week before."""
        start = _start(24)
        now = total(self._groups(start).values())
        # All of both, less the last day, is the week before it.
        week = Tally(total(self._groups(_start(24 * 8)).values()))
        week.subtract(now)
        today, before = figures_of(now), figures_of(week)
        found = (
            costly(self.limits, self._costliest(start)),
            nearly_spent(self.limits, today, self._ease("budget nearly spent")),
            rarely_hit(self.limits, today, self._ease("low cache hit rate")),
            hits_fell(self.limits, today, before, self._ease("falling cache hit rate")),
            reads_fell(self.limits, today, before, self._ease("falling prefix cache reads")),
            grew(self.limits, today, before, self._ease("growing answers")),
        )
        alerts = tuple(alert for alert in found if alert)
        self._raised = frozenset(alert.kind for alert in alerts)
        return alerts

    def _ease(self, kind: str) -> float:
        return self.limits.slack if kind in self._raised else 0.0

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, oldest first, in memory at once; `between` reads a large ledger in turn."""
        return tuple(self.between())

    def between(
        self,
        start: float = 0.0,
        end: float = math.inf,
        *,
        tenant: str | None = None,
        model: str | None = None,
    ) -> Iterator[Event]:
        """Read the events from one moment up to, and without, another; oldest first."""
        where = {"start": start, "end": end, "tenant": tenant, "model": model}
        last = {"time": -math.inf, "row": 0}
        while rows := self._database.rows(PAGE, {**where, **last}):
            yield from (read_event(row[1:]) for row in rows)
            last = {"time": rows[-1][2], "row": rows[-1][0]}

    def outputs(self, kind: str, *, model: str, top: int = 500) -> list[int]:
        """List the tokens of the latest answers of a kind, the newest first.

        Args:
            kind: See `trimtab.respond.kind`.
            model: What the model's name begins with: providers add a date to it.
            top: How many to list.
        """
        where = {"kind": kind, "model": model, "top": top}
        return [tokens for (tokens,) in self._database.rows(OUTPUTS, where)]

    def calls(self, hours: float | None = None, *, tenant: str | None = None) -> list[list[str]]:
        """List the names of the tools that were called, in order, conversation by conversation.

        What `trimtab.tools.learn_follows` learns from.
        """
        found: dict[str, list[str]] = {}
        rows = self._database.rows(CALLED, {"start": _start(hours), "tenant": tenant})
        for session, names in rows:
            found.setdefault(session, []).extend(json.loads(names))
        return list(found.values())

    def close(self) -> None:
        """Let go of the file. A closed ledger can no longer be used."""
        self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, event: Event) -> None:
        """Call the hooks, all of them even where one finds that a budget is spent."""
        spent = None
        for hook in self.hooks:
            try:
                hook(event)
            except BudgetExceeded as error:
                spent = error
            except Exception as error:
                name = str(getattr(hook, "__name__", type(hook).__name__))
                if not self.failures[name]:
                    log.warning("the ledger's hook %s failed: %r", name, error)
                self.failures[name] += 1
        if spent is not None:
            raise spent

    def _groups(
        self, start: float, tenant: str | None = None, model: str | None = None
    ) -> dict[tuple[str, str], Tally[str]]:
        """Add up by tenant and model."""
        groups: dict[tuple[str, str], Tally[str]] = defaultdict(Tally)
        for _, group, numbers in self._sums(start, math.ceil(start / PERIOD / DAY), tenant, model):
            groups[group].update(numbers)
        return groups

    def _sums(
        self, start: float, day: int, tenant: str | None = None, model: str | None = None
    ) -> Iterator[Sums]:
        """Sums of the first part of a period anew, then as tallied, and by days from a day on."""
        only = {"tenant": tenant, "model": model}
        first = math.ceil(start / PERIOD)
        for event in self.between(start, first * PERIOD, **only):
            yield first - 1, (event.tenant, event.model), count(event)
        rows = self._database.rows(SUMS, {"period": first, "day": day, **only})
        for period, whose, which, numbers in rows:
            yield period, (whose, which), json.loads(numbers)

    def _costliest(self, start: float) -> Event | None:
        """The call furthest beyond the limit; none is, where there is no limit."""
        limit = to_integer(self.limits.call_cost)
        rows = self._database.rows(COSTLIEST, (start, limit))
        return read_event(rows[0]) if rows else None


def _start(hours: float | None) -> float:
    if hours is not None and not hours > 0:
        raise ValueError(f"hours must be more than 0, or None for all times, got {hours}")
    return 0.0 if hours is None else time.time() - hours * 3600
