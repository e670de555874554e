"""Keeping the turns that matter most, whatever is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from trimtab.prices import Outlook
from trimtab.prune.cutting import Past, Rule, Transcripts, check, within
from trimtab.prune.importance import important
from trimtab.tokens import counter_for
from trimtab.types import Counter, Request, fold


@fold
@dataclass(frozen=True)
class Important:
    """Drops the turns that matter least once history is over its budget, many at a time.

    Decisions, facts, figures, dates, errors, and the values that the user set matter, what the
    user said more than what a tool returned, and new turns more than old ones. The exchange before
    the last message of the user stays, if it fits. Instructions, pinned messages, that message
    and the newest round after it stay and are not counted. Tokens are those of contents and tool
    calls, without the three or four that providers add to each message.

    >>> from trimtab import Message, Request
    >>> from trimtab.prune import Important
    >>> chat = [Message("user", "My budget is 450 dollars.")]
    >>> chat += [Message("user", f"Nice weather, day {n}.") for n in range(50)]
    >>> left = Important(budget=100)(Request("gpt-4o", tuple(chat))).messages
    >>> left[0].text
    'My budget is 450 dollars.'
    """

    budget: int
    """Tokens that history may have."""
    depth: float = 0.5
    """The share of the budget that a cut leaves, or less where only that pays."""
    outlook: Outlook = field(default_factory=Outlook)
    count: Counter | None = None
    """Counts tokens; by the request's model where it is not given."""
    _transcripts: Transcripts = field(
        init=False, repr=False, compare=False, default_factory=Transcripts
    )

    def __post_init__(self) -> None:
        check(self.budget, self.depth)

    def __call__(self, request: Request) -> Request:
        """Return the request without the turns that were dropped."""
        count = self.count or counter_for(request.model)
        rule = Rule(_keep, self.budget, self.depth, self.outlook, count)
        return within(request, self._transcripts.read(request, rule))


def _keep(past: Past, room: int, most: int) -> set[int]:
    latest = past.latest(most)
    others = important(past, room - past.total(latest), but=latest)
    return latest | others or important(past, most)
