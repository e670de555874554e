"""Rows that share most of their fields, under a heading with blanks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice, pairwise
from operator import eq

from trimtab.compress.grouping import BLANK, Group, Row, by_key, by_run
from trimtab.compress.room import Room

LEGEND = 'x3 = the next 3 rows fill _, " = as in the row before, '
MARK = '"'
ESCAPE = "\\"
"""Stands before a line that is not a row."""
HEADING = re.compile(r"x([0-9]+) ")
SEPARATORS = {"fields": " ", "columns at ,": ",", "columns at |": "|", "columns at tab": "\t"}
NATURAL = " as numbers"
NUMBER = re.compile(r"([0-9]+)|([^0-9]+)")
TIME = re.compile(r"^\W?[0-9]+[:.][0-9][0-9]|[0-9][T:][0-9][0-9]:[0-9][0-9]")
FEWEST = 6
"""Rows."""
MOST = 24
"""Fields."""
SAMPLE = 400
"""Lines on which the shape of the rows is chosen."""


@dataclass(frozen=True)
class Shape:
    """How lines fall into fields, and in which order the rows stood."""

    size: int
    """Fields of a row. The last one takes the rest of the line."""
    unit: str = "fields"
    """What the fields are called, which says what stands between them."""
    order: int | None = None
    """The field by which the rows were sorted, if they were."""
    natural: bool = False
    """Whether they were sorted by the numbers in the field, and not by its characters."""

    def __str__(self) -> str:
        order = "" if self.order is None else f", in the original sorted by {self.order + 1}"
        return f"{self.size} {self.unit}{order}{NATURAL if self.natural else ''}"

    @property
    def separator(self) -> str:
        """What stands between the fields."""
        return SEPARATORS[self.unit]

    def split(self, line: str) -> Row:
        """Part a line into fields."""
        return tuple(line.split(self.separator, self.size - 1))

    def join(self, fields: Row) -> str:
        """Make a line of fields."""
        return self.separator.join(fields)

    def holds(self, line: str) -> bool:
        """Whether a line can be a row: it has the fields, and none that mean something here."""
        if line.count(self.separator) < self.size - 1 or line.startswith(ESCAPE):
            return False
        return HEADING.match(line) is None and not {BLANK, MARK} & set(line.split(self.separator))

    def key(self, row: Row) -> list[tuple[bool, int, str]]:
        """What a row is sorted by. Numbers come before text."""
        field = "" if self.order is None else row[self.order]
        if not self.natural:
            return [(True, 0, field)]
        return [(not number, int(number or 0), text) for number, text in NUMBER.findall(field)]

    def sort(self, rows: list[Row]) -> list[Row]:
        """Bring rows into the order in which they stood."""
        return rows if self.order is None else sorted(rows, key=self.key)


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Put rows that share fields under one heading.

    Where the rows are sorted by a field, they may change places, since they can be sorted again.
    """
    sample = lines[:SAMPLE]
    sizes = {shape: len("\n".join(_write(sample, shape))) for shape in _shapes(sample)}
    for shape in sorted(sizes, key=lambda shape: sizes[shape]):
        if shape.order is None or _are_sorted(lines, shape):
            return str(shape), _write(lines, shape)
    return None


def decode(settings: str, lines: list[str]) -> list[str]:
    """Fill the blanks, and bring the rows back into their order."""
    shape = _shape(settings)
    read: list[str] = []
    rows: list[Row] = []
    model: Row = ()
    room = Room()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        heading = HEADING.match(line)
        if heading or _is_row(line, shape):
            model = _expand(line[heading.end() :] if heading else line, model, shape)
            times = int(heading[1]) if heading else 1
            fillers = lines[at : at + times] if heading and BLANK in model else []
            room.take((len(fillers) or times) * (sum(map(len, model)) + len(model) + 1))
            rows += [_fill(model, filler, shape) for filler in fillers] or [model] * times
            at += len(fillers)
            continue
        read += [*map(shape.join, shape.sort(rows)), line.removeprefix(ESCAPE)]
        rows = []
    return [*read, *map(shape.join, shape.sort(rows))]


def _shape(settings: str) -> Shape:
    text, _, order = settings.partition(", in the original sorted by ")
    size, _, unit = text.partition(" ")
    place = int(order.split(" ")[0]) - 1 if order else None
    return Shape(int(size), unit, place, order.endswith(NATURAL))


def _is_row(line: str, shape: Shape) -> bool:
    parts = line.split(shape.separator)
    return not line.startswith(ESCAPE) and (len(parts) >= shape.size or MARK in parts)


def _expand(text: str, above: Row, shape: Shape) -> Row:
    """Read a row or a heading, whose mark stands for as many fields as are missing."""
    parts = text.split(shape.separator)
    if MARK not in parts:
        return shape.split(text)
    at = parts.index(MARK)
    missing = shape.size - len(parts) + 1
    return (*parts[:at], *above[at : at + missing], *parts[at + 1 :])


def _fill(heading: Row, filler: str, shape: Shape) -> Row:
    values = filler.split(shape.separator, heading.count(BLANK) - 1)
    places = [place for place, field in enumerate(heading) if field == BLANK]
    filled = dict(zip(places, values, strict=True))
    return tuple(filled.get(place, field) for place, field in enumerate(heading))


def _shapes(lines: list[str]) -> Iterator[Shape]:
    """Guess how the lines fall into fields, and by which field they are sorted."""
    for unit, separator in SEPARATORS.items():
        sizes = Counter(line.count(separator) + 1 for line in lines)
        # Two fields suit rows that end in free text, of any number of words.
        for size in dict.fromkeys([*(size for size, _ in sizes.most_common(3)), 2]):
            if not 1 < size <= MOST or sum(sizes[more] for more in sizes if more >= size) < FEWEST:
                continue
            yield Shape(size, unit)
            for order in range(size):
                kinds = (Shape(size, unit, order, natural) for natural in (False, True))
                yield from islice((kind for kind in kinds if _are_sorted(lines, kind)), 1)


def _are_sorted(lines: list[str], shape: Shape) -> bool:
    """Whether each run of rows is sorted."""
    runs = (run for is_row, run in groupby(lines, shape.holds) if is_row)
    return all(_is_sorted([shape.split(line) for line in run], shape) for run in runs)


def _is_sorted(rows: list[Row], shape: Shape) -> bool:
    """Whether no two rows could change places, but for a first one with names of columns.

    Times do not count: a log is read in the order in which things happened.
    """
    if any(TIME.search(row[shape.order or 0]) for row in rows[:3]):
        return False
    keys = [shape.key(row) for row in rows[_titles(rows, shape) :]]
    return all(one < other for one, other in pairwise(keys))


def _titles(rows: list[Row], shape: Shape) -> int:
    """Count the rows that name the columns of a sorted table: none or one."""
    if shape.order is None:
        return 0
    return len(rows) > 1 and shape.key(rows[0]) > shape.key(rows[1])


def _write(lines: list[str], shape: Shape) -> list[str]:
    written: list[str] = []
    model: Row = ()
    for is_row, run in groupby(lines, shape.holds):
        if not is_row:
            written += [_plain(line, shape) for line in run]
            continue
        rows = [shape.split(line) for line in run]
        if _titles(rows, shape):
            written.append(_plain(shape.join(rows.pop(0)), shape))
        if not rows:
            continue
        groups = by_run(rows) if shape.order is None else by_key(rows, shape.order)
        for group in groups:
            written += _show(group, model, shape)
            model = group[0] if len(group[1]) > 1 else group[1][0]
    return written


def _plain(line: str, shape: Shape) -> str:
    special = line.startswith(ESCAPE) or HEADING.match(line) or _is_row(line, shape)
    return ESCAPE + line if special else line


def _show(group: Group, above: Row, shape: Shape) -> list[str]:
    heading, rows = group
    if len(rows) == 1:
        return [_shorten(rows[0], above, shape)]
    blanks = [place for place, field in enumerate(heading) if field == BLANK]
    fillers = [shape.join(tuple(row[place] for place in blanks)) for row in rows]
    return [f"x{len(rows)} {_shorten(heading, above, shape)}", *(fillers if blanks else [])]


def _shorten(row: Row, above: Row, shape: Shape) -> str:
    """Put one mark for the longest run of fields that are as above."""
    choices = [shape.join(row)]
    start = 0
    for same, run in groupby(map(eq, row, above)):
        end = start + len(list(run))
        # The fields are counted to fill in a mark, so the last must not look like several.
        if same and (end == len(row) or shape.separator not in row[-1]):
            choices.append(shape.join((*row[:start], MARK, *row[end:])))
        start = end
    return min(choices, key=len)
