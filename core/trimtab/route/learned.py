"""Learns from outcomes which prompts the strong model answers better."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.embed import fingerprint
from trimtab.route.curve import Curve, Interval, interval
from trimtab.route.dollars import Tier
from trimtab.route.length import USUAL, measure
from trimtab.route.likeness import (
    embedder_of,
    packed,
    remembering,
    squares,
    unpacked,
    vectors,
)
from trimtab.route.quantile import WINDOW, Quantile
from trimtab.route.rows import GivenRows, Row, read_rows
from trimtab.route.savings import Savings, estimate
from trimtab.route.shape import difficulty, shape
from trimtab.types import Embed, Request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

FEW = 50
"""Rows below which nothing is learned."""
MOST = 4000
"""Rows that are learned from, the last ones: the work grows with the cube of them."""
GUESS = 300
"""Rows that the guess from the text alone is worth beside those learned from."""
PENALTY = 6.0
REACH = 2.0
"""How fast likeness fades with the squared distance of two prompts, in units of its mean."""
FAR = 4.0
"""Standard deviations beyond which a number of a prompt's shape counts no further."""
FOLDS, REPEATS = 10, 2
SURE = 0.95
"""Share of the resamples in which the guess must do harm, to be left out."""
RECENT = 256
"""Prompts whose scores are remembered."""
FORMAT = "trimtab-learned/1"


class Learned:
    """Sends the prompts to the strong model on which it is expected to gain most.

    The gain, strong minus weak, is predicted by kernel ridge regression from a prompt's shape and
    its vector, together with a guess that needs no outcomes. If that does not beat `Length` in
    cross-validation, it is not used: `learned` is False, all goes as with `Length`, and `reason`
    says so. Made by `fit`. Safe to share between threads.

    >>> from trimtab import Message, Request
    >>> from trimtab.embed import Hashed
    >>> from trimtab.route import Learned
    >>> rows = [(f"Add {n} and 1.", 1, 1) for n in range(60)]
    >>> rows += [(f"Prove that {n} is odd.", 0, 1) for n in range(60)]
    >>> by = Learned.fit(rows, embed=Hashed(), strong_rate=0.5)
    >>> by.weak_ok(Request("", (Message("user", "Prove that 99 is odd."),))) < 0.5
    True
    """

    strong_rate: float
    """The share of requests that the strong model is to answer."""
    learned: bool
    reason: str
    """Why it is used, or why `Length` is."""
    apgr: Interval
    """Of what was learned, on rows that were kept aside: see `Curve`."""
    length: Interval
    """The same of `Length`."""

    def __init__(self, fitted: Fitted, strong_rate: float = 0.3, size: int = WINDOW) -> None:
        if not 0 <= strong_rate <= 1:
            raise ValueError(f"strong_rate must be between 0 and 1, got {strong_rate}")
        self.strong_rate = strong_rate
        self.learned, self.reason = fitted.model is not None, fitted.reason
        self.apgr, self.length = fitted.apgr, fitted.length
        self._fitted = fitted
        self._seen = Quantile(fitted.scores[-size:], size=size)
        self._weak_ok = fitted.weak_ok
        self._lock = threading.Lock()
        # One decision asks for the score of a prompt several times.
        self._raw = lru_cache(maxsize=RECENT)(fitted.score)

    @classmethod
    def fit(
        cls, rows: GivenRows, *, embed: Any = None, strong_rate: float = 0.3, seed: int = 0
    ) -> Learned:
        """Learn from rows; their prompts count as traffic.

        Args:
            rows: Prompts with outcomes of both models: some 300.
            embed: What makes vectors, such as a model's name; see `embed.remembered` if not given.
                `Static()` takes a hundredth of MiniLM's time, and costs little of what is learned.
            strong_rate: The share of requests that the strong model is to answer.
            seed: Of the division into folds.

        Raises:
            ValueError: There are too few rows, or the strong model is no better on them.
        """
        return cls(fit(read_rows(rows), embed, seed), strong_rate)

    def score(self, request: Request) -> float:
        """Return how hard a request looks, from 0 to 1; nothing is remembered."""
        return self._share(self._raw(request.query))

    def gain(self, request: Request) -> float:
        """Return the share of right answers that the strong model is expected to add."""
        return self._fitted.gain.at(self._raw(request.query), -1.0, 1.0)

    def weak_ok(self, request: Request) -> float:
        """Return how likely the weak model's answer is right."""
        return self._weak_ok.at(self._raw(request.query), 0.0, 1.0)

    def percentile(self, request: Request) -> float | None:
        """Return the share of the traffic that looks easier, or None without traffic."""
        return self._seen.rank(self._raw(request.query))

    def wants_strong(self, request: Request) -> bool:
        """Tell whether a request belongs to the hardest share, and remember it as traffic."""
        limit, score = self._seen.limit(self.strong_rate), self._raw(request.query)
        self._seen.add(score)
        return self.strong_rate > 0 if limit is None else score > limit

    def observe(self, request: Request | str) -> None:
        """Remember a prompt as traffic."""
        self._seen.add(self._raw(request if isinstance(request, str) else request.query))

    def learn(self, request: Request, ok: bool) -> None:
        """Take note of whether the weak model's answer was right: it moves `weak_ok` at once.

        What the strong model would have gained stays unknown, so the order of requests does not
        change. For that, keep `Outcomes` of both models and fit again.
        """
        score = self._raw(request.query)
        with self._lock:
            self._weak_ok = self._weak_ok.with_(score, float(ok))

    @property
    def traffic(self) -> int:
        """How many prompts are remembered."""
        return len(self._seen)

    @property
    def limit(self) -> float | None:
        """The score above which requests go to the strong model, or None without traffic."""
        found = self._seen.limit(self.strong_rate)
        return None if found is None else self._share(found)

    def estimate_savings(
        self, queries: Iterable[Request | str], weak: Tier | str, strong: Tier | str
    ) -> Savings:
        """Estimate what queries would cost with this router, and with the strong model alone."""
        return estimate(self, queries, weak, strong)

    def save(self, path: str | Path) -> None:
        """Write it as JSON: no text of the rows, but numbers of which their topics can be told."""
        saved = {
            "format": FORMAT,
            "strong_rate": self.strong_rate,
            "size": self._seen.size,
            "seen": [round(score, 4) for score in self._seen.scores()],
            "weak_ok": self._weak_ok.sums,
            **self._fitted.saved(),
        }
        Path(path).write_text(json.dumps(saved) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, embed: Any = None) -> Learned:
        """Read what `save` wrote.

        Raises:
            ValueError: The file is something else, or was fitted with another embedder.
        """
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(f"{path} is not a router saved by Learned.save")
        return cls(Fitted.of(saved, embed), saved["strong_rate"], saved["size"])

    def _share(self, raw: float) -> float:
        """Squeeze a score into 0 to 1, so that its order stays."""
        usual = 0.0 if self.learned else USUAL
        return 1 / (1 + math.exp(usual - raw))


@dataclass(frozen=True)
class Line:
    """A straight line through points, of which only sums are kept."""

    sums: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """The number of points, and the sums of x, y, x * x and x * y."""

    @classmethod
    def through(cls, xs: Iterable[float], ys: Iterable[float]) -> Line:
        """Fit points."""
        points = [(1.0, x, y, x * x, x * y) for x, y in zip(xs, ys, strict=True)]
        return cls(tuple(map(math.fsum, zip(*points, strict=True))))

    def with_(self, x: float, y: float) -> Line:
        """Return the line with one point more."""
        added = (1.0, x, y, x * x, x * y)
        return Line(tuple(a + b for a, b in zip(self.sums, added, strict=True)))

    def at(self, x: float, low: float, high: float) -> float:
        """Return the height at `x`, within bounds."""
        number, xs, ys, squares, products = self.sums
        spread = squares - xs * xs / number
        slope = (products - xs * ys / number) / spread if spread > 1e-9 else 0.0
        return min(high, max(low, ys / number + slope * (x - xs / number)))


@dataclass(frozen=True)
class Part:
    """What rows tell of a prompt by its likeness to them."""

    rows: Numbers
    """A line of numbers for each row."""
    weights: Numbers
    reach: float
    level: float
    """What is predicted on average, and taken off."""

    def __call__(self, views: Numbers) -> Numbers:
        """Predict from lines of the same kind of numbers."""
        found: Numbers = np.exp(-self.reach * squares(views, self.rows)) @ self.weights
        return found - self.level


@dataclass(frozen=True)
class Model:
    """Predicts the gain, on a scale of its own."""

    embed: Embed
    middle: Numbers
    """The means of the numbers of a shape, and of the guess."""
    spread: Numbers
    parts: Sequence[Part]
    """By shape and by meaning."""
    trust: float
    """The share of what was learned beside the guess."""

    def __call__(self, texts: Sequence[str]) -> Numbers:
        """Return a score for each text; higher is harder."""
        looks, guess = self._looks(texts)
        views = (looks, vectors(self.embed, texts))
        learned = sum((part(v) for part, v in zip(self.parts, views, strict=True)), np.zeros(1))
        return np.asarray(self.trust * learned / len(self.parts) + (1 - self.trust) * guess)

    def _looks(self, texts: Sequence[str]) -> tuple[Numbers, Numbers]:
        scaled = (_looks(texts) - self.middle) / self.spread
        return np.clip(scaled[:, :-1], -FAR, FAR), scaled[:, -1]


@dataclass(frozen=True)
class Fitted:
    """What a fit found."""

    model: Model | None
    """None where `Length` is to be used."""
    reason: str
    apgr: Interval
    length: Interval
    scores: Sequence[float]
    """Of the rows, each by what was learned from others."""
    gain: Line
    weak_ok: Line

    def score(self, text: str) -> float:
        """Return how hard a prompt looks, on a scale of its own."""
        return measure(text) if self.model is None else float(self.model([text])[0])

    def saved(self) -> dict[str, Any]:
        """Return it as JSON, without what `Learned` keeps itself."""
        return {
            "reason": self.reason,
            "apgr": list(vars(self.apgr).values()),
            "length": list(vars(self.length).values()),
            "gain": self.gain.sums,
            "model": None if self.model is None else _written(self.model),
        }

    @classmethod
    def of(cls, saved: Mapping[str, Any], embed: Any) -> Fitted:
        """Read what was saved, the traffic's scores included."""
        return cls(
            None if saved["model"] is None else _read(saved["model"], embed),
            saved["reason"],
            Interval(*saved["apgr"]),
            Interval(*saved["length"]),
            saved["seen"],
            Line(saved["gain"]),
            Line(saved["weak_ok"]),
        )


def fit(rows: Sequence[Row], embed: Any = None, seed: int = 0) -> Fitted:
    """Learn from rows, and compare that with `Length` on rows kept aside in turn."""
    rows = rows[-MOST:]
    _check(rows)
    texts = [row.prompt for row in rows]
    model, scores = _model(rows, remembering(embed), seed)
    lengths = [measure(text) for text in texts]
    ours, theirs = Curve(scores, rows), Curve(lengths, rows)
    drawn = (ours.drawn(seed), theirs.drawn(seed))
    apgr, length = interval(ours.apgr, drawn[0]), interval(theirs.apgr, drawn[1])
    wins = apgr.value > length.value
    known = scores if wins else lengths
    return Fitted(
        model if wins else None,
        _reason(apgr, length, float(np.mean(drawn[0] > drawn[1]))),
        apgr,
        length,
        known,
        Line.through(known, [row.gain for row in rows]),
        Line.through(known, [row.weak_ok for row in rows]),
    )


def _check(rows: Sequence[Row]) -> None:
    if len(rows) < FEW:
        raise ValueError(f"at least {FEW} rows are needed to learn from, got {len(rows)}")
    gain = sum(row.gain for row in rows) / len(rows)
    if gain <= 0:
        raise ValueError(
            f"the strong model must be better than the weak one on the rows; its gain on these"
            f" {len(rows)} is {gain:.3f}, so the weak one can answer everything"
        )


def _reason(apgr: Interval, length: Interval, wins: float) -> str:
    told = f"APGR {apgr.value:.3f} against {length.value:.3f} in cross-validation, and better in"
    told += f" {100 * wins:.0f} % of resamples"
    if apgr.value > length.value:
        reason = f"what was learned beats Length: {told}"
    else:
        reason = f"what was learned does not beat Length, which is used instead: {told}"
    if max(apgr.low, length.low) <= 0.5:
        reason += "; neither is sure to beat chance"
    return reason


def _model(rows: Sequence[Row], embed: Embed, seed: int) -> tuple[Model, list[float]]:
    """Fit a model; and score each row by what was learned from others."""
    texts = [row.prompt for row in rows]
    raw = _looks(texts)
    middle, spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-9)
    model = Model(embed, middle, spread, (), 0.0)
    looks, guess = model._looks(texts)
    gain = np.array([row.gain for row in rows])
    fits = [_part(view, gain, seed) for view in (looks, vectors(embed, texts))]
    learned = sum((held for _, held in fits), np.zeros(1)) / len(fits)
    trust = len(rows) / (len(rows) + GUESS)
    both = trust * learned + (1 - trust) * guess
    if _harms(both, learned, rows, seed):
        trust, both = 1.0, learned
    parts = tuple(part for part, _ in fits)
    return Model(embed, middle, spread, parts, trust), both.tolist()


def _harms(both: Numbers, learned: Numbers, rows: Sequence[Row], seed: int) -> bool:
    """Tell whether the guess makes it worse, beyond what chance explains."""
    ours, alone = (Curve(scores.tolist(), rows).drawn(seed) for scores in (both, learned))
    return float(np.mean(alone > ours)) >= SURE


def _part(view: Numbers, gain: Numbers, seed: int) -> tuple[Part, Numbers]:
    """Fit kernel ridge regression, scaled to the spread of its fit; and predict each held-out row.

    The predictions of all folds follow from one inverse (Pahikkala et al. 2006).
    """
    distances = squares(view, view)
    reach = REACH / max(float(distances.mean()), 1e-9)
    likeness = np.exp(-reach * distances)
    # Without its mean, or else a fold's rows would tell their own mean by lacking among the others.
    kernel = likeness - likeness.mean(axis=0) - likeness.mean(axis=1)[:, None] + likeness.mean()
    inverse = np.linalg.inv(kernel + PENALTY * np.eye(len(gain)))
    centred = gain - gain.mean()
    weights = inverse @ centred
    spread = max(float((kernel @ weights).std()), 1e-9)
    held = np.zeros(len(gain))
    dice = np.random.default_rng(seed)
    for _ in range(REPEATS):
        for fold in np.array_split(dice.permutation(len(gain)), FOLDS):
            block = inverse[np.ix_(fold, fold)]
            held[fold] += centred[fold] - np.linalg.solve(block, weights[fold])
    scaled = (weights - weights.mean()) / spread
    level = float((likeness @ scaled).mean())
    return Part(view, scaled, reach, level), held / REPEATS / spread


def _looks(texts: Sequence[str]) -> Numbers:
    """Return the shapes of texts, and the guess as the last column."""
    return np.array([(*shape(text), difficulty(text)) for text in texts], float)


def _written(model: Model) -> dict[str, Any]:
    return {
        "embedder": fingerprint(model.embed),
        "trust": model.trust,
        "middle": model.middle.tolist(),
        "spread": model.spread.tolist(),
        "parts": [
            {
                "reach": part.reach,
                "level": part.level,
                "weights": packed(part.weights),
                "rows": packed(part.rows),
            }
            for part in model.parts
        ],
    }


def _read(saved: Mapping[str, Any], embed: Any) -> Model:
    parts = []
    for part in saved["parts"]:
        weights = unpacked(part["weights"])
        numbers = unpacked(part["rows"]).reshape(len(weights), -1)
        parts.append(Part(numbers, weights, part["reach"], part["level"]))
    middle, spread = np.array(saved["middle"]), np.array(saved["spread"])
    found = embedder_of(saved["embedder"], embed)
    return Model(found, middle, spread, tuple(parts), saved["trust"])
