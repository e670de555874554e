"""A chat's messages: all of them kept, and those worth sending returned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from langchain_trimtab.transcript import Transcript, View, acceptable
from trimtab.archive import Archive, Notes, archive_in
from trimtab.types import Step


class TrimtabChatMessageHistory(BaseChatMessageHistory):
    """The messages of a session: `messages` are those worth sending, `everything` is all of them.

    For `RunnableWithMessageHistory`, and as `chat_memory` of a memory. What is pruned is only left
    out of `messages`, which begins with no answer and holds no tool's result without its call.
    After an answer a question comes next, so the latest exchange is history, and within the budget
    of `Recent`, `Important`, `Summary` and `Hybrid`; with other steps it stays beyond it. Where the
    step fails, all messages are returned; where the archive cannot be read or written, that is an
    error.

    Args:
        session_id: Which conversation it is.
        prune: What makes of all messages those worth sending; without it, all are.
        archive: Where to keep them, or the path of a file for an archive; in memory without it, and
            gone with this object.
        model: The name of the model whose tokens `prune` counts.

    >>> from langchain_trimtab import TrimtabChatMessageHistory
    >>> from trimtab.prune import Recent
    >>> history = TrimtabChatMessageHistory("user-7", prune=Recent(100), archive="chats.db")
    >>> for n in range(50):
    ...     history.add_user_message(f"Question {n}")
    >>> len(history.everything), len(history.messages) < 30
    (50, True)
    """

    def __init__(
        self,
        session_id: str,
        *,
        prune: Step | None = None,
        archive: Archive | str | Path | None = None,
        model: str = "",
    ) -> None:
        super().__init__()
        self.session_id = session_id
        self._transcript = Transcript(archive_in(archive), session_id)
        self._view = None if prune is None else View(prune, model)
        self._seen: tuple[list[BaseMessage], list[BaseMessage]] = ([], [])

    if not TYPE_CHECKING:  # where the base class says that it is a field

        @property
        def messages(self) -> list[BaseMessage]:
            """The messages worth sending."""
            return self._worth_sending(self.everything)

    @property
    def everything(self) -> list[BaseMessage]:
        """All messages, from the first one on."""
        return self._transcript.read()

    @property
    def notes(self) -> Notes:
        """Summaries of the session and the like, kept beside its messages; see `prune.Summary`."""
        return self._transcript.archive.notes(self.session_id)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages to the end; they are on the disk when this returns."""
        self._transcript.add(messages)

    def clear(self) -> None:
        """Forget all messages."""
        self._transcript.clear()

    def _worth_sending(self, everything: list[BaseMessage]) -> list[BaseMessage]:
        if self._view is None:
            return everything
        known, seen = self._seen
        # RunnableWithMessageHistory asks again before it adds an answer, and takes as many messages
        # for old ones as it gets: the same, whatever became of the step in the meantime.
        if not _same(everything, known):
            seen = acceptable(self._view(everything, session=self.session_id).messages)
            self._seen = everything, seen
        return list(seen)


def _same(one: Sequence[BaseMessage], other: Sequence[BaseMessage]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
