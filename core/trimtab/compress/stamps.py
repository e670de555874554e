"""Time stamps and other openings that many lines share."""

from __future__ import annotations

import re
from collections import Counter

from trimtab.compress.room import Room

LEGEND = "said only where it changes: "
ESCAPE = "\\"
"""Stands before a line that has no opening of its own and takes none from above."""
FEWEST = 8
"""Lines. Fewer have nothing to share."""
ANY = "*"
"""The shape of a word that always stands there, since it is another in most lines."""
MOST = 8
"""Words of an opening."""


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Leave out those of the first words that are as in the line above.

    The settings are the shapes of these words: their text, with a 9 for each digit. Lines that
    are indented are not looked at, since in a log they continue a record.
    """
    shapes = _shapes(lines)
    tries = [shapes[:n] for n in range(1, len(shapes) + 1) if "9" in "".join(shapes[:n])]
    written = [(_shorten(lines, some), some) for some in tries]
    if not written:
        return None
    best, some = min(written, key=lambda pair: sum(map(len, pair[0])))
    return " ".join(some), best


def decode(settings: str, lines: list[str]) -> list[str]:
    """Put the first words back."""
    shapes = settings.split(" ")
    opening: list[str] = []
    read = []
    room = Room()
    for line in lines:
        if not line or line[0] == " ":
            read.append(line)
        elif line.startswith(ESCAPE):
            read.append(line[1:])
        else:
            opening, rest = _continue(line, shapes, opening)
            room.take(sum(map(len, opening)) + len(opening))
            read.append(" ".join([*opening, rest]))
    return read


def _shapes(lines: list[str]) -> list[str]:
    """Find the shapes that the first words of nearly all lines have."""
    rows = [line.split(" ", MOST + 1) for line in lines if line and line[0] != " "]
    enough = max(FEWEST, len(rows) // 2)
    found: list[str] = []
    for place in range(MOST):
        seen = Counter(_shape(row[place]) for row in rows if len(row) > place + 1)
        shape, times = seen.most_common(1)[0] if seen else ("", 0)
        if times < enough and sum(seen.values()) < enough:
            break
        # A word that one line in ten lacks belongs to the message, not to the opening.
        fits = times >= max(enough, 0.9 * len(rows)) and ";" not in shape
        if not fits and set(found) - {ANY}:
            break
        found.append(shape if fits else ANY)
        rows = [row for row in rows if len(row) > place + 1 and _fits(row[place], found[-1])]
    return found


def _fits(word: str, shape: str) -> bool:
    return shape == ANY or _shape(word) == shape


def _shape(word: str) -> str:
    return re.sub("[0-9]", "9", word)


def _shorten(lines: list[str], shapes: list[str]) -> list[str]:
    written = []
    above: list[str] = []
    for line in lines:
        if not line or line[0] == " ":
            written.append(line)
            continue
        *opening, rest = line.split(" ", len(shapes))
        if len(opening) < len(shapes) or not all(map(_fits, opening, shapes)):
            written.append(ESCAPE + line)
            continue
        written.append(_changes(opening, rest, above, shapes))
        above = opening
    return written


def _changes(opening: list[str], rest: str, above: list[str], shapes: list[str]) -> str:
    """Return the line with the words left out that the reader can put back for sure."""
    full = " ".join([*opening, rest])
    if not above:
        return full
    words = zip(opening, above, shapes, strict=True)
    kept = [new for new, old, shape in words if new != old or shape == ANY]
    short = " ".join([*kept, rest])
    plain = short and short[0] not in (" ", ESCAPE)
    return short if plain and _continue(short, shapes, above) == (opening, rest) else full


def _continue(line: str, shapes: list[str], above: list[str]) -> tuple[list[str], str]:
    """Read the words of an opening that are there, take the others from above."""
    opening = []
    for place, shape in enumerate(shapes):
        word, space, rest = line.partition(" ")
        if space and _fits(word, shape):
            opening.append(word)
            line = rest
        else:
            opening.append(above[place])
    return opening, line
