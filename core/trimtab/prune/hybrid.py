"""Keeping the newest turns and those that matter most, and summing up the rest."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field

from trimtab.prices import Outlook
from trimtab.prune.cutting import Past, Rule, Transcripts, check, within
from trimtab.prune.digesting import Digests, Recollection, check_share
from trimtab.prune.importance import important
from trimtab.prune.window import newest
from trimtab.tokens import counter_for
from trimtab.types import Counter, Request, Summarize, fold


@fold
@dataclass(frozen=True)
class Hybrid:
    """Keeps the newest turns whole, older ones that matter, and a summary of all the others.

    It cuts once history is over its budget, many turns at a time. The summary holds the sentences
    that matter most, or is made by `summarize`, as that of `Summary` is. Where history is cut does
    not depend on what a summary says.

    Instructions, pinned messages, the last message of the user and the newest round after it stay
    and are not counted. Tokens are those of contents and tool calls, without the three or four
    that providers add to each message.

    >>> from trimtab import Message, Request
    >>> from trimtab.prune import Hybrid
    >>> chat = [Message("user", "My budget is 450 dollars.")]
    >>> chat += [Message("user", f"Nice weather, day {n}.") for n in range(50)]
    >>> left = Hybrid(budget=100)(Request("gpt-4o", tuple(chat))).messages
    >>> len(left) < 20, any("450 dollars" in message.text for message in left)
    (True, True)
    """

    budget: int
    """Tokens that history and the summary may have."""
    summarize: Summarize | None = None
    """Takes the summary so far, as a message of the user, and the messages that come next."""
    memory: MutableMapping[str, str] | None = field(default=None, repr=False, compare=False)
    """Keeps summaries; one that outlives the process makes the next one send the same text."""
    share: float = 0.2
    """The share of the budget that the summary may have."""
    recent: float = 0.5
    """The share of what a cut leaves of the turns that the newest ones have. The others must
    matter."""
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
        check_share("recent", self.recent)
        room = int(self.share * self.budget)
        memory = Recollection[str]() if self.memory is None else self.memory
        digests = Digests(room, self.chunk, self.summarize, memory)
        object.__setattr__(self, "_digests", digests)

    @property
    def blocking(self) -> bool:
        """Whether it may wait for a model, so that it is to run in a thread."""
        return self.summarize is not None

    def __call__(self, request: Request) -> Request:
        """Return the request with its old turns chosen from, and summed up."""
        count = self.count or counter_for(request.model)
        reserve = self._digests.reserve(count)
        rule = Rule(self._keep, self.budget, self.depth, self.outlook, count, reserve)
        read = self._transcripts.read(request, rule)
        return within(request, read, self._digests.message(request, read, count))

    def _keep(self, past: Past, room: int, most: int) -> set[int]:
        enough = max(room, past.total(past.latest(most)))
        kept = newest(past, int(self.recent * room), enough)
        kept |= important(past, room - past.total(kept), but=kept)
        return kept or newest(past, most, most)
