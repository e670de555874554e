"""What an answer of each model is expected to cost, and what it costs to change models midway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from trimtab.prices import Rates, rates, rule_for
from trimtab.tokens import count_message, count_request, counter_for
from trimtab.types import Counter, Request

OUTPUT = 300
"""Tokens that an answer is expected to have, where the caller does not know better."""


@dataclass(frozen=True)
class Tier:
    """One of the user's models, or the same one at another effort or in another class.

    >>> from trimtab.route import Tier, Tiers
    >>> thinking = Tier("gpt-5.4", params={"reasoning_effort": "high"})
    >>> Tiers({"fast": Tier("gpt-5.4", discount=0.5), "powerful": thinking}).names
    ('fast', 'powerful')
    """

    model: str
    params: Mapping[str, Any] = field(default_factory=dict)
    """What a request to it is given: a reasoning effort, a service class."""
    discount: float = 1.0
    """What it costs beside the listed price: 0.5 in most batch and flex classes."""
    window: int | None = None
    """Tokens that it can read; longer requests go to the next tier that can."""

    def __post_init__(self) -> None:
        if self.discount < 0:
            raise ValueError(f"discount must be at least 0, got {self.discount}")
        if self.window is not None and self.window < 1:
            raise ValueError(f"window must be at least 1 token, got {self.window}")


@dataclass(frozen=True)
class Size:
    """A request as far as its price goes, in tokens."""

    known: int
    """Up to the newest message: what a provider that has seen the session may have cached."""
    new: int
    output: int

    @classmethod
    def of(cls, request: Request, output: int = OUTPUT, count: Counter | None = None) -> Size:
        """Measure a request."""
        count = count or counter_for(request.model)
        new = count_message(request.messages[-1], count) if request.messages else 0
        return cls(max(0, count_request(request, count) - new), new, output)


def expected(tier: Tier, size: Size, *, warm: bool) -> Decimal | None:
    """Return the dollars of one call, its prefix in the provider's cache (`warm`) or not.

    None where the model has no known price.
    """
    price = rates(tier.model)
    if price is None:
        return None
    read, written = _cached(price, tier.model, size)
    sent = size.known * (read if warm else written) + size.new * written
    return (sent + size.output * price.output) * Decimal(str(tier.discount))


def _cached(price: Rates, model: str, size: Size) -> tuple[Decimal, Decimal]:
    """Return what a token of the prefix costs, read and written; too short ones are not cached."""
    if size.known + size.new < rule_for(model).minimum:
        return price.input, price.input
    return price.cache_read, max(price.cache_write, price.input)


@dataclass(frozen=True)
class Switch:
    """What a session gains or loses if its coming calls go to another tier."""

    each: Decimal
    """Dollars that each call costs more there; negative where it costs less."""
    once: Decimal
    """Dollars for the prefix, which that tier's provider has not cached."""
    calls: int
    """How many calls the session is expected to make yet."""

    @property
    def saves(self) -> bool:
        """Whether the calls cost less there, the cold prefix included."""
        return self.each * self.calls + self.once < 0

    @property
    def burden(self) -> float:
        """What the cold prefix adds to the price of a better model, as a share of it."""
        usual = self.each * self.calls
        return float(self.once / usual) if usual > 0 else 0.0


def switch(now: Tier, then: Tier, size: Size, calls: int) -> Switch | None:
    """Weigh a session's change of tier, or return None where a price is not known."""
    stay, go = expected(now, size, warm=True), expected(then, size, warm=True)
    cold = expected(then, size, warm=False)
    if stay is None or go is None or cold is None:
        return None
    # Tiers of one model share its cache: effort and class are no part of the prefix.
    return Switch(go - stay, Decimal(0) if now.model == then.model else cold - go, calls)
