"""How much a text bears on a question, by the words that both hold."""

from __future__ import annotations

import math
import re
from collections import Counter as Tally
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD = re.compile(r"[^\W_]+")
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
"""Letters of languages that put no spaces between words."""
STOP = frozenset(
    "a about after all also am an and any are as at be been before being but by can could did do"
    " does doing for from had has have having he her hers him his how i if in into is it its just"
    " me my no nor not of on or our ours s she should so some such t than that the their theirs"
    " them then there these they this those to too us was we were what when where which while who"
    " whom whose why will with would you your yours".split()
)
"""English words that say nothing of what a text is about. Other languages rely on rarity alone."""
SATURATION = 1.2
LENGTH = 0.75


@lru_cache(maxsize=65_536)
def words(text: str) -> tuple[str, ...]:
    """Split a text into the stems of its words, without those that mean little.

    Languages that put no spaces between words are split into pairs of letters.
    """
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        if word.isascii():
            if word not in STOP:
                found.append(stem(word))
        elif SPACELESS.search(word):
            found += [word[i : i + 2] for i in range(max(len(word) - 1, 1))]
        else:
            found.append(word)
    return tuple(found)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Take off the commonest English endings: what is left need not be a word.

    >>> from trimtab.relevance import stem
    >>> stem("bags"), stem("costing")
    ('bag', 'cost')
    """
    if len(word) < 4 or word[-1] in "0123456789":
        return word
    for ending, instead in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdglmnprst":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


ENDINGS = (
    ("ies", "y"),
    ("ied", "y"),
    ("sses", "ss"),
    ("ing", ""),
    ("ed", ""),
    ("ly", ""),
    ("ss", "ss"),
    ("us", "us"),
    ("is", "is"),
    ("s", ""),
)


class Bm25:
    """Scores texts by the words they share with a question, rare words counting most.

    BM25 as of Robertson and Zaragoza 2009, with an inverse document frequency that is never
    negative.

    Args:
        texts: Each as its words.

    >>> from trimtab.relevance import Bm25, words
    >>> texts = ["The second bag costs 30 dollars.", "Seats are chosen at check-in."]
    >>> index = Bm25([words(text) for text in texts])
    >>> int(index.scores(words("What do bags cost?")).argmax())
    0
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self.size = len(texts)
        self._found: dict[str, list[tuple[int, int]]] = {}
        for place, text in enumerate(texts):
            for word, times in Tally(text).items():
                self._found.setdefault(word, []).append((place, times))
        usual = max(sum(map(len, texts)) / max(len(texts), 1), 1.0)
        self._norm = [SATURATION * (1 - LENGTH + LENGTH * len(text) / usual) for text in texts]

    def rarity(self, word: str) -> float:
        """How much a word tells: its inverse document frequency."""
        many = len(self._found.get(word, ()))
        return math.log1p((self.size - many + 0.5) / (many + 0.5))

    def scores(self, question: Sequence[str]) -> NDArray[np.float64]:
        """Score each text, shape (n,). A word that the question repeats counts as often."""
        total = [0.0] * self.size
        for word, asked in Tally(question).items():
            if not (found := self._found.get(word)):
                continue
            weight = asked * self.rarity(word) * (SATURATION + 1)
            for place, times in found:
                total[place] += weight * times / (times + self._norm[place])
        return np.array(total)
