"""Saying once what stands in several messages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from trimtab.compress.step import is_own_result
from trimtab.folding import Transcripts, is_observation
from trimtab.tokens import counter_for
from trimtab.types import Counter, Message, Request, fold

SAME = "[the same text as above, starting: {}]"
LINES = "[... {} lines as above ...]"
NOTE = re.compile(
    r"^\[(?:\.\.\. (\d+) lines as above \.\.\.|the same text as above, starting: (.*))\]$", re.M
)
START = 60
"""Characters of an earlier text that name it."""
PLACES = 8
"""How many earlier places of a line are tried, the latest first."""


@fold
@dataclass(frozen=True)
class Repeats:
    """Replaces lines of a tool's result that stand in an earlier message by a note that says so.

    The first and the last line of a run stay, to show which lines are meant. Nothing is lost: the
    lines still stand above, and each note is read back and compared before it is used.

    >>> from trimtab import Message, Request
    >>> from trimtab.compress import Repeats
    >>> page = Message("tool", "The parcel left our house in good order, and on time. " * 9)
    >>> asked = Request("gpt-4o", (Message("user", "Read it twice."), page, page))
    >>> Repeats()(asked).messages[2].text
    '[the same text as above, starting: The parcel left our house in good order, ...]'
    """

    least: int = 40
    """Tokens that a run of repeated lines must have, for a note to be worth a reader's while."""
    observations: bool = False
    """Whether to look at what reaches an agent without tools as a message of the user, too."""
    count: Counter | None = None
    _transcripts: Transcripts[Seen] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_transcripts", Transcripts(Seen))

    def __call__(self, request: Request) -> Request:
        """Return the request with repeated lines replaced."""
        return self._transcripts.map(request, self._make)

    def _make(self, seen: Seen, request: Request, place: int) -> Message:
        message = request.messages[place]
        if self._takes(request, place):
            count = self.count or counter_for(request.model)
            message = message.with_texts(lambda text: self._note(text, seen, count))
        seen.add(message.text)
        return message

    def _takes(self, request: Request, place: int) -> bool:
        message = request.messages[place]
        if message.pinned or is_own_result(message, request.messages[:place]):
            return False
        observed = self.observations and is_observation(request, place)
        return message.role == "tool" or observed

    def _note(self, text: str, seen: Seen, count: Counter) -> str:
        """Return the text with notes, or as it is where they save nothing or could mislead."""
        if NOTE.search(text):
            return text
        start = text.split("\n", 1)[0][:START]
        same = SAME.format(start)
        worth = max(self.least, count(same) + 1)
        if text in seen.texts and count(text) >= worth and restore(same, seen) == text:
            return same
        lines = text.split("\n")
        noted = "\n".join(self._runs(lines, seen, count))
        return noted if count(noted) < count(text) and restore(noted, seen) == text else text

    def _runs(self, lines: list[str], seen: Seen, count: Counter) -> Iterator[str]:
        """Yield the lines, the inside of each long enough run that stands above as a note."""
        at = 0
        while at < len(lines):
            run = seen.run(lines, at)
            if run > 2 and count("\n".join(lines[at + 1 : at + run - 1])) >= self.least:
                yield from (lines[at], LINES.format(run - 2), lines[at + run - 1])
            else:
                yield from lines[at : at + run]
            at += run


class Seen:
    """The texts of the messages so far, by their lines."""

    def __init__(self) -> None:
        self.texts: dict[str, None] = {}
        self.places: defaultdict[str, list[tuple[list[str], int]]] = defaultdict(list)

    def add(self, text: str) -> None:
        """Remember a text as it is sent."""
        if text in self.texts:
            self.texts.pop(text)
        else:
            lines = text.split("\n")
            for at, line in enumerate(lines):
                self.places[line].append((lines, at))
        self.texts[text] = None

    def run(self, lines: list[str], at: int) -> int:
        """How many lines from here on stand in a row in one earlier text; at least 1."""
        return max((_common(lines, at, *place) for place in self.latest(lines[at])), default=1)

    def latest(self, line: str) -> list[tuple[list[str], int]]:
        """Return where a line stood, the latest place first."""
        return self.places[line][: -PLACES - 1 : -1] if line in self.places else []

    def between(self, first: str, inside: int, last: str) -> list[str]:
        """Return the lines between two, where they last stood that far apart."""
        for lines, at in self.latest(first):
            end = at + inside + 1
            if end < len(lines) and lines[end] == last:
                return lines[at + 1 : end]
        raise ValueError(f"nothing above has {inside} lines between {first!r} and {last!r}")

    def starting(self, start: str) -> str:
        """Return the latest text that starts so."""
        return next(text for text in reversed(self.texts) if text.startswith(start))


def restore(text: str, seen: Seen) -> str:
    """Put back what the notes in a text stand for.

    Raises:
        ValueError: A note points to lines that do not stand above.
    """
    lines = text.split("\n")
    whole: list[str] = []
    for at, line in enumerate(lines):
        note = NOTE.match(line)
        if note is None:
            whole.append(line)
        elif note[1]:
            whole += seen.between(lines[at - 1], int(note[1]), lines[at + 1])
        else:
            whole.append(seen.starting(note[2]))
    return "\n".join(whole)


def _common(lines: list[str], at: int, others: list[str], start: int) -> int:
    """How many lines two texts have in common from two places on."""
    length = 0
    for mine, other in zip(lines[at:], others[start:]):  # noqa: B905
        if mine != other:
            break
        length += 1
    return length
