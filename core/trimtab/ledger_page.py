"""A ledger's figures as one self-contained HTML page, to read, print and send on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from html import escape
from operator import attrgetter

from trimtab.ledger import Alert, Analytics, Figures, Stretch, recommend
from trimtab.ledger.dollars import Models, provider_saved, worth
from trimtab.ledger.words import expected, money
from trimtab.page import LEFT, RIGHT, document, label, section, svg, table

TOP, BOTTOM = 10, 210
"""Of the area of a plot."""
Value = float | None


def page(
    found: Analytics,
    course: Sequence[Stretch],
    alerts: Sequence[Alert],
    source: str,
    made: str,
) -> str:
    """Write the page. `source` names the ledger, `made` says when and with what."""
    body = "\n".join(
        (
            _headline(found, source),
            _cards(found) if found.calls else "",
            *(_sections(found, course, alerts) if found.calls else ()),
            f"<footer>{escape(made)}</footer>",
        )
    )
    return document(f"{source}: what was spent and saved", body)


def _sections(
    found: Analytics, course: Sequence[Stretch], alerts: Sequence[Alert]
) -> Iterator[str]:
    if alerts:
        told = (f"<li><b>{escape(a.kind)}</b>: {escape(a.message)}</li>" for a in alerts)
        yield section("Alerts", f"<ul>{''.join(told)}</ul>", "Of the last 24 hours.")
    if advice := _advice(found):
        yield section("What would save more", advice, _ADVICE)
    yield section("Dollars over time", _spending(course), _SPENDING)
    yield section("Caches over time", _caches(course))
    yield section("Length of answers over time", _answers(course), "Tokens, on average.")
    yield section("By model", _groups("model", found.models))
    if len(found.tenants) > 1:
        yield section("By tenant", _groups("tenant", found.tenants))
    if found.components:
        yield section("What was sent", _parts(found), "Input tokens, by part of the requests.")
    if found.levers:
        yield section("What each step removed", _levers(found), _LEVERS)
    if found.sessions:
        yield section("The dearest conversations", _sessions(found))
    yield section("How this was reckoned", f"<ul>{''.join(f'<li>{p}</li>' for p in _METHOD)}</ul>")


def _headline(found: Analytics, source: str) -> str:
    period = "since the ledger began" if found.hours is None else f"in {found.hours:g} hours"
    saved = ours(found.models, found)
    over = f"trimtab report &middot; {escape(source)} &middot; {found.calls:,} calls {period}"
    title = f"{money(found.cost)} spent, {money(saved)} saved" if found.calls else "No calls yet"
    lead = (
        f"{found.failed:,} of the calls failed, and {found.hits:,} were answered by the response"
        f" cache. The provider's own prefix cache saved {money(provider_saved(found.models))} on"
        " top of that, which it would have done without trimtab too, as far as requests kept their"
        " beginning."
    )
    lead = lead if found.calls else "Nothing was recorded in this period."
    return f'<header><p class="over">{over}</p><h1>{title}</h1><p class=lead>{lead}</p></header>'


def ours(models: Models, found: Figures) -> Decimal | None:
    """Return what the steps, the response cache and routing saved, in dollars."""
    steps = worth(models, attrgetter("lever_tokens"))
    known = [amount for amount in (steps, found.saved_cost) if amount is not None]
    return sum(known, Decimal(0)) if known else None


def _cards(found: Analytics) -> str:
    steps, sent = worth(found.models, attrgetter("lever_tokens")), found.usage.input_tokens
    share = found.cache_read_share
    cards = (
        ("Spent", money(found.cost), f"{sent or 0:,} tokens sent"),
        ("Saved by steps", money(steps), f"{found.lever_tokens:,} tokens"),
        ("By cache and routing", money(found.saved_cost), f"{found.saved_tokens:,} tokens"),
        (
            "By the provider, anyway",
            money(provider_saved(found.models)),
            "reads not known" if share is None else f"{share:.1%} of input read from its cache",
        ),
    )
    drawn = (
        f'<div class="card"><span>{name}</span><strong>{value}</strong><small>{note}</small></div>'
        for name, value, note in cards
    )
    return f'<div class="cards">{"".join(drawn)}</div>'


def _advice(found: Analytics) -> str:
    drawn = (
        f"<h3>{escape(one.lever)}: {expected(one)}</h3><p>{escape(one.reason)}.</p>"
        f"<pre>{escape(one.code)}</pre>"
        for one in recommend(found)
    )
    return "".join(drawn)


def _spending(course: Sequence[Stretch]) -> str:
    legend = (
        '<p class="legend"><i class="before"></i>spent <i class="after"></i>saved by trimtab</p>'
    )
    pairs = [
        (float(one.figures.cost or 0), max(0.0, float(ours(one.models, one.figures) or 0)))
        for one in course
    ]
    return legend + columns(course, pairs)


def columns(course: Sequence[Stretch], pairs: Sequence[tuple[float, float]]) -> str:
    """Draw a column for each stretch: what was spent, and above it what was saved."""
    top = max((sum(pair) for pair in pairs), default=0.0) or 1.0
    wide = (RIGHT - LEFT) / max(len(pairs), 1)
    drawn = [*_grid(top, lambda value: f"${value:,.{_digits(top)}f}")]
    for i, (spent, saved) in enumerate(pairs):
        x, y = LEFT + i * wide, float(BOTTOM)
        for amount, kind in ((spent, "before"), (saved, "after")):
            high = (BOTTOM - TOP) * amount / top
            y -= high
            size = f'width="{wide * 0.8:.1f}" height="{high:.1f}"'
            drawn.append(f'<rect class="{kind}" x="{x + wide * 0.1:.1f}" y="{y:.1f}" {size}/>')
    return svg(BOTTOM + 30, [*drawn, *_times(course)])


def _caches(course: Sequence[Stretch]) -> str:
    legend = (
        '<p class="legend"><i class="before"></i>of input tokens, read from the provider\'s prefix'
        ' cache <i class="after"></i>of calls, answered by the response cache</p>'
    )
    reads = [one.figures.cache_read_share for one in course]
    hits = [one.figures.hit_rate for one in course]
    shares = [share for share in (*reads, *hits) if share is not None]
    top = min(1.0, max(0.1, *shares, 0.1) * 1.1)
    return legend + lines(course, {"before": reads, "after": hits}, top, lambda v: f"{v:.0%}")


def _answers(course: Sequence[Stretch]) -> str:
    means = [one.figures.mean_output for one in course]
    top = max((mean for mean in means if mean is not None), default=1.0) * 1.1 or 1.0
    return lines(course, {"after": means}, top, lambda value: f"{value:,.0f}")


def lines(
    course: Sequence[Stretch],
    series: dict[str, Sequence[Value]],
    top: float,
    told: Callable[[float], str],
) -> str:
    """Draw series over time, with a gap where nothing is known."""
    wide = (RIGHT - LEFT) / max(len(course), 1)
    drawn = [*_grid(top, told)]
    for kind, values in series.items():
        for run in _runs(values):
            at = [(LEFT + (i + 0.5) * wide, _height(value, top)) for i, value in run]
            if len(at) == 1:
                drawn.append(
                    f'<circle class="{kind}" cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="3"/>'
                )
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
            drawn.append(f'<polyline class="line {kind}" points="{points}"/>')
    return svg(BOTTOM + 30, [*drawn, *_times(course)])


def _runs(values: Sequence[Value]) -> Iterator[list[tuple[int, float]]]:
    run: list[tuple[int, float]] = []
    for i, value in enumerate(values):
        if value is not None:
            run.append((i, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _grid(top: float, told: Callable[[float], str]) -> Iterator[str]:
    for i in range(5):
        value = top * i / 4
        y = _height(value, top)
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield label(LEFT - 10, y + 4, told(value), "value end")


def _times(course: Sequence[Stretch]) -> Iterator[str]:
    if course:
        long = course[-1].end - course[0].start > 2 * 86400
        form = "%d %b %Y" if long else "%d %b, %H:%M"
        for x, at, kind in ((LEFT, course[0].start, ""), (RIGHT, course[-1].end, " end")):
            yield label(x, BOTTOM + 22, time.strftime(form, time.localtime(at)), f"value{kind}")


def _height(value: float, top: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / top


def _digits(top: float) -> int:
    return 2 if top >= 0.4 else 4


def _groups(name: str, groups: Models) -> str:
    rows = [
        (
            which or "(none)",
            f"{one.calls:,}",
            _number(one.usage.input_tokens),
            _number(one.usage.output_tokens),
            _share(one.cache_read_share),
            _share(one.hit_rate),
            money(one.cost),
        )
        for which, one in groups.items()
    ]
    return table((name, "calls", "sent", "answered", "read", "hits", "cost"), rows)


def _parts(found: Analytics) -> str:
    sent = sum(found.components.values()) or 1
    parts = sorted(found.components.items(), key=lambda item: -item[1])
    rows = [(name, f"{tokens:,}", f"{tokens / sent:.1%}") for name, tokens in parts]
    return table(("part", "tokens", "share"), rows)


def _levers(found: Analytics) -> str:
    rows = []
    for name, tokens in sorted(found.levers.items(), key=lambda item: -item[1]):

        def removed(figures: Figures, name: str = name) -> int:
            return figures.levers.get(name, 0)

        rows.append((name, f"{tokens:,}", money(worth(found.models, removed))))
    return table(("step", "tokens", "worth"), rows)


def _sessions(found: Analytics) -> str:
    rows = [(s.id, f"{s.calls:,}", _number(s.tokens), money(s.cost)) for s in found.sessions]
    return table(("conversation", "calls", "tokens", "cost"), rows)


def _number(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


_ADVICE = (
    "What each is expected to save of this period's bill: the share that it saved of the same part"
    " of recorded agent traffic, at the price that these tokens were bought at. <code>trimtab"
    " replay</code> tells what it would have saved in your own."
)
_SPENDING = "What the provider's prefix cache saved is in neither: it is not ours."
_LEVERS = "At the price that the tokens beside them were bought at, by model."
_METHOD = (
    "Spent: what the providers' usage costs at their list prices, prefix cache reads and writes"
    " included. Calls without a known price or usage are left out.",
    "Saved by steps: the tokens that they removed, at the average price of the input tokens that"
    " were sent: what the provider reads from its cache would have been cheap to send too.",
    "Saved by the response cache: what its answers cost when a model gave them. By routing: beside"
    " the model that would have answered.",
    "Saved by the provider: what it read from its prefix cache, beside fresh input, less what"
    " writing to the cache cost more.",
)
