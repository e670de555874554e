"""Cutting a long history down to a digest, rarely, and only where that pays."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate

from trimtab.folding import CONVERSATIONS, begins_with
from trimtab.prices import Outlook
from trimtab.prune.importance import weigh
from trimtab.tokens import count_message, counter_for
from trimtab.types import Counter, Message, Request, RunnableTool, Step, fold

HEADING = '[Earlier messages, shortened by the application; all of them: {tool}(handle="{handle}")]'
IDENTIFIER = re.compile(r"[\w#@+./:-]*[\w]")
ROW_TOKENS = 160
"""Results up to this size are kept whole: a record, of which any field may be needed."""
WORDS = 20
"""Words that are kept of what the model itself wrote, be it an answer or a call."""
USER_WORDS = 150


@fold
@dataclass(frozen=True)
class History:
    """Replaces old rounds by a digest, where the tokens that saves pay for the broken prefix.

    A cut is decided by the transcript up to a call, so it is the same whenever that call is
    repeated. What the user said stays, and so do the calls made, and of their results the rows
    that were spoken of since. The rest is to be had through a tool; where a request does not offer
    that tool, history is not cut. The system prompt, the first message of the user, pinned
    messages, and the newest rounds stay as they are, results beside their calls.

    >>> from trimtab.compress import Originals
    >>> from trimtab.prices import Outlook
    >>> from trimtab.prune import History
    >>> originals = Originals()
    >>> step = History(originals.keep, originals.tool, Outlook(calls=15))
    >>> [tool.tool.name for tool in step.tools]
    ['recall']
    """

    keep: Callable[[str], str | None]
    """Stores a text, and returns the handle by which `tool` gives it back."""
    tool: RunnableTool
    outlook: Outlook = field(default_factory=Outlook)
    recent: int = 800
    """Tokens of the newest rounds, which are never cut."""
    least: int = 1500
    """Tokens that a cut must remove."""
    digest: int = 1000
    """Tokens that a digest may have."""
    then: Step | None = None
    """A step that stands after this one, and makes of a cut history something else than of a whole
    one. What it makes of both decides whether a cut pays."""
    count: Counter | None = None
    _known: OrderedDict[str, _Read] = field(
        init=False, repr=False, compare=False, default_factory=OrderedDict
    )
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    def __post_init__(self) -> None:
        for name in ("recent", "least", "digest"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def tools(self) -> tuple[RunnableTool, ...]:
        """The tool that gives back what a cut removed."""
        return (self.tool,)

    def __call__(self, request: Request) -> Request:
        """Return the request with its old rounds as a digest, once that has paid."""
        if not any(t.name == self.tool.tool.name for t in request.tools):
            return request
        count = self.count or counter_for(request.model)
        settled = self._resume(request)
        for place in range(settled.upto, len(request.messages)):
            if request.messages[place].role == "assistant":
                settled = self._consider(request, place, settled, count)
        settled = replace(settled, messages=request.messages, upto=len(request.messages))
        with self._lock:
            self._known[request.conversation] = settled
            if len(self._known) > CONVERSATIONS:
                self._known.popitem(last=False)
        read = self._consider(request, len(request.messages), settled, count)
        return replace(request, messages=_view(request.messages, read)) if read.cut else request

    def _resume(self, request: Request) -> _Read:
        """Go on from where this conversation was read to, or from its start."""
        with self._lock:
            known = self._known.get(request.conversation)
        if known is not None and begins_with(request.messages, known.messages):
            return known
        start = next((i for i, m in enumerate(request.messages) if m.role == "user"), -1) + 1
        return _Read(start=start)

    def _consider(self, request: Request, place: int, read: _Read, count: Counter) -> _Read:
        """Decide whether the call that sends the messages up to a place is the one for a cut."""
        messages = request.messages[:place]
        sizes = [count_message(m, count) for m in messages[read.cut or read.start :]]
        after = sum(sizes) + (count_message(read.digest, count) if read.digest else 0)
        if not read.start or after < self.recent + self.least:
            return read
        cut = self._place(messages, read, sizes)
        newest = sum(sizes[cut - (read.cut or read.start) :])
        if not cut or not self._pays(after, after - newest):
            return read
        lines = _within(_lines(messages, read.start, cut, count), self.digest, count)
        drafted = replace(read, cut=cut, digest=_digest(HEADING, lines))
        if not self._pays(after, after - newest - count_message(_digest(HEADING, lines), count)):
            return read
        # Under another name, lest the next step forget how far it has read what is really sent.
        draft = replace(request, session="a cut that may not be made")
        before = self._size(request, messages, read, count)
        left = self._size(draft, messages, drafted, count)
        if not self._pays(before, before - left):
            return read
        handle = self.keep("\n\n".join(_whole(m) for m in messages[read.start : cut]))
        if handle is None:
            return read
        heading = HEADING.format(tool=self.tool.tool.name, handle=handle)
        return replace(drafted, digest=_digest(heading, lines))

    def _size(
        self, request: Request, messages: Sequence[Message], read: _Read, count: Counter
    ) -> int:
        """Count what would be sent after the messages that always stay."""
        view = replace(request, messages=_view(messages, read))
        view = self.then(view) if self.then else view
        return sum(count_message(m, count) for m in view.messages[read.start :])

    def _pays(self, after: int, removed: int) -> bool:
        return removed >= self.least and self.outlook.gain(after, removed) > 0

    def _place(self, messages: Sequence[Message], read: _Read, sizes: Sequence[int]) -> int:
        """Choose where the newest rounds begin: with a message of the user, if one is near.

        Returns 0 where there is no such place.
        """
        start = read.cut or read.start
        newest = accumulate(reversed(sizes))
        far = next((i for i, size in enumerate(newest) if size >= self.recent), len(sizes))
        limit = len(messages) - far - 1
        pinned = next((i for i, m in enumerate(messages) if i >= read.start and m.pinned), limit)
        limit = min(limit, pinned)
        turns = [i for i in range(start + 1, limit + 1) if messages[i].role == "user"]
        rounds = [i for i in range(start + 1, limit + 1) if messages[i].role == "assistant"]
        best = turns[-1:] if turns and turns[-1] > (start + limit) // 2 else rounds[-1:]
        return best[0] if best else 0


@dataclass(frozen=True)
class _Read:
    """How far a transcript was read, and where it is cut."""

    start: int
    """Index of the first message that may be cut; 0 where there is none yet."""
    cut: int = 0
    """Index of the first message that is left whole; 0 before the first cut."""
    digest: Message | None = None
    messages: tuple[Message, ...] = ()
    upto: int = 0


def _digest(heading: str, lines: Sequence[str]) -> Message:
    return Message("user", "\n".join([heading, *lines]), encoded=True)


def _view(messages: Sequence[Message], read: _Read) -> tuple[Message, ...]:
    if not read.cut:
        return tuple(messages)
    digest = (read.digest,) if read.digest else ()
    return (*messages[: read.start], *digest, *messages[read.cut :])


def _whole(message: Message) -> str:
    """Write a message out in full, for the store."""
    calls = "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
    return f"{message.role}: {message.text}{calls}"


Line = tuple[str, str]
"""Whose words a line of the digest is made of, by role, and the line."""


def _lines(messages: Sequence[Message], start: int, cut: int, count: Counter) -> list[Line]:
    """Return what the digest says of each message."""
    spoken: set[str] = set().union(*map(_named, messages[cut:]))
    lines: list[Line] = []
    for message in reversed(messages[start:cut]):
        if message.role == "tool":
            if message.text:
                lines.append(("tool", "-> " + _rows(message.text, spoken, count)))
            continue
        words = USER_WORDS if message.role == "user" else WORDS
        calls = [f"called {c.name}({_ends(c.arguments, WORDS)})" for c in message.tool_calls]
        lines += [(message.role, call) for call in reversed(calls)]
        if message.text.strip():
            lines.append((message.role, f"{message.role}: {_ends(message.text, words)}"))
        spoken |= _named(message)
    return lines[::-1]


def _within(lines: Sequence[Line], budget: int, count: Counter) -> list[str]:
    """Keep the lines that matter most and fit, and what the user said whatever it is."""
    kept = {i for i, (role, _) in enumerate(lines) if role == "user"}
    room = budget - sum(count(lines[i][1]) for i in kept)
    weights = weigh([line for _, line in lines], [role for role, _ in lines])
    for i in sorted(set(range(len(lines))) - kept, key=lambda i: (-weights[i], -i)):
        if (price := count(lines[i][1]) + 1) <= room:
            room -= price
            kept.add(i)
    return [lines[i][1] for i in sorted(kept)]


def _rows(text: str, spoken: Collection[str], count: Counter) -> str:
    """Keep the first line, notes, and the lines that name something spoken of later."""
    if count(text) <= ROW_TOKENS:
        return text
    first, *rest = text.split("\n")
    kept = [line for line in rest if line[:1] == "[" or not _identifiers(line).isdisjoint(spoken)]
    left = len(rest) - len(kept)
    note = [f"[{left} lines left out]"] if left else []
    return "\n".join([first, *kept, *note])


def _named(message: Message) -> frozenset[str]:
    """Return the identifiers that the user or the model used in a message."""
    if message.role == "tool":
        return frozenset()
    calls = (_identifiers(call.arguments) for call in message.tool_calls)
    return _identifiers(message.text).union(*calls)


@lru_cache(maxsize=4096)
def _identifiers(text: str) -> frozenset[str]:
    """Return the words that name something: with a digit, a sign, or no small letter."""
    words = (word for word in IDENTIFIER.findall(text) if len(word) > 2)
    return frozenset(w for w in words if not w.isalpha() or w.isupper())


def _ends(text: str, words: int) -> str:
    """Return a text's first and last words, if it has more than so many."""
    found = text.split()
    if len(found) <= words:
        return text.strip()
    last = words // 3
    return " ".join([*found[: words - last], "...", *found[-last:]])
