"""Two questions laid beside each other, token by token.

Decomposable attention (Parikh et al. 2016, arXiv 1606.01933) over the states that the sentence
encoder has of a question's tokens anyway: each token looks for its like in the other question, and
a small network weighs what was found. Trained by `benchmarks/same_answer/train.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.types import Vectors

    Array = NDArray[np.float32]

TOKENS = 128
"""Of a question, of which the network sees no more."""
WIDTH = 96
"""Numbers that are kept of a token, a byte each."""
ROW = WIDTH + 2


class Aligner:
    """The network, in numpy: some 0.2 milliseconds for a pair of questions."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._project = weights["project.weight"].T.copy(), weights["project.bias"]
        self._compare = weights["compare.weight"].T.copy(), weights["compare.bias"]
        self._hidden = weights["hidden.weight"].T.copy(), weights["hidden.bias"]
        self._out = weights["out.weight"][0], weights["out.bias"][0]
        self._scale, self._bonus = float(weights["scale"]), float(weights["bonus"])
        self._mean, self._spread = weights["mean"], weights["spread"]

    def note(self, ids: NDArray[np.int32], states: Vectors) -> bytes:
        """Write down what is needed of a question's tokens, 98 bytes each."""
        weight, bias = self._project
        kept = np.rint(np.tanh(states[:TOKENS] @ weight + bias) * 127).astype(np.int8)
        return bytes(ids[:TOKENS].astype("<u2").tobytes() + kept.tobytes())

    def score(self, note: bytes, other: bytes, measures: Sequence[float]) -> float:
        """Return the log odds that one answer serves both questions; their order is the same."""
        (ids_a, a), (ids_b, b) = _read(note), _read(other)
        equal = (ids_a[:, None] == ids_b).astype(np.float32)
        near = _unit(a) @ _unit(b).T
        mean_a, most_a = self._side(a, b, equal, near)
        mean_b, most_b = self._side(b, a, equal.T, near.T)
        sizes = ((np.asarray(measures, np.float32) - self._mean) / self._spread).clip(-4, 4)
        seen = [mean_a + mean_b, np.abs(mean_a - mean_b)]
        seen += [np.maximum(most_a, most_b), np.minimum(most_a, most_b), sizes]
        weight, bias = self._hidden
        hidden = np.maximum(np.concatenate(seen) @ weight + bias, 0)
        return float(hidden @ self._out[0] + self._out[1])

    def _side(self, own: Array, other: Array, equal: Array, near: Array) -> tuple[Array, Array]:
        """Compare each token with what it finds in the other question."""
        weight = np.exp(self._scale * (near - 1) + self._bonus * equal)
        found = (weight / weight.sum(axis=1, keepdims=True)) @ other
        hit, best = equal.max(axis=1)[:, None], near.max(axis=1)[:, None]
        parts = [own, found, own - found, own * found, hit, best, best * (1 - hit)]
        matrix, bias = self._compare
        compared = np.maximum(np.concatenate(parts, axis=1) @ matrix + bias, 0)
        return compared.mean(axis=0), compared.max(axis=0)


def _read(note: bytes) -> tuple[NDArray[Any], Array]:
    count = len(note) // ROW
    ids = np.frombuffer(note, "<u2", count)
    kept = np.frombuffer(note, np.int8, offset=2 * count).reshape(count, WIDTH)
    return ids, kept.astype(np.float32) / np.float32(127)


def _unit(rows: Array) -> Array:
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    found: Array = rows / np.maximum(length, np.float32(1e-9))
    return found
