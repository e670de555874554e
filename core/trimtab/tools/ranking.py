"""Which tools a question needs: by the words that both hold, and by what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trimtab.embed import fingerprint, remembered
from trimtab.relevance import words
from trimtab.static import Static
from trimtab.tools.reading import CODES, Entry, code, entry, name_words
from trimtab.types import Embed, Tool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.types import Vectors

    Scores = NDArray[np.float32]

DIGITS = 0.46
"""What a number counts beside a word: most are values, which no definition holds."""
CLAUSES = 12
SEAM = re.compile(
    r"(?<=[.!?;])\s+|[\n。！？；]+|,?\s+(?:and|then|also|as well as|plus|additionally)\s+|,\s+",  # noqa: RUF001
    re.IGNORECASE,
)
"""Where one wish may end and the next begin."""
SHARPNESS = 0.7
MINILM, STATIC = "minilm", "static"
PARTS = ("weights", "lift", "usual", "margins", "fit")
LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


def rank(query: str, tools: Sequence[Tool], *, embed: Embed | None = None) -> list[Tool]:
    """Put the tools first that a question needs.

    A question with several wishes is also read wish by wish, so that the tool for each comes first.

    Args:
        query: What the user wants.
        tools: All that there are. They are read once, and known by their content from then on.
        embed: What tells meanings: MiniLM where the extra `semantic` is installed, which takes
            some 20 milliseconds for each tool that is new to it, else `Static`, which takes
            microseconds.

    >>> from trimtab import Tool
    >>> from trimtab.tools import rank
    >>> tools = [Tool("send_mail", "Send an e-mail"), Tool("get_weather", "Tell the weather")]
    >>> [tool.name for tool in rank("Will it rain in Oslo?", tools)]
    ['get_weather', 'send_mail']
    """
    found = scores(query, tools, embed=embed)
    return [tools[place] for place in np.argsort(-found, kind="stable")]


def scores(query: str, tools: Sequence[Tool], *, embed: Embed | None = None) -> Scores:
    """Score tools for a question, shape (n,), as `rank` orders them."""
    if not tools:
        return np.zeros(0, np.float32)
    every = _weighed([query, *clauses(query)], tools, embed or remembered())
    whole: Scores = every[0]
    wishes = every[1:]
    if not len(wishes):
        return whole
    learned = _learned(_kind(embed or remembered()))
    total: Scores = whole + learned.weights[3] * np.max(_log_shares(wishes), axis=0)
    return total


def fits(query: str, tools: Sequence[Tool], *, embed: Embed | None = None) -> float:
    """Tell how likely it is that any of the tools can do what the user wants.

    Calibrated for a question as likely to have a fitting tool as not. Arguments are as for `rank`.

    >>> from trimtab import Tool
    >>> from trimtab.tools import fits
    >>> tools = [Tool("send_mail", "Send an e-mail"), Tool("get_weather", "Tell the weather")]
    >>> fits("What is the weather in Oslo?", tools) > fits("Translate this poem", tools)
    True
    """
    if not tools:
        return 0.0
    embed = embed or remembered()
    learned = _learned(_kind(embed))
    *slopes, start = learned.fit
    return float(1 / (1 + np.exp(-(signs(query, tools, embed, learned) @ slopes + start))))


def margin(recall: float, embed: Embed | None = None) -> float:
    """Return how far below the best score the tools lie that a share of all questions needs."""
    return float(np.interp(recall, LEVELS, _learned(_kind(embed or remembered())).margins))


def clauses(query: str) -> list[str]:
    """Split a question into its wishes; none where it has only one."""
    parts = (part.strip() for part in SEAM.split(query))
    several = (part for part in parts if " " in part or not part.isascii())
    found = list(dict.fromkeys(islice(several, CLAUSES)))
    return found if len(found) > 1 else []


class Index:
    """A set of tools, read for ranking. Safe to share between threads."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._codes = np.concatenate([one.codes for one in entries])
        self._weights = np.concatenate([one.weights for one in entries])
        self._rows = np.repeat(np.arange(len(entries)), [len(one.codes) for one in entries])
        self._vectors: dict[str, Vectors] = {}

    def common(self, texts: Sequence[str]) -> tuple[Scores, Scores]:
        """Score tools by the words that they share with texts, and as a share of all words."""
        asked = [frozenset(words(text)) for text in texts]
        places = {word: place for place, word in enumerate(sorted(frozenset().union(*asked)))}
        told = self._told([code(word) for word in places])
        many = np.count_nonzero(told, axis=1)
        worth = np.log1p((len(self.entries) - many + 0.5) / (many + 0.5)) * (many > 0)
        worth *= [DIGITS if word.isdigit() else 1.0 for word in places]
        said = np.zeros((len(texts), len(places)), np.float32)
        for row, found in zip(said, asked, strict=True):
            row[[places[word] for word in found]] = 1
        said *= worth
        total: Scores = said @ told
        return total, total / (said.sum(axis=1, keepdims=True) + 1)

    def _told(self, codes: Sequence[int]) -> Scores:
        """Return how much each word tells of each tool, shape (words, tools)."""
        place = np.zeros(CODES, np.int32)
        place[codes] = np.arange(1, len(codes) + 1)
        found = place[self._codes]
        (hits,) = np.nonzero(found)
        told = np.zeros((len(codes), len(self.entries)), np.float32)
        told[found[hits] - 1, self._rows[hits]] = self._weights[hits]
        return told

    def meant(self, texts: Sequence[str], embed: Embed, learned: Learned) -> tuple[Scores, Scores]:
        """Score tools by their meaning: the cosines with texts, and what was learned of those."""
        asked, vectors = embed(texts), self.vectors(embed)
        near: Scores = asked @ vectors.T
        if learned.lift is None:
            return near, learned.weights[2] * near
        lifted = (asked @ learned.lift) @ (vectors @ learned.lift).T
        return near, learned.weights[2] * near + lifted + vectors @ learned.usual

    def vectors(self, embed: Embed) -> Vectors:
        """Embed the tools, once for each embedder."""
        mark = fingerprint(embed)
        if mark not in self._vectors:
            self._vectors[mark] = embed([one.text for one in self.entries])
        return self._vectors[mark]


@lru_cache(maxsize=64)
def _index(entries: tuple[Entry, ...]) -> Index:
    return Index(entries)


def index(tools: Sequence[Tool]) -> Index:
    """Return the index of some tools, made once for equal ones."""
    return _index(tuple(map(entry, tools)))


class Learned(NamedTuple):
    """What `benchmarks/tool_ranking/train.py` has learned for an embedder."""

    weights: NDArray[np.float32]
    """Of words, of their share, of meanings, and of the best wish beside the whole."""
    lift: Vectors | None
    """Directions that count more than others, shape (d, r); None for an embedder not known."""
    usual: NDArray[np.float32]
    """The direction of what tools are often asked for, shape (d,)."""
    margins: NDArray[np.float32]
    """How far below the best the worst needed tool is, for the shares of `LEVELS`."""
    fit: NDArray[np.float32]
    """What each of the `signs` tells, and where they start."""


@lru_cache(maxsize=8)
def _learned(kind: str) -> Learned:
    with np.load(Path(__file__).with_name("ranking.npz")) as saved:
        found = {name: saved[f"{kind or MINILM} {name}"].astype(np.float32) for name in PARTS}
    return Learned(**{**found, "lift": found["lift"] if kind else None})


def _kind(embed: Embed) -> str:
    """Name what was learned for an embedder; nothing for one that is not known."""
    mark = fingerprint(embed)
    return MINILM if "all-MiniLM-L6-v2/" in mark else STATIC if mark == Static.fingerprint else ""


def _weighed(texts: Sequence[str], tools: Sequence[Tool], embed: Embed) -> Scores:
    """Score tools for each text, shape (texts, tools)."""
    found = index(tools)
    learned = _learned(_kind(embed))
    common, share = found.common(texts)
    _, meant = found.meant(texts, embed, learned)
    total: Scores = learned.weights[0] * common + learned.weights[1] * share + meant
    return total


def signs(query: str, tools: Sequence[Tool], embed: Embed, learned: Learned) -> Scores:
    """Return what tells whether a tool fits: meanings, and how much of a name is spoken of."""
    near, meant = index(tools).meant([query, *clauses(query)], embed, learned)
    said = frozenset(words(query))
    names = [frozenset(words(name_words(tool.name))) for tool in tools]
    named = max(len(name & said) / max(len(name), 1) for name in names)
    return np.array([near.max(), meant.max(), named], np.float32)


def _log_shares(rows: Scores) -> Scores:
    """Return the logarithms of the tools' shares in each wish: one tool for each stands out."""
    sharp = SHARPNESS * (rows - rows.max(axis=1, keepdims=True))
    shares: Scores = sharp - np.log(np.exp(sharp).sum(axis=1, keepdims=True))
    return shares
