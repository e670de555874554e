"""Whether one answer serves two questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.cache.aligned import Aligner
from trimtab.cache.contrast import FEATURES, features, words_of
from trimtab.cache.settled import is_retyped, is_reversed, is_swapped
from trimtab.embed import MINILM, Remembered, default_embedder, embedder, fingerprint, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.types import Embed, Vector

COSINE = 10.0
"""Log odds that a cosine of 1 is worth. The network never saw it: in its lessons all are near."""
TRUST = 2.0
"""Log odds up to which the network is believed. Beyond that likeness decides between repeats."""
RETYPED = 5.0
"""What the network is taken to say of two texts that are the same but for typing errors."""
NEVER = -99.0
"""Log odds of what cannot be the same."""
BATCH = 256
"""Texts that are read at once: the states of all tokens of many more would not fit in memory."""
LONG = 60
"""Words from which on a text counts as a template: then no word of it that says anything, and no
number, may differ, because one value among hundreds hardly moves a vector."""
SIGNS = (
    "letters jaccard left_min left_max number_changed number_one_sided name_changed "
    "name_one_sided substituted length_ratio words_max"
).split()
"""Measures that a calibration weighs anew, beside the network and the cosine."""
_AT = [FEATURES.index(name) for name in SIGNS]
_LEFT, _NUMBERS = FEATURES.index("left_max"), FEATURES.index("number_one_sided")


@dataclass(frozen=True)
class Reading:
    """What is kept of a question to compare it with others."""

    text: str
    vector: Vector
    note: bytes
    """Its tokens, as the network needs them; empty where the embedder does not show them."""


@dataclass(frozen=True)
class Evidence:
    """How two questions compare."""

    score: float
    """Log odds by the shipped model."""
    cosine: float
    signs: tuple[float, ...] = ()
    """See `SIGNS`."""

    @property
    def ruled_out(self) -> bool:
        """Whether they cannot be the same, whatever a calibration makes of the rest."""
        return self.score <= NEVER

    @property
    def row(self) -> list[float]:
        """All of it, for a calibration: the cosine also stretched near 1, where repeats are."""
        near = min(self.cosine, 0.995)
        return [self.score, self.cosine, math.log((1 + near) / (1 - near)), *self.signs]


class Reader:
    """Compares questions by what an embedder makes of them, and by their words.

    With MiniLM on ONNX Runtime the network reads the states of its tokens; with any other embedder
    the words alone decide, and the cosine only says which questions are compared.
    """

    def __init__(self, embed: Embed | None = None) -> None:
        self.embed = default_embedder() if embed is None else embedder(embed)
        known = fingerprint(self.embed).startswith(MINILM)  # whose states the network was taught
        # Of an embedder that remembers vectors, what it asks has the states.
        source = self.embed.embed if isinstance(self.embed, Remembered) else self.embed
        self._read = getattr(source, "read", None) if known else None
        self._knows = getattr(source, "knows", None) if self._read else None
        self._model = _model()
        self.kind = "words" if self._read is None else "tokens"
        self.fingerprint = f"{fingerprint(self.embed)}/{self._model.version}"

    def read(self, text: str) -> Reading:
        """Read a question, in one pass of the embedder."""
        return self.read_all([text])[0]

    def read_all(self, texts: Sequence[str]) -> list[Reading]:
        """Read questions together.

        Raises:
            ValueError: The embedder does not return one row of finite numbers a text.
        """
        if self._read is None:
            vectors = unit(self.embed(texts))
            return [Reading(text, row, b"") for text, row in zip(texts, vectors, strict=True)]
        note = self._model.aligner.note
        batches = (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))
        return [
            Reading(text, read.vector, note(read.ids, read.layers))
            for batch in batches
            for text, read in zip(batch, self._read(batch), strict=True)
        ]

    def compare(self, one: Reading, other: Reading) -> Evidence:
        """Weigh what two questions share, and where they part, whichever was asked first."""
        one, other = sorted((one, other), key=lambda reading: reading.text)
        measures = features(one.text, other.text)
        cosine = float(one.vector @ other.vector)
        forced = ruled(one.text, other.text, measures, self._knows)
        if forced is not None:
            score = forced
        elif one.note and other.note:
            score = joined(self._model.aligner.score(one.note, other.note, measures), cosine)
        else:
            score = self._model.words(measures)
        return Evidence(score, cosine, tuple(measures[i] for i in _AT))

    def same(self, one: Reading, other: Reading) -> float:
        """Return the probability that one answer serves both."""
        return self.probability(self.compare(one, other))

    def may_reach(self, one: Reading, other: Reading, limit: float) -> bool:
        """Tell, at less cost than `same`, whether the probability can be so high at all."""
        if not (one.note and other.note):
            return True
        slope, bias = self._model.odds[self.kind]
        best = sigmoid(slope * COSINE * float(one.vector @ other.vector) + bias)
        return best >= limit or bool(self._knows and is_retyped(one.text, other.text, self._knows))

    def probability(self, evidence: Evidence) -> float:
        """Turn log odds into a probability, as it was in the questions held out of training."""
        slope, bias = self._model.odds[self.kind]
        return sigmoid(slope * evidence.score + bias)

    def held_out(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the probabilities of pairs held out of training, and whether they are the same.

        A mixed set: to each two repeats, one that was written to be taken for one.
        """
        scores, same = self._model.held[self.kind]
        slope, bias = self._model.odds[self.kind]
        some = mixed(same)
        return 1 / (1 + np.exp(-(slope * scores[some] + bias))), same[some]


def same_answer(question: str, cached_question: str) -> float:
    """Return the probability that the answer to one question serves another just as well.

    The order of the two does not matter. Trained on groups of questions written for it, which are
    in the repository under `benchmarks/same_answer`; one of two pairs held out of the training
    that has 0.9 here is the same nine times in ten, where they are as hard as those.

    >>> from trimtab.cache import same_answer
    >>> same_answer("Which plans have roaming?", "Which plans do not have roaming?") < 0.1
    True
    """
    return _reader().same(_reading(question), _reading(cached_question))


def ruled(
    one: str, other: str, measures: Sequence[float], knows: Callable[[str], bool] | None
) -> float | None:
    """Return the log odds where the words settle it, else None."""
    differ = measures[_LEFT] + measures[_NUMBERS] > 0
    if (differ and _is_template(one, other)) or is_reversed(one, other) or is_swapped(one, other):
        return NEVER
    if knows and is_retyped(one, other, knows):
        return joined(RETYPED, 1.0)
    return None


def joined(score: float, cosine: float) -> float:
    """Join what the network says with the likeness of the vectors, as log odds."""
    return COSINE * cosine - math.log1p(math.exp(min(TRUST - score, 500.0)))


def mixed(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose all repeats, and half as many of the pairs that were written to be taken for one."""
    repeats, traps = np.flatnonzero(same), np.flatnonzero(~same)
    some = np.random.default_rng(0).permutation(traps)[: len(repeats) // 2]
    return np.concatenate([repeats, some])


def sigmoid(value: float) -> float:
    """Turn log odds into a probability."""
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, value))))


def _is_template(one: str, other: str) -> bool:
    return max(len(words_of(one)), len(words_of(other))) >= LONG


class _Model:
    """The shipped weights."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.version = str(weights["version"])
        self.origin = str(weights["origin"])
        """What it was trained on, and by what."""
        self.aligner = Aligner(weights)
        self._words = [weights[f"words.{name}"] for name in ("hidden", "bias", "out", "shift")]
        self._mean, self._spread = weights["mean"], weights["spread"]
        self.odds = {kind: tuple(map(float, weights[f"odds.{kind}"])) for kind in KINDS}
        self.held = {kind: (weights[f"held.{kind}"], weights["held.same"] > 0) for kind in KINDS}

    def words(self, measures: Sequence[float]) -> float:
        """Return log odds by the words alone."""
        sizes = ((np.asarray(measures, np.float32) - self._mean) / self._spread).clip(-4, 4)
        hidden, bias, out, shift = self._words
        return float(np.maximum(sizes @ hidden + bias, 0) @ out + shift)


KINDS = ("tokens", "words")


@lru_cache(maxsize=1)
def _model() -> _Model:
    path = files("trimtab.cache") / "same_answer.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        weights = {name: found[name] for name in found.files}
    plain = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in weights.items()}
    return _Model(plain)


@lru_cache(maxsize=1)
def _reader() -> Reader:
    return Reader()


@lru_cache(maxsize=4096)
def _reading(text: str) -> Reading:
    return _reader().read(text)
