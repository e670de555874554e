"""Keeping the newest turns."""

from __future__ import annotations

from dataclasses import dataclass, field

from trimtab.prices import Outlook
from trimtab.prune.cutting import Rule, Transcripts, check, within
from trimtab.prune.window import newest
from trimtab.tokens import counter_for
from trimtab.types import Counter, Request, fold


@fold
@dataclass(frozen=True)
class Recent:
    """Drops the oldest turns once history is over its budget, many at a time.

    Instructions, pinned messages, the last message of the user and the newest round after it stay
    and are not counted: everything else is history. Tokens are those of contents and tool
    calls, without the three or four that providers add to each message.

    >>> from trimtab import Message, Request
    >>> from trimtab.prune import Recent
    >>> chat = tuple(Message("user", f"Question {n}") for n in range(100))
    >>> left = Recent(budget=100)(Request("gpt-4o", chat)).messages
    >>> len(left) < 30, left[-1].text
    (True, 'Question 99')
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
        rule = Rule(newest, self.budget, self.depth, self.outlook, count)
        return within(request, self._transcripts.read(request, rule))
