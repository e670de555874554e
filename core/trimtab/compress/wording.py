"""Instructions in fewer words."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.tokens import counter_for
from trimtab.types import Counter
from trimtab.wording import tidy_space, tighten


@dataclass(frozen=True)
class Tighten:
    """Says what an English text says in fewer words, each rule of it kept.

    Made for instructions: a question, whatever it asks for, leaves no trace in the result. Numbers,
    negations, modal verbs, conditions, names, quotations, code and variables stay as they are, or
    else only white space goes.

    >>> from trimtab.compress import Compress, Tighten
    >>> step = Compress(Tighten(), roles=("system",))
    >>> Tighten()("In the event that an order is late, say why.", "")
    'If order is late, say why.'
    """

    articles: bool = True
    """Whether "the" and "a" go where that changes nothing."""
    terse: bool = False
    """Whether to contract ("do not" to "don't"), and to drop bold print and "that are", too."""
    count: Counter | None = None
    """What to save on; o200k_base tokens if it is not given."""

    def __call__(self, text: str, query: str = "") -> str:
        """Return the text in fewer tokens, or this very text."""
        count = self.count or counter_for("gpt-4o")
        ways = (tighten(text, articles=self.articles, terse=self.terse), tidy_space(text))
        return next((way for way in ways if count(way) < count(text)), text)
