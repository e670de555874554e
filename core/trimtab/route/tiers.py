"""Sends each request to the weakest of the user's models that is likely to do."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import accumulate
from typing import Protocol

from trimtab.folding import CONVERSATIONS
from trimtab.fronts import Fronts
from trimtab.prices import Outlook, outlook_for
from trimtab.route.dollars import OUTPUT, Size, Tier, expected, switch
from trimtab.route.length import Length
from trimtab.types import Request, digest, tail


class Router(Protocol):
    """Tells hard requests from easy ones, within the user's own traffic."""

    @property
    def strong_rate(self) -> float:
        """The share of requests that the stronger models are to answer."""

    @property
    def traffic(self) -> int:
        """How many prompts it compares with."""

    def score(self, request: Request) -> float:
        """Return how hard a request is; nothing is remembered."""

    def percentile(self, request: Request) -> float | None:
        """Return the share of the traffic that is easier, or None without traffic."""

    def observe(self, request: Request) -> None:
        """Remember a request as traffic."""

    def learn(self, request: Request, ok: bool) -> None:
        """Take note of whether the answer of the weak model was right."""


@dataclass(frozen=True)
class Rule:
    """What the user knows better: requests that go to one tier, whatever they look like."""

    tier: str
    when: Callable[[Request], bool]
    reason: str = "by the user's rule"


@dataclass(frozen=True)
class Choice:
    """Where a request goes, and why."""

    tier: str
    confidence: float
    """How likely the request really belongs there, as far as the traffic seen so far can tell."""
    reason: str
    score: float
    """How hard the request looks; higher is harder."""


@dataclass(frozen=True)
class _Pin:
    """What a session was last given."""

    tier: str
    asked: str
    """A digest of the question that it was given for."""
    wanted: str
    """The tier that the question alone belongs to."""


@tail
@dataclass(frozen=True)
class Tiers:
    """Chooses a model by how hard a request is among the user's own, in expected dollars.

    A session stays on its model, whose provider has its prefix cached, unless a switch pays: to a
    weaker model after two easy questions in a row, if its expected calls cost less there, the cold
    prefix included; to a stronger one, if the request is harder than the limit by the share that
    the cold prefix adds to the price, as if the gain grew with the percentile. A new session goes
    to a stronger model that costs less, as one may whose provider caches what all begin with,
    where that is too short for the other's. Within a turn, an
    agent's calls of tools included, only a rule changes the model. Where prices are not known,
    sessions only move up.

    As a step it sets the request's model and parameters. Safe to share between threads.

    >>> from trimtab import Message, Request
    >>> from trimtab.route import Choice, Length, Rule, Tier, Tiers
    >>> tiers = Tiers(
    ...     {"fast": "gpt-4o-mini", "powerful": Tier("gpt-4o", window=128_000)},
    ...     by=Length(0.3, traffic=["Hello! " * n for n in range(100)]),
    ...     rules=[Rule("powerful", lambda request: "contract" in request.query, "a contract")],
    ... )
    >>> choice: Choice = tiers.choose(Request("", (Message("user", "Read my contract."),)))
    >>> choice.tier, choice.reason
    ('powerful', 'a contract')
    >>> tiers(Request("", (Message("user", "Hello!"),))).model
    'gpt-4o-mini'
    """

    tiers: Mapping[str, Tier | str]
    """From the weakest to the strongest, by names of the user's own: a model's name will do."""
    by: Router = field(default_factory=Length)
    shares: Mapping[str, float] | None = None
    """Which share of the requests each tier is to have. Where it is not given, `by.strong_rate` of
    them go beyond the first tier, the same share of those beyond the second, and so on."""
    rules: Sequence[Rule] = ()
    """The first that fits decides."""
    outlook: Outlook | None = None
    """How many calls a session is expected to make; what is known of its model if not given."""
    output: int = OUTPUT
    """Tokens that an answer is expected to have."""
    _pins: OrderedDict[str, _Pin] = field(
        init=False, repr=False, compare=False, default_factory=OrderedDict
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )
    _fronts: Fronts = field(init=False, repr=False, compare=False, default_factory=Fronts)

    def __post_init__(self) -> None:
        if not self.tiers:
            raise ValueError("tiers must name at least one model")
        for rule in self.rules:
            if rule.tier not in self.tiers:
                raise ValueError(f"a rule names the tier {rule.tier!r}; there are {self.names}")
        if self.shares is None:
            return
        if set(self.shares) != set(self.tiers):
            raise ValueError(f"shares must name each of {self.names}, got {list(self.shares)}")
        shares = self.shares.values()
        if min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ValueError(f"shares must be at least 0 and add up to 1, got {dict(self.shares)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The tiers, from the weakest to the strongest."""
        return tuple(self.tiers)

    @property
    def strongest(self) -> str:
        """The last of them."""
        return self.names[-1]

    @property
    def baseline(self) -> str:
        """The model that would answer everything without a router."""
        return self.tier(self.strongest).model

    def tier(self, name: str) -> Tier:
        """Return what stands behind a name."""
        found = self.tiers[name]
        return Tier(found) if isinstance(found, str) else found

    def spare(self, name: str, failed: Sequence[str] = ()) -> str | None:
        """Name the tier that answers where one's provider fails: the next stronger, else weaker."""
        place = self.names.index(name)
        rest = (*self.names[place + 1 :], *reversed(self.names[:place]))
        return next((other for other in rest if other not in failed), None)

    def score(self, request: Request) -> float:
        """Return how hard a request looks; nothing is remembered."""
        return self.by.score(request)

    def learn(self, request: Request, ok: bool) -> None:
        """Take note of whether the answer of a weak model was right."""
        self.by.learn(request, ok)

    def __call__(self, request: Request) -> Request:
        """Return the request, to be sent to the model of its tier."""
        tier = self.tier(self.choose(request).tier)
        return replace(request, model=tier.model, params={**request.params, **tier.params})

    def choose(self, request: Request) -> Choice:
        """Choose a tier, and remember it for the session."""
        asked = digest(request.query)
        with self._lock:
            pin = self._pins.get(request.conversation)
        again = pin is not None and pin.asked == asked
        choice, wanted = self._choose(request, pin, again)
        if not again:
            self.by.observe(request)
        choice = self._fitting(choice, request)
        with self._lock:
            self._pins[request.conversation] = _Pin(choice.tier, asked, wanted)
            self._pins.move_to_end(request.conversation)
            if len(self._pins) > CONVERSATIONS:
                self._pins.popitem(last=False)
        return choice

    def _choose(self, request: Request, pin: _Pin | None, again: bool) -> tuple[Choice, str]:
        """Return the choice, and the tier that the question alone belongs to."""
        score = self.by.score(request)
        for rule in self.rules:
            if rule.when(request):
                return Choice(rule.tier, 1.0, rule.reason, score), rule.tier
        if pin is not None and again:
            return Choice(pin.tier, 1.0, "the turn goes on", score), pin.wanted
        found = self._by_traffic(request, score)
        if pin is None:
            return self._cheapest(request, found), found.tier
        if pin.tier == found.tier:
            return found, found.tier
        return self._switched(request, pin, found), found.tier

    def _by_traffic(self, request: Request, score: float) -> Choice:
        """Choose by the share of the traffic that is easier."""
        place = self.by.percentile(request)
        if place is None:
            return Choice(self.strongest, 0.0, "no traffic yet to compare with", score)
        ends = self._ends()
        at = next(i for i, end in enumerate(ends) if place < end or i == len(ends) - 1)
        low, high = ([0.0, *ends][at], ends[at])
        spread = math.sqrt(max(place * (1 - place), 1e-3) / (self.by.traffic + 1))
        below = 1.0 if at == len(ends) - 1 else _normal((high - place) / spread)
        above = 0.0 if at == 0 else _normal((low - place) / spread)
        reason = f"harder than {place:.0%} of the last {self.by.traffic} prompts"
        return Choice(self.names[at], below - above, reason, score)

    def _cheapest(self, request: Request, found: Choice) -> Choice:
        """Move a new session up where that costs less.

        So it is where conversations share a front that the stronger model's provider caches, and
        that is too short for the weaker one's.
        """
        if not self._fronts.is_shared(request):
            return found
        better = self.names[self.names.index(found.tier) :]
        costs = {name: self._cost(request, self.tier(name)) for name in better}
        known = {name: cost for name, cost in costs.items() if cost is not None}
        if len(known) < len(costs) or (best := min(known, key=known.__getitem__)) == found.tier:
            return found
        reason = f"{found.reason}, but {best} costs less, which has cached how all of them begin"
        return replace(found, tier=best, reason=reason)

    def _cost(self, request: Request, tier: Tier) -> Decimal | None:
        size = Size.of(replace(request, model=tier.model), self.output)
        return expected(tier, size, warm=True)

    def _ends(self) -> list[float]:
        """Return the percentile at which each tier ends."""
        if self.shares is not None:
            return list(accumulate(self.shares[name] for name in self.names))
        return [1 - self.by.strong_rate ** (i + 1) for i in range(len(self.names))]

    def _switched(self, request: Request, pin: _Pin, found: Choice) -> Choice:
        """Keep a session on its model, unless the switch pays."""
        stay, place_of = replace(found, tier=pin.tier), self.names.index
        up = place_of(found.tier) > place_of(pin.tier)
        if not up and place_of(pin.wanted) >= place_of(pin.tier):
            return replace(stay, reason=f"{found.reason}, but the question before was hard")
        now, then = self.tier(pin.tier), self.tier(found.tier)
        calls = (self.outlook or outlook_for(now.model)).calls
        change = switch(now, then, Size.of(replace(request, model=now.model), self.output), calls)
        if change is None:
            reason = f"{found.reason}; the session stays, as no price is known"
            return found if up else replace(stay, reason=reason)
        if not up:
            reason = f"{found.reason}, but a cold prefix would cost more"
            return found if change.saves else replace(stay, reason=reason)
        place = self.by.percentile(request) or 0.0
        needed = self._ends()[place_of(found.tier) - 1] * (1 + change.burden)
        reason = f"{found.reason}, too few for a cold prefix"
        return found if place >= needed else replace(stay, reason=reason)

    def _fitting(self, choice: Choice, request: Request) -> Choice:
        """Move on to a tier whose window the request fits."""
        window = self.tier(choice.tier).window
        if window is None:
            return choice
        size = Size.of(replace(request, model=self.tier(choice.tier).model), self.output)
        needed = size.known + size.new + size.output
        if needed <= window:
            return choice
        start = self.names.index(choice.tier)
        for name in (*self.names[start:], *reversed(self.names[:start])):
            limit = self.tier(name).window
            if limit is None or needed <= limit:
                reason = f"{needed} tokens do not fit into {choice.tier}"
                return replace(choice, tier=name, reason=reason)
        return choice


def _normal(value: float) -> float:
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))
