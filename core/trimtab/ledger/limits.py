"""What a person wants to be told of."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trimtab.ledger.event import Event
from trimtab.ledger.figures import Figures


@dataclass(frozen=True)
class Limits:
    """What to raise alerts about. None: no alert of that kind."""

    call_cost: Decimal | None = None
    """Dollars that a single call may cost."""
    daily_cost: Decimal | None = None
    """Dollars of any 24 hours. The alert comes when four fifths of it are spent."""
    hit_rate: float | None = None
    """The share of calls that the response cache should answer."""
    calls: int = 50
    """Calls to wait for, before a rate is worth an alert."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must not be negative, got {value}")


@dataclass(frozen=True)
class Alert:
    """Something that a person should look at."""

    kind: str
    """costly request, budget nearly spent or low cache hit rate."""
    message: str
    value: Decimal | float
    limit: Decimal | float


def costly(limits: Limits, worst: Event | None) -> Alert | None:
    """Tell of the costliest call beyond the limit, if there is one."""
    if worst is None or worst.cost is None or limits.call_cost is None:
        return None
    message = f"the call {worst.id} of {worst.model} cost ${worst.cost}, not ${limits.call_cost}"
    return Alert("costly request", message, worst.cost, limits.call_cost)


def nearly_spent(limits: Limits, today: Figures) -> Alert | None:
    """Tell of a budget of which four fifths are gone."""
    limit, cost = limits.daily_cost, today.cost
    if limit is None or cost is None or cost * 5 < limit * 4:
        return None
    message = f"${cost:.4f} of ${limit} are spent in 24 hours"
    return Alert("budget nearly spent", message, cost, limit)


def rarely_hit(limits: Limits, today: Figures) -> Alert | None:
    """Tell of a response cache that answers less than was expected of it."""
    limit, rate = limits.hit_rate, today.hit_rate
    if limit is None or rate is None or today.calls < limits.calls or rate >= limit:
        return None
    message = f"the response cache answers {rate:.1%} of the calls, not {limit:.1%}"
    return Alert("low cache hit rate", message, rate, limit)
