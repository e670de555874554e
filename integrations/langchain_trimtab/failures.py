"""Hearing of calls that failed, of which LangChain says nothing to its caches."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakSet

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from trimtab.cache.askers import Owner, current_owner
from trimtab.cache.flight import Flight

_always = property(lambda _: True)
_leader: ContextVar[Owner | None] = ContextVar("trimtab_leader", default=None)
"""Who asks a model, because LangChain tells of some failures in tasks made for nothing else."""


class Failures(BaseCallbackHandler):
    """Lets others go on who wait for the answer of a call that failed.

    A call says not which question it failed at, so those are given up that its task or thread
    works on: a model that calls another one may lose its lead with it, at the price of a call.
    """

    run_inline = True  # In the task that asked, and not in a thread of its own.
    ignore_retry = ignore_chain = ignore_agent = ignore_retriever = _always
    ignore_chat_model = ignore_custom_event = _always

    def __init__(self) -> None:
        self._flights: WeakSet[Flight[Any]] = WeakSet()
        self._lock = threading.Lock()

    def tell(self, flight: Flight[Any]) -> None:
        """Tell a flight from now on."""
        with self._lock:
            self._flights.add(flight)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Give up what this task or thread works on."""
        if isinstance(error, GeneratorExit):
            return  # A stream, which asks no cache, is collected, maybe under a flight's lock.
        with self._lock:
            flights = list(self._flights)
        for flight in flights:
            for owner in {current_owner(), _leader.get() or current_owner()}:
                flight.drop_owned(owner)
        answered()


def asks() -> None:
    """Note that this task or thread asks a model now."""
    _leader.set(current_owner())


def answered() -> None:
    """Note that it no longer does."""
    if _leader.get() is not None:
        _leader.set(None)


_failures: ContextVar[Failures | None] = ContextVar("trimtab_failures", default=Failures())  # noqa: B039


@cache
def failures() -> Failures:
    """Return what hears of all calls. It is put up with the first cache, and stays."""
    register_configure_hook(_failures, inheritable=False)
    found = _failures.get()
    assert found is not None
    return found
