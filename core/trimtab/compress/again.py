"""Blocks of lines that came before."""

from __future__ import annotations

import re

from trimtab.compress.room import Room

LEGEND = '"5 = 5 lines, as they followed the last line that was like the one above'
ESCAPE = "\\"
"""Stands before a line that looks like one of ours."""
NOTE = re.compile(r'"([0-9]+)')
SHORTEST = 60
"""Characters, or lines. To leave out less is not worth a reader's while."""


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Leave out lines that follow the same line as before."""
    last: dict[str, int] = {}
    written: list[str] = []
    at = 0
    while at < len(lines):
        before = last.get(lines[at - 1]) if at else None
        if at:
            last[lines[at - 1]] = at - 1
        size = 0 if before is None else _common(lines, before + 1, at)
        if size < SHORTEST and sum(map(len, lines[at : at + size])) < SHORTEST:
            line = lines[at]
            written.append(ESCAPE + line if _ours(line) else line)
            size = 1
        else:
            written.append(f'"{size}')
            last.update({line: at + place for place, line in enumerate(lines[at : at + size - 1])})
        at += size
    return "", written


def decode(settings: str, lines: list[str]) -> list[str]:
    """Write the blocks again."""
    last: dict[str, int] = {}
    read: list[str] = []
    room = Room()
    for line in lines:
        note = NOTE.fullmatch(line)
        before = last.get(read[-1], 0) if read else 0
        if read:
            last[read[-1]] = len(read) - 1
        if note is None:
            read.append(line.removeprefix(ESCAPE))
            continue
        for place in range(before + 1, before + 1 + int(note[1])):
            last[read[-1]] = len(read) - 1
            read.append(read[place])
            room.take(len(read[-1]) + 1)
    return read


def _ours(line: str) -> bool:
    return line.startswith(ESCAPE) or NOTE.fullmatch(line) is not None


def _common(lines: list[str], one: int, other: int) -> int:
    """Count equal lines from two places on. The runs may overlap."""
    size = 0
    while other + size < len(lines) and lines[one + size] == lines[other + size]:
        size += 1
    return size
