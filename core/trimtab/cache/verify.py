"""Whether one answer serves two questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trimtab.embed import fingerprint

if TYPE_CHECKING:
    from trimtab.types import Embed, Vector


@dataclass(frozen=True)
class Reading:
    """What is kept of a question to compare it with others."""

    text: str
    vector: Vector
    note: bytes


class Reader:
    """Compares questions by what an embedder makes of them."""

    def __init__(self, embed: Embed) -> None:
        self.embed = embed
        self.fingerprint = fingerprint(embed)

    def read(self, text: str) -> Reading:
        """Read a question, in one pass of the embedder."""
        return Reading(text, self.embed([text])[0], b"")

    def same(self, one: Reading, other: Reading) -> float:
        """Return the probability that one answer serves both."""
        return max(0.0, float(one.vector @ other.vector))
