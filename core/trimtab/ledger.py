"""What was spent, and what was saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from trimtab.types import Usage


@dataclass(frozen=True)
class Change:
    """What one step did to the size of a request, in tokens."""

    step: str
    before: int
    after: int


@dataclass(frozen=True)
class Event:
    """One answered, or failed, call."""

    id: str
    """The answer's own id where it has one, so that a call seen twice counts once."""
    time: float
    model: str
    usage: Usage = field(default_factory=Usage)
    """What the provider billed: nothing, for an answer from the cache."""
    cost: Decimal | None = None
    saved: Usage | None = None
    """What an answer from the cache would have used."""
    tenant: str = ""
    session: str = ""
    latency: float | None = None
    """Seconds."""
    hit: bool = False
    changes: tuple[Change, ...] = ()
    components: Mapping[str, int] = field(default_factory=dict)
    """Tokens of the request as sent, by component."""
    error: str = ""


class Ledger:
    """Keeps every event."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = path
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        """Add one event."""
        self.events.append(event)
