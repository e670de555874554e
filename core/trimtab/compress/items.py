"""Items of lists that say the same again."""

from __future__ import annotations

from trimtab.compress.room import Room

LEGEND = "^ = as in the last item that began alike"
MARK = "^"
ESCAPE = "\\"
"""Stands before a line in which the mark means something else."""
FEWEST = 2
"""Items. With no more than these, a comma does not make a list."""
SHORTEST = 4
"""Characters. A mark in place of less saves nothing."""


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Put a mark for what an item of a list in a line shares with one that has the same word."""
    last: dict[str, str] = {}
    written = []
    for line in lines:
        head, items = _items(line)
        if line.startswith(ESCAPE) or (items and f" {MARK}" in line):
            written.append(ESCAPE + line)
            continue
        written.append(head + ", ".join(_swap(item, last, mark=True) for item in items))
    return "", written


def decode(settings: str, lines: list[str]) -> list[str]:
    """Put back what the marks stand for."""
    last: dict[str, str] = {}
    read = []
    room = Room()
    for line in lines:
        if line.startswith(ESCAPE):
            read.append(line[1:])
            continue
        head, items = _items(line)
        whole = (_swap(item, last, mark=False) for item in items)
        read.append(head + ", ".join(room.hold(whole)))
    return read


def _items(line: str) -> tuple[str, list[str]]:
    """Part a line into what introduces a list, and the items. A line without one is all head."""
    start, colon, rest = line.partition(": ")
    head, rest = (start + colon, rest) if colon else ("", line)
    parts = rest.split(", ")
    return (head, parts) if len(parts) > FEWEST and not line.startswith("  ") else (line, [])


def _swap(item: str, last: dict[str, str], *, mark: bool) -> str:
    """Put a mark for the rest of an item, or the rest for a mark."""
    word, space, rest = item.partition(" ")
    if not space:
        return item
    known = last.get(word, "")
    full = known if rest == MARK and not mark else rest
    last[word] = full
    if not mark:
        return f"{word} {full}"
    return f"{word} {MARK}" if full == known and len(full) >= SHORTEST else item
