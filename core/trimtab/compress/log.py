"""Lines that share time stamps, columns and words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from trimtab.compress import again, columns, diffstat, ditto, groups, items, links, stamps
from trimtab.types import Counter

HEADER = "[lines: "
END = "]\n"
FEWEST = 4
"""Lines. A shorter text cannot pay for the legend."""
LEAST = 0.05
"""Share of the tokens that must be saved. For less a reader should not have to learn anything."""
DEEP = re.compile(r"(?: *[0-9]+[:|\t]|[+-])?(?: {6}|\t)")
"""How a deeply indented line starts, numbered or in a diff or not."""
NESTED = 0.12
"""Share of deeply indented lines from which on a text is taken for code."""
SAMPLE = 60_000
"""Characters on which the notations are chosen. A larger text would take long to try them all."""


@dataclass(frozen=True)
class Notation:
    """One way to shorten lines."""

    legend: str
    """What the header says of it. The settings stand behind it."""
    encode: Callable[[list[str]], tuple[str, list[str]] | None]
    """Lines -> settings and lines, or None where it does not suit them."""
    decode: Callable[[str, list[str]], list[str]]
    """Settings and lines -> the lines before."""


@dataclass(frozen=True)
class Draft:
    """Lines, and the notations they are in."""

    lines: list[str]
    legends: tuple[str, ...] = ()
    notations: tuple[Notation, ...] = ()

    @property
    def body(self) -> str:
        """The text without the header."""
        return "; ".join(self.legends) + END + "\n".join(self.lines)

    def write(self, notation: Notation) -> Draft:
        """Return the lines in one notation more, or as they are if it does not suit them."""
        written = notation.encode(self.lines)
        if written is None or written[1] == self.lines:
            return self
        legends = (*self.legends, notation.legend + written[0])
        return Draft(written[1], legends, (*self.notations, notation))


DIFFSTAT = Notation(diffstat.LEGEND, diffstat.encode, diffstat.decode)
LINKS = Notation(links.LEGEND, links.encode, links.decode)
COLUMNS = Notation(columns.LEGEND, columns.encode, columns.decode)
STAMPS = Notation(stamps.LEGEND, stamps.encode, stamps.decode)
AGAIN = Notation(again.LEGEND, again.encode, again.decode)
ITEMS = Notation(items.LEGEND, items.encode, items.decode)
GROUPS = Notation(groups.LEGEND, groups.encode, groups.decode)
DITTO = Notation(ditto.LEGEND, ditto.encode, ditto.decode)
WORDY = (ITEMS, GROUPS, DITTO)
"""These leave out words. They are not for code, in which every word of a line must stand."""
STAGES = ((DIFFSTAT,), (LINKS,), (COLUMNS,), (STAMPS,), (AGAIN,), (ITEMS,), (GROUPS, DITTO))
"""In the order in which they are applied. Of a stage one notation is used, or none."""
NOTATIONS = tuple(notation for stage in STAGES for notation in stage)


def encode(text: str, count: Counter) -> str | None:
    """Write the lines in those notations that make them shortest."""
    lines = text.split("\n")
    if len(lines) < FEWEST:
        return None
    best = _best(text[:SAMPLE].split("\n"), count)
    if len(text) > SAMPLE:
        draft = Draft(lines)
        for notation in best.notations:
            draft = draft.write(notation)
        best = draft
    saved = count(text) - count(best.body)
    return best.body if saved >= LEAST * count(text) else None


def decode(body: str) -> str:
    """Write the lines out again."""
    legends, _, text = body.partition(END)
    lines = text.split("\n")
    used = legends.split("; ")
    if len(used) > len(STAGES):
        raise ValueError(f"{len(used)} notations on top of each other")
    for legend in reversed(used):
        notation = next((n for n in NOTATIONS if legend.startswith(n.legend)), None)
        if notation is None:
            raise ValueError(f"no notation is called {legend!r}")
        lines = notation.decode(legend.removeprefix(notation.legend), lines)
    return "\n".join(lines)


def _best(lines: list[str], count: Counter) -> Draft:
    """Try the notations on top of each other, and keep the shortest drafts of each stage."""
    drafts = [Draft(lines)]
    for stage in STAGES:
        more = [
            draft.write(notation)
            for draft, notation in product(drafts, stage)
            if notation not in WORDY or not _is_code(draft.lines)
        ]
        kinds = {draft.notations: draft for draft in [*drafts, *more]}
        ranked = sorted(kinds.values(), key=lambda draft: count(draft.body))
        drafts = [*ranked[:1], *(_without(notation, ranked) for notation in (COLUMNS, STAMPS))]
        drafts = [draft for draft in ranked if draft in drafts]
    return drafts[0]


def _without(notation: Notation, drafts: list[Draft]) -> Draft:
    """Return the first draft that is not in a notation.

    Lines that lost words or gaps are shorter at first, and may fall into no table later.
    """
    return next(draft for draft in drafts if notation not in draft.notations)


def _is_code(lines: list[str]) -> bool:
    """Whether many lines are indented deeply."""
    return sum(DEEP.match(line) is not None for line in lines) > NESTED * len(lines)
