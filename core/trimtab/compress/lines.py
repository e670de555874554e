"""A text in numbered lines, whatever it is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

LONG = 400
"""Characters beyond which a line, or an element of JSON, is cut in pieces."""
DEEP = 50
"""Brackets within brackets beyond which JSON is taken for plain text."""
MOST = 0.7
"""Share of its owner beyond which an element is what a text is about."""
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
PIECE = re.compile(rf"(?s).{{1,{LONG - 1}}}[\s,;]|.{{1,{LONG}}}")
SIGN = r"(?:\\u[0-9a-fA-F]{4}|\\[^u]|[^\\])"
STRING_PIECE = re.compile(
    rf"(?s){SIGN}{{0,{LONG - 2}}}?\\n|{SIGN}{{1,{LONG - 1}}}[ ,;]|{SIGN}{{1,{LONG}}}"
)


@dataclass(frozen=True)
class Lines:
    """A text cut in lines. Joined, they are the text, byte for byte.

    Where the whole text is JSON, a line is an element with what stands around it, however the
    JSON is laid out; an element that is too long is cut into its own elements. Any other line
    that is too long is cut at white space.
    """

    text: str
    lines: tuple[str, ...]
    root: Node | None = None
    """The JSON, or None for a text that is none."""

    def rows(self) -> tuple[Node, ...]:
        """The elements of the list or object that is most of the JSON; none for plain text."""
        node = self.root
        while node is not None and node.children:
            inner = max(node.children, key=lambda child: child.end - child.start)
            if not inner.children or inner.end - inner.start < MOST * (node.end - node.start):
                break
            node = inner
        return node.children if node is not None else ()

    def between(self, first: int, last: int) -> str:
        """Join the lines from one number to another, counted from 1, both included."""
        return "".join(self.lines[max(first, 1) - 1 : last])


@dataclass(frozen=True)
class Node:
    """An element of JSON, and where it stands."""

    start: int
    """Where its key starts, or the value if it has no key."""
    value: int
    end: int
    first: int
    """The first of its lines, counted from 0."""
    last: int
    children: tuple[Node, ...] = ()
    """Empty where the element fits a line."""


@lru_cache(maxsize=16)
def lines_of(text: str) -> Lines:
    """Cut a text in lines. Depends on nothing but the text, so that a number stays good."""
    elements = _parse(text) if text.lstrip()[:1] in ("{", "[") else None
    if elements is None:
        return Lines(text, tuple(_plain(text)))
    starts: list[int] = []
    root = _number(text, elements, elements.start, starts)
    edges = [0, *starts[1:], len(text)]
    return Lines(text, tuple(text[a:b] for a, b in pairwise(edges)), root)


@dataclass
class _Element:
    """An element while it is being read."""

    start: int
    value: int
    end: int
    children: list[_Element]


def compact(text: str) -> str:
    """Write JSON on one line, and change nothing else of it."""
    return "".join(t + " " if t in (",", ":") else t for t in TOKEN.findall(text))


def _plain(text: str) -> Iterator[str]:
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if len(line) <= LONG:
            yield line
        else:
            yield from PIECE.findall(line)


def _parse(text: str) -> _Element | None:
    """Find where the elements of JSON stand; None where the text is not JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    outer = _Element(0, 0, len(text), [])
    stack, key = [outer], None
    for token in TOKEN.finditer(text):
        start, sign = token.start(), text[token.start()]
        if sign in "]}":
            stack.pop().end = token.end()
        elif sign == '"' and key is None and len(stack) > 1 and text[stack[-1].value] == "{":
            key = start
        elif sign not in ",:":
            found = _Element(start if key is None else key, start, token.end(), [])
            stack[-1].children.append(found)
            key = None
            if sign in "[{":
                stack.append(found)
        if len(stack) > DEEP:
            return None
    return outer.children[0]


def _number(text: str, element: _Element, start: int, starts: list[int]) -> Node:
    """Number the lines of an element, the first of which starts where its outermost owner does."""
    first = len(starts)
    fits = element.end - element.start <= LONG
    parts = element.children if fits or element.children else _string(text, element)
    if fits or not parts:
        starts.append(start)
        return Node(element.start, element.value, element.end, first, first)
    children = tuple(
        _number(text, child, child.start if i else start, starts) for i, child in enumerate(parts)
    )
    last = len(starts) - 1
    return Node(element.start, element.value, element.end, first, last, children)


def _string(text: str, element: _Element) -> list[_Element]:
    """Cut a long string at its line breaks and spaces, and never within an escape."""
    if text[element.value] != '"':
        return []
    pieces, place, end = [], element.value + 1, element.end - 1
    while place < end:
        found = STRING_PIECE.match(text[place : min(place + LONG, end)])
        if found is None:
            return []
        pieces.append(_Element(place, place, place + found.end(), []))
        place += found.end()
    return pieces
