"""One call for many askers."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from trimtab.cache.askers import Asker, Later, Owner, Question, askers, current_owner
from trimtab.cache.heartbeat import Lease, heartbeat

if TYPE_CHECKING:
    import asyncio

    from trimtab.cache.store import Leases

log = logging.getLogger("trimtab")
TICK = 0.5
"""Seconds between two looks of who waits at whether somebody still works on it."""
POLLS = (0.005, 0.25)
"""Seconds between two looks at what another process does: the first, and at most."""
Answer = TypeVar("Answer")
Found = TypeVar("Found")


class Flight(Generic[Answer]):
    """Lets one asker work on a question while the others wait for the answer.

    Who gets None from `join` works on it, and must say `land` or `drop`, from whatever thread.
    Mostly that is one at a time. But nobody waits for what depends on its own going on, or longer
    than `patience`, and an answer that is not kept lets all who wait go at once.

    Args:
        leases: Where several processes agree on one asker. One that fails is left out, logged once
            and counted in `failures`.
        lease_seconds: How long others wait for a process that died.
        patience: Seconds. Who works longer is taken for lost; who waited so long works for itself.
    """

    def __init__(
        self,
        leases: Leases | None = None,
        *,
        lease_seconds: float = 10.0,
        patience: float = 120.0,
    ) -> None:
        if lease_seconds <= 0 or patience <= 0:
            raise ValueError(f"must be positive: {lease_seconds=}, {patience=}")
        self.leases = leases
        self.lease_seconds = lease_seconds
        self.patience = patience
        self.failures = 0
        self._askers = askers()

    def join(
        self, key: str, look: Callable[[], Answer | None], *, bound: bool = False
    ) -> Answer | None:
        """Wait for the answer; None makes it the caller's to find.

        Args:
            key: What is asked.
            look: Loads the answer that another process may have stored in the meantime.
            bound: True where the caller gives no sign when it fails: it then counts as failed once
                its task or its thread has ended, or asks again.
        """
        bell = threading.Lock()
        bell.acquire()
        asker = self._seat(key, Asker(current_owner(), bell.release, blocks=True, bound=bound))
        with self._present(asker):
            while asker.waits:
                bell.acquire(timeout=self._nap(asker))
                self._check(asker)
            while asker.asks:
                claimed = self._tried(partial(self._claim, asker))
                self._judge(asker, claimed, self._tried(look))
                if asker.asks:
                    time.sleep(_pause(asker))
        return cast("Answer | None", asker.answer)

    async def ajoin(
        self, key: str, look: Callable[[], Awaitable[Answer | None]], *, bound: bool = False
    ) -> Answer | None:
        """Do the same, awaiting."""
        import asyncio

        from trimtab.cache.aside import aside

        bell: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wake = partial(_ring, bell)
        asker = self._seat(key, Asker(current_owner(), wake, blocks=False, bound=bound))
        with self._present(asker):
            while asker.waits:
                await asyncio.wait((bell,), timeout=self._nap(asker))
                self._check(asker)
            while asker.asks:
                claimed = await self._atried(partial(aside, self._claim, asker))
                self._judge(asker, claimed, await self._atried(look))
                if asker.asks:
                    await asyncio.sleep(_pause(asker))
        return cast("Answer | None", asker.answer)

    def land(self, key: str, answer: Answer) -> None:
        """Give the answer, which is stored by now if it can be, to all who wait."""
        with self._askers.changing() as later:
            if (question := self._askers.questions.get((self, key))) is not None:
                self._askers.land(question, answer, later)

    def drop(self, key: str, *, retry: bool) -> None:
        """Say that the caller of `join` has no answer to give.

        Args:
            key: What it was asked.
            retry: True where it failed, and the next one tries. False where an answer would not
                be kept, and all who wait find their own.
        """
        with self._askers.changing() as later:
            self._drop(key, retry, current_owner(), later)

    def forsake(self, key: str) -> None:
        """Say from a finalizer that the caller failed. Takes no lock, so others see it later."""
        self._askers.lost.append(partial(self._drop, key, True, current_owner()))

    def drop_owned(self, owner: Owner | None = None) -> None:
        """Say that whatever this task or thread, or a given one, joined `bound` has failed."""
        me = current_owner() if owner is None else owner
        with self._askers.changing() as later:
            for question in list(self._askers.questions.values()):
                kept = [w for w in question.workers if not (w.bound and w.owner == me)]
                if question.place[0] is self and len(kept) < len(question.workers):
                    question.workers[:] = kept
                    self._askers.tidy(question, later)

    def _seat(self, key: str, asker: Asker) -> Asker:
        """Let somebody wait, if that can end, or begin."""
        everyone = self._askers
        with everyone.changing() as later:
            fresh = Question((self, key), self.patience, self.leases is not None)
            question = asker.question = everyone.open(fresh, later)
            if not question.workers:
                everyone.work(asker)
            elif everyone.hopeless(asker) or (question.shared and everyone.holds_shared(asker)):
                everyone.excuse(asker)
            else:
                everyone.wait(asker)
        if asker.bound and asker.owner.task is not None:
            everyone.watch(asker.owner.task)
        return asker

    @contextmanager
    def _present(self, asker: Asker) -> Iterator[None]:
        """Let the next one go on if the asker is cancelled or interrupted."""
        try:
            yield
        except GeneratorExit:
            # A task that was never finished is collected, perhaps while its thread has the lock.
            self._askers.lost.append(partial(self._leave, asker))
            raise
        except BaseException:
            with self._askers.changing() as later:
                self._leave(asker, later)
            raise

    def _leave(self, asker: Asker, later: Later) -> None:
        asker.left = True
        self._askers.leave(asker, later)
        if asker.lease is not None and asker.lease is not asker.question.lease:
            later.append(partial(heartbeat().let_go, asker.lease))

    def _check(self, asker: Asker) -> None:
        """See whether somebody still works on it, and whether it is time to go."""
        if not asker.waits:
            return
        with self._askers.changing() as later:
            if asker.waits:
                self._askers.prune(asker.question, later)
            # Hopeless by now, where of several who worked only those are left who wait themselves.
            if asker.waits and (self._late(asker) or self._askers.hopeless(asker)):
                self._askers.give_up(asker)

    def _nap(self, asker: Asker) -> float:
        return max(0.0, min(TICK, asker.started + self.patience - time.monotonic()))

    def _late(self, asker: Asker) -> bool:
        return time.monotonic() - asker.started >= self.patience

    def _claim(self, asker: Asker) -> bool:
        if asker.lease is None and self.leases is not None:
            key, owner = asker.question.place[1], uuid.uuid4().hex
            asker.lease = Lease(self.leases, key, owner, self.lease_seconds)
        if asker.lease is None:
            return True
        won = asker.lease.claim()
        if asker.left:
            heartbeat().let_go(asker.lease)
        return won

    def _judge(self, asker: Asker, claimed: bool | None, found: Answer | None) -> None:
        """Land what another process found, or begin, or go on asking."""
        with self._askers.changing() as later:
            question, lease = asker.question, asker.lease
            if lease is not None and claimed and found is None and asker.asks:
                question.lease, asker.since = lease, time.monotonic()
                wanted = partial(self._wanted, question, lease)
                later.append(partial(heartbeat().hold, lease, wanted))
                return
            if lease is not None and claimed is not False:
                later.append(partial(heartbeat().let_go, lease))
            if found is not None:
                asker.answer = found
                if asker.asks:
                    self._askers.land(question, found, later)
            elif claimed is None or self._late(asker) or self._askers.holds_shared(asker):
                asker.since = time.monotonic()

    def _wanted(self, question: Question, lease: Lease) -> bool:
        with self._askers.changing() as later:
            self._askers.prune(question, later)
            return question.lease is lease

    def _drop(self, key: str, retry: bool, owner: Owner, later: Later) -> None:
        question = self._askers.questions.get((self, key))
        begun = [w for w in question.workers if w.since is not None] if question else []
        if question is None or not begun:
            return
        question.workers.remove(next((w for w in begun if w.owner == owner), begun[0]))
        if not retry:
            self._askers.dismiss(question, later)
            self._askers.give_back(question, later)
        self._askers.tidy(question, later)

    def _tried(self, work: Callable[[], Found | None]) -> Found | None:
        """Do what may fail with the store; None says that it did."""
        try:
            return work()
        except Exception as error:
            self._failed(error)
            return None

    async def _atried(self, work: Callable[[], Awaitable[Found | None]]) -> Found | None:
        try:
            return await work()
        except Exception as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        if not self.failures:
            log.warning("the leases failed, and are left out of this call: %r", error)
        self.failures += 1


def _ring(bell: asyncio.Future[None]) -> None:
    """Wake a task from any thread, unless its event loop is closed, and the task gone."""
    with suppress(RuntimeError):
        bell.get_loop().call_soon_threadsafe(_set, bell)


def _set(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)


def _pause(asker: Asker) -> float:
    """Look less and less often at what another process does."""
    first, most = POLLS
    return max(first, min(most, (time.monotonic() - asker.started) / 4))
