"""A cache that answers only the very same request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar, cast

from trimtab.cache.answers import Kept, pack, unpack
from trimtab.cache.aside import aside
from trimtab.cache.askers import current_owner
from trimtab.cache.flight import Flight
from trimtab.cache.memory import Mapped, MemoryStore
from trimtab.cache.notes import Asked, Notes
from trimtab.cache.stats import Stats, Tally
from trimtab.cache.store import Leases, Store
from trimtab.cache.tags import Epochs, current_tags
from trimtab.prices import cost
from trimtab.types import Request, Response

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class ExactCache:
    """Keeps answers as JSON, and lets one asker find the answer that many wait for.

    An answer from the cache has no id, because it is another message than the one that was paid
    for. Who got no answer puts one, or says `release`, for others may wait for it.

    Args:
        store: Where answers are kept: in memory where it is not given, in any mapping from str to
            str, or in a store that also forgets by value and by time.
        ttl: Seconds that an answer stays, or None where it stays as long as there is room.
        tags: Names the data that the answer to a request is made from, besides what
            `with tagged(...)` says. `invalidate` forgets by these names.
        keep_tool_answers: Answer also what is asked with a tool's result at the end. Tools are
            asked for what is true now, so that their results are new, even where they look old.
        patience: Seconds after which somebody who waits for another's answer finds his own.

    >>> from trimtab import Message, Request, Response
    >>> from trimtab.cache import ExactCache
    >>> cache, request = ExactCache(ttl=3600), Request("gpt-4o", (Message("user", "Hello!"),))
    >>> cache.put(request, Response(Message("assistant", "Hi.")))
    >>> cache.get(request).message.text
    'Hi.'
    """

    def __init__(
        self,
        store: Store | MutableMapping[str, str] | None = None,
        *,
        ttl: float | None = None,
        tags: Callable[[Request], Iterable[str]] | None = None,
        keep_tool_answers: bool = False,
        patience: float = 120.0,
    ) -> None:
        if ttl is not None and ttl <= 0:
            raise ValueError(f"ttl must be positive, or None, got {ttl}")
        self.store = MemoryStore() if store is None else store
        self.ttl = ttl
        self.tags = tags
        self.keep_tool_answers = keep_tool_answers
        self.flight: Flight[Kept] = Flight(_leases(store), patience=patience)
        self._texts = _as_store(self.store)
        self._at_once = isinstance(self.store, (MemoryStore, dict))
        self._epochs = Epochs(self._texts)
        self._notes = Notes()
        self._tally = Tally()

    def get(self, request: Request, *, bound: bool = False) -> Response | None:
        """Return the answer to the very same request, or wait for it; None makes it the caller's.

        Args:
            request: What is asked.
            bound: True where a caller that fails will not say `release`.
        """
        if self._passes(request):
            self._tally.skip()
            return None
        asked = self._ask(request.key, self._names(request))
        return self._told(asked, self._joined(asked, bound))

    async def aget(self, request: Request, *, bound: bool = False) -> Response | None:
        """Do the same, awaiting."""
        if self._passes(request):
            self._tally.skip()
            return None
        asked = await self._aside(self._ask, request.key, self._names(request))
        return self._told(asked, await self._ajoined(asked, bound))

    def put(self, request: Request, response: Response) -> None:
        """Remember an answer, if it is worth it, and give it to all who wait for it."""
        if not response.keepable:
            return self.release(request, retry=False)
        if not self._passes(request):
            asked = self._taken(request) or self._ask(request.key, self._names(request))
            kept = _kept(request, response, asked)
            try:
                self._save(asked, kept)
            finally:
                self.flight.land(asked.place, kept)

    async def aput(self, request: Request, response: Response) -> None:
        """Do the same, awaiting."""
        if not response.keepable:
            return self.release(request, retry=False)
        if not self._passes(request):
            asked = self._taken(request)
            if asked is None:
                asked = await self._aside(self._ask, request.key, self._names(request))
            kept = _kept(request, response, asked)
            try:
                await self._aside(self._save, asked, kept)
            finally:
                self.flight.land(asked.place, kept)

    def release(self, request: Request, *, retry: bool = True) -> None:
        """Say that there will be no answer to keep: because it failed, or else for good."""
        if not self._passes(request):
            self.flight.drop((self._taken(request) or Asked(request.key)).place, retry=retry)

    def forsake(self, request: Request) -> None:
        """Say from a finalizer that a request was given up."""
        if not self._passes(request):
            self.flight.forsake((self._taken(request) or Asked(request.key)).place)

    def invalidate(self, *tags: str) -> None:
        """Forget all answers made from this data, those that are just being made included."""
        self._epochs.end(tags)

    def wrong(self, request: Request) -> bool:
        """Forget the answer to a request, which was a wrong one; False if none is known."""
        known = self._texts.load(request.key) is not None
        self._texts.drop(request.key)
        return known

    def clear(self) -> None:
        """Forget all answers. The statistics go on."""
        self._texts.clear()

    async def aclear(self) -> None:
        """Do the same, awaiting."""
        await self._aside(self.clear)

    def stats(self) -> Stats:
        """Return what happened so far in this process."""
        return self._tally.stats()

    def _joined(self, asked: Asked, bound: bool) -> Kept | None:
        """Find an answer, or wait for the one that another asker gets."""
        found = self._look(asked)
        if found is not None:
            return found
        return self.flight.join(asked.place, partial(self._look, asked), bound=bound)

    async def _ajoined(self, asked: Asked, bound: bool) -> Kept | None:
        async def look() -> Kept | None:
            return await self._aside(self._look, asked)

        found = await look()
        if found is not None:
            return found
        return await self.flight.ajoin(asked.place, look, bound=bound)

    def _passes(self, request: Request) -> bool:
        return not self.keep_tool_answers and _ends_with_tools(request)

    def _names(self, request: Request) -> frozenset[str]:
        return current_tags() if self.tags is None else current_tags().union(self.tags(request))

    def _ask(self, key: str, names: frozenset[str]) -> Asked:
        return Asked(key, self._epochs.current(names)) if names else Asked(key)

    def _look(self, asked: Asked) -> Kept | None:
        """Load an answer that is known to be made from all of the data, as it is now."""
        if (text := self._texts.load(asked.key)) is None:
            return None
        kept = unpack(text)
        if not asked.epochs and not kept.epochs:
            return kept
        if not self._epochs.hold(kept.epochs, asked.epochs):
            self._texts.drop(asked.key)
            return None
        return kept if asked.epochs.keys() <= kept.epochs.keys() else None

    def _save(self, asked: Asked, kept: Kept) -> None:
        if not asked.epochs or self._epochs.hold(asked.epochs, {}):
            worth = float(kept.worth or 0)
            self._texts.save(asked.key, pack(kept), ttl=self.ttl, worth=worth)

    def _told(self, asked: Asked, found: Kept | None) -> Response | None:
        if found is None:
            self._notes.add(asked, hash(current_owner()))
            self._tally.miss()
            return None
        self._tally.hit(found.answer.usage, found.worth)
        return found.answer

    def _taken(self, request: Request) -> Asked | None:
        return self._notes.take(request.key, hash(current_owner()))

    async def _aside(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        # A thread takes longer than to look into this process's own memory.
        return work(*args, **kwargs) if self._at_once else await aside(work, *args, **kwargs)


def _ends_with_tools(request: Request) -> bool:
    """Tell whether the answer is made from what tools returned after the user's last word."""
    for message in reversed(request.messages):
        if message.role in ("tool", "user"):
            return message.role == "tool"
    return False


def _kept(request: Request, response: Response, asked: Asked) -> Kept:
    """Leave out of an answer what belongs to the call that was paid for."""
    answer = replace(response, id=None, message=replace(response.message, source=None))
    worth = None
    if response.usage is not None:
        worth = cost(response.model or request.model, response.usage)
    return Kept(answer, worth, asked.epochs)


def _as_store(store: Store | MutableMapping[str, str]) -> Store:
    if isinstance(store, MutableMapping) and not isinstance(store, MemoryStore):
        return Mapped(store)
    return store


def _leases(store: Store | MutableMapping[str, str] | None) -> Leases | None:
    """Return what says who of several processes may ask; within one, the flight does."""
    shared = hasattr(store, "claim") and not isinstance(store, MemoryStore)
    return cast(Leases, store) if shared else None
