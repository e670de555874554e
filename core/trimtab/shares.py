"""A request's tokens, shared among its parts by need and by value."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from trimtab.breakdown import components
from trimtab.folding import CONVERSATIONS
from trimtab.tokens import count_calls, count_message, counter_for
from trimtab.types import Counter, Request, Step, fold


@dataclass(frozen=True)
class Need:
    """A part that may be cut."""

    tokens: int
    """What it would have if there were room enough."""
    value: float = 1.0
    """What a token of it is worth beside one of the others."""
    floor: int = 0
    """Tokens that it has before the others share what is left; no more than it needs."""

    def __post_init__(self) -> None:
        for name in ("tokens", "value", "floor"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class Shares:
    """What each part has of a budget."""

    parts: Mapping[str, int]
    """Tokens of each; together they are the budget, or all that is needed if that is less."""
    cut: Mapping[str, int]
    """What each lacks of its need: what to compress. Parts that lack nothing are not in it."""


def allocate(fixed: Mapping[str, int], variable: Mapping[str, Need | int], budget: int) -> Shares:
    """Share a budget: fixed parts in full, then floors, then the rest by value up to each need.

    What a part does not need goes to the others (water filling). Floors that do not fit are shared
    in proportion. Whole tokens, by largest remainder, so that nothing is lost to rounding.

    Raises:
        ValueError: The fixed parts alone are more than the budget.

    >>> from trimtab.shares import Need, Shares, allocate
    >>> variable = {"history": Need(4000, floor=500), "context": Need(2000, value=2)}
    >>> found: Shares = allocate({"system": 300}, variable, budget=3000)
    >>> dict(found.parts), dict(found.cut)
    ({'system': 300, 'history': 1233, 'context': 1467}, {'history': 2767, 'context': 533})
    """
    room = budget - sum(fixed.values())
    if room < 0:
        raise ValueError(
            f"the fixed parts have {sum(fixed.values()):,} tokens, more than the budget of"
            f" {budget:,}: shorten {max(fixed, key=lambda name: fixed[name])!r} first"
        )
    needs = {n: need if isinstance(need, Need) else Need(need) for n, need in variable.items()}
    floors = {name: min(need.floor, need.tokens) for name, need in needs.items()}
    given = _filled({name: (float(t), t) for name, t in floors.items()}, room)
    left = room - sum(given.values())
    wanted = {n: (need.value, need.tokens - given[n]) for n, need in needs.items()}
    more = _filled(wanted, left)
    parts = {name: given[name] + more[name] for name in needs}
    # What is worth nothing gets what nobody else needs.
    rest = room - sum(parts.values())
    free = _filled({n: (1.0, need.tokens - parts[n]) for n, need in needs.items()}, rest)
    parts = {name: parts[name] + free[name] for name in needs}
    cut = {n: need.tokens - parts[n] for n, need in needs.items() if need.tokens > parts[n]}
    return Shares(MappingProxyType({**fixed, **parts}), MappingProxyType(cut))


def _filled(wanted: Mapping[str, tuple[float, int]], room: int) -> dict[str, int]:
    """Share room by weight, to none more than it wants, in whole tokens."""
    exact: dict[str, float] = dict.fromkeys(wanted, 0.0)
    open_ = {name for name, (weight, most) in wanted.items() if weight > 0 and most > 0}
    left = float(room)
    while open_ and left > 1e-9:
        each = left / sum(wanted[name][0] for name in open_)
        full = {n for n in open_ if exact[n] + each * wanted[n][0] >= wanted[n][1]}
        for name in full or open_:
            add = wanted[name][1] - exact[name] if full else each * wanted[name][0]
            exact[name] += add
            left -= add
        if not full:
            break
        open_ -= full
    whole = {name: int(share + 1e-9) for name, share in exact.items()}
    spare = min(room, round(sum(exact.values()))) - sum(whole.values())
    by_rest = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in [n for n in by_rest if whole[n] < wanted[n][1]][:spare]:
        whole[name] += 1
    return whole


@fold
@dataclass(frozen=True)
class FitWindow:
    """Gives each part of a request its share of a budget, by strategies of the user's choice.

    `FitWindow(8000, {"history": Recent})`: what is no part of it (instructions, tools, the
    question) is fixed, and what is shares the rest. The shares are settled once a conversation,
    when it first outgrows the budget, because a prefix that is cut anew at each call is cached by
    no one; from then on each strategy keeps its part within its share.

    >>> from trimtab import Message, Request
    >>> from trimtab.prune import Recent
    >>> from trimtab.shares import FitWindow
    >>> fit = FitWindow(300, {"history": Recent})
    >>> chat = [Message(role, "All is well. " * 20) for role in ("user", "assistant") * 4]
    >>> asked = Request("gpt-4o", (*chat, Message("user", "And now?")))
    >>> len(fit(asked).messages)
    3
    """

    budget: int
    """Tokens that a request may have, the room for its answer excluded."""
    strategies: Mapping[str, Callable[[int], Step]]
    """A step for a number of tokens, by the component (see `trimtab.breakdown.INPUT`)."""
    values: Mapping[str, float] = field(default_factory=dict)
    """What a token of each is worth beside others; 1 where it is not given."""
    floors: Mapping[str, int] = field(default_factory=dict)
    count: Counter | None = None
    _steps: OrderedDict[str, tuple[Step, ...]] = field(
        init=False, repr=False, compare=False, default_factory=OrderedDict
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ValueError(f"budget must be at least 1, got {self.budget}")
        if not self.strategies:
            raise ValueError("strategies must name at least one part that may be cut")

    def shares(self, request: Request) -> Shares:
        """Say what each part of a request may have, and which are to be compressed by how much.

        A part that grows is reckoned with for twice what it has.
        """
        sizes = components(request, self.count or counter_for(request.model))
        fixed = {name: size for name, size in sizes.items() if name not in self.strategies}
        wanted = {
            name: Need(2 * sizes[name], self.values.get(name, 1.0), self.floors.get(name, 0))
            for name in self.strategies
        }
        return allocate(fixed, wanted, max(self.budget, sum(fixed.values())))

    def __call__(self, request: Request) -> Request:
        """Return the request, each part within its share."""
        for step in self._latched(request):
            request = step(request)
        return request

    def _latched(self, request: Request) -> tuple[Step, ...]:
        with self._lock:
            known = self._steps.get(request.conversation)
        if known is not None:
            return known
        count = self.count or counter_for(request.model)
        if sum(components(request, count).values()) <= self.budget:
            return ()
        parts, content = self.shares(request).parts, _content(request, count)
        steps = tuple(
            make(max(1, int(parts[name] * content))) for name, make in self.strategies.items()
        )
        with self._lock:
            kept = self._steps.setdefault(request.conversation, steps)
            if len(self._steps) > CONVERSATIONS:
                self._steps.popitem(last=False)
        return kept


def _content(request: Request, count: Counter) -> float:
    """Return how much of messages is what they say: strategies do not count their frames."""
    framed = sum(count_message(message, count) for message in request.messages)
    said = sum(count(m.text) + count_calls(m, count) for m in request.messages)
    return said / framed if framed else 1.0
