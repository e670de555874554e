"""What a store holds, summed up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from trimtab.cache.answers import Kept, unpack

if TYPE_CHECKING:
    from trimtab.cache.sqlite import Entry


@dataclass(frozen=True)
class Sums:
    """Of one answer, or over several."""

    entries: int = 0
    hits: int = 0
    """How often they were found, as far as that was written down."""
    input_tokens: int = 0
    output_tokens: int = 0
    untold: int = 0
    """Answers that did not tell their tokens, and are not among those of others."""
    dollars: Decimal = Decimal(0)
    """What they cost."""
    saved: Decimal = Decimal(0)
    """What they would have cost again each time that they were found."""
    unpriced: int = 0
    """Answers whose cost is not known, and not among that of others."""

    def __add__(self, other: Sums) -> Sums:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Sums(*(mine + theirs for mine, theirs in pairs))


class Inventory:
    """Sums up entries one by one, because there may be more than fit into memory."""

    def __init__(self) -> None:
        self.models: defaultdict[str, Sums] = defaultdict(Sums)
        """By the model that answered; an empty string where that is not known."""
        self.bytes = 0
        """Of keys and texts."""
        self.oldest: float | None = None
        self.newest: float | None = None
        """Seconds since 1970."""
        self.ending = 0
        """Answers that have a time to live."""
        self.questions = 0
        """Answers that can be found by meaning."""
        self.unread = 0
        """Texts that are no answers."""
        self._partitions: set[str] = set()

    @property
    def total(self) -> Sums:
        """Over all models."""
        return sum(self.models.values(), Sums())

    @property
    def partitions(self) -> int:
        """Groups of questions that are never compared with one another."""
        return len(self._partitions)

    def add(self, entry: Entry) -> None:
        """Count one more."""
        self.bytes += len(entry.key) + len(entry.text.encode("utf-8", "surrogatepass"))
        self.oldest = entry.saved if self.oldest is None else min(self.oldest, entry.saved)
        self.newest = entry.saved if self.newest is None else max(self.newest, entry.saved)
        self.ending += entry.ends is not None
        if entry.partition is not None:
            self.questions += 1
            self._partitions.add(entry.partition)
        try:
            kept = unpack(entry.text)
        except ValueError:
            self.unread += 1
        else:
            self.models[kept.answer.model] += _sums(kept, found=entry.hits - 1)


def _sums(kept: Kept, *, found: int) -> Sums:
    usage, worth = kept.answer.usage, kept.worth
    told = usage is not None and None not in (usage.input_tokens, usage.output_tokens)
    return Sums(
        entries=1,
        hits=found,
        input_tokens=(usage.input_tokens or 0) if usage and told else 0,
        output_tokens=(usage.output_tokens or 0) if usage and told else 0,
        untold=not told,
        dollars=worth or Decimal(0),
        saved=(worth or Decimal(0)) * found,
        unpriced=worth is None,
    )
