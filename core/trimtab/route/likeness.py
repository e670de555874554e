"""What routers that learn from rows share: vectors of texts, how far apart they are, in JSON."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.embed import Remembered, embedder, remembered
from trimtab.static import Static
from trimtab.types import Embed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


def squares(one: Numbers, other: Numbers) -> Numbers:
    """Return the squared distance of each line to each."""
    own, theirs = np.square(one).sum(axis=1), np.square(other).sum(axis=1)
    return np.asarray(np.maximum(own[:, None] + theirs - 2 * one @ other.T, 0))


def vectors(embed: Embed, texts: Sequence[str]) -> Numbers:
    """Embed texts, in double precision."""
    return np.asarray(embed(texts), float)


def remembering(embed: Any) -> Remembered:
    """Return an embedder that remembers what it has read."""
    made = remembered() if embed is None else embedder(embed)
    return made if isinstance(made, Remembered) else Remembered(made, size=10_000)


def embedder_of(wanted: str, embed: Any) -> Embed:
    """Return what rows were embedded with.

    Raises:
        ValueError: It is another one, whose vectors mean nothing here.
    """
    if embed is None and wanted == Static.fingerprint:
        embed = Static()
    found = remembering(embed)
    if found.fingerprint != wanted:
        raise ValueError(
            f"it was fitted with the embedder {wanted!r}, got {found.fingerprint!r}:"
            " give the same as `embed`, or fit again"
        )
    return found


def packed(numbers: Numbers, kind: str = "<f4") -> str:
    """Write numbers for JSON, in a type of numpy's."""
    return b64encode(numbers.astype(kind).tobytes()).decode()


def unpacked(text: str, kind: str = "<f4") -> Numbers:
    """Read what `packed` wrote."""
    return np.frombuffer(b64decode(text), kind).astype(float)
