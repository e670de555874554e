"""Words that repeat the last line that began alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from trimtab.compress.room import Room

LEGEND = '" = as in the last line that began alike'
MARK = '"'
ESCAPE = "\\"
"""Stands before a line that is to be read as it is."""
ALIKE = 3
"""Words. Lines that have so many first words in common began alike, whatever follows."""
LONGEST = 200
"""Words. Longer lines are prose or data, and comparing them takes long."""
SHORTEST = 4
"""Characters. A mark in place of a shorter word saves nothing."""
MARKS = 3
"""Of one word each, in a line. A reader cannot follow more."""


class _Lines:
    """The last line for each beginning."""

    def __init__(self) -> None:
        self.last: dict[str, list[str]] = {}

    def like(self, words: list[str], size: int) -> list[str] | None:
        """Return the last line that began with the same first words, or with fewer of them."""
        indent = _indent(words)
        starts = (" ".join(words[: indent + fewer]) for fewer in range(size, 0, -1))
        return next((self.last[start] for start in starts if start in self.last), None)

    def add(self, words: list[str]) -> None:
        """Remember a line."""
        for size in range(1, ALIKE + 1):
            self.last[" ".join(words[: _indent(words) + size])] = words


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Put a mark for what a line shares with the last one that has the words before the mark.

    One mark stands for as many words as are missing. Of several marks, each stands for one.
    """
    above = _Lines()
    written = []
    for line in lines:
        words = line.split(" ")
        if line.startswith(ESCAPE) or MARK in words:
            written.append(ESCAPE + line)
        elif _indent(words) > 1 or len(words) > LONGEST:
            written.append(line)
        else:
            written.append(min([line, *_shorter(words, above)], key=_cost))
        above.add(words)
    return "", written


def decode(settings: str, lines: list[str]) -> list[str]:
    """Put the words back."""
    above = _Lines()
    read = []
    room = Room()
    for line in lines:
        words = line.removeprefix(ESCAPE).split(" ")
        if MARK in words and not line.startswith(ESCAPE):
            words = _fill(words, above)
            room.take(sum(map(len, words)) + len(words))
        above.add(words)
        read.append(" ".join(words))
    return read


def _indent(words: list[str]) -> int:
    return next((i for i, word in enumerate(words) if word), len(words) - 1)


def _cost(line: str) -> int:
    """Count characters, and some for each mark, since a reader has to look it up."""
    return len(line) + 2 * line.count(MARK)


def _shorter(words: list[str], above: _Lines) -> Iterator[str]:
    """Write a line shorter in all ways that can be read back."""
    for size in range(1, ALIKE + 1):
        model = above.like(words, size)
        if model is None or len(model) != len(words):
            continue
        start = _indent(words) + size
        pairs = zip(words, model, strict=True)
        same = [i >= start and word == other for i, (word, other) in enumerate(pairs)]
        for marked in _marked(words, same):
            first = marked.index(MARK)
            if first == start or (size == ALIKE and first > start):
                yield " ".join(marked)


def _marked(words: list[str], same: list[bool]) -> Iterator[list[str]]:
    """Put one mark for a run of repeated words, or some marks for one word each."""
    start = 0
    for repeated, run in groupby(same):
        end = start + len(list(run))
        if repeated:
            yield [*words[:start], MARK, *words[end:]]
        start = end
    each = [MARK if s and len(w) >= SHORTEST else w for s, w in zip(same, words, strict=True)]
    if 1 < each.count(MARK) <= MARKS:
        yield each


def _fill(words: list[str], above: _Lines) -> list[str]:
    at = words.index(MARK)
    model = above.like(words, min(at - _indent(words), ALIKE))
    if model is None:
        raise ValueError("a mark without a line to point to")
    if words.count(MARK) > 1:
        return [old if word == MARK else word for word, old in zip(words, model, strict=True)]
    missing = len(model) - len(words) + 1
    return [*words[:at], *model[at : at + missing], *words[at + 1 :]]
