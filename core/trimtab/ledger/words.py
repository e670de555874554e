"""A ledger's figures in plain words, for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from textwrap import wrap

from trimtab.ledger.advice import Recommendation, recommend
from trimtab.ledger.dollars import provider_saved, worth
from trimtab.ledger.figures import Analytics
from trimtab.ledger.limits import Alert
from trimtab.types import Usage

WIDTH, NAME = 100, 36


def describe(found: Analytics, alerts: Iterable[Alert]) -> Iterator[str]:
    """Write a report, line by line."""
    period = "since the ledger began" if found.hours is None else f"in {found.hours:g} hours"
    yield f"{found.calls:,} calls {period}, {found.failed:,} failed, {found.hits:,} from the cache"
    if not found.calls:
        return
    yield from _summary(found)
    yield from _tables(found)
    yield from _list("Alerts", (f"{alert.kind}: {alert.message}" for alert in alerts))
    yield from _list("What would save more", _advice(found))


def _summary(found: Analytics) -> Iterator[str]:
    usage, share = found.usage, found.cache_read_share
    read = "" if share is None else f" ({share:.1%} read from the provider's prefix cache)"
    yield f"tokens   {_number(usage.input_tokens)} in{read}, {_number(usage.output_tokens)} out"
    yield f"cost     {money(found.cost)}"
    cached = f"{found.saved_tokens:,} by the response cache"
    yield f"saved    {found.lever_tokens:,} tokens by steps, {cached}"
    steps = worth(found.models, attrgetter("lever_tokens"))
    yield f"         {money(steps)} by steps, at the price of the tokens beside them"
    yield f"         {money(found.saved_cost)} by the response cache and by routing"
    anyway = provider_saved(found.models)
    yield f"anyway   {money(anyway)} were saved by the provider's prefix cache"
    if found.p50 is not None and found.p95 is not None:
        yield f"latency  {found.p50:.2f} s for half of the calls, {found.p95:.2f} s for 95 %"
    for name in ("input_tokens", "output_tokens", "cost"):
        if count := found.unknown.get(name):
            yield f"unknown  {name.replace('_', ' ')} of {count:,} calls, left out here"


def _tables(found: Analytics) -> Iterator[str]:
    models = ((n, f.calls, _tokens(f.usage), money(f.cost)) for n, f in found.models.items())
    yield from _table(("model", "calls", "tokens", "cost"), models)
    sent = sum(found.components.values())
    parts = ((n, f"{k:,}", f"{k / sent:.1%}") for n, k in _largest(found.components))
    yield from _table(("sent", "tokens", "share"), parts)
    levers = ((n, f"{k:,}", _worth(found, "levers", n)) for n, k in _largest(found.levers))
    yield from _table(("removed by", "tokens", "worth, if cached or not"), levers)
    sessions = ((s.id, s.calls, _number(s.tokens), money(s.cost)) for s in found.sessions)
    yield from _table(("dearest conversations", "calls", "tokens", "cost"), sessions)


def _advice(found: Analytics) -> Iterator[str]:
    """Name levers, dollars and lines of code."""
    for one in recommend(found):
        yield f"{one.lever}: {expected(one)}. {one.reason}"
        yield from (f"  {line}" for line in one.code.splitlines())
    if count := found.unknown.get("output_tokens"):
        yield f"usage: {count:,} calls do not say it. Ask for it, as by LangChain's stream_usage"


def expected(one: Recommendation) -> str:
    """Say what a recommendation is expected to save."""
    if one.high is None:
        return "only a trial can tell"
    return f"up to {money(one.high)}" if not one.low else f"{money(one.low)} to {money(one.high)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lay out a column of names and others of figures; nothing where there are no rows."""
    lines = [[str(cell) for cell in row] for row in rows]
    if not lines:
        return
    widths = [max(len(line[i]) for line in (heads, *lines)) for i in range(1, len(heads))]
    yield ""
    for name, *cells in (heads, *lines):
        figures = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        yield f"{name[:NAME]:{NAME}}  {figures}"


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    lines = [line for item in items for line in _item(item)]
    if lines:
        yield from ("", title, *lines)


def _item(text: str) -> list[str]:
    """Wrap what is said, but no line of code."""
    code = text.startswith("  ")
    return [f"  {text}"] if code else wrap(f"- {text}", WIDTH, subsequent_indent="  ")


def _largest(named: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(named.items(), key=lambda item: -item[1])


def _worth(found: Analytics, kind: str, name: str) -> str:
    ends = found.worth(lambda figures: vars(figures)[kind].get(name, 0))
    return "price unknown" if ends is None else f"{money(ends[0])} to {money(ends[1])}"


def _tokens(usage: Usage) -> str:
    return f"{_number(usage.input_tokens)} in, {_number(usage.output_tokens)} out"


def _number(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def money(dollars: Decimal | None) -> str:
    """Write dollars: whole cents of many, hundredths of cents of few."""
    if dollars is None:
        return "unknown"
    return f"${dollars:,.2f}" if abs(dollars) >= 10 else f"${dollars:,.4f}"
