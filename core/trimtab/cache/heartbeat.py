"""Keeps leases alive while somebody works under them."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.cache.store import Leases

BEATS = 3
"""How often a lease is renewed in its length, so that one lost beat does not lose the lease."""
LINGER = 2.0
"""Seconds that the thread stays after its last lease, because the next is often near."""
LAST_WORDS = 1.0
"""Seconds that the end of the process waits for leases to be given back."""


@dataclass(frozen=True, eq=False)
class Lease:
    """The right of one owner to work on a key, for some seconds at a time."""

    leases: Leases
    key: str
    owner: str
    seconds: float

    def claim(self) -> bool:
        """Take or renew it."""
        return self.leases.claim(self.key, self.owner, self.seconds)

    def release(self) -> None:
        """Give it back, if it is held."""
        self.leases.release(self.key, self.owner)


class Heartbeat:
    """One daemon thread that renews leases and gives them back; it runs while there are any.

    Givers do not wait for the store, so that giving back is safe in an event loop. A forked child
    starts with none: the leases are its parent's.
    """

    def __init__(self, linger: float = LINGER) -> None:
        self._linger = linger
        self._due: dict[Lease, float] = {}
        self._wanted: dict[Lease, Callable[[], bool]] = {}
        self._ended: list[Lease] = []
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._changed.acquire,
                after_in_parent=self._changed.release,
                after_in_child=self._forget,
            )
        atexit.register(self._say_goodbye)

    def hold(self, lease: Lease, wanted: Callable[[], bool]) -> None:
        """Renew a lease that was just claimed, for as long as it is wanted."""
        with self._changed:
            self._due[lease] = time.monotonic() + lease.seconds / BEATS
            self._wanted[lease] = wanted
            self._wake()

    def let_go(self, lease: Lease) -> None:
        """Stop renewing a lease, and give it back soon."""
        with self._changed:
            self._drop(lease)
            self._ended.append(lease)
            self._wake()

    @property
    def running(self) -> bool:
        """Tell whether the thread is there."""
        return self._thread is not None

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="trimtab-leases", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The process ends, or has no thread left: the lease runs out by itself.
            return
        self._thread = thread

    def _drop(self, lease: Lease) -> None:
        self._due.pop(lease, None)
        self._wanted.pop(lease, None)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            ended, due = work
            for lease in ended:
                _quietly(lease.release)
            for lease in due:
                self._beat(lease)

    def _next(self) -> tuple[list[Lease], list[Lease]] | None:
        """Wait for work; None ends the thread, because there was none for a while."""
        idle_since = time.monotonic()
        with self._changed:
            while True:
                now = time.monotonic()
                due = [lease for lease, time_due in self._due.items() if time_due <= now]
                if self._ended or due:
                    ended, self._ended = self._ended, []
                    return ended, due
                if not self._due and now - idle_since >= self._linger:
                    self._thread = None
                    self._changed.notify_all()  # for who says goodbye
                    return None
                self._changed.wait(min(self._due.values(), default=now + self._linger) - now)

    def _beat(self, lease: Lease) -> None:
        """Renew a lease. One that another owner has by now is not fought for."""
        with self._changed:
            wanted = self._wanted.get(lease)
        if wanted is None:
            return
        if not wanted():
            return self.let_go(lease)
        renewed = _quietly(lease.claim)
        with self._changed:
            if lease not in self._due:
                # Let go in the meantime: the release that waits in line undoes this claim.
                return
            if renewed is False:
                return self._drop(lease)
            # A store that failed may be back before the lease has run out.
            pause = lease.seconds / BEATS if renewed else lease.seconds / BEATS**2
            self._due[lease] = time.monotonic() + pause

    def _say_goodbye(self) -> None:
        """Give everything back at the end of the process, so that others need not wait it out."""
        with self._changed:
            for lease in list(self._due):
                self._drop(lease)
                self._ended.append(lease)
            self._linger = 0.0
            self._changed.notify_all()
            if self._thread is not None:
                self._changed.wait_for(lambda: self._thread is None, LAST_WORDS)

    def _forget(self) -> None:
        self._due.clear()
        self._wanted.clear()
        self._ended.clear()
        self._thread = None
        self._changed.release()


@cache
def heartbeat() -> Heartbeat:
    """Return the heartbeat of this process."""
    return Heartbeat()


def _quietly(work: Callable[[], bool | None]) -> bool | None:
    """Do what may fail; None says that it did. A lease that nobody renews runs out by itself."""
    try:
        return work()
    except Exception:
        return None
