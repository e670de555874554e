"""Keeping the turns that bear on the question."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from trimtab.embed import Remembered, embedder, remembered
from trimtab.prices import Outlook
from trimtab.prune.cutting import DEEPER, Past, check, led
from trimtab.prune.turns import size
from trimtab.prune.views import Chat, Recalled, Sent, View, Views, sent_messages
from trimtab.relevance import words
from trimtab.tokens import count_message, counter_for
from trimtab.types import Counter, Request, fold


@fold
@dataclass(frozen=True)
class Relevant:
    """Keeps the turns that bear on the question, once history is over its budget.

    What was sent is sent again: a request that continues one known to this object keeps what that
    one held, and turns that bear on a new question are brought back in a message just before it.
    Only when that would outgrow the budget are turns chosen anew, for the question that stands
    then. Unlike other strategies, it depends on what was sent before, so one should live as long
    as the conversations: a transcript that it has not sent is chosen from afresh, up to the whole
    budget.

    Instructions, pinned messages, the last message of the user and the newest round after it stay
    and are not counted: everything else is history. Tokens are those of contents and tool calls,
    without the three or four that providers add to each message. The first choice from a history
    embeds it, which takes MiniLM some 20 milliseconds a turn; after that only what is new.

    >>> from trimtab import Message, Request
    >>> from trimtab.prune import Relevant
    >>> from trimtab.static import Static
    >>> chat = [Message("user", "My cat is called Momo.")]
    >>> chat += [Message("user", f"And the weather on day {n}?") for n in range(50)]
    >>> chat += [Message("user", "What is my cat called?")]
    >>> left = Relevant(budget=60, embed=Static())(Request("gpt-4o", tuple(chat))).messages
    >>> left[0].text
    'My cat is called Momo.'
    """

    budget: int
    """Tokens that history, and what is brought back of it, may have."""
    embed: Any = None
    """What `trimtab.embed.embedder` takes. MiniLM where the extra `semantic` is installed, else
    `Static`, which needs no weights but those that come along."""
    depth: float = 0.6
    """The share of the budget that is left when turns are chosen anew, or less where only that
    pays."""
    recent: float = 0.05
    """The share of what is left that the newest turns have, whatever is asked."""
    recall: float = 0.2
    """The share of the budget that may be brought back for one question."""
    outlook: Outlook = field(default_factory=Outlook)
    count: Counter | None = None
    """Counts tokens; by the request's model where it is not given."""
    _views: Views = field(init=False, repr=False, compare=False, default_factory=Views)

    def __post_init__(self) -> None:
        check(self.budget, self.depth)
        for name in ("recent", "recall"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")

    @property
    def blocking(self) -> bool:
        """It may embed a whole history, so it is to run in a thread."""
        return True

    def __call__(self, request: Request) -> Request:
        """Return the request with the turns that bear on its question."""
        known = self._views.find(request)
        count = self.count or counter_for(request.model)
        view = self._next(Chat(request.messages, count, lambda: self._vectors), known)
        self._views.keep(request, Sent(request.messages, view))
        if view == tuple(range(len(request.messages))):
            return request
        return replace(request, messages=tuple(sent_messages(request.messages, view)))

    def _next(self, chat: Chat, known: Sent | None) -> View:
        """Decide what to send of a conversation, given what was sent of it before."""
        before = len(known.messages) if known else 0
        view = (*(known.view if known else ()), *range(before, len(chat.messages)))
        room = self.budget - chat.held(view)
        if room < 0 or not chat.is_whole(view):
            return self._anew(chat, known)
        asked = chat.asked
        answered = any(message.role == "assistant" for message in chat.messages[asked + 1 :])
        if known is None or asked < before or answered:
            return view  # a question that was sent stays as it was sent
        recalled = self._recalled(chat, view)
        if recalled is None:
            return view
        if size(recalled.message, chat.count) > room:
            return self._anew(chat, known)
        at = view.index(asked)
        return (*view[:at], recalled, *view[at:])

    def _anew(self, chat: Chat, known: Sent | None) -> View:
        """Choose from all of history: up to the budget, or less if that breaks what was sent."""
        if known is None:
            return chat.view(self._chosen(chat, self.budget))
        room = int(self.depth * self.budget)
        usual = chat.view(self._chosen(chat, room))
        deeper = (chat.view(self._chosen(chat, int(share * room))) for share in DEEPER)
        return next((v for v in (usual, *deeper) if self._gain(chat, known, v) >= 0), usual)

    def _chosen(self, chat: Chat, room: int) -> Collection[int]:
        """Choose turns: some of the newest, then in order what fits, the user's first."""
        past = chat.past
        newest = reversed(range(len(past.turns)))
        recent = _fitting(past, newest, int(self.recent * room), whole=True)
        kept = _filled(past, recent, chat.order, room)
        # The user is to begin. Better to pay for that with the turn that is worth least than to
        # drop the first ones.
        lead = led(past, kept, 2 * room) - kept
        if past.total(recent | lead) <= room:
            kept = _filled(past, recent | lead, chat.order, room)
        return led(past, kept, room)

    def _gain(self, chat: Chat, known: Sent, view: View) -> float:
        """What a new choice wins by what was sent before, in uncached input tokens."""
        old = sent_messages(known.messages, known.view)
        seen = range(len(known.messages))
        new = sent_messages(chat.messages, [part for part in view if part in seen])
        same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
        same = min(len(old), len(new)) if same is None else same
        after, kept = (sum(count_message(m, chat.count) for m in v[same:]) for v in (old, new))
        return self.outlook.gain(after, after - kept)

    def _recalled(self, chat: Chat, view: View) -> Recalled | None:
        """Bring back those of the turns that bear most on the question which are not sent."""
        past, hidden = chat.past, chat.hidden(view)
        if not hidden or not words(chat.question):
            return None
        # Those that are sent count as well: where they bear more on it, little is brought back.
        room = int(self.recall * self.budget)
        best = _fitting(past, chat.order, room) & hidden
        chosen: list[int] = []
        for turn in (turn for turn in chat.order if turn in best):
            wider = sorted([*chosen, turn])
            if size(chat.recalled(wider).message, chat.count) <= room:
                chosen = wider
        return chat.recalled(chosen) if chosen else None

    @cached_property
    def _vectors(self) -> Remembered:
        if self.embed is None:
            return remembered()
        known = isinstance(self.embed, Remembered)
        return self.embed if known else Remembered(embedder(self.embed))


def _filled(past: Past, first: set[int], order: Iterable[int], room: int) -> set[int]:
    """Take some turns, and then in order those that fit."""
    left = [turn for turn in order if turn not in first]
    return first | _fitting(past, left, room - past.total(first))


def _fitting(past: Past, order: Iterable[int], room: int, *, whole: bool = False) -> set[int]:
    """Take turns as long as there is room: those that fit, or all up to the first that does not."""
    kept: set[int] = set()
    for turn in order:
        if past.sizes[turn] <= room:
            kept.add(turn)
            room -= past.sizes[turn]
        elif whole:
            break
    return kept
