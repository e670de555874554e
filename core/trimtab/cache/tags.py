"""Names for the data that answers are made from, so that they can be forgotten with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from trimtab.cache.store import Store

EPOCH = "epoch:"
"""How the keys start under which a store keeps epochs. No key of a request does."""
_tags: ContextVar[frozenset[str]] = ContextVar("trimtab_tags", default=frozenset())


@contextmanager
def tagged(*names: str) -> Iterator[None]:
    """Say what the answers to requests made in this block are made from.

    Blocks inside others add their names. `ExactCache.invalidate` forgets by them.

    >>> from trimtab import Message, Request, Response
    >>> from trimtab.cache import ExactCache, tagged
    >>> cache, request = ExactCache(), Request("gpt-4o", (Message("user", "What is in stock?"),))
    >>> with tagged("stock"):
    ...     cache.put(request, Response(Message("assistant", "Two kayaks.")))
    >>> cache.invalidate("stock")
    >>> cache.get(request) is None
    True
    """
    token = _tags.set(_tags.get().union(names))
    try:
        yield
    finally:
        _tags.reset(token)


def current_tags() -> frozenset[str]:
    """Return the names of all `with tagged(...)` blocks around this place."""
    return _tags.get()


class Epochs:
    """The epoch of each tag: a random token that is replaced when the tag's data changes.

    Tokens and no numbers, so that a store which loses one can only make answers unknown.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def current(self, names: Iterable[str]) -> dict[str, str]:
        """Return the epochs of tags, and start those that have none."""
        return {name: self.store.load(EPOCH + name) or self._start(name) for name in sorted(names)}

    def hold(self, noted: Mapping[str, str], known: Mapping[str, str]) -> bool:
        """Tell whether noted epochs are still the current ones, some of which the caller knows."""
        return all(
            (known.get(name) or self.store.load(EPOCH + name)) == token
            for name, token in noted.items()
        )

    def end(self, names: Iterable[str]) -> None:
        """Replace the epochs of tags: what was noted under the old ones no longer holds."""
        for name in names:
            self._start(name)

    def _start(self, name: str) -> str:
        token = secrets.token_hex(8)
        self.store.save(EPOCH + name, token)
        return token
