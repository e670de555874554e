"""A replay as one self-contained HTML page, to read, print and send on.

>>> from trimtab.page import bars, course, document, label, levers, section, svg, table
>>> drawn = [bars([("tools", 900, 300)]), levers([("Lossless", 600)], whole=900)]
>>> drawn += [course([90, 95], [40, 41]), svg(40, [label(0, 20, "tokens", "name")])]
>>> body = section("Tokens", table(["part", "tokens"], [["tools", "300"]]) + "".join(drawn))
>>> document("A day", body)[:15]
'<!doctype html>'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import floor, log10

from trimtab.prices import GENERIC
from trimtab.replay import Example, Outcome, Replay
from trimtab.report import MINUS, PER, change, dollars, milliseconds, percent

LONGEST = 3
"""How many of the longest conversations are drawn."""
CUTS = 12
"""How many cuts are listed."""
WIDE = 470
"""The longest bar, in a drawing 800 wide; names stand before it, figures behind it."""
LEFT, RIGHT, HIGH = 70, 700, 190
"""The area of a line plot."""


def page(replay: Replay, recipe: str, source: str, made: str) -> str:
    """Write the page. `source` names what was replayed, `made` says when and with what.

    >>> from trimtab import recipes, trace
    >>> from trimtab.demo import TRAFFIC
    >>> from trimtab.page import page
    >>> from trimtab.replay import replay
    >>> found = replay([next(trace.read(TRAFFIC))], recipes.balanced)
    >>> "<svg" in page(found, "balanced", "one conversation", "today")
    True
    """
    title = f"{source}: what {recipe} would save"
    body = "\n".join(
        (
            _headline(replay, recipe, source),
            _cards(replay),
            section("Where the tokens go", _components(replay), _COMPONENTS),
            section("What each step removes", _levers(replay), _LEVERS),
            section("Over the course of a conversation", _courses(replay), _COURSES),
            section("What it costs", _prices(replay), _PRICES),
            section("Where history is cut", _cuts(replay), _CUTS),
            section("What a result looks like", _examples(replay.examples), _EXAMPLES),
            section("How this was measured", _method(replay, recipe)),
            f"<footer>{escape(made)}</footer>",
        )
    )
    return document(title, body)


def document(title: str, body: str) -> str:
    """Write a whole page, which loads nothing from elsewhere."""
    head = f"<title>{escape(title)}</title><style>{STYLE}</style>"
    meta = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{meta}{head}</head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def bars(rows: Sequence[tuple[str, int, int]]) -> str:
    """Draw a pair of horizontal bars for each row: before above, after below."""
    scale = WIDE / max([1, *(max(row[1:]) for row in rows)])
    drawn = []
    for i, (name, before, after) in enumerate(rows):
        y = i * 46
        drawn.append(label(150, y + 24, name, "name end"))
        for k, (value, kind) in enumerate(((before, "before"), (after, "after"))):
            drawn.append(_bar(y + 6 + 17 * k, value * scale, kind))
            text = f"{value:,}" + (f"  ({change(before, after)})" if k and after != before else "")
            drawn.append(label(170 + value * scale, y + 18 + 17 * k, text, "value"))
    return svg(len(rows) * 46 + 6, drawn)


def levers(rows: Sequence[tuple[str, int]], whole: int) -> str:
    """Draw one horizontal bar for each row; what added tokens has another colour."""
    scale = WIDE / max([1, *(abs(removed) for _, removed in rows)])
    drawn = []
    for i, (name, removed) in enumerate(rows):
        y, width = i * 32, abs(removed) * scale
        drawn.append(label(150, y + 20, name, "name end"))
        drawn.append(_bar(y + 8, width, "after" if removed >= 0 else "worse"))
        text = f"{removed:,}  ({percent(removed, whole)} of all)".replace("-", MINUS)
        drawn.append(label(170 + width, y + 20, text, "value"))
    return svg(len(rows) * 32 + 6, drawn)


def course(before: Sequence[int], after: Sequence[int]) -> str:
    """Draw tokens over calls as two lines, with the area between them filled."""
    ticks = _ticks(max((*before, *after, 1)))
    was, now = _path(before, ticks[-1]), _path(after, ticks[-1])
    drawn = [_grid(_height(tick, ticks[-1]), tick) for tick in ticks]
    drawn.append(f'<polygon class="between" points="{_points([*was, *reversed(now)])}"/>')
    for points, kind in ((was, "before"), (now, "after")):
        drawn.append(f'<polyline class="line {kind}" points="{_points(points)}"/>')
        drawn.append('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>'.format(kind, *points[-1]))
    low = max(now[-1][1], was[-1][1] + 16)
    drawn.append(label(RIGHT + 10, was[-1][1] + 4, f"{before[-1]:,}", "value"))
    drawn.append(label(RIGHT + 10, low + 4, f"{after[-1]:,}", "now"))
    drawn.append(label(LEFT, HIGH + 32, "call 1", "value"))
    drawn.append(label(RIGHT, HIGH + 32, f"call {len(before)}", "value end"))
    return svg(HIGH + 40, drawn)


def _headline(replay: Replay, recipe: str, source: str) -> str:
    n, before, after = len(replay.outcomes), replay.before, replay.after
    priced = before.cached is not None
    told = "input cost" if priced else "input tokens"
    pair = (before.cached, after.cached) if priced else (before.tokens, after.tokens)
    result = change(*pair)
    kind = ' class="worse"' if result.startswith("+") else ""
    bill = (
        f"{PER:,} conversations like these cost <b>{dollars(before.cached, n)}</b> of input today"
        f" and would cost <b>{dollars(after.cached, n)}</b>, at the provider's own prices with its"
        " prefix cache. The answers cost the same either way."
        if priced
        else "No price is known for the model; see the price models below."
    )
    return (
        f'<header><p class="over">trimtab replay &middot; recipe <b>{escape(recipe)}</b> &middot;'
        f" {escape(source)} &middot; {n:,} conversations, {len(replay.turns):,} calls &middot;"
        f" {escape(', '.join(replay.models))}</p><h1{kind}>{result} {told}</h1>"
        f"<p class=lead>{bill}</p></header>"
    )


def _cards(replay: Replay) -> str:
    n = max(len(replay.outcomes), 1)
    before, after = replay.before.tokens, replay.after.tokens
    evidence = percent(replay.kept, replay.needed, digits=2)
    cards = (
        (
            "Input tokens",
            change(before, after),
            f"{before // n:,} &rarr; {after // n:,} a conversation",
        ),
        ("Cost at worst", change(1.0, replay.worst), f"over {len(GENERIC)} price models"),
        ("Evidence kept", evidence, f"of {replay.needed:,} values used later"),
        ("Time to plan", milliseconds(replay.seconds(0.5)), f"p95 {_p95(replay)} a call"),
    )
    drawn = (
        f'<div class="card"><span>{name}</span><strong>{value}</strong><small>{note}</small></div>'
        for name, value, note in cards
    )
    return f'<div class="cards">{"".join(drawn)}</div>'


def _p95(replay: Replay) -> str:
    return milliseconds(replay.seconds(0.95))


def _components(replay: Replay) -> str:
    parts = sorted(replay.parts().items(), key=lambda part: -part[1][0])
    return _legend() + bars([(_plain(name), *pair) for name, pair in parts if any(pair)])


def _levers(replay: Replay) -> str:
    rows = [(name, removed) for name, removed in replay.levers.items() if removed]
    return levers(rows, replay.before.tokens) if rows else "<p>Nothing was removed.</p>"


def _courses(replay: Replay) -> str:
    longest = sorted(replay.outcomes, key=_length, reverse=True)[:LONGEST]
    drawn = (
        f"<h3>{escape(outcome.id)}</h3>"
        + course(
            [turn.before.tokens for turn in outcome.turns],
            [turn.after.tokens for turn in outcome.turns],
        )
        for outcome in longest
        if outcome.turns
    )
    return _legend() + "".join(drawn)


def _length(outcome: Outcome) -> int:
    return sum(turn.before.tokens for turn in outcome.turns)


def _prices(replay: Replay) -> str:
    n, before, after = len(replay.outcomes), replay.before, replay.after
    real = (
        ("The model's prices, with prefix cache", before.cached, after.cached),
        ("The model's prices, without", before.plain, after.plain),
    )
    rows = [(name, dollars(was, n), dollars(now, n), change(was, now)) for name, was, now in real]
    for name, prices in GENERIC.items():
        was, now = (prices.bill(bill.usage) * PER / max(n, 1) for bill in (before, after))
        rows.append((f"In uncached tokens, {name}", f"{was:,.0f}", f"{now:,.0f}", change(was, now)))
    return table((f"Input of {PER:,} conversations", "before", "after", "change"), rows)


def _cuts(replay: Replay) -> str:
    if not replay.cuts:
        return "<p>Nowhere: every request starts with the one before it.</p>"
    first = sorted(replay.cuts, key=lambda cut: -abs(cut.won))[:CUTS]
    rows = [
        (
            f"{cut.conversation}, message {cut.step}",
            cut.cut.step,
            f"{cut.cut.removed:,}",
            f"{cut.cut.gain:,.0f}",
            f"{cut.won:,.0f}",
        )
        for cut in first
    ]
    total = f"<p>{len(replay.cuts):,} in all. Those that matter most, in uncached tokens:</p>"
    heads = ("before the answer at", "by", "tokens removed", "expected to win", "won")
    return total + table(heads, rows)


def _examples(examples: Iterable[Example]) -> str:
    drawn = (
        f"<h3>{escape(example.tool)}</h3>"
        + _figure("before", example.before)
        + _figure("after", example.after)
        for example in examples
    )
    return "".join(drawn) or "<p>No short tool result was changed.</p>"


def _figure(when: str, text: str) -> str:
    # Half of a surrogate pair, which JSON can carry, cannot be written in UTF-8.
    shown = escape(text.encode("utf-8", "replace").decode())
    caption = f'<i class="{when}"></i>{when}, {len(text):,} characters'
    return f'<figure><figcaption class="legend">{caption}</figcaption><pre>{shown}</pre></figure>'


def _method(replay: Replay, recipe: str) -> str:
    failed = (
        f"{escape(step)} failed {times:,} times, and was left out of those calls."
        for step, times in replay.failures.items()
    )
    points = (
        *failed,
        "Each recorded call was planned again with the messages that stood before it, by the same"
        f" pipeline that runs in an application (<code>recipes.{escape(recipe)}</code>). The"
        " recorded answers were kept, so the conversation takes the same course.",
        "Tokens are counted with the model's own tokenizer where it is known, else with the"
        " nearest one. Tool definitions count as serialised JSON.",
        "The prefix cache is simulated: what a request shares with an earlier request of its"
        " conversation, from the provider's smallest cacheable prefix on, is read at the reduced"
        " price, and the rest is written. No entry expires within a conversation. A saving that"
        " holds under all price models does not depend on the provider.",
        "Evidence: of the values of four characters and more which a recorded tool call took"
        " verbatim from its request, the share that still stands in the shortened one"
        f" ({replay.kept:,} of {replay.needed:,} here).",
        "A cut is a place where a request leaves the prefix that was sent before. Its win is in"
        " uncached input tokens up to the end of the recording.",
    )
    return f"<ul>{''.join(f'<li>{point}</li>' for point in points)}</ul>"


def section(title: str, body: str, note: str = "") -> str:
    """Write a part of a page under a heading, after a note of what it shows."""
    lead = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{title}</h2>{lead}{body}</section>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; what stands first in a row names it."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _legend() -> str:
    return '<p class="legend"><i class="before"></i>before <i class="after"></i>after</p>'


def svg(height: float, drawn: Iterable[str]) -> str:
    """Make a drawing 800 wide of its pieces."""
    return f'<svg viewBox="0 0 800 {height:.0f}" role="img">{"".join(drawn)}</svg>'


def _bar(y: float, width: float, kind: str) -> str:
    return f'<rect class="{kind}" x="162" y="{y}" width="{width:.1f}" height="15" rx="2"/>'


def label(x: float, y: float, text: str, kind: str) -> str:
    """Write a text into a drawing, in one of the style's kinds."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _path(values: Sequence[int], top: int) -> list[tuple[float, float]]:
    across = (RIGHT - LEFT) / max(len(values) - 1, 1)
    return [(LEFT + i * across, _height(value, top)) for i, value in enumerate(values)]


def _height(value: int, top: int) -> float:
    return 10 + HIGH * (1 - value / top)


def _grid(y: float, tick: int) -> str:
    told = label(LEFT - 10, y + 4, f"{tick:,}", "value end")
    return f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>{told}'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ticks(top: int) -> list[int]:
    """Round numbers from 0 to at least the top, some four of them."""
    rough = max(top / 4, 1)
    unit = 10 ** floor(log10(rough))
    step = next(int(unit * by) for by in (1, 2, 2.5, 5, 10) if unit * by >= rough)
    return list(range(0, top + step, step))


def _plain(name: str) -> str:
    return name.replace("_", " ")


_COMPONENTS = "Input tokens of all calls, by part of the request."
_LEVERS = "Input tokens of all calls that each step took away, in the order of the steps."
_COURSES = (
    "Tokens of each call, in the longest conversations. Every call sends the whole conversation"
    " again, so what is removed once is saved in all calls that follow."
)
_PRICES = (
    "Fewer tokens are not always a smaller bill: rewriting what a provider has cached costs more"
    " than it saves. So the bill is worked out with the prefix cache, in dollars for this model and"
    " in uncached tokens for price models that others come close to."
)
_CUTS = "A cut gives up a part of the provider's cache, and is made only if it pays back."
_EXAMPLES = "Real results from this traffic, as the model would have read them."
STYLE = """
:root { --ink: #1a2230; --soft: #5b6677; --page: #ffffff; --panel: #f4f6f8; --rule: #dde2e8;
  --before: #a9b4c2; --after: #0d8a7c; --fill: #0d8a7c22; --worse: #c2553d; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a3b3;
  --page: #12161c; --panel: #1b2129; --rule: #2c343f; --before: #5f6b7a; --after: #35c2ae;
  --fill: #35c2ae22; --worse: #e5806a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 48px 24px 64px; }
h1 { font-size: 52px; line-height: 1.1; letter-spacing: -0.02em; margin: 8px 0 12px;
  color: var(--after); }
h1.worse { color: var(--worse); }
h2 { font-size: 22px; margin: 0 0 4px; letter-spacing: -0.01em; }
h3 { font-size: 15px; margin: 20px 0 6px; color: var(--soft); font-weight: 600; }
.over, .note, footer, small { color: var(--soft); }
.over { font-size: 14px; margin: 0; }
.lead { font-size: 19px; max-width: 46em; margin: 0; }
.note { margin: 0 0 16px; max-width: 46em; }
section { margin-top: 52px; }
.cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin-top: 32px; }
.card { background: var(--panel); border-radius: 10px; padding: 16px 18px; }
.card span { display: block; font-size: 14px; color: var(--soft); }
.card strong { display: block; font-size: 27px; letter-spacing: -0.01em; white-space: nowrap; }
.card small { font-size: 13px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 13px; fill: var(--soft); font-variant-numeric: tabular-nums;
  white-space: pre; }
svg text.name { fill: var(--ink); }
svg text.end { text-anchor: end; }
svg text.now { fill: var(--after); font-weight: 600; }
rect.before, circle.before { fill: var(--before); }
rect.after, circle.after { fill: var(--after); }
rect.worse { fill: var(--worse); }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.line.before { stroke: var(--before); }
.line.after { stroke: var(--after); }
.between { fill: var(--fill); }
.grid { stroke: var(--rule); }
.legend { margin: 0 0 8px; font-size: 14px; color: var(--soft); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  margin: 0 6px 0 14px; vertical-align: -1px; }
.legend i:first-child { margin-left: 0; }
.legend .before { background: var(--before); }
.legend .after { background: var(--after); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 9px 10px; border-bottom: 1px solid var(--rule); text-align: right; }
th { font-size: 13px; color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:last-child { font-weight: 600; }
figure { margin: 0 0 12px; }
figcaption.legend { font-size: 13px; margin-bottom: 4px; }
pre { margin: 0; padding: 14px; background: var(--panel); border-radius: 10px; font-size: 12px;
  line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 340px;
  overflow: auto; font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
li { margin-bottom: 8px; }
footer { margin-top: 48px; padding-top: 14px; border-top: 1px solid var(--rule); font-size: 13px; }
@media (max-width: 640px) { .cards { grid-template-columns: 1fr 1fr; }
  h1 { font-size: 38px; } table { display: block; overflow-x: auto; white-space: nowrap; } }
@media print { main { max-width: none; padding: 0; } section { break-inside: avoid; }
  pre { max-height: none; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""

__all__ = ["bars", "course", "document", "label", "levers", "page", "section", "svg", "table"]
