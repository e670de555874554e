"""Two questions laid beside each other, token by token.

Decomposable attention (Parikh et al. 2016, arXiv 1606.01933) over the states that the sentence
encoder has of a question's tokens anyway, of its middle layers too, where a word is still more
itself: each token looks for its like in the other question, and a small network weighs what was
found. Trained by `benchmarks/same_answer/train.py`.
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
WIDTH = 64
"""Numbers that are kept of a token, a byte each."""
ROW = WIDTH + 2
NEVER = -1000
"""So near is a token to one of its own question, as attention sees it: of no weight at all."""


class Aligner:
    """The network, in numpy: 0.1 milliseconds for a pair of questions."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._project = weights["project.weight"].T.copy(), weights["project.bias"]
        # Of what a token is, finds, of their difference and of their product; the first two and
        # the difference are sums of the same two.
        own, met, apart, both, how = np.split(
            weights["compare.weight"].T, [WIDTH, 2 * WIDTH, 3 * WIDTH, 4 * WIDTH]
        )
        self._compare = np.concatenate([own + apart, both, met - apart, how])
        self._compare_bias = weights["compare.bias"]
        self._hidden = weights["hidden.weight"].T.copy(), weights["hidden.bias"]
        self._out = weights["out.weight"][0], weights["out.bias"][0]
        self._scale, self._bonus = float(weights["scale"]), float(weights["bonus"])
        self._mean, self._spread = weights["mean"], weights["spread"]

    def note(self, ids: NDArray[np.int32], layers: Sequence[Vectors]) -> bytes:
        """Write down what is needed of a question's tokens, 66 bytes each."""
        weight, bias = self._project
        states = np.concatenate(layers, axis=1)[:TOKENS]
        kept = np.rint(np.tanh(states @ weight + bias) * 127).astype(np.int8)
        return bytes(ids[:TOKENS].astype("<u2").tobytes() + kept.tobytes())

    def score(self, note: bytes, other: bytes, measures: Sequence[float]) -> float:
        """Return the log odds that one answer serves both questions; their order is the same."""
        count = len(note) // ROW
        own, near, equal = _beside(_read(note), _read(other))
        weight = np.exp(self._scale * (near - 1) + self._bonus * equal)
        found = weight @ own / np.add.reduce(weight, axis=1)[:, None]
        hits, best = np.maximum.reduce(equal, axis=1), np.maximum.reduce(near, axis=1)
        compared = self._compared(own, found, hits, best)
        one, two = compared[:count], compared[count:]
        mean_a, mean_b = (np.add.reduce(side) / np.float32(len(side)) for side in (one, two))
        most_a, most_b = np.maximum.reduce(one), np.maximum.reduce(two)
        sizes = (np.array(measures, np.float32) - self._mean) / self._spread
        seen = [mean_a + mean_b, np.abs(mean_a - mean_b)]
        seen += [np.maximum(most_a, most_b), np.minimum(most_a, most_b)]
        seen.append(np.minimum(np.maximum(sizes, -4), 4))
        matrix, bias = self._hidden
        hidden = np.maximum(np.concatenate(seen) @ matrix + bias, 0)
        return float(hidden @ self._out[0] + self._out[1])

    def _compared(self, own: Array, found: Array, hits: Array, best: Array) -> Array:
        """Compare each token with what it finds in the other question."""
        rows = np.empty((len(own), len(self._compare)), np.float32)
        rows[:, :WIDTH] = own
        np.multiply(own, found, out=rows[:, WIDTH : 2 * WIDTH])
        rows[:, 2 * WIDTH : 3 * WIDTH] = found
        rows[:, -3], rows[:, -2], rows[:, -1] = hits, best, best * (1 - hits)
        compared: Array = np.maximum(rows @ self._compare + self._compare_bias, 0)
        return compared


Noted = tuple["NDArray[Any]", "Array"]


def _beside(one: Noted, other: Noted) -> tuple[Array, Array, Array]:
    """Lay the tokens of two questions in one matrix; only those of the other are near or equal."""
    (ids_a, a), (ids_b, b) = one, other
    count = len(a)
    own, ids = np.concatenate((a, b)), np.concatenate((ids_a, ids_b))
    length = np.sqrt(np.add.reduce(own * own, axis=1))[:, None]
    unit = own / np.maximum(length, np.float32(1e-9))
    near, equal = unit @ unit.T, (ids[:, None] == ids).astype(np.float32)
    near[:count, :count] = near[count:, count:] = NEVER
    equal[:count, :count] = equal[count:, count:] = 0
    return own, near, equal


def _read(note: bytes) -> tuple[NDArray[Any], Array]:
    count = len(note) // ROW
    ids = np.frombuffer(note, "<u2", count)
    kept = np.frombuffer(note, np.int8, offset=2 * count).reshape(count, WIDTH)
    return ids, kept.astype(np.float32) / np.float32(127)
