"""Tool results cut to what matters, with the way back to the rest."""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from trimtab.compress import prose, salience
from trimtab.compress.lines import Lines, Node, compact, lines_of
from trimtab.compress.lossless import Lossless, restore
from trimtab.compress.names import listed, names_in
from trimtab.compress.recall import NAME, Originals, offered
from trimtab.errors import NotOurs
from trimtab.folding import Transcripts
from trimtab.tokens import counter_for
from trimtab.types import Compressor, Counter, Message, Request, RunnableTool, ToolCall, fold

log = logging.getLogger("trimtab")
NOTE = 20
"""Tokens of the note that says what was left out and how to get it."""
NOTE_AGAIN = 9
"""Tokens of each further note in the same text."""
SEVERAL = 4
"""How many rows of JSON must fit for rows to be kept or left out whole."""
TRIES = 6
LEAST = 50
CUT = "[...]"
"""Stands in a string of JSON for what is left out of it; the note behind the JSON names that."""


@fold
@dataclass(frozen=True)
class Reduce:
    """Cuts long results of tools, each once, by the question that stood before it.

    Stands after `Lossless`, and measures what that has made of a text. What is left out are whole
    lines, or whole elements of JSON, of the text that the tool returned; a note names them by
    `lines_of` that text, which is what `originals` keeps. What is kept of JSON is encoded afresh;
    lines stay as they were, because an encoded line may mean nothing without those before it.

    Does nothing where the recall tool is not among the request's tools.

    >>> import json
    >>> from trimtab import Message, Pipeline, Request, Tool
    >>> from trimtab.compress import Reduce
    >>> pipeline = Pipeline([Reduce(over=200, keep=100)])
    >>> rows = json.dumps([{"worker": n, "state": "idle"} for n in range(500)])
    >>> chat = (Message("user", "What does worker 77 do?"), Message("tool", rows))
    >>> asked = pipeline.bind(Request("gpt-4o", chat, (Tool("look_up", "Look up workers"),)))
    >>> print(pipeline.plan(asked).request.messages[1].text)
    json:[(worker state=idle)
    0
    ...
    77
    ...
    499]
    [... of 500 parts left out: recall("134546856", lines="...")]
    """

    originals: Originals = field(default_factory=Originals)
    over: int = 1000
    """Tokens up to which a result stays as it is."""
    keep: int = 500
    """Tokens that are left of a longer one."""
    encode: Compressor = field(default_factory=Lossless)
    """Shortens what is kept of JSON."""
    count: Counter | None = None
    """o200k_base tokens if it is not given."""
    _transcripts: Transcripts[Reading] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_transcripts", Transcripts(Reading))
        if not LEAST <= self.keep <= self.over:
            raise ValueError(f"need {LEAST} <= keep <= over, got {self.keep} and {self.over}")

    @property
    def tools(self) -> tuple[RunnableTool, ...]:
        """The tool that gets back what was left out."""
        return (self.originals.tool,)

    def __call__(self, request: Request) -> Request:
        """Cut each tool result that is too long."""
        if not offered(request.tools):
            return request
        return self._transcripts.map(request, self._make)

    def _make(self, reading: Reading, request: Request, place: int) -> Message:
        message = request.messages[place]
        for handle, original in reading.originals.items():  # a store forgets what is not used
            self.originals.refresh(handle, original)
        asked = reading.asked(message)
        if asked is None or message.pinned:
            return message
        originals = reading.originals
        return message.with_texts(
            lambda text: self._shortest(text, message.encoded, asked, originals)
        )

    def _shortest(self, text: str, encoded: bool, asked: str, originals: dict[str, str]) -> str:
        count = self.count or counter_for("gpt-4o")
        if count(text) <= self.over:
            return text
        original = _original(text) if encoded else text
        handle = self.originals.keep(original)
        if handle is None:
            return text
        originals[handle] = original
        limits = Limits(self.keep, self.over, count, self.encode)
        return reduced(text, original, asked, handle, limits)


@dataclass
class Reading:
    """What a transcript holds up to a message."""

    question: str = ""
    calls: dict[str, ToolCall] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)
    """What was cut, whole, by its handle."""

    def asked(self, message: Message) -> str | None:
        """Read on. Return what a message answers, or None where it is not for us to cut."""
        self.calls |= {call.id: call for call in message.tool_calls}
        if message.role == "user":
            self.question = message.text
        if message.role != "tool":
            return None
        call = self.calls.get(message.tool_call_id or "")
        name = call.name if call else message.name
        return None if name == NAME else f"{self.question}\n{call.arguments if call else ''}"


@dataclass(frozen=True)
class Limits:
    """How far to cut, and how to measure."""

    keep: int
    over: int
    count: Counter
    encode: Compressor


@lru_cache(maxsize=512)
def reduced(text: str, original: str, asked: str, handle: str, limits: Limits) -> str:
    """Return a text that is within the limits, or `text` where none is found.

    `text` is what the model would read otherwise, `original` what the tool returned. A failure is
    remembered like any result, so that what was sent once is sent the same way again.
    """
    most = min(limits.keep, limits.count(text) - 1)
    try:
        told = prose.shortened(original, asked, handle, most, limits.count)
        if told is not None:
            return told
        drafts = _drafts(text, original, asked, (handle, limits))
        for draft, gone in drafts:
            if limits.count(draft) <= most:
                return _with_names(draft, gone, limits.count(text), limits)
        return text
    except Exception as error:
        log.warning("a text cannot be cut, and is sent as it is: %r", error)
        return text


def _with_names(draft: str, gone: str, size: int, limits: Limits) -> str:
    """Say what the records that are left out are called, by as many keys as there is room for.

    The next thing that is done with a list is most often to look up one of its records.
    """
    found = names_in(gone)
    while names := listed(found, [draft]):
        named = f"{draft}\n[left out: {names}]"
        if limits.count(names) <= limits.over and limits.count(named) < size:
            return named
        found.pop(max(found, key=lambda key: len(" ".join(found[key]))))
    return draft


def _drafts(
    text: str, original: str, asked: str, how: tuple[str, Limits]
) -> Iterator[tuple[str, str]]:
    """Write ever shorter texts, as what is kept may need more tokens than its share of all.

    Each comes with the JSON that it leaves out.
    """
    handle, limits = how
    lines, budget = lines_of(original), float(limits.keep)
    density = limits.count(original if lines.root is None else text) / len(original)
    pieces = _pieces(lines, budget / density)
    ranking = _ranking(pieces, asked, budget / density)
    for _ in range(TRIES):
        kept = _choose(pieces, ranking, budget, density)
        written = _write(pieces, kept, handle, limits.encode)
        if not all(kept):
            gaps = _runs(kept) if lines.root is not None else []
            yield written, "".join(lines.between(a + 1, b + 1) for a, b in gaps)
        budget *= min(0.9, 0.95 * limits.keep / limits.count(written))


Span = tuple[int, int]
"""The first and the last of some lines or pieces, counted from 0."""


@dataclass(frozen=True)
class Pieces:
    """A text in pieces that are kept or left out whole: lines, or elements of JSON."""

    lines: Lines
    spans: tuple[Span, ...]
    texts: tuple[str, ...]
    owners: tuple[tuple[int, ...], ...]
    """For each piece, those without which it cannot be understood."""
    rows: tuple[int, ...]
    """For each piece, the number of the record that it is a part of, counted from 0."""

    @property
    def split(self) -> bool:
        """True where records are cut in several pieces."""
        return bool(self.rows) and self.rows[-1] + 1 < len(self.rows)

    @property
    def records(self) -> list[str]:
        """The text of each record."""
        found: list[str] = []
        for row, text in zip(self.rows, self.texts, strict=True):
            found[row:] = [found[row] + text if row < len(found) else text]
        return found

    @property
    def plain(self) -> bool:
        """True for lines, False for JSON."""
        return self.lines.root is None


@lru_cache(maxsize=16)
def _original(text: str) -> str:
    """Undo the encoding; what was rewritten in another way stands for itself."""
    try:
        return restore(text)
    except NotOurs:
        return text


def _pieces(lines: Lines, room: float) -> Pieces:
    """Cut JSON in rows, and rows of which not several fit the room in parts; else in lines."""
    if lines.root is None:
        spans = [(i, i) for i in range(len(lines.lines))]
        owners = salience.owners(lines.lines)
        return Pieces(lines, tuple(spans), lines.lines, tuple(owners), tuple(range(len(spans))))
    spans = list(_parts(lines.root, room / SEVERAL))
    texts = tuple(lines.between(a + 1, b + 1) for a, b in spans)
    starts = sorted({0, *(row.first for row in lines.rows())})
    rows = tuple(bisect(starts, first) - 1 for first, _ in spans)
    # The first part of a record most often names it.
    names = {row: i for i, row in reversed(tuple(enumerate(rows)))}
    named = tuple((names[row],) for row in rows)
    return Pieces(lines, tuple(spans), texts, named, rows)


def _parts(node: Node, room: float) -> Iterator[Span]:
    if not node.children or node.end - node.start <= room:
        yield node.first, node.last
        return
    for child in node.children:
        yield from _parts(child, room)


Ranking = Sequence[tuple[float, Sequence[int]]]
"""Pieces by their worth: (share of the budget up to which they may fill it, pieces)."""


def _ranking(pieces: Pieces, asked: str, room: float) -> Ranking:
    """Rank errors before what was asked for, before what is unusual, before the rest."""
    texts, last = pieces.texts, len(pieces.texts) - 1
    hits = _hits(pieces, asked, room)
    reports, mentions = salience.reports(texts), salience.mentions(texts)
    extremes = salience.extremes(texts, asked)
    traces = salience.tracebacks(texts) if pieces.plain else []
    return [
        (0.9, reports[:1]),
        (0.25, [0, last]),
        (0.5, reports),
        (0.6, [*traces, *_around(reports, pieces)]),
        (0.45, mentions),
        (0.45, extremes if salience.EXTREME.search(asked) else []),
        (0.8, hits),
        (0.9, [*salience.dates_near(hits[:3], texts, asked), *_around(hits, pieces), *mentions]),
        (1.0, _rest(pieces)),
    ]


def _hits(pieces: Pieces, asked: str, room: float) -> list[int]:
    """Pieces that bear on what was asked, best first. Parts of a record share in its worth."""
    scores = salience.matches(pieces.texts, asked)
    if pieces.split:
        records = pieces.records
        shared = salience.matches(records, asked)
        shared = [s if len(r) < room / 2 else 0.0 for s, r in zip(shared, records, strict=True)]
        scores = [s + shared[row] for s, row in zip(scores, pieces.rows, strict=True)]
    best = max(scores, default=0.0)
    return sorted((i for i, s in enumerate(scores) if s > best / 3), key=lambda i: (-scores[i], i))


def _rest(pieces: Pieces) -> list[int]:
    """All pieces, the most unusual first; the parts of a record one after the other."""
    if not pieces.split:
        return salience.rest(pieces.texts)
    parts: dict[int, list[int]] = {}
    for i, row in enumerate(pieces.rows):
        parts.setdefault(row, []).append(i)
    return [i for row in salience.rest(pieces.records) for i in parts[row]]


def _around(places: Iterable[int], pieces: Pieces) -> list[int]:
    """Lines next to certain ones. Elements of JSON explain themselves."""
    total = len(pieces.texts) if pieces.plain else 0
    return [k for i in places for k in (i + 1, i - 1, i + 2) if 0 <= k < total]


def _choose(pieces: Pieces, ranking: Ranking, budget: float, density: float) -> list[bool]:
    """Keep pieces in order of their rank while there is room; says of each line if it stays.

    `density` is the tokens that a character costs.
    """
    costs = [density * len(text) for text in pieces.texts]
    kept = [False] * len(costs)
    spent = float(NOTE)
    for share, places in ranking:
        for i in places:
            fresh = [] if kept[i] else [k for k in (*pieces.owners[i], i) if not kept[k]]
            price = sum(costs[k] + _gaps(kept, k) * NOTE_AGAIN for k in set(fresh))
            if fresh and spent + price <= share * budget:
                spent += price
                for k in fresh:
                    kept[k] = True
    _fill(kept, costs)
    return [kept[i] for i, (a, b) in enumerate(pieces.spans) for _ in range(a, b + 1)]


def _gaps(kept: Sequence[bool], i: int) -> int:
    """How many more notes it takes if a piece is kept: one inside a gap, less where it ends one."""
    before = i == 0 or kept[i - 1]
    after = i == len(kept) - 1 or kept[i + 1]
    return 1 - before - after


def _fill(kept: list[bool], costs: Sequence[float]) -> None:
    """Keep what is not worth the note that would stand in its place."""
    for first, last in _runs(kept):
        if sum(costs[first : last + 1]) <= 2 * NOTE_AGAIN:
            kept[first : last + 1] = [True] * (last + 1 - first)


def _runs(kept: Sequence[bool]) -> list[Span]:
    """Where what is left out starts and ends."""
    runs: list[Span] = []
    for i, stays in enumerate(kept):
        if not stays:
            runs.append((runs.pop()[0], i) if runs and runs[-1][1] == i - 1 else (i, i))
    return runs


def _write(pieces: Pieces, kept: Sequence[bool], handle: str, encode: Compressor) -> str:
    """Write what is kept, with a note of what is not."""
    lines, gaps = pieces.lines, _runs(kept)
    if lines.root is None:
        return _plain(lines, gaps, _notes(lines, gaps, handle))
    gone = sum(b - a + 1 for a, b in gaps)
    spans = ",".join(_span(a, b) for a, b in gaps)
    total = f"{gone} of {len(kept)} parts{_reports(lines, gaps)} left out"
    note = f'[{total}: recall("{handle}", lines="{spans}")]'
    if not any(kept):
        return note
    return encode(compact(_json(lines, lines.root, kept)), "").rstrip("\n") + "\n" + note


def _notes(lines: Lines, gaps: Sequence[Span], handle: str) -> list[str]:
    """One note for each gap. The first says how to get it, which holds for them all."""
    notes: list[str] = []
    for a, b in gaps:
        bad, span, many = _reports(lines, [(a, b)]), _span(a, b), "s" if a < b else ""
        if notes:
            notes.append(f"[line{many} {span}{bad} left out]")
        else:
            call = f'recall("{handle}", lines="{span}")'
            notes.append(f"[{b - a + 1} line{many}{bad} left out: {call}]")
    return notes


def _reports(lines: Lines, gaps: Iterable[Span]) -> str:
    """Say how many of the lines that are left out report errors."""
    gone = (line for a, b in gaps for line in lines.lines[a : b + 1])
    number = sum(map(salience.is_report, gone))
    return f", {number} with errors," if number else ""


def _span(first: int, last: int) -> str:
    return f"{first + 1}" if first == last else f"{first + 1}-{last + 1}"


def _plain(lines: Lines, gaps: Sequence[Span], notes: Sequence[str]) -> str:
    """Put each note in the place of what it stands for."""
    parts = list(lines.lines)
    for (first, last), note in zip(gaps, notes, strict=True):
        end = "\n" if parts[last].endswith("\n") else ""
        parts[first : last + 1] = [note + end, *[""] * (last - first)]
    return "".join(parts)


def _json(lines: Lines, node: Node, kept: Sequence[bool]) -> str:
    """Write an element without what is left out of it, as JSON again."""
    text, stays = lines.text, kept[node.first : node.last + 1]
    if all(stays):
        return text[node.start : node.end]
    opening, closing = text[node.start : node.value + 1], text[node.end - 1]
    left = [(c, any(kept[c.first : c.last + 1])) for c in node.children]
    if text[node.value] != '"':
        return (
            opening + ", ".join(_json(lines, c, kept) for c, any_left in left if any_left) + closing
        )
    shown = groupby(left, key=lambda pair: pair[1])
    parts = ("".join(text[c.start : c.end] for c, _ in run) if stay else CUT for stay, run in shown)
    return opening + "".join(parts) + closing
