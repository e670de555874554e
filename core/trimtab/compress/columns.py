"""Columns without the spaces that line them up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from trimtab.compress.room import Room

LEGEND = "columns padded to "
ESCAPE = "\\"
"""Stands before a line that is not in columns."""
FEWEST = 5
"""Lines with padding. Fewer are not a table."""
MOST = 24
"""Columns."""
SAMPLE = 400
"""Lines on which the columns are guessed."""
WORD = re.compile(r"[^ ]+")
SETTING = re.compile(r"(\+*)(-?)([0-9]*)")


@dataclass(frozen=True)
class Column:
    """Where the words of a column stand."""

    gap: int
    """Spaces before it, but for the one that is left between columns."""
    left: bool
    """Whether its words are aligned at the left."""
    width: int | None
    """Characters, or None for as many as its widest word in a run of rows has."""

    def __str__(self) -> str:
        return f"{'+' * self.gap}{'-' * self.left}{'' if self.width is None else self.width}"

    def pad(self, word: str, widest: int) -> str:
        """Write a word as wide as the column is."""
        width = widest if self.width is None else self.width
        return " " * self.gap + (word.ljust(width) if self.left else word.rjust(width))


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Write one space between columns, whatever stood there.

    The settings are the columns: their width, with a minus where words stand at the left and a
    plus for each further space before. All words after the last of them stay as they are.
    """
    padded = sum("  " in line.strip() for line in lines)
    if padded < max(FEWEST, len(lines) // 4):
        return None
    sample = lines[:SAMPLE]
    guesses = list(_guesses(sample))
    if not guesses:
        return None
    columns = min(guesses, key=lambda some: _cost(_squeeze(sample, some)))
    return " ".join(map(str, columns)), _squeeze(lines, columns)


def decode(settings: str, lines: list[str]) -> list[str]:
    """Line the columns up again."""
    columns = [_column(text) for text in settings.split(" ")]
    read: list[str] = []
    room = Room()
    for rows in _runs(lines, columns):
        cells = [row.split(" ", len(columns)) for row in rows]
        if len(cells[0]) > len(columns) and not rows[0].startswith(ESCAPE):
            widest = _widest(cells, len(columns))
            room.take(len(rows) * _width(columns, widest))
            read += [f"{_pad(row, columns, widest)} {row[-1]}" for row in cells]
        else:
            read += [row.removeprefix(ESCAPE) for row in rows]
    return read


def _cost(lines: list[str]) -> int:
    """Count characters. Lines that are not in columns stand in the way of other notations."""
    return sum(len(line) + 4 * line.startswith(ESCAPE) for line in lines)


def _column(text: str) -> Column:
    match = SETTING.fullmatch(text)
    if match is None:
        raise ValueError(f"not the width of a column: {text!r}")
    return Column(len(match[1]), bool(match[2]), int(match[3]) if match[3] else None)


def _runs(lines: list[str], columns: list[Column]) -> Iterator[list[str]]:
    """Part lines into runs of rows, and into what stands between."""
    run: list[str] = []
    was = False
    for line in lines:
        row = line.count(" ") >= len(columns) and not line.startswith(ESCAPE)
        if run and (row != was or not row):
            yield run
            run = []
        run.append(line)
        was = row
    if run:
        yield run


def _widest(rows: list[list[str]], columns: int) -> list[int]:
    return [max(len(row[place]) for row in rows) for place in range(columns)]


def _width(columns: list[Column], widest: list[int]) -> int:
    """Count the characters that a row may have, its last cell apart."""
    widths = (max(column.width or 0, most) for column, most in zip(columns, widest, strict=True))
    return sum(widths) + sum(column.gap + 1 for column in columns)


def _pad(row: list[str], columns: list[Column], widest: list[int]) -> str:
    return " ".join(map(Column.pad, columns, row, widest))


def _squeeze(lines: list[str], columns: list[Column]) -> list[str]:
    """Write one space between the columns of those lines for which that can be undone."""
    written: list[str] = []
    run: list[tuple[str, list[str]]] = []
    for line in lines:
        words = WORD.findall(line) if line.count(" ") >= len(columns) else []
        if len(words) > len(columns) and not words[0].startswith(ESCAPE):
            run.append((line, words[: len(columns)]))
            continue
        written += [*_squeeze_run(run, columns), _plain(line, columns)]
        run = []
    return written + _squeeze_run(run, columns)


def _squeeze_run(run: list[tuple[str, list[str]]], columns: list[Column]) -> list[str]:
    if not run:
        return []
    widest = _widest([words for _, words in run], len(columns))
    written = []
    for line, words in run:
        padded = _pad(words, columns, widest) + " "
        fits = line.startswith(padded)
        if not fits and None in [column.width for column in columns]:
            # One line that does not fit would change the widths of the others.
            return [_plain(other, columns) for other, _ in run]
        written.append(" ".join([*words, line[len(padded) :]]) if fits else _plain(line, columns))
    return written


def _plain(line: str, columns: list[Column]) -> str:
    return ESCAPE + line if line.count(" ") >= len(columns) or line[:1] == ESCAPE else line


def _guesses(lines: list[str]) -> Iterator[list[Column]]:
    """Guess columns from where words start and end, first for many columns, then for fewer."""
    sizes = [min(len(WORD.findall(line)), MOST + 1) for line in lines]
    for size, _ in Counter(sizes).most_common(3):
        rows = [line for line, words in zip(lines, sizes, strict=True) if words >= size]
        if size < 2 or len(rows) < max(FEWEST, len(lines) // 3):
            continue
        columns = _measure(rows, size - 1)
        for some in range(1, size):
            yield columns[:some]
        yield [Column(column.gap, column.left, None) for column in columns]


def _measure(rows: list[str], size: int) -> list[Column]:
    """Find out for each column whether its words start or end at the same place."""
    spans = [[word.span() for word in islice(WORD.finditer(row), size + 1)] for row in rows]
    starts, ends = (
        [Counter(row[place][side] for row in spans).most_common(1)[0] for place in range(size + 1)]
        for side in (0, 1)
    )
    columns: list[Column] = []
    here = -1
    for place in range(size):
        left = starts[place][1] >= ends[place][1]
        longest = max(row[place][1] - row[place][0] for row in spans)
        gap = starts[place][0] - here - 1 if left else 0
        if left and starts[place + 1][1] >= ends[place + 1][1]:
            width = starts[place + 1][0] - starts[place][0] - 1
        else:
            width = longest if left else ends[place][0] - here - 1
        gap, width = max(gap, 0), max(width, 0)
        columns.append(Column(gap, left, width))
        here += gap + width + 1
    return columns
