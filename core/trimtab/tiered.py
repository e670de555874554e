"""A base prompt for all, and the advanced part of it only where a question calls for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from trimtab.respond import kind
from trimtab.types import Message, Request, fold

INVOLVED = frozenset({"analysis", "code"})


def is_involved(text: str) -> bool:
    """Tell whether a question asks for analysis or code.

    >>> from trimtab.tiered import is_involved
    >>> is_involved("Compare both plans."), is_involved("When do you open?")
    (True, False)
    """
    return kind(Request("", (Message("user", text),))) in INVOLVED


@fold
@dataclass(frozen=True)
class Tiered:
    """Adds the advanced part of a prompt in front of the first question that calls for it.

    It stays there for the rest of the conversation, so that the prefix which the provider has
    cached is never rewritten. It is sent as a message of the user, since not all providers take
    instructions within a conversation.

    >>> from trimtab import Message, Request
    >>> from trimtab.tiered import Tiered
    >>> step = Tiered("Name the figures that you compare, and their dates.")
    >>> asked = Request("gpt-4o", (Message("user", "Compare both plans."),))
    >>> [message.text[-24:] for message in step(asked).messages]
    ['ompare, and their dates.', 'Compare both plans.']
    """

    advanced: str
    """The instructions that most questions do not need."""
    when: Callable[[str], bool] = is_involved
    """Tells from the text of a question whether it needs them."""

    def __post_init__(self) -> None:
        if not self.advanced.strip():
            raise ValueError("advanced must say something")

    def __call__(self, request: Request) -> Request:
        """Return the request with the advanced part, if a question so far calls for it."""
        places = (i for i, m in enumerate(request.messages) if m.role == "user" and not m.encoded)
        first = next((i for i in places if self.when(request.messages[i].text)), None)
        if first is None:
            return request
        text = f"[Further instructions of the application:]\n{self.advanced}"
        added = Message("user", text, encoded=True)
        return replace(
            request, messages=(*request.messages[:first], added, *request.messages[first:])
        )
