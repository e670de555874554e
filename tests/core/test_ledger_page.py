"""The page of a ledger."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from typing import Any

import pytest

from trimtab import Event, Ledger, Usage
from trimtab.ledger import Change, Limits
from trimtab.ledger_page import columns, lines, ours, page
from trimtab.page import LEFT, RIGHT
from trimtab.prices import cost

NOW = time.time()
MODEL = "gpt-4o"


def call(number: int, **rest: Any) -> Event:
    usage = rest.pop("usage", Usage(2000, 100, 800, 0, 0))
    known = {"model": MODEL, "usage": usage, "cost": cost(MODEL, usage), **rest}
    return Event(f"c{number}", NOW - 3600 * number, **known)


def drawn(ledger: Ledger) -> str:
    found, course = ledger.analytics(None), ledger.over_time(None)
    return page(found, course, ledger.alerts, "usage.db", "Made today.")


def test_a_page_says_what_was_spent_and_what_saved_it() -> None:
    ledger = Ledger(limits=Limits(call_cost=Decimal("0.001")))
    parts, changes = {"tools": 2000}, (Change("Lossless", 3000, 2000),)
    for n in range(30):
        ledger.record(call(n, components=parts, changes=changes, session="s", tenant="ab"[n % 2]))
    ledger.record(Event("h", NOW, MODEL, hit=True, saved=Usage(2000, 100)))
    found, text = ledger.analytics(None), drawn(ledger)
    saved = ours(found.models, found)
    assert saved and found.cost and found.saved_cost
    assert f"${found.cost:.4f} spent, ${saved:.4f} saved" in text
    assert saved > found.saved_cost
    for words in (
        "costly request",
        "from trimtab.tools import ShortenTools",
        "By tenant",
        "anyway",
    ):
        assert words in text
    assert "http" not in text  # it loads nothing from elsewhere


def test_names_are_text_and_not_markup() -> None:
    ledger = Ledger()
    ledger.record(call(1, model="<b>m</b>", session="<script>", tenant="a&b", cost=None))
    ledger.record(call(2, tenant="other"))
    text = drawn(ledger)
    assert "<script>" not in text and "<b>m</b>" not in text
    assert "a&amp;b" in text


@pytest.mark.parametrize("events", [0, 1])
def test_few_calls_make_a_page_too(events: int) -> None:
    ledger = Ledger()
    for n in range(events):
        ledger.record(call(n, usage=Usage(), cost=None))
    assert ("No calls yet" in drawn(ledger)) == (not events)


def test_plots_stay_within_their_frame_and_leave_gaps() -> None:
    ledger = Ledger()
    for n in (0, 1, 2, 5, 9):
        ledger.record(call(n))
    course = ledger.over_time(None)
    pairs = [(float(n), 1.0) for n in range(len(course))]
    sizes = re.findall(r'x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', columns(course, pairs))
    assert len(sizes) == 2 * len(course)
    assert all(LEFT <= float(x) <= float(x) + float(wide) <= RIGHT for x, _, wide in sizes)
    assert all(float(y) >= 0 for _, y, _ in sizes)
    shares = [stretch.figures.cache_read_share for stretch in course]
    assert None in shares
    assert lines(course, {"after": shares}, 1.0, str).count("<polyline") > 1
