"""Not waiting again for a server that is down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

MISHAPS = 3
"""So many calls in a row must fail, because one slow answer is no outage."""
PAUSE = 1.0
"""Seconds after which an outage is looked at again."""


class Outage:
    """Raises at once while a server is known to be down.

    Each call to a model asks the cache several times. A server that never answers would otherwise
    cost the timeout each time.
    """

    def __init__(self, *errors: type[Exception]) -> None:
        self._errors = errors
        self._mishaps, self._since, self._last = 0, 0.0, ""

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Notice whether the server answers; what it answers does not matter.

        Raises:
            ConnectionError: It was down a moment ago, and was not asked.
        """
        if self._mishaps >= MISHAPS and time.monotonic() - self._since < PAUSE:
            raise ConnectionError(f"not asked, because it was down a moment ago: {self._last}")
        try:
            yield
        except self._errors as error:
            self._last = f"{type(error).__name__}: {error}"
            self._since = time.monotonic()
            self._mishaps += 1
            raise
        except Exception:
            self._mishaps = 0
            raise
        self._mishaps = 0
