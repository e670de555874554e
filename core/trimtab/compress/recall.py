"""What was left out of a text, kept so that a model can ask for it."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from trimtab.compress.lines import Lines, lines_of
from trimtab.types import RunnableTool, Tool

NAME = "recall"
TOOL = Tool(
    NAME,
    "Original text behind a [... left out] note",
    {
        "type": "object",
        "properties": {
            "handle": {"type": "string"},
            "lines": {"type": "string"},
            "query": {"type": "string"},
        },
        "required": ["handle"],
    },
)
"""Short, because its definition is sent with every request."""
DIGITS = 9
"""Digits cost a token for three; hexadecimal costs nearly one for each."""
FOUND = 6_000
"""Characters that an answer to a query may have."""
AROUND = 2
"""Lines shown before and after one that a query finds."""


class Recent(MutableMapping[str, str]):
    """Texts in memory, the least recently used of which go first. Safe to share between threads.

    Args:
        characters: How much all texts together may take.
        age: Seconds after which a text that nobody wrote or read is forgotten.

    >>> from trimtab.compress import Originals, Recent
    >>> originals = Originals(Recent(characters=1_000_000, age=3600))
    """

    def __init__(self, characters: int = 50_000_000, age: float = 86_400.0) -> None:
        if characters < 1 or age <= 0:
            raise ValueError(f"the limits must be positive, got {characters} and {age}")
        self.characters = characters
        self.age = age
        self._texts: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._size = 0
        self._lock = threading.RLock()

    def __getitem__(self, key: str) -> str:
        """Return a text, and count it as used."""
        with self._lock:
            self._forget()
            text = self._texts[key][0]
            self._texts[key] = text, time.monotonic()
            self._texts.move_to_end(key)
            return text

    def __setitem__(self, key: str, text: str) -> None:
        """Keep a text. One that is larger than all there is room for is not kept."""
        with self._lock:
            if key in self._texts:
                del self[key]
            self._texts[key] = text, time.monotonic()
            self._size += len(text)
            self._forget()

    def __delitem__(self, key: str) -> None:
        """Forget a text."""
        with self._lock:
            self._size -= len(self._texts.pop(key)[0])

    def __iter__(self) -> Iterator[str]:
        """Go through the keys, the least recently used first."""
        with self._lock:
            self._forget()
            return iter(tuple(self._texts))

    def __len__(self) -> int:
        """Count the texts."""
        with self._lock:
            self._forget()
            return len(self._texts)

    def _forget(self) -> None:
        oldest = time.monotonic() - self.age
        while self._texts:
            key, (_, used) = next(iter(self._texts.items()))
            if used >= oldest and self._size <= self.characters:
                return
            del self[key]


class Originals:
    """Texts by a short handle that depends on nothing but the text.

    Whoever knows a handle can read the text, so tenants who must not read each other's need
    an `Originals` each.

    Args:
        store: Any mapping; a `Recent` if it is not given.
        remember: For how many texts it is known, whatever becomes of the store, whether a
            handle was given out, so that a model is not told one thing today and another tomorrow.

    >>> from trimtab.compress import Originals
    >>> originals = Originals()
    >>> handle = originals.keep("a long text")
    >>> originals.tool.run({"handle": handle})
    'a long text'
    """

    def __init__(
        self, store: MutableMapping[str, str] | None = None, *, remember: int = 10_000
    ) -> None:
        self.store = Recent() if store is None else store
        self.remember = remember
        self._handles: OrderedDict[str, str | None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def tool(self) -> RunnableTool:
        """The tool with which a model asks for what was left out."""
        return RunnableTool(TOOL, self.recall)

    def keep(self, text: str) -> str | None:
        """Make sure that a text is in the store; None if, the first time, it would not go in."""
        address = _address(text)
        with self._lock:
            known, handle = address in self._handles, self._handles.get(address)
        if not known:
            handle = self._write(text, address)
            with self._lock:
                self._handles[address] = handle
                if len(self._handles) > self.remember:
                    self._handles.popitem(last=False)
        elif handle is not None:
            self.refresh(handle, text)
        return handle

    def refresh(self, handle: str, text: str) -> None:
        """Put back what the store has forgotten while the conversation still goes on."""
        try:
            if self.store.get(handle) is None:
                self.store[handle] = text
        except Exception:
            return

    def get(self, handle: str) -> str | None:
        """Return the text, or None if it is gone."""
        return self.store.get(handle)

    def recall(self, arguments: Mapping[str, Any]) -> str:
        """Answer a model. What it gets wrong is explained to it, and never raised."""
        handle = re.sub(r"\W", "", str(arguments.get("handle") or ""))
        try:
            text = self.get(handle) if handle else None
        except Exception:
            text = None
        if text is None:
            return (
                f"There is no text {handle!r}: the handle is wrong, or the text is no longer "
                "kept. Call the tool that first returned it again."
            )
        wanted, query = arguments.get("lines"), str(arguments.get("query") or "")
        if wanted:
            return _range(lines_of(text), str(wanted))
        return _matches(lines_of(text), query) if query.strip() else text

    def _write(self, text: str, address: str) -> str | None:
        """Write, then read back: a store may refuse, or forget at once."""
        try:
            for size in range(DIGITS, len(address) + 1, 3):
                handle = address[:size]
                if self.store.get(handle) in (None, text):
                    self.store[handle] = text
                    return handle if self.store.get(handle) == text else None
        except Exception:
            return None
        return None


def offered(tools: Sequence[Tool]) -> bool:
    """Tell whether the recall tool is there, and not another that happens to have its name."""
    return any(t.name == NAME and "handle" in t.parameters.get("properties", {}) for t in tools)


@lru_cache(maxsize=256)
def _address(text: str) -> str:
    """Digits of a text's digest, the first of them not a zero, lest a model write a number."""
    value = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest(), "big")
    return str(1 + value % 9) + str(value // 9).zfill(60)[-29:]


def _range(lines: Lines, wanted: str) -> str:
    """Return the lines that "12-49", "12-", "7" or "3-5,9" name."""
    total = len(lines.lines)
    spans = re.findall(r"(\d{1,9})(?:\s*(-|:|to|\.\.)\s*(\d{1,9})?)?", wanted)
    if not spans:
        return f'The lines must be like "12-49", not {wanted!r}; the text has {total}.'
    edges = [(int(a), int(b) if b else total if sign else int(a)) for a, sign, b in spans]
    found = "".join(lines.between(a, b) for a, b in edges if a <= b)
    return found or f"There are no lines {wanted!r}; the text has {total}."


def _matches(lines: Lines, query: str) -> str:
    """Return what holds most of a query's words, in the order of the text."""
    words = set(re.findall(r"\w+", query.lower()))
    rows = lines.rows()
    spans = [(row.first, row.last) for row in rows] or [(i, i) for i in range(len(lines.lines))]
    texts = [lines.between(a + 1, b + 1).lower() for a, b in spans]
    scores = [sum(word in text for word in words) for text in texts]
    best = max(scores, default=0)
    if not best:
        return f"No line has any of these words; the text has {len(lines.lines)} lines."
    near = 0 if rows else AROUND
    chosen: set[int] = set()
    size = 0
    for i in (i for i, score in enumerate(scores) if score == best):
        fresh = set(range(max(i - near, 0), min(i + near + 1, len(spans)))) - chosen
        size += sum(len(texts[k]) for k in fresh)
        if chosen and size > FOUND:
            break
        chosen |= fresh
    return _groups(lines, [spans[i] for i in sorted(chosen)])


def _groups(lines: Lines, spans: Sequence[tuple[int, int]]) -> str:
    """Join spans of lines, each group of neighbours under its numbers."""
    groups: list[tuple[int, int]] = []
    for first, last in spans:
        if groups and groups[-1][1] + 1 == first:
            groups[-1] = groups[-1][0], last
        else:
            groups.append((first, last))
    parts = (
        f"lines {a + 1}-{b + 1}:\n" + lines.between(a + 1, b + 1).rstrip("\n") for a, b in groups
    )
    return "\n".join(parts)
