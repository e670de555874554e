"""What a cache asks of the place where it keeps its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trimtab.types import Vector


class Store(Protocol):
    """Texts by key. Any of its methods may be called from several threads at once."""

    def load(self, key: str) -> str | None:
        """Return the text kept under a key, unless it has expired."""

    def save(self, key: str, text: str, *, ttl: float | None = None, worth: float = 0.0) -> None:
        """Keep a text for so many seconds; `worth`: dollars that finding it again saves."""

    def drop(self, key: str) -> None:
        """Forget a key, and its vector, if it is there."""

    def clear(self) -> None:
        """Forget everything, leases included."""


class Leases(Protocol):
    """Says who of several processes may ask the model."""

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take a lease that is free or ran out, or prolong one's own; False if another has it."""

    def release(self, key: str, owner: str) -> None:
        """Give a lease back; another owner's stays as it is."""


@dataclass(frozen=True)
class Near:
    """A question that was answered before, and how near it is."""

    key: str
    """Where its answer is kept."""
    question: str
    vector: Vector
    """As it was placed, up to rounding to half precision."""
    similarity: float
    """Cosine."""
    note: bytes = b""
    """What the verifier wrote down of the question."""


class Vectors(Protocol):
    """Finds questions by meaning, inside one partition, and never in another."""

    def place(self, partition: str, near: Near, *, ttl: float | None = None) -> None:
        """Make the answer under `near.key` findable. Placing a key again replaces it."""

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
