"""Word vectors that need nothing but numpy: a text is the sum of its words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.types import Vectors

WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")
"""A word, or a single letter of Chinese."""
LONGEST = 40
CONTEXT = 0.5
"""How much of its passage a piece takes on."""


class Static:
    """Vectors of words and pieces of words, 64 dimensions, rare ones longer.

    Made of all-MiniLM-L6-v2 (Apache-2.0) by `benchmarks/evidence/static.py`: each entry of its
    vocabulary read alone, and the main directions of all of them (Tulkens and van Dongen 2024,
    Model2Vec), weighted by frequency (Arora et al. 2017).

    >>> from trimtab.static import Static
    >>> car, vehicle, bread = Static()(["car", "vehicle", "bread"])
    >>> bool(car @ vehicle > car @ bread)
    True
    """

    fingerprint = "static/64"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, in some 20 microseconds each."""
        return _unit(self._sums(texts))

    def pieces(self, passages: Sequence[Sequence[str]]) -> list[Vectors]:
        """Embed the pieces of passages, each drawn towards its whole passage."""
        found = []
        for pieces in passages:
            sums = self._sums(pieces)
            found.append(_unit(_unit(sums) + CONTEXT * _unit(sums.sum(axis=0, keepdims=True))))
        return found

    def _sums(self, texts: Sequence[str]) -> Vectors:
        table = _table()
        found = np.zeros((len(texts), table.vectors.shape[1]), np.float32)
        for row, text in zip(found, texts, strict=True):
            codes = [code for word in WORD.findall(_plain(text)) for code in _codes(word)]
            if codes:
                row[:] = table.vectors[codes].sum(axis=0)
        return found


class _Table(NamedTuple):
    places: dict[str, int]
    vectors: Vectors


@lru_cache(maxsize=1)
def _table() -> _Table:
    with np.load(Path(__file__).with_name("static.npz")) as saved:
        entries = saved["words"].item().split("\n")
        vectors = saved["vectors"].astype(np.float32) * saved["lengths"][:, None]
    return _Table({word: place for place, word in enumerate(entries)}, vectors)


@lru_cache(maxsize=65_536)
def _codes(word: str) -> tuple[int, ...]:
    """Cut a word into the longest entries; none where a part of it is no entry."""
    places, found, start = _table().places, [], 0
    while start < len(word):
        mark = "##" if start else ""
        for end in range(min(len(word), start + LONGEST), start, -1):
            if (code := places.get(mark + word[start:end])) is not None:
                found.append(code)
                start = end
                break
        else:
            return ()
    return tuple(found)


def _plain(text: str) -> str:
    """Write small letters without accents."""
    text = text.lower()
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return found
