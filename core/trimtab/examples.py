"""Examples in a prompt that show what another one has shown already."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

ALIKE = 0.7
"""The share of their words from which on two inputs are nearly the same."""
FEWEST = 3
"""Blocks of one form from which on they are examples."""
_GAP = re.compile(r"(\n[ \t]*\n\s*)")
_FIELD = re.compile(
    r"^[ \t]*(?P<label>[A-Za-z][\w ()/-]{0,30}?)[ \t]*\d*[ \t]*:[ \t]*(?P<said>.*)$"
)
_ARROW = re.compile(r"^(?P<asked>.*\S)\s*(?P<arrow>->|=>|\u2192)\s*(?P<answer>\S.*)$")
_CALLED = re.compile(r"\bexamples?\b|\bshots?\b|\bsamples?\b|:[ \t]*\Z|->\s*\Z", re.IGNORECASE)
"""What tells examples from rules of one form: they are called so, or the last is left open."""
_WORD = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True)
class Example:
    """A block, or a line, of a prompt."""

    form: tuple[str, ...]
    """Its labels, or its arrow: examples of one series have the same."""
    asked: frozenset[str]
    """Its words without the answer, all numbers being one."""
    answer: str


def without_repeats(text: str) -> str:
    """Leave out examples of the same form and answer as one before, with nearly the same words.

    Examples are three blocks or more with the same labels, as in `Mail: ...` and `Label: ...`, or
    lines with an arrow, in a text that speaks of examples, or that ends where the next answer is to
    stand. At least one is left for each answer; one with a variable or code is never left out.

    >>> from trimtab.examples import without_repeats
    >>> lines = ["Examples:", "Order 7 is late -> delay", "Order 8 is late -> delay", "Hi -> other"]
    >>> without_repeats("; ".join(lines).replace("; ", chr(10))).splitlines()
    ['Examples:', 'Order 7 is late -> delay', 'Hi -> other']
    """
    if "```" in text or not _CALLED.search(text):
        return text
    lines = _thinned(re.split(r"(\n)", text), _of_line)
    return _thinned(_GAP.split(lines), _of_block)


def _thinned(pieces: list[str], read: Callable[[str], Example | None]) -> str:
    """Join pieces, and the gaps between them, without those that repeat one before."""
    examples = [read(piece) for piece in pieces[::2]]
    forms = [example.form for example in examples if example is not None]
    kept: list[Example] = []
    made: list[str] = []
    for place, example in enumerate(examples):
        if example is not None and forms.count(example.form) >= FEWEST:
            if any(_repeats(example, other) for other in kept):
                continue
            kept.append(example)
        gap = pieces[2 * place - 1] if place and made else ""
        made.append(gap + pieces[2 * place])
    return "".join(made)


def _of_line(line: str) -> Example | None:
    found = _ARROW.match(line)
    if found is None or "{" in line:
        return None
    return Example((found["arrow"],), _words(found["asked"]), found["answer"].strip().casefold())


def _of_block(block: str) -> Example | None:
    """Read a block whose lines have labels; what stands below one belongs to it."""
    fields: list[tuple[str, str]] = []
    for line in block.splitlines():
        if found := _FIELD.match(line):
            fields.append((found["label"].strip().casefold(), found["said"]))
        elif not fields:
            return None
        else:
            fields[-1] = fields[-1][0], f"{fields[-1][1]} {line}"
    if len(fields) < 2 or "{" in block or not fields[-1][1].strip():
        return None
    asked = " ".join(said for _, said in fields[:-1])
    labels = tuple(label for label, _ in fields)
    return Example(labels, _words(asked), fields[-1][1].strip().casefold())


def _repeats(one: Example, other: Example) -> bool:
    if one.form != other.form or one.answer != other.answer:
        return False
    either = one.asked | other.asked
    return bool(either) and len(one.asked & other.asked) >= ALIKE * len(either)


def _words(text: str) -> frozenset[str]:
    words = _WORD.findall(text.casefold())
    return frozenset("0" if word.isdigit() else word for word in words)
