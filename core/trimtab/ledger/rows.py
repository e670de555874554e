"""How events are written to, and read from, the database."""

from __future__ import annotations

import json
import time
from collections import Counter as Tally
from collections import defaultdict
from typing import TYPE_CHECKING

from trimtab.file import Row
from trimtab.ledger.database import DAY, PERIOD
from trimtab.ledger.event import Change, Event, merge
from trimtab.ledger.figures import TOKENS, Session, count
from trimtab.prices import to_dollars, to_integer
from trimtab.types import Usage

if TYPE_CHECKING:
    from sqlite3 import Connection

COLUMNS = (
    *("id", "time", "model", *TOKENS, "cost", "saved", "saved_cost", "tenant", "session"),
    *("latency", "hit", "changes", "components", "error", "kind", "calls"),
)
NAMES = ", ".join(COLUMNS)
INSERT = (
    f"INSERT INTO events ({NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
    " ON CONFLICT (id, hit) DO NOTHING"
)
FIND = f"SELECT {NAMES} FROM events WHERE id = ? AND hit = ?"
TALLY = "SELECT numbers FROM tallies WHERE period = ? AND tenant = ? AND model = ?"
RETALLY = (
    "INSERT INTO tallies (period, tenant, model, numbers) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (period, tenant, model) DO UPDATE SET numbers = excluded.numbers"
)

LATEST = "SELECT max(period) FROM tallies WHERE period <= ?"
STALE = "SELECT min(day) FROM stale WHERE day < ?"
OF_DAY = "SELECT tenant, model, numbers FROM tallies WHERE period >= ? AND period < ?"
SUM_UP = "INSERT INTO days (day, tenant, model, numbers) VALUES (?, ?, ?, ?)"


def keep(connection: Connection, event: Event) -> bool:
    """Write an event, or merge it with what is known of the call; say whether the call was new."""
    if connection.execute(INSERT, _row(event)).rowcount == 1:
        _tally(connection, event, +1)
        return True
    known = read_event(connection.execute(FIND, (event.id, event.hit)).fetchone())
    merged = merge(known, event)
    if merged != known:
        connection.execute("DELETE FROM events WHERE id = ? AND hit = ?", (event.id, event.hit))
        connection.execute(INSERT, _row(merged))
        _tally(connection, known, -1)
        _tally(connection, merged, +1)
    return False


def read_event(row: Row) -> Event:
    """Read a row of the table `events`."""
    fields = dict(zip(COLUMNS, row, strict=True))
    usage = Usage(**{name: fields.pop(name) for name in TOKENS})
    decoded = {
        "cost": to_dollars(fields["cost"]),
        "saved": fields["saved"] and Usage(*json.loads(fields["saved"])),
        "saved_cost": to_dollars(fields["saved_cost"]),
        "hit": bool(fields["hit"]),
        "changes": tuple(Change(*change) for change in json.loads(fields["changes"])),
        "components": json.loads(fields["components"]),
        "calls": tuple(json.loads(fields["calls"])),
    }
    return Event(**{**fields, **decoded, "usage": usage})


def read_session(row: Row) -> Session:
    """Read a row of a query for conversations."""
    name, calls, sent, got, cost, unknown = row
    tokens = None if sent is None and got is None else (sent or 0) + (got or 0)
    return Session(name, calls, tokens, to_dollars(cost), unknown)


def _row(event: Event) -> Row:
    fields = {
        **vars(event),
        **vars(event.usage),
        "cost": to_integer(event.cost),
        "saved": event.saved and _compact(list(vars(event.saved).values())),
        "saved_cost": to_integer(event.saved_cost),
        "changes": _compact([(c.step, c.before, c.after) for c in event.changes]),
        "components": _compact(dict(event.components)),
        "calls": _compact(event.calls) if event.calls else "[]",
    }
    return tuple(fields[name] for name in COLUMNS)


def _tally(connection: Connection, event: Event, sign: int) -> None:
    """Add an event to the sums of its period, or take it out."""
    key = (int(event.time // PERIOD), event.tenant, event.model)
    row = connection.execute(TALLY, key).fetchone()
    if row is None:
        _sum_up(connection, key[0])
    numbers = json.loads(row[0]) if row else {}
    for name, number in count(event).items():
        numbers[name] = numbers.get(name, 0) + sign * number
    connection.execute(RETALLY, (*key, _compact(numbers)))


def _sum_up(connection: Connection, period: int) -> None:
    """Sum up the oldest day that is stale, as a new period begins.

    Only then, so that old events that come in any order do not do so again and again.
    """
    now = int(time.time() // PERIOD)
    (latest,) = connection.execute(LATEST, (now,)).fetchone()
    if period > now or (latest is not None and period <= latest):
        return
    (day,) = connection.execute(STALE, (period // DAY,)).fetchone()
    if day is None:
        return
    groups: dict[tuple[str, str], Tally[str]] = defaultdict(Tally)
    for tenant, model, numbers in connection.execute(OF_DAY, (day * DAY, (day + 1) * DAY)):
        groups[tenant, model].update(json.loads(numbers))
    connection.execute("DELETE FROM days WHERE day = ?", (day,))
    connection.executemany(SUM_UP, ((day, *key, _compact(sums)) for key, sums in groups.items()))
    connection.execute("DELETE FROM stale WHERE day = ?", (day,))


# One encoder for all, because `json.dumps` with other separators makes a new one each time.
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
