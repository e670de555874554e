"""What tokens cost, and when it pays to change what a provider has cached."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from trimtab.types import Counter, Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation, TieredPrices

MILLION = 1_000_000
PICODOLLARS = 10**12
"""Sums are integers, which stay exact. A price per million tokens with up to six decimals, which
is finer than any published one, makes whole picodollars."""
LOOKBACK = 20
"""How far before a break point an earlier one is found, in blocks (Anthropic's documentation)."""
WINDOW = 6
"""How many earlier requests of a conversation a prefix is looked for in."""
Shared = Callable[[str, str], int]
"""(one text, another) -> the tokens with which both start."""


@dataclass(frozen=True)
class Rates:
    """Dollars for one token, at a model's lowest tier.

    >>> from trimtab.prices import Rates, rates
    >>> price: Rates | None = rates("gpt-4o")
    >>> price.output / price.input
    Decimal('4')
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    """The price of input where reads are not priced on their own."""
    cache_write: Decimal
    """Likewise."""


@dataclass(frozen=True)
class CacheRule:
    """How a family of models caches prompts. Its prices are in the price list.

    >>> from trimtab.prices import CacheRule, rule_for
    >>> rule: CacheRule = rule_for("claude-sonnet-4-5")
    >>> rule.minimum, rule.marks
    (1024, True)
    """

    pattern: str
    """A regular expression for the models' names."""
    minimum: int
    """Tokens of the smallest prefix that is cached."""
    life: timedelta | None
    """How long a prefix stays after its last use, or None where the provider does not say."""
    steps: int
    """A hit is a multiple of so many tokens."""
    source: str
    marks: bool = False
    """Whether only a prefix that ends at a break point is cached, and found again from the next
    break points alone."""
    as_of: date = date(2026, 11, 22)


_SOON, _LATER = timedelta(minutes=5), timedelta(minutes=30)
_CLAUDE, _OPENAI = "platform.claude.com: prompt caching", "developers.openai.com: prompt caching"
_GEMINI, _DEEPSEEK = "ai.google.dev: context caching", "api-docs.deepseek.com: context caching"
# In order: the first that fits. For Claude Sonnet 4.6 the page says 1,024, but users measured
# 2,048 (anthropic-sdk-python#1194).
CACHE_RULES = (
    CacheRule(
        r"claude-(?:opus|sonnet|haiku)-5[-.]5|claude-opus-5", 512, _SOON, 1, _CLAUDE, marks=True
    ),
    CacheRule(r"claude-(?:fable|mythos)", 512, _SOON, 1, _CLAUDE, marks=True),
    CacheRule(r"claude-(?:opus-4[-.][56]|haiku-4)", 4096, _SOON, 1, _CLAUDE, marks=True),
    CacheRule(
        r"claude-(?:opus-4[-.]7|sonnet-4[-.]6|3.*haiku)", 2048, _SOON, 1, _CLAUDE, marks=True
    ),
    CacheRule(r"claude", 1024, _SOON, 1, _CLAUDE, marks=True),
    CacheRule(r"gpt-(?:5[-.][6-9]|[6-9](?!\d)|[1-9]\d)", 1024, _LATER, 128, _OPENAI),
    CacheRule(r"gpt-|chatgpt|codex|^(?:.*[/:])?o[1-9](?:-|$)", 1024, _SOON, 128, _OPENAI),
    CacheRule(r"gemini-2[-.]5", 2048, None, 1, _GEMINI),
    CacheRule(r"gemini", 4096, None, 1, _GEMINI),
    CacheRule(r"deepseek", 64, None, 64, _DEEPSEEK),
)
DEFAULT_RULE = CacheRule("", 1024, _SOON, 128, "a guess on the safe side")


@dataclass(frozen=True)
class Outlook:
    """What a session's prefix cache is expected to cost. Prices are relative to an input token.

    >>> from trimtab.prices import Outlook
    >>> Outlook(calls=10).pays_back(after=4000, removed=3000)
    True
    >>> Outlook(calls=10).break_even_calls(after=4000, removed=500)
    79.5
    """

    read: float = 0.1
    write: float = 1.25
    minimum: int = 1024
    """Tokens of the smallest prefix that is cached."""
    calls: int = 10
    """Calls still expected after a cut."""

    def gain(self, after: int, removed: int) -> float:
        """What a cut wins over the session, in uncached input tokens; negative where it loses.

        Args:
            after: Tokens after the first changed byte.
            removed: How many of them are gone.
        """
        once = self.write * (after - removed) - self.read * after
        return self.calls * self.read * removed - once

    def pays_back(self, after: int, removed: int) -> bool:
        """Tell whether a cut wins more, over the session, than writing the rest anew costs."""
        return self.gain(after, removed) > 0

    def break_even_calls(self, after: int, removed: int) -> float:
        """Return how many calls must follow until a cut has paid back, which may be infinity."""
        once = self.write * (after - removed) - self.read * after
        each = self.read * removed
        return max(0.0, once / each) if each > 0 else math.inf

    def bill(self, usage: Usage) -> float:
        """Price the input of a call, in uncached input tokens. What is unknown was not cached."""
        read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        plain = (usage.input_tokens or 0) - read - written
        return plain + self.read * read + self.write * written


GENERIC = {
    "no cache": Outlook(read=1.0, write=1.0),
    "reads 0.5, writes 1": Outlook(read=0.5, write=1.0),
    "reads 0.1, writes 1": Outlook(read=0.1, write=1.0),
    "reads 0.1, writes 1.25": Outlook(read=0.1, write=1.25),
}
"""The price models that most providers come close to."""


def cost(model: str, usage: Usage, at: datetime | None = None) -> Decimal | None:
    """Price a call, in dollars, or return None where the model or its tokens are not known.

    Takes the prices of `at` (of now, if not given; in UTC, if it has no time zone), tiers included,
    and never asks the network for them. What is not known to be read from or written to a cache
    counts as plain input. A usage that contradicts itself, with more read from the cache than sent,
    has no price either. Zero means free.

    >>> from trimtab import Usage
    >>> from trimtab.prices import cost
    >>> cost("gpt-4o", Usage(input_tokens=2000, output_tokens=100, cache_read_tokens=1024))
    Decimal('0.00472')
    >>> cost("a model of my own", Usage(2000, 100)) is None
    True
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    try:
        found = _price(model, usage, at)
    except ValueError:
        return None
    if found is None or not _by_token(found):
        return None
    return found.total_price


def to_integer(dollars: Decimal | None) -> int | None:
    """Turn dollars into whole picodollars.

    >>> from decimal import Decimal
    >>> from trimtab.prices import to_integer
    >>> to_integer(Decimal("0.0025"))
    2500000000
    """
    return None if dollars is None else round(dollars * PICODOLLARS)


def to_dollars(integer: int | None) -> Decimal | None:
    """Turn picodollars into dollars.

    >>> from trimtab.prices import to_dollars
    >>> to_dollars(2_500_000_000)
    Decimal('0.0025')
    """
    return None if integer is None else Decimal(integer) / PICODOLLARS


def rates(model: str, at: datetime | None = None) -> Rates | None:
    """Return the price of a token, or None where the model is not known or not sold by tokens.

    >>> from trimtab.prices import rates
    >>> rates("gpt-4o").cache_read / rates("gpt-4o").input
    Decimal('0.5')
    """
    found = _price(model, Usage(0, 0), at)
    if found is None or not _by_token(found):
        return None
    price = found.model_price
    sent = _base(price.input_mtok)
    read, written = price.cache_read_mtok, price.cache_write_mtok
    return Rates(
        input=sent,
        output=_base(price.output_mtok),
        cache_read=sent if read is None else _base(read),
        cache_write=sent if written is None else _base(written),
    )


def rule_for(model: str) -> CacheRule:
    """Return how a model's provider caches prompts, or a guess on the safe side.

    >>> from trimtab.prices import rule_for
    >>> rule_for("gpt-4o").minimum, rule_for("gpt-4o").steps
    (1024, 128)
    """
    name = model.lower()
    return next((rule for rule in CACHE_RULES if re.search(rule.pattern, name)), DEFAULT_RULE)


@lru_cache(maxsize=256)
def outlook_for(model: str) -> Outlook:
    """Return what is known of a model's prefix cache, or a guess on the safe side.

    Of Claude, the price of writes that last five minutes. It stays as it is for the life of the
    process, so that prices which change overnight do not change decisions within a session.

    >>> from trimtab.prices import outlook_for
    >>> outlook_for("claude-sonnet-4-5")
    Outlook(read=0.1, write=1.25, minimum=1024, calls=10)
    """
    price, minimum = rates(model), rule_for(model).minimum
    if price is None or not price.input:
        return Outlook(minimum=minimum)
    read, write = price.cache_read / price.input, price.cache_write / price.input
    return Outlook(float(read), float(write), minimum)


@dataclass(frozen=True)
class _Sent:
    parts: tuple[str, ...]
    at: float | None
    marks: tuple[int, ...] | None = None


class PrefixCache:
    """Simulates a provider's prefix cache for the requests of one conversation.

    Args:
        count: The same tokens as the provider's, or near them.
        rule: How the provider caches; see `rule_for`.
        shared: Tokens with which two texts start. Where it is not given, the tokens of the
            characters with which they start, which may be one off.

    >>> from trimtab.prices import PrefixCache, rule_for
    >>> from trimtab.tokens import counter_for
    >>> provider = PrefixCache(counter_for("gpt-4o"), rule_for("gpt-4o"))
    >>> rules = "Answer politely. " * 500
    >>> [provider.send([rules, question]).cache_read_tokens for question in ("Where?", "When?")]
    [0, 1...]
    """

    def __init__(
        self, count: Counter, rule: CacheRule = DEFAULT_RULE, shared: Shared | None = None
    ) -> None:
        self.count = count
        self.rule = rule
        self.shared = shared or (lambda one, other: count(_start(one, other)))
        self._sent: deque[_Sent] = deque(maxlen=WINDOW)

    def send(
        self, parts: Sequence[str], at: float | None = None, marks: Sequence[int] | None = None
    ) -> Usage:
        """Return how many tokens of a request the provider reads from its cache, and writes.

        Args:
            parts: The request in pieces that are tokenised one by one: tools, then each message.
            at: Seconds, by any clock. Where it is not given, nothing expires.
            marks: The pieces at whose end a break point stands, where the provider wants those.
        """
        request = _Sent(tuple(parts), at, None if marks is None else tuple(marks))
        total = sum(map(self.count, request.parts))
        if request.marks is not None:
            return self._marked(request, total)
        hit = self._hit(request)
        hit = hit - hit % self.rule.steps if hit >= self.rule.minimum else 0
        written = total - hit if total >= self.rule.minimum else 0
        self._sent.append(request)
        return Usage(total, 0, hit, written, 0)

    def _marked(self, request: _Sent, total: int) -> Usage:
        """Read what an earlier break point wrote, and write up to the last one of this request."""
        known = {
            end
            for old in self._alive(request.at)
            for end in old.marks or ()
            if request.parts[: end + 1] == old.parts[: end + 1]
        }
        near = {end for end in known for mark in request.marks or () if 0 <= mark - end < LOOKBACK}
        hit, last = (
            sum(map(self.count, request.parts[: max(ends, default=-1) + 1]))
            for ends in (near, request.marks or ())
        )
        hit = hit if hit >= self.rule.minimum else 0
        self._sent.append(request)
        if last < self.rule.minimum:
            return Usage(total, 0, 0, 0, 0)
        return Usage(total, 0, hit, last - hit, 0)

    def _hit(self, request: _Sent) -> int:
        """Count the tokens of the longest prefix that an earlier request shares."""
        known = [(_equal(request.parts, old.parts), old) for old in self._alive(request.at)]
        most = max((equal for equal, _ in known), default=0)
        same = sum(map(self.count, request.parts[:most]))
        if most == len(request.parts):
            return same
        # Only those that share the most parts can share the most tokens.
        rivals = {old.parts[most] for equal, old in known if equal == most < len(old.parts)}
        return same + max((self.shared(request.parts[most], rival) for rival in rivals), default=0)

    def _alive(self, at: float | None) -> Iterator[_Sent]:
        life = math.inf if self.rule.life is None else self.rule.life.total_seconds()
        for old in self._sent:
            if at is None or old.at is None or at - old.at <= life:
                yield old


def _equal(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the parts with which both start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _start(one: str, other: str) -> str:
    """Return the characters with which both start."""
    return one[: _equal(one, other)]


def _price(model: str, usage: Usage, at: datetime | None) -> PriceCalculation | None:
    """Look up a model under the names it may have."""
    from genai_prices import Usage as Priced
    from genai_prices import calc_price

    priced = Priced(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    for name, provider in _names(model):
        try:
            return calc_price(priced, name, provider_id=provider, genai_request_timestamp=at)
        except LookupError:
            continue
    return None


def _names(model: str) -> Iterator[tuple[str, str | None]]:
    """List what a model may be called: `provider:model`, `provider/model`, or as it is."""
    name = model.removeprefix("models/")  # as Google's own listing writes them
    if split := re.match(r"([^:/]+)[:/](.+)", name):
        yield split[2], split[1]
    yield name, None


def _by_token(found: PriceCalculation) -> bool:
    """Tell whether a model is sold by tokens, or given away: some are sold by the second."""
    prices = {key for key, price in vars(found.model_price).items() if price is not None}
    return not prices or bool(prices & {"input_mtok", "output_mtok"})


def _base(price: Decimal | TieredPrices | None) -> Decimal:
    if price is None:
        return Decimal(0)
    return (price if isinstance(price, Decimal) else price.base) / MILLION
