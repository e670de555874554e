"""What is noted of a question until its answer comes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.types import digest

OPEN = 4096
"""Of how many requests it is noted that they were asked."""


@dataclass(frozen=True)
class Asked:
    """A question, and the data that its answer will be made from."""

    key: str
    epochs: Mapping[str, str] = field(default_factory=dict)
    """The epoch of each tag when it was asked."""

    @property
    def place(self) -> str:
        """Where others may wait for the answer: not those who asked after the data changed."""
        return digest([self.key, self.epochs]) if self.epochs else self.key


class Notes:
    """Remembers what was asked, and by whom, because the answer may come from another thread."""

    def __init__(self) -> None:
        # Of a kind that a finalizer may take in the very thread that has it.
        self._lock = threading.RLock()
        self._asked: OrderedDict[str, dict[int, tuple[Asked, int]]] = OrderedDict()

    def add(self, asked: Asked, owner: int) -> None:
        """Note a question. One that its owner asked before the data changed is given up."""
        with self._lock:
            owners = self._asked.setdefault(asked.key, {})
            before, times = owners.get(owner, (asked, 0))
            owners[owner] = asked, times + 1 if before == asked else 1
            if len(self._asked) > OPEN:
                self._asked.popitem(last=False)

    def take(self, key: str, owner: int) -> Asked | None:
        """Return what the owner asked, or whoever asked first, for each time it was noted."""
        with self._lock:
            owners = self._asked.get(key)
            if not owners:
                return None
            who = owner if owner in owners else next(iter(owners))
            asked, times = owners.pop(who)
            if times > 1:
                owners[who] = asked, times - 1
            if not owners:
                del self._asked[key]
            return asked

    def clear(self) -> None:
        """Forget what is noted."""
        with self._lock:
            self._asked.clear()
