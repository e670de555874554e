"""Summing up what is dropped."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field

from trimtab.prices import Outlook
from trimtab.prune.cutting import Rule, Transcripts, check, within
from trimtab.prune.digesting import Digests, Recollection, check_share
from trimtab.prune.window import newest
from trimtab.tokens import counter_for
from trimtab.types import Counter, Request, Summarize, fold


@fold
@dataclass(frozen=True)
class Summary:
    """Replaces the oldest turns by a summary once history is over its budget, many at a time.

    A summary is made once, of the one before and of all that is dropped, and remembered with what
    it stands for. Names, numbers and the like that it lost are appended to it. Without a
    `summarize`, and where that fails, it holds the sentences that matter most. Where history is cut
    does not depend on what a summary says.

    Instructions, pinned messages, the last message of the user and the newest round after it stay
    and are not counted. Tokens are those of contents and tool calls, without the three or four
    that providers add to each message.

    >>> from trimtab import Message, Request
    >>> from trimtab.prune import Summary
    >>> shorten = Summary(budget=100, summarize=lambda messages: "They talk of the weather.")
    >>> chat = tuple(Message("user", f"And the weather on day {n}?") for n in range(50))
    >>> print(shorten(Request("gpt-4o", chat)).messages[0].text)
    [Summary of the earlier conversation, written by the application]
    They talk of the weather.
    """

    budget: int
    """Tokens that history and the summary may have."""
    summarize: Summarize | None = None
    """Takes the summary so far, as a message of the user, and the messages that come next."""
    memory: MutableMapping[str, str] | None = field(default=None, repr=False, compare=False)
    """Keeps summaries; one that outlives the process makes the next one send the same text."""
    share: float = 0.25
    """The share of the budget that the summary may have."""
    chunk: int = 4000
    """Tokens that are summarised at a time. A longer message is told in parts."""
    depth: float = 0.5
    """The share of the budget that a cut leaves, or less where only that pays."""
    outlook: Outlook = field(default_factory=Outlook)
    count: Counter | None = None
    """Counts tokens; by the request's model where it is not given."""
    _digests: Digests = field(init=False, repr=False, compare=False)
    _transcripts: Transcripts = field(
        init=False, repr=False, compare=False, default_factory=Transcripts
    )

    def __post_init__(self) -> None:
        check(self.budget, self.depth)
        check_share("share", self.share)
        room = int(self.share * self.budget)
        memory = Recollection[str]() if self.memory is None else self.memory
        digests = Digests(room, self.chunk, self.summarize, memory)
        object.__setattr__(self, "_digests", digests)

    @property
    def blocking(self) -> bool:
        """Whether it may wait for a model, so that it is to run in a thread."""
        return self.summarize is not None

    def __call__(self, request: Request) -> Request:
        """Return the request with a summary in place of the turns that were dropped."""
        count = self.count or counter_for(request.model)
        reserve = self._digests.reserve(count)
        rule = Rule(newest, self.budget, self.depth, self.outlook, count, reserve)
        read = self._transcripts.read(request, rule)
        return within(request, read, self._digests.message(request, read, count))
