"""The smallest text that says exactly the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from trimtab.compress import log as log_codec
from trimtab.compress import records
from trimtab.errors import NotOurs
from trimtab.tokens import counter_for
from trimtab.types import Counter


@dataclass(frozen=True)
class Codec:
    """One notation: how to write a text in it, and how to read it back."""

    header: str
    """How its texts start."""
    encode: Callable[[str, Counter], str | None]
    """Text -> body, or None where the notation does not suit the text."""
    decode: Callable[[str], str]
    """Body -> the text."""
    looks: str = ""
    """A regular expression for how its texts start, where the header alone says too little."""

    def wrote(self, text: str) -> bool:
        """Whether a text looks like one in this notation."""
        return re.match(self.looks or re.escape(self.header), text) is not None


UNREADABLE = (ValueError, IndexError, KeyError, SyntaxError, RecursionError)
"""What codecs raise on a text that none of them wrote."""
AS_IS = "[as is]\n"
"""Stands before a text that happens to look like one of ours."""
CODECS = (
    Codec(records.HEADER, records.encode, records.decode, records.LOOKS),
    Codec(log_codec.HEADER, log_codec.encode, log_codec.decode),
)


@dataclass(frozen=True)
class Lossless:
    """Writes JSON, logs, listings and the like in fewer tokens, so that `restore` undoes it.

    Each result is read back and compared before it is used. A text that no notation shortens
    stays as it is.

    >>> from trimtab.compress import Lossless, restore
    >>> rows = '[{"id": "A-1", "state": "open"}, {"id": "A-2", "state": "open"}]'
    >>> print(Lossless()(rows))
    json:[(id state=open)
    A-1
    A-2]
    >>> restore(Lossless()(rows)) == rows
    True
    """

    count: Counter | None = None
    """What to save on; o200k_base tokens if it is not given."""

    def __call__(self, text: str, query: str = "") -> str:
        """Return the shortest of the notations that suit the text, or the text."""
        count = self.count or counter_for("gpt-4o")
        candidates = (_write(codec, text, count) for codec in CODECS)
        best = min((c for c in candidates if c is not None), key=count, default=None)
        if best is not None and count(best) < count(text):
            return best
        return AS_IS + text if _looks_ours(text) else text


def restore(text: str) -> str:
    """Undo `Lossless`. A text that it left alone comes back as it is.

    Raises:
        NotOurs: The text starts like one of ours and cannot be read, or stands for more than any
            that is.
    """
    if text.startswith(AS_IS):
        return text[len(AS_IS) :]
    for codec in CODECS:
        if codec.wrote(text):
            return _read(codec, text)
    return text


def _write(codec: Codec, text: str, count: Counter) -> str | None:
    """Encode, and make sure that it can be undone."""
    try:
        body = codec.encode(text, count)
        if body is None or codec.decode(body) != text:
            return None
    except UNREADABLE:
        return None
    return codec.header + body


def _read(codec: Codec, text: str) -> str:
    try:
        return codec.decode(text[len(codec.header) :])
    except UNREADABLE as error:
        raise NotOurs(f"this starts with {codec.header!r}, but cannot be read") from error


def _looks_ours(text: str) -> bool:
    return text.startswith(AS_IS) or any(codec.wrote(text) for codec in CODECS)
