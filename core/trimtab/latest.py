"""What was noted last, and no more of it than there is use for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")
REMEMBERED = 1024


class Latest(Generic[Value]):
    """What was noted lately of calls, by their keys. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: OrderedDict[str, Value] = OrderedDict()

    def __setitem__(self, key: str, value: Value) -> None:
        """Note a value, and forget the oldest of too many."""
        with self._lock:
            self._noted[key] = value
            self._noted.move_to_end(key)
            if len(self._noted) > REMEMBERED:
                self._noted.popitem(last=False)

    def pop(self, key: str) -> Value | None:
        """Take a value out, if it is still there."""
        with self._lock:
            return self._noted.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._noted.clear()
