"""Shorter descriptions, phrase by phrase, for a given share of the words that say something.

What binds stays: conditions, negations, warnings, numbers, units, formats, and one example. Of the
rest, what frees most tokens for the least said goes first.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab.tools.pieces import VAGUE, Draft, Kind, Piece, Said, draft, render, stem
from trimtab.types import Counter
from trimtab.wording import word_set

GRAMMAR = word_set(
    "that this these those with from into than then when which what there here their they them "
    "your have been being were will would should could must such each more most other about also "
    "only does like"
)
LITTLE = GRAMMAR | word_set(
    "the an of for in on at by to as is are be and or it its was has something"
)
KEY = 6
"""Tokens that go with a description that ends up empty: its key, quotes and comma."""


@dataclass(frozen=True)
class Share:
    """What to keep of descriptions."""

    words: float = 0.6
    """The least share of the different words that they say."""
    examples: bool = True
    """Whether one example of each value stays."""


def say_less(
    said: Sequence[Said],
    names: frozenset[str],
    share: Share,
    count: Counter,
) -> list[str]:
    """Shorten the descriptions of one tool together, in order; "" where nothing is left to say.

    Args:
        said: The descriptions, the tool's own first.
        names: Words of the tool's and its arguments' names, which do not count as said.
        share: What to keep.
        count: What to save on.
    """
    drafts = [draft(one, share.examples) for one in said]
    choice = _Choice(said, drafts, names, count)
    choice.cut_down_to(share.words)
    return [
        render(one, gone) if one else original.text
        for original, one, gone in zip(said, drafts, choice.gone, strict=True)
    ]


def content_words(text: str) -> frozenset[str]:
    """The different words of four letters or more that are not mere grammar."""
    return frozenset(re.findall(r"[a-z]{4,}", text.lower())) - GRAMMAR


@dataclass(frozen=True)
class _Cut:
    """Pieces of one description that can go together."""

    place: int
    pieces: frozenset[int]


class _Choice:
    """Chooses cuts, the best first, while enough is still said."""

    def __init__(
        self,
        said: Sequence[Said],
        drafts: Sequence[Draft | None],
        names: frozenset[str],
        count: Counter,
    ) -> None:
        self.said, self.drafts = said, drafts
        self.gone: list[set[int]] = [set() for _ in drafts]
        texts = [[d.words(i) for i in range(len(d.pieces))] if d else [] for d in drafts]
        self.size = [[count(text) for text in pieces] for pieces in texts]
        self.news = [
            [_news(text, one.known) for text in pieces]
            for one, pieces in zip(said, texts, strict=True)
        ]
        self.words = [[content_words(text) - names for text in pieces] for pieces in texts]
        self.asked = frozenset().union(*(content_words(one.text) for one in said)) - names
        self.left = Tally(word for pieces in self.words for piece in pieces for word in piece)
        for one, made in zip(said, drafts, strict=True):
            self.left.update(() if made else content_words(one.text) - names)

    def cut_down_to(self, share: float) -> None:
        """Apply cuts until none is left that keeps the share."""
        cuts = [cut for i, made in enumerate(self.drafts) if made for cut in _cuts(i, made)]
        least = share * len(self.asked)
        while cuts:
            room = sum(self.left[word] > 0 for word in self.asked) - least
            rates = [self._rate(cut, room) for cut in cuts]
            best = max(range(len(cuts)), key=rates.__getitem__)
            if rates[best] <= 0:
                return
            self._apply(cuts.pop(best))

    def _rate(self, cut: _Cut, room: float) -> float:
        """Tokens that a cut frees for what it loses; 0 where it must not be."""
        fresh = cut.pieces - self.gone[cut.place]
        if not fresh or not self._stands_without(cut):
            return 0.0
        losing = Tally(word for i in fresh for word in self.words[cut.place][i])
        lost = sum(self.left[word] == n and word in self.asked for word, n in losing.items())
        if lost > max(room, 0.0):
            return 0.0
        empty = len(self.gone[cut.place]) + len(fresh) == len(self.size[cut.place])
        freed = sum(self.size[cut.place][i] for i in fresh) + KEY * empty
        return freed / (0.1 + lost + sum(self.news[cut.place][i] for i in fresh))

    def _stands_without(self, cut: _Cut) -> bool:
        """A tool keeps the head of a sentence: its first, or one that binds if that is no news."""
        made = self.drafts[cut.place]
        if made is None or not self.said[cut.place].whole:
            return True
        heads = [i for i, piece in enumerate(made.pieces) if piece.kind is Kind.HEAD]
        if not heads or heads[0] not in cut.pieces:
            return True
        bound = any(made.pieces[i].binds for i in heads)
        return bound and self.news[cut.place][heads[0]] == 0

    def _apply(self, cut: _Cut) -> None:
        for i in cut.pieces - self.gone[cut.place]:
            self.left.subtract(self.words[cut.place][i])
            self.gone[cut.place].add(i)


def _news(text: str, known: frozenset[str]) -> float:
    """How much a piece tells a reader who knows the names and values around it."""
    words = frozenset(re.findall(r"[a-z][a-z'-]+", text.lower())) - LITTLE
    return sum(0.3 if one in VAGUE else 1.0 for one in {stem(word) for word in words} - known)


def _cuts(place: int, made: Draft) -> Iterator[_Cut]:
    """All that can go: words, phrases with what hangs on them, sentences."""
    pieces = made.pieces
    for i, piece in enumerate(pieces):
        if piece.binds or piece.kind is Kind.REST:
            continue
        if piece.kind in (Kind.LEAD, Kind.WORD, Kind.EXAMPLE):
            yield _Cut(place, frozenset([i]))
            continue
        end = i + 1
        while end < len(pieces) and _hangs_on(pieces[end], piece):
            end += 1
        start = i - 1 if i and piece.kind is Kind.HEAD and pieces[i - 1].kind is Kind.LEAD else i
        yield _Cut(place, frozenset(range(start, end)))
    for number in range(len(made.ends)):
        inside = [i for i, piece in enumerate(pieces) if piece.sentence == number]
        if inside and not any(pieces[i].binds for i in inside):
            yield _Cut(place, frozenset(inside))


def _hangs_on(piece: Piece, head: Piece) -> bool:
    return (
        piece.sentence == head.sentence
        and not piece.binds
        and piece.kind in (Kind.TAIL, Kind.WORD, Kind.REST, Kind.EXAMPLE)
    )
