"""A day of customer service, put together of recordings: who asks what, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from case_study.settings import Settings
from lib.data import rows

from trimtab import trace
from trimtab.trace import Conversation

Json = dict[str, Any]
Pairs = Mapping[frozenset[str], bool]
"""Two texts -> whether one answer serves both, by the labels."""
POPULAR = 1.0
"""Exponent of Zipf's law, by which some questions are asked again more often than others."""


@dataclass(frozen=True)
class Question:
    """A question that stands for itself."""

    text: str
    kind: str
    """first, same words, other words, trap, or known: one of known outcome."""
    family: str
    """The text of the question that it repeats or resembles: of which nothing is independent."""
    weak_ok: bool | None = None
    strong_ok: bool | None = None
    weak_answer: str | None = None
    strong_answer: str | None = None


@dataclass(frozen=True)
class Case:
    """A recorded conversation with the agent."""

    conversation: Conversation
    source: Json = field(repr=False)

    @property
    def fold(self) -> int:
        """Which half of the tasks it belongs to: four recordings are of one task."""
        return int(self.conversation.id.split("-")[1]) % 2


@dataclass(frozen=True)
class Contact:
    """Somebody who writes, and when."""

    at: float
    """Seconds since the morning."""
    what: Question | Case


@dataclass(frozen=True)
class Day:
    """All contacts in order, and what is known of them."""

    contacts: tuple[Contact, ...]
    pairs: Pairs
    yesterday: tuple[Json, ...]
    """Outcomes to fit a router on; no question of today is among them."""
    ordinary: tuple[str, ...]
    """Yesterday's questions of unknown outcome: to the outcomes in the proportion of today's."""

    @property
    def questions(self) -> list[Question]:
        """The questions, in order."""
        return [one.what for one in self.contacts if isinstance(one.what, Question)]

    @property
    def cases(self) -> list[Case]:
        """The conversations, in order."""
        return [one.what for one in self.contacts if isinstance(one.what, Case)]


def day(data: Path, settings: Settings, cases: int | None = None) -> Day:
    """Put a day together: the same for the same seed."""
    dice = random.Random(settings.seed)
    path = data / "traces" / "tau-airline-dev.jsonl.gz"
    recorded = list(map(Case, trace.read(path), rows(path)))
    labelled = _labelled(data, dice, settings)
    again = round(settings.questions * settings.repeated)
    verbatim = round(again * settings.same_words)
    drawn = _Pairs(data, dice, settings.made_to_fool)
    same = drawn.some(again - verbatim, True)
    others = drawn.some(round((again - verbatim) * settings.traps), False)
    known = settings.questions - verbatim - 2 * len(same) - 2 * len(others)
    today, yesterday = _parted(labelled, known, settings)
    firsts = [*today, *(Question(a, "first", a) for a, _ in (*same, *others))]
    dice.shuffle(firsts)
    contacts = [Contact(dice.uniform(0, _end(settings)), first) for first in firsts]
    for kind, pairs in (("other words", same), ("trap", others)):
        contacts += _later(dice, contacts, settings, {a: Question(b, kind, a) for a, b in pairs})
    contacts += _verbatim(dice, contacts[: len(firsts)], verbatim, settings)
    chosen = dice.sample(recorded, len(recorded) if cases is None else cases)
    contacts += [Contact(dice.uniform(0, _end(settings)), case) for case in chosen]
    labels = {frozenset(pair): True for pair in same} | {frozenset(pair): False for pair in others}
    plain = round(len(yesterday) * (settings.questions - len(today)) / len(today))
    ordinary = tuple(a for a, _ in drawn.others(plain))
    return Day(tuple(sorted(contacts, key=lambda o: o.at)), labels, tuple(yesterday), ordinary)


def _end(settings: Settings) -> float:
    return settings.hours * 3600


def _labelled(data: Path, dice: random.Random, settings: Settings) -> dict[str, list[Json]]:
    found = {name: rows(data / "routing" / f"{name}.jsonl.gz") for name in ("gsm8k", "mmlu")}
    return {name: dice.sample(lines, len(lines)) for name, lines in found.items()}


def _parted(
    labelled: Mapping[str, list[Json]], known: int, settings: Settings
) -> tuple[list[Question], list[Json]]:
    """Part the questions of known outcome into today's and yesterday's, in the same mix."""
    shares = {"gsm8k": settings.sums, "mmlu": 1 - settings.sums}
    today: list[Question] = []
    yesterday: list[Json] = []
    for name, share in shares.items():
        end = round(known * share)
        today += map(_known, labelled[name][:end])
        yesterday += labelled[name][end : end + round(settings.labels * share)]
    return today, yesterday


def _known(row: Json) -> Question:
    return Question(
        row["prompt"],
        "known",
        row["prompt"],
        bool(row["weak_ok"]),
        bool(row["strong_ok"]),
        row.get("weak_answer"),
        row.get("strong_answer"),
    )


class _Pairs:
    """Draws pairs of a question and one asked later; no text is in two of them."""

    def __init__(self, data: Path, dice: random.Random, hard: float) -> None:
        self.hard = hard
        names = ("trap-pairs", "qqp-pairs")
        self.rows = {name: rows(data / "cache" / f"{name}.jsonl.gz") for name in names}
        for lines in self.rows.values():
            dice.shuffle(lines)
        self.seen: set[str] = set()

    def some(self, many: int, same: bool) -> list[tuple[str, str]]:
        """Draw pairs of one label, a share of them written to fool a cache."""
        hard = round(many * self.hard)
        return [*self._of("trap-pairs", hard, same), *self._of("qqp-pairs", many - hard, same)]

    def others(self, many: int) -> list[tuple[str, str]]:
        """Draw pairs of either label that were not drawn before."""
        same = sum(row["same"] for row in self.rows["qqp-pairs"])
        share = round(many * same / len(self.rows["qqp-pairs"]))
        parts = ((share, True), (many - share, False))
        return [pair for part, label in parts for pair in self._of("qqp-pairs", part, label)]

    def _of(self, name: str, many: int, same: bool) -> Iterator[tuple[str, str]]:
        for row in self.rows[name]:
            pair = (row["a"], row["b"])
            if many and row["same"] is same and pair[0] != pair[1] and not self.seen & set(pair):
                self.seen.update(pair)
                many -= 1
                yield pair


def _later(
    dice: random.Random,
    contacts: Sequence[Contact],
    settings: Settings,
    follow: Mapping[str, Question],
) -> Iterator[Contact]:
    """Have questions asked some time after those that they repeat or resemble."""
    for one in list(contacts):
        what = one.what
        if isinstance(what, Question) and what.kind == "first" and what.text in follow:
            yield Contact(dice.uniform(one.at + 60, _end(settings) + 60), follow[what.text])


def _verbatim(
    dice: random.Random, firsts: Sequence[Contact], many: int, settings: Settings
) -> Iterator[Contact]:
    """Ask questions again in the same words, the popular ones more often."""
    weights = [1 / (rank + 1) ** POPULAR for rank in range(len(firsts))]
    for one in dice.choices(firsts, weights, k=many):
        if isinstance(one.what, Question):
            at = dice.uniform(one.at + 60, _end(settings) + 60)
            yield Contact(at, replace(one.what, kind="same words"))
