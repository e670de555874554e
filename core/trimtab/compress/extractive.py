"""Documents cut down to the sentences that a question needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trimtab.compress.documents import Document, read, sections
from trimtab.compress.evidence import Readers, evidence, readers
from trimtab.compress.packing import pack
from trimtab.embed import Remembered, embedder, remembered
from trimtab.relevance import words
from trimtab.tokens import counter_for
from trimtab.types import Counter

if TYPE_CHECKING:
    from trimtab.compress.signals import Floats, Passages


@dataclass(frozen=True)
class Extractive:
    """Keeps the sentences that a question needs, whole and in their order, within a budget.

    A sentence is scored by the words it shares with the question, by its meaning as it reads in
    its document, by its title and its neighbours, by whether it holds the kind of thing that is
    asked for, and by what it has to do with the best sentences of other documents. A title or a
    heading is kept, and counted, where what is kept under it does not name it. What is written
    twice is kept once. Without a question, what is nearest to the whole is kept.

    Vectors are remembered by content: call `remember` with documents when they come in, and at
    the time of the question only the question is embedded.

    Raises:
        ValueError: A setting is out of its range.

    >>> from trimtab.compress import Extractive
    >>> text = "A second bag costs thirty dollars. Seats are chosen at check-in. No pets."
    >>> Extractive(budget=10)(text, "How much is a second bag?")
    'A second bag costs thirty dollars.'
    """

    budget: int | Literal["auto"] | None = None
    """Tokens that all that is kept may have. "auto" keeps as little as `confidence` allows."""
    ratio: float = 4.0
    """Without a budget: how many times less to keep."""
    confidence: float = 0.95
    """For "auto": how often what is needed is to be kept, on questions like those trained on."""
    embed: Any = None
    """What `trimtab.embed.embedder` takes. MiniLM where the extra `semantic` is installed, else
    `Static`, which needs no weights but those that come along."""
    count: Counter | None = None
    """o200k_base tokens if it is not given."""

    def __post_init__(self) -> None:
        if isinstance(self.budget, str) and self.budget != "auto":
            raise ValueError(f'budget must be a number of tokens or "auto", got {self.budget!r}')
        if isinstance(self.budget, int) and self.budget < 1:
            raise ValueError(f"budget must be at least 1 token, got {self.budget}")
        if not self.ratio >= 1:
            raise ValueError(f"ratio must be at least 1, got {self.ratio}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be between 0 and 1, got {self.confidence}")

    def __call__(self, text: str, query: str) -> str:
        """Return what the question needs of one text, of which each paragraph is a document."""
        blocks, count = sections(text), self._count
        budget = most = self._tokens(count(text))
        while budget > 0:
            kept = self._cut(blocks, query, budget)
            if kept == blocks:
                return text
            joined = "\n\n".join(part.strip("\n") for part in kept if part)
            if (over := count(joined) - most) <= 0:
                return joined
            budget -= over
        return ""

    def many(
        self, documents: Sequence[str], query: str, *, titles: Sequence[str] | None = None
    ) -> list[str]:
        """Return what the question needs of each document, within one budget for all of them.

        As many texts, in the same order; an empty one where nothing is kept of a document. Titles
        say what documents are of where their texts do not: they help to find sentences, and are
        neither returned nor counted; an empty one is none.
        """
        budget = self._tokens(sum(map(self._count, documents)))
        return self._cut(documents, query, budget, titles)

    def _cut(
        self,
        documents: Sequence[str],
        query: str,
        budget: int,
        titles: Sequence[str] | None = None,
    ) -> list[str]:
        total = sum(map(self._count, documents))
        if not documents or (total <= budget and self.budget != "auto"):
            return list(documents)
        found = _titled(documents, titles)
        passages = self._readers.passages(found)
        if not len(passages.sentences):
            return list(documents)
        scores = self._scores(query, passages)
        order = np.argsort(-scores, kind="stable")
        if self.budget == "auto":
            order = order[: self._enough(scores[order])]
        places = ((int(passages.owner[i]), int(passages.place[i])) for i in order)
        return pack(found, places, budget, self._count)

    def remember(self, documents: Sequence[str], *, titles: Sequence[str] | None = None) -> None:
        """Embed documents ahead of the questions."""
        if documents:
            self._readers.passages(_titled(documents, titles))

    @property
    def _count(self) -> Counter:
        return self.count or counter_for("gpt-4o")

    def _tokens(self, total: int) -> int:
        if isinstance(self.budget, int):
            return self.budget
        return total if self.budget == "auto" else math.floor(total / self.ratio)

    @cached_property
    def _readers(self) -> Readers:
        if self.embed is None:
            return readers(remembered())
        known = isinstance(self.embed, Remembered)
        return readers(self.embed if known else Remembered(embedder(self.embed)))

    def _scores(self, query: str, passages: Passages) -> Floats:
        if not words(query):
            return _central(passages)
        asked = self._readers.ask(query)
        return evidence(self._readers.kind).scores(query, asked, passages)

    def _enough(self, scores: Floats) -> int:
        """Say how many of the best sentences make it likely enough that what is needed is kept."""
        mass = evidence(self._readers.kind).mass(self.confidence)
        chances = np.exp(scores - scores.max())
        shares = np.cumsum(chances) / chances.sum()
        return int(np.searchsorted(shares, mass)) + 1


def _titled(documents: Sequence[str], titles: Sequence[str] | None) -> list[Document]:
    """Read documents, and give those a title that do not say theirs."""
    found = [read(text) for text in documents]
    if titles is None:
        return found
    pairs = zip(found, titles, strict=True)
    return [doc if doc.title else replace(doc, title=title) for doc, title in pairs]


def _central(passages: Passages) -> Floats:
    """Score sentences by how near they are to all of them, the first ones of each text first."""
    vectors = passages.vectors[0]
    found: Floats = vectors @ vectors.mean(axis=0) - 0.05 * np.minimum(passages.place, 20)
    return found
