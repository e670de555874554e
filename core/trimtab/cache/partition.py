"""What of a request two questions must have in common before their meanings are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trimtab.types import Message, Request, digest

LONGEST = 1000
"""Characters of a question. Embedders read little more, and then compare beginnings only."""


@dataclass(frozen=True)
class Meant:
    """A question that may be asked in other words."""

    partition: str
    """A digest of all that can change the answer besides the question."""
    question: str


def meant(request: Request, namespace: str) -> Meant | None:
    """Part a request into the user's last words and all the rest.

    None where it does not end with a text of the user's, or with so long a one that it is more
    than a question.

    Args:
        request: What is asked.
        namespace: Of the vectors and of what judges them.
    """
    last = request.messages[-1] if request.messages else None
    if last is None or last.role != "user":
        return None
    question = last.text.strip()
    if not question or len(question) > LONGEST:
        return None
    rest = replace(request, messages=request.messages[:-1])
    return Meant(digest([namespace, rest.key, last.name, _unread(last)]), question)


def _unread(message: Message) -> list[str]:
    """Return what no embedder reads, images above all, and where it stands among the texts."""
    parts = [] if isinstance(message.content, str) else [part.data for part in message.content]
    return parts if any(parts) else []
