"""A replay's figures, as JSON and as tables for a terminal.

>>> from rich.console import Console
>>> from trimtab import recipes, report, trace
>>> from trimtab.demo import TRAFFIC
>>> from trimtab.replay import replay
>>> found = replay([next(trace.read(TRAFFIC))], recipes.lossless)
>>> report.line(found)
'tokens ... %   input cost ... %   evidence kept 100.00 %'
>>> report.figures(found)["evidence"]
{'needed': 16, 'kept': 16}
>>> dict(report.facts(found))["evidence kept"]
'100.00 % of 16 values that later tool calls used'
>>> report.show(found, Console(width=80))
Tokens by lever
...
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from trimtab.prices import GENERIC
from trimtab.replay import Replay

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PER = 1000
"""Dollars are given for so many conversations, because those of one are too small to read."""
UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"


def figures(replay: Replay) -> dict[str, object]:
    """Write a replay as JSON for other programs: totals only, dollars as exact decimals in text."""
    before, after = replay.before, replay.after
    return {
        "models": list(replay.models),
        "conversations": len(replay.outcomes),
        "calls": len(replay.turns),
        "tokens": {"before": before.tokens, "after": after.tokens},
        "dollars": {
            "no_prefix_cache": _pair(before.plain, after.plain),
            "prefix_cache": _pair(before.cached, after.cached),
        },
        "cost_ratios": dict(replay.ratios),
        "worst_cost_ratio": replay.worst,
        "levers": dict(replay.levers),
        "components": {
            name: {"before": was, "after": now} for name, (was, now) in replay.parts().items()
        },
        "evidence": {"needed": replay.needed, "kept": replay.kept},
        "cuts": [
            {
                "conversation": cut.conversation,
                "step": cut.step,
                "lever": cut.cut.step,
                "first_changed": cut.cut.message,
                "removed": cut.cut.removed,
                "expected": cut.cut.gain,
                "won": cut.won,
            }
            for cut in replay.cuts
        ],
        "failures": dict(replay.failures),
        "plan_seconds": {"p50": replay.seconds(0.5), "p95": replay.seconds(0.95)},
    }


def show(replay: Replay, console: Console) -> None:
    """Print a replay: tokens by lever, then what they cost, then what was kept."""
    console.print(_levers(replay))
    console.print(_costs(replay))
    for name, value in facts(replay):
        console.print(f"  [dim]{name:<18}[/dim]{value}", highlight=False, soft_wrap=False)


def facts(replay: Replay) -> Iterator[tuple[str, str]]:
    """Say what else there is to know, in a line each."""
    yield "worst cost", f"{ratio(replay.worst)} of before, over {len(GENERIC)} price models"
    kept = percent(replay.kept, replay.needed, digits=2)
    yield "evidence kept", f"{kept} of {replay.needed:,} values that later tool calls used"
    yield "history cuts", _cuts(replay)
    took = (replay.seconds(0.5), replay.seconds(0.95))
    yield "time to plan", f"{milliseconds(took[0])} p50, {milliseconds(took[1])} p95 a call"
    for step, times in replay.failures.items():
        yield "failed", f"{step}, {times:,} times, and was left out of those calls"


def line(replay: Replay) -> str:
    """Say in one line what was saved and what was kept."""
    before, after = replay.before, replay.after
    evidence = percent(replay.kept, replay.needed, digits=2)
    tokens, bill = change(before.tokens, after.tokens), change(before.cached, after.cached)
    return f"tokens {tokens:>9}   input cost {bill:>9}   evidence kept {evidence}"


def dollars(amount: Decimal | None, conversations: int) -> str:
    """Write what 1,000 conversations cost, with as many digits as it takes to see a difference.

    >>> from decimal import Decimal
    >>> from trimtab.report import dollars
    >>> dollars(Decimal("0.12"), conversations=16)
    '$7.50'
    """
    if amount is None or not conversations:
        return UNKNOWN
    each = amount * PER / conversations
    return f"${each:,.2f}" if each >= 1 else f"${each:.4f}"


def change(before: float | Decimal | None, after: float | Decimal | None) -> str:
    """Write the difference as a percentage, with a true minus sign.

    >>> from trimtab.report import change
    >>> change(before=1500, after=2000)
    '+33.3 %'
    """
    if before is None or after is None or not before:
        return UNKNOWN
    return _signed(float(after / before - 1) * 100, ".1f") + " %"  # type: ignore[operator]


def percent(part: int, whole: int, digits: int = 1) -> str:
    """Write a share. Nothing of nothing is unknown, not zero.

    >>> from trimtab.report import percent
    >>> percent(3, 4), percent(0, 0)
    ('75.0 %', 'unknown')
    """
    share = f"{100 * part / whole:.{digits}f} %" if whole else UNKNOWN
    return share.replace("-", MINUS)


def ratio(value: float | None) -> str:
    """Write a ratio.

    >>> from trimtab.report import ratio
    >>> ratio(0.75)
    '0.750'
    """
    return UNKNOWN if value is None else f"{value:.3f}"


def milliseconds(seconds: float | None) -> str:
    """Write a short time.

    >>> from trimtab.report import milliseconds
    >>> milliseconds(0.0031)
    '3.1 ms'
    """
    return UNKNOWN if seconds is None else f"{1000 * seconds:.1f} ms"


def _pair(before: Decimal | None, after: Decimal | None) -> dict[str, str | None]:
    written = [None if amount is None else str(amount) for amount in (before, after)]
    return dict(zip(("before", "after"), written, strict=True))


def _levers(replay: Replay) -> Table:
    before, after = replay.before.tokens, replay.after.tokens
    table = _table("Tokens by lever", "tokens", "of all")
    table.add_row("recorded", f"{before:,}", "100.0 %", end_section=True)
    for step, removed in replay.levers.items():
        table.add_row(step, _signed(-removed), _signed(-100 * removed / before, ".1f") + " %")
    table.add_section()
    table.add_row("would be sent", f"{after:,}", percent(after, before), style=_hue(before, after))
    return table


def _costs(replay: Replay) -> Table:
    before, after, n = replay.before, replay.after, len(replay.outcomes)
    table = _table(f"Input cost of {PER:,} conversations", "before", "after", "change")
    table.add_row(
        "tokens",
        *(f"{bill.tokens * PER // max(n, 1):,}" for bill in (before, after)),
        change(before.tokens, after.tokens),
    )
    rows = (
        ("without prefix cache", before.plain, after.plain),
        ("with prefix cache", before.cached, after.cached),
    )
    for name, was, now in rows:
        table.add_row(
            name, dollars(was, n), dollars(now, n), change(was, now), style=_hue(was, now)
        )
    return table


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("", min_width=22, no_wrap=True, overflow="ellipsis")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True, min_width=10)
    return table


def _hue(before: float | Decimal | None, after: float | Decimal | None) -> str | None:
    if before is None or after is None or before == after:
        return None
    return "green" if after < before else "red"


def _cuts(replay: Replay) -> str:
    if not replay.cuts:
        return "none: every request starts with the one before it"
    expected, won = (sum(c.cut.gain for c in replay.cuts), sum(c.won for c in replay.cuts))
    return f"{len(replay.cuts)}, expected to win {expected:,.0f} tokens, won {won:,.0f}"


def _signed(number: float, digits: str = ",") -> str:
    return (f"{number:+{digits}}" if number else "0").replace("-", MINUS)
