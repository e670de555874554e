"""Learns from outcomes which answers of the weak model are right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.embed import fingerprint
from trimtab.route.case import Case
from trimtab.route.curve import Curve, Interval
from trimtab.route.judge import CLEAN, SIGNS, echo, squeezed
from trimtab.route.likeness import (
    embedder_of,
    packed,
    remembering,
    squares,
    unpacked,
    vectors,
)
from trimtab.route.rows import GivenRows, Row, read_rows, request_of
from trimtab.static import Static
from trimtab.types import Embed, Message, Request, Response

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

FEW = 50
"""Rows with answers below which nothing is learned."""
MOST = 1500
"""Rows that are learned from, the last ones: the work grows with the cube of them."""
TRUST = 8.0
"""How firmly the weights set by hand are held, as the precision of a normal prior."""
REACH = 2.0
"""How fast likeness fades with the squared distance of two texts, in units of its mean."""
FOLDS = 10
STEPS, STRIDE = 12, 2.0
"""Of Newton's method, which has settled by then; and how far the log-odds of a row move in one,
because from afar it runs off."""
FORMAT = "trimtab-confidence/1"
PRIOR = (CLEAN, *(-weight for weight in SIGNS.values()))


class Confidence:
    """Judges answers as `confidence` does, by what was learned of the user's own traffic.

    The weights of the signs are drawn from those set by hand towards what the rows show, and
    questions and answers like those of rows count by how those went (logistic regression, and a
    Gaussian process over its log-odds). Only the order of answers to which the strong model has
    a right one is learned, as the others gain nothing from being escalated; the probabilities are
    calibrated on all. If that does not beat the weights set by hand in cross-validation, these
    are kept: `learned` is False, and `reason` says so. Made by `fit`.

    >>> from trimtab.route import Cascade, Confidence
    >>> rows = [(f"Add {n} and 1.", 1, 1, f"{n + 1}") for n in range(60)]
    >>> rows += [(f"Prove that {n} is odd.", 0, 1, "That is clear.") for n in range(60)]
    >>> Confidence.fit(rows).save("judge.json")
    >>> cascade = Cascade("gpt-4o-mini", "gpt-4o", judge=Confidence.load("judge.json"))
    """

    learned: bool
    reason: str
    apgr: Interval
    """Of what was learned, on rows kept aside in turn: see `Curve`."""
    general: Interval
    """The same of the weights set by hand."""

    def __init__(self, fitted: Fitted) -> None:
        self.learned, self.reason = fitted.model is not None, fitted.reason
        self.apgr, self.general = fitted.apgr, fitted.general
        self._fitted = fitted

    @classmethod
    def fit(cls, rows: GivenRows, *, embed: Any = None, seed: int = 0) -> Confidence:
        """Learn from rows that have the weak model's answers.

        Args:
            rows: Prompts and answers with the outcomes of both models: some 300.
            embed: What makes vectors, such as a model's name. `Static` unless given.
            seed: Of the division into folds.

        Raises:
            ValueError: There are too few rows, or the strong model is no better on them.
        """
        return cls(fit(read_rows(rows), embed, seed))

    def __call__(self, request: Request, response: Response, *others: Response) -> float:
        """Return how likely an answer is right, from 0 to 1."""
        found = self._fitted
        odds = found.odds([Case(request, response)])[0] + echo(request, response, *others)
        return squeezed(found.slope * float(odds) + found.offset)

    def save(self, path: str | Path) -> None:
        """Write it as JSON: no text of the rows, but numbers of which their topics can be told."""
        saved = {"format": FORMAT, **self._fitted.saved()}
        Path(path).write_text(json.dumps(saved) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, embed: Any = None) -> Confidence:
        """Read what `save` wrote.

        Raises:
            ValueError: The file is something else, or was fitted with another embedder.
        """
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(f"{path} is not what Confidence.save wrote")
        return cls(Fitted.of(saved, embed))


@dataclass(frozen=True)
class Likeness:
    """What rows tell of a text by its likeness to them."""

    rows: Numbers
    """A vector for each row."""
    reach: float

    @classmethod
    def of(cls, rows: Numbers) -> Likeness:
        """Measure how far rows lie apart."""
        return cls(rows, REACH / max(float(squares(rows, rows).mean()), 1e-9))

    def __call__(self, vectors: Numbers) -> Numbers:
        """Return how like each vector is to each row."""
        found: Numbers = np.exp(-self.reach * squares(vectors, self.rows))
        return found


@dataclass(frozen=True)
class Model:
    """Log-odds of answers, learned from rows."""

    weights: Numbers
    """Of an answer without signs, and of each sign."""
    pull: Numbers
    """How far each row draws what is like it."""
    asked: Likeness
    said: Likeness
    embed: Embed

    def __call__(self, cases: Sequence[Case]) -> Numbers:
        """Return the log-odds that each answer is right."""
        asked = self.asked(vectors(self.embed, [case.question for case in cases]))
        said = self.said(vectors(self.embed, [case.answer for case in cases]))
        found: Numbers = matrix(cases) @ self.weights + (asked + said) / 2 @ self.pull
        return found

    def saved(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "embedder": fingerprint(self.embed),
            "clean": self.weights[0],
            "signs": dict(zip(_names(), self.weights[1:].tolist(), strict=True)),
            "pull": packed(self.pull, "<f4"),
            "asked": {"reach": self.asked.reach, "rows": packed(self.asked.rows, "<f2")},
            "said": {"reach": self.said.reach, "rows": packed(self.said.rows, "<f2")},
        }


@dataclass(frozen=True)
class Fitted:
    """What a fit found."""

    model: Model | None
    """None where the weights set by hand are kept."""
    reason: str
    apgr: Interval
    general: Interval
    slope: float
    """Of the line that calibrates log-odds."""
    offset: float

    def odds(self, cases: Sequence[Case]) -> Numbers:
        """Return log-odds that are not yet calibrated."""
        return by_hand(cases) if self.model is None else self.model(cases)

    def saved(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "reason": self.reason,
            "apgr": list(vars(self.apgr).values()),
            "general": list(vars(self.general).values()),
            "slope": self.slope,
            "offset": self.offset,
            "model": None if self.model is None else self.model.saved(),
        }

    @classmethod
    def of(cls, saved: dict[str, Any], embed: Any) -> Fitted:
        """Read what was saved."""
        return cls(
            None if saved["model"] is None else _read(saved["model"], embed),
            saved["reason"],
            Interval(*saved["apgr"]),
            Interval(*saved["general"]),
            saved["slope"],
            saved["offset"],
        )


def fit(rows: Iterable[Row], embed: Any = None, seed: int = 0) -> Fitted:
    """Learn from rows, and compare that with the weights set by hand on rows kept aside in turn."""
    known = [row for row in rows if row.weak_answer][-MOST:]
    _check(known)
    cases = [Case(request_of(row.prompt), _response(row)) for row in known]
    hand = by_hand(cases)
    model, held = _learn(cases, known, remembering(embed or Static()), seed)
    ours = Curve((-held).tolist(), known).interval(seed)
    theirs = Curve((-hand).tolist(), known).interval(seed)
    wins = ours.value > theirs.value
    slope, offset = _line(held if wins else hand, known)
    told = f"APGR {ours.value:.3f} against {theirs.value:.3f} in cross-validation"
    reason = (
        f"what was learned beats the weights set by hand: {told}"
        if wins
        else f"what was learned does not beat the weights set by hand, which are kept: {told}"
    )
    return Fitted(model if wins else None, reason, ours, theirs, slope, offset)


def matrix(cases: Sequence[Case]) -> Numbers:
    """Return a line for each answer: 1, and its signs."""
    return np.array([[1.0, *(sign(case) for sign in SIGNS)] for case in cases], float)


def by_hand(cases: Sequence[Case]) -> Numbers:
    """Return log-odds by the weights set by hand."""
    return np.asarray(matrix(cases) @ np.array(PRIOR))


def _check(rows: Sequence[Row]) -> None:
    if len(rows) < FEW:
        raise ValueError(
            f"at least {FEW} rows with a weak_answer are needed to learn from, got {len(rows)}"
        )
    gain = sum(row.gain for row in rows) / len(rows)
    if gain <= 0:
        raise ValueError(
            f"the strong model must be better than the weak one on the rows; its gain on these"
            f" {len(rows)} is {gain:.3f}, so the weak one can answer everything"
        )


def _response(row: Row) -> Response:
    return Response(Message("assistant", row.weak_answer))


def _learn(
    cases: Sequence[Case], rows: Sequence[Row], embed: Embed, seed: int
) -> tuple[Model, Numbers]:
    """Fit a model; and judge each row by what was learned from others."""
    signs = matrix(cases)
    asked = Likeness.of(vectors(embed, [case.question for case in cases]))
    said = Likeness.of(vectors(embed, [case.answer for case in cases]))
    like = (asked(asked.rows) + said(said.rows)) / 2
    right = np.array([row.weak_ok for row in rows])
    counts = np.array([row.strong_ok for row in rows])
    held = np.zeros(len(rows))
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(rows)), FOLDS):
        rest = np.setdiff1d(np.arange(len(rows)), fold)
        weights, pull = _regress(signs[rest], like[np.ix_(rest, rest)], right[rest], counts[rest])
        held[fold] = signs[fold] @ weights + like[np.ix_(fold, rest)] @ pull
    weights, pull = _regress(signs, like, right, counts)
    return Model(weights, pull, asked, said, embed), held


def _regress(
    signs: Numbers, like: Numbers, right: Numbers, counts: Numbers
) -> tuple[Numbers, Numbers]:
    """Fit the weights, and then by likeness what they leave (Rasmussen and Williams 2006, 3.4)."""
    precision = np.full(len(PRIOR), TRUST)
    precision[0] = 1e-3
    weights = _logistic(signs, right, counts, np.array(PRIOR), precision)
    odds, drawn = signs @ weights, np.zeros(len(right))
    for _ in range(STEPS):
        chance = _chance(odds + drawn)
        spread = counts * chance * (1 - chance)
        target = spread * drawn + counts * (right - chance)
        drawn = like @ np.linalg.solve(np.eye(len(right)) + spread[:, None] * like, target)
    return weights, counts * (right - _chance(odds + drawn))


def _logistic(
    lines: Numbers, right: Numbers, counts: Numbers, prior: Numbers, precision: Numbers
) -> Numbers:
    """Fit a logistic regression whose weights are drawn towards `prior`."""
    weights = prior
    for _ in range(STEPS):
        chance = _chance(lines @ weights)
        slope = lines.T @ (counts * (right - chance)) - precision * (weights - prior)
        bend = (lines * (counts * chance * (1 - chance))[:, None]).T @ lines + np.diag(precision)
        step = np.linalg.solve(bend, slope)
        weights = weights + step * min(1.0, STRIDE / max(float(np.abs(lines @ step).max()), 1e-9))
    return weights


def _line(odds: Numbers, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the slope and offset that turn log-odds into those of being right (Platt 1999)."""
    lines = np.column_stack([odds, np.ones(len(odds))])
    right = np.array([row.weak_ok for row in rows])
    prior, precision = np.array([1.0, 0.0]), np.array([1.0, 0.1])
    slope, offset = _logistic(lines, right, np.ones(len(right)), prior, precision)
    return max(0.05, float(slope)), float(offset)


def _chance(odds: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def _names() -> list[str]:
    return [sign.__name__ for sign in SIGNS]


def _read(saved: dict[str, Any], embed: Any) -> Model:
    # A sign that is newer than the file counts as set by hand.
    weights = [saved["signs"].get(sign.__name__, -weight) for sign, weight in SIGNS.items()]
    pull = unpacked(saved["pull"], "<f4")
    asked, said = (
        Likeness(unpacked(part["rows"], "<f2").reshape(len(pull), -1), part["reach"])
        for part in (saved["asked"], saved["said"])
    )
    found = embedder_of(saved["embedder"], embed)
    return Model(np.array([saved["clean"], *weights]), pull, asked, said, found)
