"""Events, added up."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from trimtab import prices
from trimtab.ledger.event import Event
from trimtab.prices import to_dollars, to_integer
from trimtab.types import Usage

BIN = math.log(1.1)
"""The width of a bin of latencies, so that a bin's middle is within 5 % of all in it."""
TOKENS = tuple(vars(Usage()))
LENGTHS = (1, 2, 4, 12, 24, 48, 96, 192, 672)
"""Stretches that people know, in quarters of hours: up to a week."""


@dataclass(frozen=True)
class Session:
    """What one conversation cost in a period."""

    id: str
    calls: int
    tokens: int | None
    """Input and output, as far as known."""
    cost: Decimal | None
    """Dollars, as far as known."""
    unknown_costs: int = 0
    """Calls whose cost is not known."""


@dataclass(frozen=True)
class Figures:
    """What some calls used, cost and saved."""

    calls: int
    failed: int
    hits: int
    """Calls that the response cache answered."""
    usage: Usage
    """The sums of what is known; None where nothing is. See `unknown`."""
    cost: Decimal | None
    """Dollars, as far as known; None where no call's cost is."""
    unknown: Mapping[str, int]
    """For how many calls the tokens (by the names of Usage), cost or saved_cost are not known."""
    saved_tokens: int
    """Input and output tokens that the response cache saved."""
    saved_cost: Decimal | None
    """Dollars that the response cache saved."""
    levers: Mapping[str, int]
    """Tokens that each step removed; negative where it added some. See `Analytics.worth`."""
    components: Mapping[str, int]
    """Tokens sent, by component."""
    latencies: Mapping[int, int]
    """How many calls to a model took how long, by bins that grow by 10 % each; see `latency`."""

    @property
    def hit_rate(self) -> float | None:
        """The share of calls that the response cache answered."""
        return self.hits / self.calls if self.calls else None

    @property
    def cache_read_share(self) -> float | None:
        """The share of input tokens that the provider read from its prefix cache.

        Too low where some calls do not say what they read; see `unknown`.
        """
        read, sent = self.usage.cache_read_tokens, self.usage.input_tokens
        return None if read is None or not sent else read / sent

    @property
    def mean_output(self) -> float | None:
        """Tokens of an answer, of those to a model that say them."""
        answered = self.calls - self.hits - self.failed - self.unknown.get("output_tokens", 0)
        output = self.usage.output_tokens
        return None if output is None or answered <= 0 else output / answered

    @property
    def lever_tokens(self) -> int:
        """Tokens that all steps together removed."""
        return sum(self.levers.values())

    @property
    def p50(self) -> float | None:
        """Seconds that half of the calls to a model took at most; see `latency`."""
        return self.latency(0.5)

    @property
    def p95(self) -> float | None:
        """Seconds that 95 % of the calls to a model took at most; see `latency`."""
        return self.latency(0.95)

    def latency(self, quantile: float) -> float | None:
        """Seconds that this share of the calls to a model took at most, give or take 5 %."""
        rank = quantile * sum(self.latencies.values())
        for place in sorted(self.latencies):
            rank -= self.latencies[place]
            if rank <= 0:
                return math.exp((place + 0.5) * BIN)
        return None


@dataclass(frozen=True)
class Analytics(Figures):
    """What all calls of a period used, cost and saved, in all and by model, tenant and session."""

    hours: float | None = None
    """None: since the ledger began."""
    models: Mapping[str, Figures] = field(default_factory=dict)
    tenants: Mapping[str, Figures] = field(default_factory=dict)
    sessions: tuple[Session, ...] = ()
    """The dearest conversations, by what they cost in this period."""

    @property
    def cost_by_model(self) -> dict[str, Decimal | None]:
        """Dollars by model, as far as known."""
        return {name: figures.cost for name, figures in self.models.items()}

    def worth(self, tokens: Callable[[Figures], int]) -> tuple[Decimal, Decimal] | None:
        """Price some input tokens of each model: all read from the prefix cache, and none.

        What was removed would have cost something in between. None where a price is unknown.
        """
        low = high = Decimal(0)
        for model, figures in self.models.items():
            # By the thousand, because providers charge more in a single request of very many.
            read = prices.cost(model, Usage(1000, 0, 1000, 0, 0))
            fresh = prices.cost(model, Usage(1000, 0, 0, 0, 0))
            if number := tokens(figures):
                if read is None or fresh is None:
                    return None
                low, high = low + number * read / 1000, high + number * fresh / 1000
        return low, high


def count(event: Event) -> dict[str, int]:
    """Put an event into numbers that can be added up, and taken out again."""
    numbers = {"calls": 1, "failed": int(event.error != ""), "hits": int(event.hit)}
    known = {**vars(event.usage), "cost": to_integer(event.cost)}
    if event.saved is not None:
        tokens = (event.saved.input_tokens, event.saved.output_tokens)
        numbers["saved"] = sum(number for number in tokens if number is not None)
        known["saved_cost"] = to_integer(event.saved_cost)
    for name, number in known.items():
        numbers[f"unknown {name}" if number is None else name] = 1 if number is None else number
    for change in event.changes:
        name = f"lever {change.step}"
        numbers[name] = numbers.get(name, 0) + change.before - change.after
    for name, number in event.components.items():
        numbers[f"component {name}"] = number
    if event.latency is not None and not event.hit:
        numbers[f"latency {math.floor(math.log(max(event.latency, 1e-6)) / BIN)}"] = 1
    return numbers


def figures_of(tally: Mapping[str, int]) -> Figures:
    """Name what was added up."""
    unknown = _named(tally, "unknown ")

    def known(name: str) -> int | None:
        return tally.get(name, None if name in unknown else 0)

    return Figures(
        calls=tally.get("calls", 0),
        failed=tally.get("failed", 0),
        hits=tally.get("hits", 0),
        usage=Usage(**{name: known(name) for name in TOKENS}),
        cost=to_dollars(known("cost")),
        unknown=unknown,
        saved_tokens=tally.get("saved", 0),
        saved_cost=to_dollars(known("saved_cost")),
        levers=_named(tally, "lever "),
        components=_named(tally, "component "),
        latencies={int(name): n for name, n in _named(tally, "latency ").items()},
    )


def total(tallies: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """Add up tallies."""
    summed: Tally[str] = Tally()
    for tally in tallies:
        summed.update(tally)
    return summed


def dearest(tallies: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, Figures]:
    """Add up tallies by name, the dearest first. A name whose events all moved away is left out."""
    groups: dict[str, list[Mapping[str, int]]] = {}
    for name, tally in tallies:
        groups.setdefault(name, []).append(tally)
    named = {name: figures_of(total(group)) for name, group in groups.items()}
    ranked = sorted(named.items(), key=lambda item: -(item[1].cost or 0))
    return {name: figures for name, figures in ranked if figures.calls}


def joined_of(whole: int, most: int) -> int:
    """Say how many of a span's periods to join for some `most` stretches; of many, whole weeks."""
    week = LENGTHS[-1]
    return next((n for n in LENGTHS if whole <= n * most), math.ceil(whole / most / week) * week)


def stretches(
    periods: Mapping[int, Mapping[str, Mapping[str, int]]], joined: int, length: int
) -> Iterator[Stretch]:
    """Join so many periods, of so many seconds and by model, to each stretch."""
    if not periods:
        return
    first, last = min(periods), max(periods)
    for start in range(first // joined * joined, last + 1, joined):
        within = [periods[n] for n in range(start, start + joined) if n in periods]
        models = dearest(item for period in within for item in period.items())
        sums = total(tally for period in within for tally in period.values())
        yield Stretch(start * length, (start + joined) * length, figures_of(sums), models)


def _named(tally: Mapping[str, int], kind: str) -> dict[str, int]:
    return {name.removeprefix(kind): n for name, n in tally.items() if n and name.startswith(kind)}


@dataclass(frozen=True)
class Stretch:
    """What the calls of a stretch of time used, cost and saved."""

    start: float
    end: float
    figures: Figures
    models: Mapping[str, Figures]
