"""Which tools sessions use, and which after which, as transcripts show."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence

from trimtab.called import called_name
from trimtab.types import Message

Follows = Mapping[str, Mapping[str, float]]
"""tool -> how likely each other is called later in a session that calls it; "" stands for the
session's start."""


def learn_follows(sessions: Iterable[Sequence[Message | str]]) -> dict[str, dict[str, float]]:
    """Learn which tools are used, and which after which.

    A tool that was called by way of `call_tool` counts as called.

    Args:
        sessions: Transcripts, or the names of the tools that each session called: see
            `Ledger.calls`.

    >>> from trimtab.tools import learn_follows
    >>> follows = learn_follows([["find", "book"], ["find", "book"], ["find"]])
    >>> follows["find"]
    {'book': 0.5}
    """
    seen: Tally[str] = Tally()
    later: dict[str, Tally[str]] = {}
    for session in sessions:
        called = ["", *_names(session)]
        for name in dict.fromkeys(called):
            seen[name] += 1
            after = set(called[called.index(name) + 1 :])
            later.setdefault(name, Tally()).update(after)
    # One session more that did none of it, so that what was seen once is not taken as certain.
    return {
        name: {other: times / (seen[name] + 1) for other, times in sorted(found.items())}
        for name, found in sorted(later.items())
        if found
    }


def _names(session: Sequence[Message | str]) -> Iterator[str]:
    for one in session:
        if isinstance(one, str):
            yield one
        else:
            yield from map(called_name, one.tool_calls)
