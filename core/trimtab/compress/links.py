"""Symbolic links to a longer form of their own name."""

from __future__ import annotations

LEGEND = "-> +.1 = -> its own name and .1"
ARROW = " -> "
MARK = "+"
ESCAPE = "\\"
"""Stands before a line in which the mark means something else."""


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Write only what the target of a link adds to the name of the link.

    The whole target must stand elsewhere, so that no name is lost.
    """
    words = {word for line in lines for word in line.partition(ARROW)[0].split(" ")}
    written = []
    for line in lines:
        start, _, target = line.partition(ARROW)
        name = start.rpartition(" ")[2]
        if target.startswith(MARK) or line.startswith(ESCAPE):
            written.append(ESCAPE + line)
        elif name and target in words and target.startswith(name):
            written.append(f"{start}{ARROW}{MARK}{target.removeprefix(name)}")
        else:
            written.append(line)
    return None if written == lines else ("", written)


def decode(settings: str, lines: list[str]) -> list[str]:
    """Write the targets in full."""
    read = []
    for line in lines:
        start, _, target = line.partition(ARROW)
        if line.startswith(ESCAPE):
            read.append(line[1:])
        elif target.startswith(MARK):
            name = start.rpartition(" ")[2]
            read.append(f"{start}{ARROW}{name}{target.removeprefix(MARK)}")
        else:
            read.append(line)
    return read
