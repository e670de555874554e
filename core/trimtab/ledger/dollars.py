"""What input tokens cost as they were bought, and what the provider's cache saved anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from trimtab.ledger.figures import Figures
from trimtab.prices import rates

Models = Mapping[str, Figures]


def bought_at(model: str, figures: Figures) -> Decimal | None:
    """Return the dollars of an input token, by the share that the provider read from its cache.

    As if all were, where that is not known: a saving is then rather more than is said.
    """
    found, share = rates(model), figures.cache_read_share
    if found is None:
        return None
    read = Decimal(1) if share is None else Decimal(str(share))
    return found.cache_read * read + found.input * (1 - read)


def worth(models: Models, tokens: Callable[[Figures], int]) -> Decimal | None:
    """Price some of the input tokens of each model as it was bought; None where no price is known.

    Models without a price count for nothing.
    """
    priced = ((bought_at(name, figures), tokens(figures)) for name, figures in models.items())
    return _sum(price * number for price, number in priced if price is not None)


def provider_saved(models: Models) -> Decimal | None:
    """Return what the providers' prefix caches saved, less what writing to them cost more.

    None where no price is known; models without one, or that do not say what they read, count for
    nothing.
    """
    return _sum(filter(None, (_provider_saved(*item) for item in models.items())))


def unread(models: Models) -> Decimal | None:
    """Return what would be saved at most if the providers had read all of it from their caches."""
    return _sum(filter(None, (_unread(*item) for item in models.items())))


def _provider_saved(model: str, figures: Figures) -> Decimal | None:
    found, read = rates(model), figures.usage.cache_read_tokens
    if found is None or read is None:
        return None
    written = figures.usage.cache_write_tokens or 0
    won = read * (found.input - found.cache_read)
    return won - written * (found.cache_write - found.input)


def _unread(model: str, figures: Figures) -> Decimal | None:
    found, read = rates(model), figures.usage.cache_read_tokens
    sent = figures.usage.input_tokens
    if found is None or read is None or sent is None:
        return None
    return max(sent - read, 0) * (found.input - found.cache_read)


def _sum(amounts: Iterable[Decimal]) -> Decimal | None:
    found = list(amounts)
    return sum(found, Decimal(0)) if found else None
