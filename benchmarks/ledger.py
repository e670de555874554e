"""What it costs to keep an event of a call in a file, and to add up a million of them."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import save, show

from trimtab import Event, Ledger, Usage
from trimtab.ledger import Change
from trimtab.ledger_page import page
from trimtab.prices import cost

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5")
PARTS = ("system", "tools", "tool results", "history", "input")
STEPS = ("ShortenTools", "Tighten", "Lossless", "Repeats")
DAYS = 365


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="of a year")
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.db") as ledger:
        dice, took = random.Random(0), []
        for number in range(events):
            event = made(number, events, dice)
            start = time.perf_counter()
            ledger.record(event)
            took.append((time.perf_counter() - start) * 1e6)
        asked = {
            "analytics, all": lambda: ledger.analytics(None),
            "analytics, 24 hours": lambda: ledger.analytics(24),
            "over time, all": lambda: ledger.over_time(None),
            "alerts": lambda: ledger.alerts,
            "the page, all": lambda: page(
                ledger.analytics(None), ledger.over_time(None), ledger.alerts, "a year", "now"
            ),
        }
        seconds = {name: timed(ask) for name, ask in asked.items()}
        whole = ledger.analytics(None).calls
    last = took[-20_000:]
    append = {"median": statistics.median(last), "mean": statistics.mean(last)}
    append["mean, from empty"] = statistics.mean(took)
    show(
        f"append at {whole:,} events, us", ["", "us"], [[k, f"{v:.0f}"] for k, v in append.items()]
    )
    show("questions, s", ["", "s"], [[k, f"{v:.3f}"] for k, v in seconds.items()])
    save("ledger", {"events": whole, "append, us": append, "questions, s": seconds})


def made(number: int, events: int, dice: random.Random) -> Event:
    """Make an event as agents have them, in the order of time."""
    model, sent = dice.choice(MODELS), dice.randint(800, 6000)
    usage = Usage(sent, dice.randint(30, 400), sent // 2, 0, 0)
    return Event(
        f"{number:x}",
        time.time() - 86_400 * DAYS * (1 - number / events),
        model,
        usage,
        cost(model, usage),
        tenant=dice.choice("abc"),
        session=f"s{number // 8}",
        latency=dice.uniform(0.4, 4),
        changes=tuple(Change(step, sent + 100, sent) for step in STEPS),
        components=dict.fromkeys(PARTS, sent // 5),
        kind="factual",
        calls=("look_up",),
    )


def timed(ask: Callable[[], object]) -> float:
    """Return the median of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
