"""Which pieces of a text to keep first."""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections import Counter as Tally
from collections.abc import Sequence

WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,:]\d+)*")
NAME = re.compile(r"\w+")
LONG_NAME = re.compile(r"[\w#@][\w.@/:#+-]*\w")
NUMBER = re.compile(r"(?:\"(\w+)\":\s*|(?<![\w.-]))(-?\d+(?:\.\d+)?)(?![\w.-])")
ERROR = re.compile(
    r"(?i)(?<!no )(?<!0 )(?:\b|_)(?:errors?|exceptions?|tracebacks?|fatal|panic(?:ked)?"
    r"|fail(?:ed|ure|ures|s)?|critical|denied|refused|timed out|cannot|unable|aborted|segfault)\b"
    r"|(?-i:[a-z](?:Error|Exception)\b)"
)
"""Speaks of an error."""
REPORT = re.compile(
    r"(?<!0 )\b(?:ERROR|FATAL|CRITICAL|SEVERE|PANIC|EMERG|FAIL(?:ED|URE|URES|S)?)\b"
    r"|\w(?:Error|Exception)\b(?!\()|Traceback \(most recent"
    r"|(?i:(?<!no )(?<!0 )\b(?:errors?|fatal|panic|exception|failure|failed)\b *[]:!])"
    r"|(?i:(?:^|[]|>:0-9-]) *(?:error|fatal|panic|exception|failed|failure)\b)"
    r"|(?i:\"(?:status|state|level|severity|type|result)\": *\"\w*(?:error|fail|fatal)\w*\")"
    r"|(?i:\"(?:errors?|exception|traceback)\": *(?:\"[^\"]|\{\s*[^\s}]|\[\s*[^\s\]]))"
)
"""Is the report of one."""
SOURCE = re.compile(r"[\s+>\d:-]*(?:except|raise|class|def|import|from|catch|throw)\b")
"""Code that deals with errors, and reports none."""
WARNING = re.compile(r"(?i)\b(?:warn|warning|warnings|deprecated)\b")
NONE_FAILED = re.compile(
    r"(?i)(?:errors?|fail(?:ed|ures?)|exceptions?)\"?\s*[:=]\s*(?:0\b|null|none|false|\"\"|\[\])"
)
TRACEBACK = re.compile(r"Traceback \(most recent call last\)")
DATE = re.compile(
    r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2} [A-Z][a-z]{2} \d{4}\b|\b[A-Z][a-z]{2} \d{1,2},? \d{4}\b"
)
WHEN = re.compile(r"(?i)\b(?:when|dates?|days?|times?)\b")
EXTREME = re.compile(
    r"(?i)\b(?:larg|bigg|small|cheap|high|low|long|short|old|new|lat|earli|fast|slow|great|few)e?st\b"
    r"|\b(?:most|least|max(?:imum)?|min(?:imum)?|top|first|last)\b"
)
STAMPED = re.compile(
    r"\W?(?:\d{4}-\d\d-\d\d[T ]|\d\d:\d\d:\d\d|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:)"
)
"""How a line of a log starts, which needs no other line to be understood."""
HEADING = re.compile(r"@@ |diff |--- |\+\+\+ |commit |#{1,6} |\[[\w .-]+\]$|={3,}|-{3,}")
STOP = frozenset(
    re.findall(
        r"\w+",
        """
    the and for are was were will would should could can this that these those with from have
    has had what when where which who whom how why does did not you your our their its his her
    them they about into than then there here some any all but out off over under also just
    please want need like get give show tell find let know see use using used make thank thanks
    yes okay hello is in on at to of an as by be do it me my we us if or so no up am
        """,
    )
)


def terms(text: str) -> frozenset[str]:
    """Words, numbers and identifiers that say what a question is about."""
    text = text.lower()
    names = {n for n in NAME.findall(text) + LONG_NAME.findall(text) if not n.isalpha()}
    words = {_stem(w) for w in WORD.findall(text) if len(w) > 1 and w not in STOP}
    return frozenset(names | words)


def matches(pieces: Sequence[str], asked: str) -> list[float]:
    """Score how much each piece shares with what was asked; what few pieces share counts most."""
    wanted = terms(asked)
    held = [terms(piece) & wanted for piece in pieces]
    spread = Tally(term for found in held for term in found)
    weight = {t: math.log(len(pieces) / n) * _worth(t) for t, n in spread.items()}
    return [math.fsum(weight[term] for term in sorted(found)) for found in held]


def reports(pieces: Sequence[str]) -> list[int]:
    """Pieces that report an error, the first of each kind before its repeats."""
    return _new_kinds_first([i for i, p in enumerate(pieces) if is_report(p)], pieces)


def mentions(pieces: Sequence[str]) -> list[int]:
    """Pieces that speak of an error, and then of a warning, the first of each kind first."""
    bad = [i for i, p in enumerate(pieces) if ERROR.search(NONE_FAILED.sub("", p))]
    warned = [i for i, p in enumerate(pieces) if WARNING.search(p)]
    return [*_new_kinds_first(bad, pieces), *_new_kinds_first(warned, pieces)]


def is_report(piece: str) -> bool:
    """Tell whether a piece reports that something went wrong."""
    said = NONE_FAILED.sub("", piece)
    return REPORT.search(said) is not None and SOURCE.match(said) is None


def dates_near(places: Sequence[int], lines: Sequence[str], asked: str) -> list[int]:
    """If the question is when, the closest lines with a date above and below certain ones."""
    if not WHEN.search(asked):
        return []
    dated = [i for i, line in enumerate(lines) if DATE.search(line)]
    found = []
    for place in places:
        k = bisect(dated, place)
        found += dated[max(k - 1, 0) : k + 1]
    return found


def tracebacks(lines: Sequence[str]) -> list[int]:
    """Lines of tracebacks, the last of each first: the exception, then where it was raised."""
    found: list[int] = []
    for start, line in enumerate(lines):
        if TRACEBACK.search(line):
            depth = _indent(line)
            end = start + 1
            while end < len(lines) - 1 and _indent(lines[end]) > depth:
                end += 1
            found += [start, *range(min(end, len(lines) - 1), start, -1)]
    return found


def extremes(pieces: Sequence[str], asked: str) -> list[int]:
    """Pieces that hold the smallest or largest number of a column, columns asked for first."""
    columns: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for i, piece in enumerate(pieces):
        places: Tally[str] = Tally()
        for key, number in NUMBER.findall(piece):
            columns.setdefault((key, places[key]), []).append((float(number), -i))
            places[key] += 1
    wanted = terms(asked)
    full = [key for key in columns if len(columns[key]) > max(2, len(pieces) // 2)]
    full.sort(key=lambda key: not terms(key[0]) & wanted)
    smallest = [min(columns[key], key=lambda c: (c[0], -c[1])) for key in full]
    largest = [max(columns[key]) for key in full]
    return [-i for pair in zip(smallest, largest, strict=True) for _, i in pair]


def rest(pieces: Sequence[str]) -> list[int]:
    """All pieces: unusual ones first, then from both ends towards the middle."""
    kinds = Tally(_kind(piece) for piece in pieces)
    size = len(pieces)

    def place(i: int) -> tuple[bool, int]:
        return kinds[_kind(pieces[i])] > max(1, size // 50), min(2 * i, 4 * (size - 1 - i))

    return sorted((i for i in range(size) if pieces[i].strip()), key=place)


def owners(lines: Sequence[str]) -> list[tuple[int, ...]]:
    """For each line of plain text, those above it without which it cannot be understood.

    These are the headings it is indented under, and the first line of its paragraph.
    """
    found: list[tuple[int, ...]] = []
    stack: list[tuple[int, int]] = []
    heading: int | None = None
    first = 0
    for i, line in enumerate(lines):
        if not line.strip():
            first = i + 1
            found.append(())
            continue
        if STAMPED.match(line):
            first, stack = i, [(0, i)]
            found.append(())
            continue
        if HEADING.match(line):
            heading, stack = i, []
        depth = _indent(line)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        above = {first, *(place for _, place in stack[-3:])}
        above |= {heading} if heading is not None else set()
        found.append(tuple(sorted(above - {i})))
        stack.append((depth, i))
    return found


def _stem(word: str) -> str:
    for end in ("ing", "ed", "es", "s"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            return word[: -len(end)]
    return word


def _worth(term: str) -> float:
    """What holds digits or signs names one thing, and says more than a word."""
    return 1.0 if term.isalpha() else 2.0


def _kind(piece: str) -> str:
    """A piece without what differs from one record to the next."""
    return re.sub(r"\b[^\W\d]*\d\w*", "0", piece[:200])


def _new_kinds_first(places: Sequence[int], pieces: Sequence[str]) -> list[int]:
    seen: Tally[str] = Tally()
    ranks = []
    for i in places:
        kind = _kind(pieces[i])
        ranks.append((seen[kind], i))
        seen[kind] += 1
    return [i for _, i in sorted(ranks)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
