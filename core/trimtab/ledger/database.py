"""The tables of a ledger."""

from __future__ import annotations

from trimtab.file import Kind

PERIOD = 900
"""Seconds that one tally covers."""
DAY = 96
"""Periods of a day."""
BY_KIND = "CREATE INDEX IF NOT EXISTS by_kind ON events (kind, model, time, output_tokens)"
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
    id TEXT NOT NULL, time REAL NOT NULL, model TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
    cache_write_tokens INTEGER, reasoning_tokens INTEGER,
    cost INTEGER, saved TEXT, saved_cost INTEGER, tenant TEXT NOT NULL, session TEXT NOT NULL,
    latency REAL, hit INTEGER NOT NULL, changes TEXT NOT NULL, components TEXT NOT NULL,
    error TEXT NOT NULL, kind TEXT NOT NULL DEFAULT '', calls TEXT NOT NULL DEFAULT '[]',
    UNIQUE (id, hit));
CREATE INDEX IF NOT EXISTS by_time ON events (time, cost);
CREATE INDEX IF NOT EXISTS by_session
    ON events (session, time, tenant, model, cost, input_tokens, output_tokens);
{BY_KIND};
CREATE TABLE IF NOT EXISTS tallies (
    period INTEGER NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL, numbers TEXT NOT NULL,
    UNIQUE (period, tenant, model));
"""
"""`tallies` sums up `events`, so that a question about a million of them is answered at once."""
DAYS = (
    """
CREATE TABLE IF NOT EXISTS days (
    day INTEGER NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL, numbers TEXT NOT NULL,
    UNIQUE (day, tenant, model))""",
    "CREATE TABLE IF NOT EXISTS stale (day INTEGER PRIMARY KEY)",
    f"INSERT OR IGNORE INTO stale SELECT DISTINCT period / {DAY} FROM tallies",
    *(
        f"CREATE TRIGGER IF NOT EXISTS after_{verb} AFTER {verb} ON tallies"
        f" WHEN NEW.period / {DAY} NOT IN (SELECT day FROM stale)"
        f" BEGIN INSERT INTO stale VALUES (NEW.period / {DAY}); END"
        for verb in ("INSERT", "UPDATE")
    ),
)
"""`days` sums up the `tallies` of all days that are not `stale`, which is for a trigger to say: an
older trimtab that has the file open writes tallies and knows of no days."""
LEDGER = Kind(
    name="a ledger",
    writer="Ledger",
    application=0x7472696D,
    version=3,
    tables=(*SCHEMA.split(";"), *DAYS),
    # A log that is seldom emptied, because that waits for the disk.
    settings=("PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 8000"),
    # Small, because a commit writes each page that it touched to the log in full.
    page=2048,
    upgrades=(
        (
            "ALTER TABLE events ADD COLUMN kind TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE events ADD COLUMN calls TEXT NOT NULL DEFAULT '[]'",
            BY_KIND,
        ),
        DAYS,
    ),
)
