"""Who asks for what, who works on it, and who waits for whom."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from trimtab.cache.heartbeat import Lease, heartbeat

if TYPE_CHECKING:
    import asyncio

SWEEP_AT = 64
"""So many questions in the air are looked through for askers that ended without a word."""
Later = list[Callable[[], None]]
"""What is done once the lock is free: it takes other locks."""


@dataclass(frozen=True)
class Owner:
    """A thread, and the task that it runs."""

    thread: threading.Thread
    task: asyncio.Task[Any] | None

    @property
    def ended(self) -> bool:
        """True where it will never again do anything."""
        return not self.thread.is_alive() if self.task is None else self.task.done()

    @property
    def cut_off(self) -> bool:
        """True where its event loop was closed before it had ended."""
        return self.task is not None and not self.task.done() and self.task.get_loop().is_closed()


def current_owner() -> Owner:
    """Tell who runs this."""
    task = None
    if "asyncio" in sys.modules:  # which is slow to import, and else there is no task
        from asyncio import current_task

        with suppress(RuntimeError):
            task = current_task()
    return Owner(threading.current_thread(), task)


@dataclass(eq=False)
class Asker:
    """Somebody who asked, and waits, or works on the answer, or has it."""

    owner: Owner
    wake: Callable[[], None]
    blocks: bool
    """True where its wait stops its whole thread, and with it all tasks of that thread."""
    bound: bool
    """True where it works no longer than its owner lives, and gives no other sign of its end."""
    question: Question = field(init=False)
    started: float = field(default_factory=time.monotonic)
    waits: bool = False
    since: float | None = None
    """When it began to work on the answer; None before, also while it asks for the lease."""
    lease: Lease | None = None
    """One that it has asked for, or may just be asking for."""
    left: bool = False
    """True where it was stopped, though a thread may still be asking for its lease."""
    answer: Any = None

    @property
    def asks(self) -> bool:
        """True while it would work, but has no lease to do so."""
        return self.since is None and self in self.question.workers


@dataclass(eq=False)
class Question:
    """What is asked and not yet answered."""

    place: tuple[object, str]
    """A flight and a key."""
    patience: float
    shared: bool
    """True where other processes may work on it too."""
    workers: list[Asker] = field(default_factory=list)
    waiters: deque[Asker] = field(default_factory=deque)
    lease: Lease | None = None


class Askers:
    """All questions in the air in this process, of all its flights.

    All of them together, because who works for one flight may wait in another. A forked child
    starts with none: nobody in it works on what its parent's threads were asked.
    """

    def __init__(self) -> None:
        self.questions: dict[tuple[object, str], Question] = {}
        self.lost: deque[Callable[[Later], None]] = deque()
        """What a finalizer has to say, which may run while its thread holds the lock."""
        self._lock = threading.Lock()
        self._waiting: dict[Owner, Asker] = {}
        self._blocked: dict[threading.Thread, Asker] = {}
        self._watched: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._sweep_at = SWEEP_AT
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire,
                after_in_parent=self._lock.release,
                after_in_child=self._forget,
            )

    @contextmanager
    def changing(self) -> Iterator[Later]:
        """Hold the lock; what is put into the list is done after it."""
        later: Later = []
        with self._lock:
            while self.lost:
                self.lost.popleft()(later)
            yield later
        for act in later:
            act()

    def open(self, question: Question, later: Later) -> Question:
        """Return the question that is in the air at the same place, or put up this one."""
        found = self.questions.get(question.place)
        if found is not None:
            self.prune(found, later)
        if len(self.questions) >= self._sweep_at:
            for other in list(self.questions.values()):
                self.prune(other, later)
            self._sweep_at = max(SWEEP_AT, 2 * len(self.questions))
        return self.questions.setdefault(question.place, question)

    def prune(self, question: Question, later: Later) -> None:
        """Count no longer on workers that ended, or that took too long."""
        oldest = time.monotonic() - question.patience
        kept = [w for w in question.workers if not _is_lost(w, oldest)]
        if len(kept) < len(question.workers):
            question.workers[:] = kept
            self.tidy(question, later)

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Learn at once of the end of a task that gives no other sign."""
        if task not in self._watched:
            self._watched.add(task)
            task.add_done_callback(self._end)

    def tidy(self, question: Question, later: Later) -> None:
        """Let the next one work if nobody does; forget the question if nobody wants to."""
        if question.workers:
            return
        if not question.waiters:
            return self.close(question, later)
        asker = question.waiters.popleft()
        self.work(asker)
        self._settle(asker, later)

    def work(self, asker: Asker) -> None:
        """Let somebody answer, who first has to ask for the lease where there is to be one."""
        question = asker.question
        question.workers.append(asker)
        if not question.shared or question.lease is not None:
            asker.since = time.monotonic()

    def excuse(self, asker: Asker) -> None:
        """Let somebody answer beside others, for whom it cannot wait."""
        asker.since = time.monotonic()
        workers = asker.question.workers
        if asker.bound:
            # It asks again because it failed, and said nothing.
            workers[:] = [w for w in workers if not (w.bound and w.owner == asker.owner)]
        workers.append(asker)

    def wait(self, asker: Asker) -> None:
        """Let somebody wait."""
        asker.waits = True
        asker.question.waiters.append(asker)
        self._waiting[asker.owner] = asker
        if asker.blocks:
            self._blocked[asker.owner.thread] = asker

    def give_up(self, asker: Asker) -> None:
        """Let somebody answer who has waited long enough."""
        asker.question.waiters.remove(asker)
        self._stop_waiting(asker)
        self.excuse(asker)

    def leave(self, asker: Asker, later: Later) -> None:
        """Forget somebody who was stopped while waiting or asking for the lease."""
        question = asker.question
        if asker.waits:
            question.waiters.remove(asker)
            self._stop_waiting(asker)
        elif asker in question.workers:
            question.workers.remove(asker)
            self.tidy(question, later)

    def dismiss(self, question: Question, later: Later) -> None:
        """Let all who wait answer for themselves."""
        while question.waiters:
            asker = question.waiters.popleft()
            self.excuse(asker)
            self._settle(asker, later)

    def land(self, question: Question, answer: object, later: Later) -> None:
        """Give an answer to all who wait, or still ask for the lease."""
        for worker in question.workers:
            worker.answer = answer if worker.since is None else None
        self.close(question, later)
        while question.waiters:
            asker = question.waiters.popleft()
            asker.answer = answer
            self._settle(asker, later)

    def close(self, question: Question, later: Later) -> None:
        """Forget a question."""
        self.questions.pop(question.place, None)
        question.workers.clear()
        self.give_back(question, later)

    def give_back(self, question: Question, later: Later) -> None:
        """Let other processes work on a question."""
        if question.lease is not None:
            later.append(partial(heartbeat().let_go, question.lease))
            question.lease = None

    def holds_shared(self, asker: Asker) -> bool:
        """Tell whether somebody, or a task that its wait would stop, works for many processes.

        Who does waits for no other process, because nobody sees whether that one waits for it.
        """
        return any(
            question.shared and worker is not asker and _same(worker.owner, asker)
            for question in self.questions.values()
            for worker in question.workers
        )

    def hopeless(self, asker: Asker) -> bool:
        """Tell whether all who work on a question wait, in the end, for the asker itself."""
        ahead, seen = [asker.question], {asker.question.place}
        while ahead:
            for worker in ahead.pop().workers:
                if _same(worker.owner, asker):
                    continue
                waits = self._waiting.get(worker.owner) or self._blocked.get(worker.owner.thread)
                if waits is None:
                    return False
                if waits.question.place not in seen:
                    seen.add(waits.question.place)
                    ahead.append(waits.question)
        return True

    def _end(self, task: asyncio.Task[Any]) -> None:
        with self.changing() as later:
            for question in list(self.questions.values()):
                if any(worker.owner.task is task for worker in question.workers):
                    self.prune(question, later)

    def _settle(self, asker: Asker, later: Later) -> None:
        # The last thing said of it, because it looks without the lock at whether it still waits.
        self._stop_waiting(asker)
        later.append(asker.wake)

    def _stop_waiting(self, asker: Asker) -> None:
        asker.waits = False
        self._waiting.pop(asker.owner, None)
        if asker.blocks:
            self._blocked.pop(asker.owner.thread, None)

    def _forget(self) -> None:
        self.questions.clear()
        self.lost.clear()
        self._waiting.clear()
        self._blocked.clear()
        self._watched.clear()
        self._lock.release()


@cache
def askers() -> Askers:
    """Return those of this process."""
    return Askers()


def _is_lost(worker: Asker, oldest: float) -> bool:
    late = worker.since is not None and worker.since < oldest
    return late or worker.owner.cut_off or (worker.bound and worker.owner.ended)


def _same(owner: Owner, asker: Asker) -> bool:
    """Tell whether an owner stands still while somebody waits."""
    return owner == asker.owner or (asker.blocks and owner.thread is asker.owner.thread)
