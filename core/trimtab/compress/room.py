"""A bound on what a text may grow to when it is read back, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MOST = 10_000_000
"""Characters. Nobody sends a model so many, and a few marks could stand for far more."""


class Room:
    """Room for so many characters."""

    def __init__(self, characters: int = MOST) -> None:
        self.left = characters

    def take(self, characters: int) -> None:
        """Take some of the room.

        Raises:
            ValueError: So much is not left.
        """
        self.left -= characters
        if self.left < 0:
            raise ValueError(f"it stands for more than {MOST:,} characters")

    def hold(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the pieces of a text while there is room for them."""
        for piece in pieces:
            self.take(len(piece))
            yield piece
