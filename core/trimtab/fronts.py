"""Tools and instructions that several conversations begin with."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import takewhile

from trimtab.latest import Latest
from trimtab.types import Message, Request, digest

ROLES = ("system", "developer")
SOON = timedelta(minutes=5)
"""How long a prefix stays cached where the provider does not say."""


class Fronts:
    """Remembers when each front was sent, by the clock of `time.monotonic`."""

    def __init__(self) -> None:
        self._sent: Latest[float] = Latest()

    def is_shared(self, request: Request, model: str = "", life: timedelta | None = SOON) -> bool:
        """Tell whether a request's front was sent before, so lately that it would still be cached.

        From now on, it was.
        """
        said = [message.text for message in takewhile(is_front, request.messages)]
        tools = [[tool.name, tool.description, tool.parameters] for tool in request.tools]
        key = digest([model, tools, said])
        now, before = time.monotonic(), self._sent.pop(key)
        self._sent[key] = now
        return before is not None and now - before < (life or SOON).total_seconds()


def is_front(message: Message) -> bool:
    """Tell whether a message is part of the instructions."""
    return message.role in ROLES
