"""What a conversation said long ago, as far as it bears on the question."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import BaseMemoryBlock
from llama_index.core.utils import get_tokenizer
from pydantic import Field, PrivateAttr

from llama_index_trimtab.convert import from_chat
from llama_index_trimtab.strategies import with_budget
from llama_index_trimtab.summaries import told
from llama_index_trimtab.transcript import Transcript
from trimtab.archive import Archive, archive_in
from trimtab.pipeline import Pipeline
from trimtab.prune.relevant import Relevant
from trimtab.tenant import current_tenant
from trimtab.types import Message, Request, Step

BUDGET = 1000
FRAME = 4
"""Tokens that a role and a line break add to a text, at most."""
ANSWERS = 32
"""How many of its answers a block can still shorten by what bears on their question."""
SESSION = "session_id"
"""Where LlamaIndex notes in a message whose it is."""


class TrimtabMemoryBlock(BaseMemoryBlock[str]):
    """Keeps what LlamaIndex's `Memory` flushes, and gives back what bears on the latest question.

    `Memory.from_defaults(memory_blocks=[TrimtabMemoryBlock()], insert_method="user")`: as a part of
    the system prompt, which is the default there, each new question would change the beginning of
    the request, and nothing after it could be read from the provider's cache.

    It keeps every message of each session, on disk with an archive. Its text never has more than
    `budget` tokens, by the tokenizer of LlamaIndex's settings, and `Memory` may shorten it further
    unless its priority is 0.

    Args:
        prune: Chooses the messages, in the place of `trimtab.prune.Relevant`. Where it has a
            budget, that is set to the block's.
        archive: Where to keep the messages beyond this process, or the path of a file for it.
        fields: `budget`, and those of every block.

    >>> from llama_index.core.memory import Memory
    >>> from llama_index_trimtab import TrimtabMemoryBlock
    >>> block = TrimtabMemoryBlock(budget=500, archive="chats.db")
    >>> memory = Memory.from_defaults(memory_blocks=[block], insert_method="user")
    """

    name: str = Field(default="earlier_conversation", description="Heads the text.")
    description: str | None = Field(default="Earlier messages that bear on the question.")
    budget: int = Field(default=BUDGET, ge=1, description="Tokens of the text.")
    _archive: Archive | None = PrivateAttr()
    _step: Step = PrivateAttr()
    _transcripts: dict[tuple[str, str], Transcript] = PrivateAttr(default_factory=dict)
    _answers: OrderedDict[str, tuple[Transcript, str] | None] = PrivateAttr(
        default_factory=OrderedDict
    )
    """What a text was made of, and for which question; None where it could be of two sessions."""

    def __init__(
        self,
        prune: Step | None = None,
        *,
        archive: Archive | str | Path | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self._archive = None if archive is None else archive_in(archive)
        self._step = with_budget(prune or Relevant(self.budget, count=_count), self.budget)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Choose anew for the same question with so many tokens less."""
        budget = len(get_tokenizer()(content)) - tokens_to_truncate if content else 0
        if budget < 1:
            return None
        answer = self._answers.get(content)
        if answer is None:
            return _fitting(content.split("\n"), budget) or None
        return await asyncio.to_thread(self._told, *answer, budget) or None

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        transcript = self._transcript(str(block_kwargs.get(SESSION) or ""))
        asked = map(from_chat, reversed(messages or []))
        question = next((message.text for message in asked if message.role == "user"), "")
        text = await asyncio.to_thread(self._told, transcript, question, self.budget)
        known = self._answers.get(text, (transcript, ""))
        same = known is not None and known[0] is transcript
        self._answers[text] = (transcript, question) if same else None
        if len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)
        return text

    async def _aput(self, messages: list[ChatMessage]) -> None:
        # Read before the first await: another block may then take the note out of the messages.
        sessions = [str(message.additional_kwargs.get(SESSION) or "") for message in messages]
        for session in dict.fromkeys(sessions):
            own = zip(messages, sessions, strict=True)
            flushed = [_unmarked(message) for message, whose in own if whose == session]
            await asyncio.to_thread(self._transcript(session).add, flushed)

    def _transcript(self, session: str) -> Transcript:
        key = (current_tenant(), session)
        if (known := self._transcripts.get(key)) is None:
            made = Transcript(self._archive, f"{self.name}/{session}")
            known = self._transcripts.setdefault(key, made)
        return known

    def _told(self, transcript: Transcript, question: str, budget: int) -> str:
        """Write out what bears on a question, within a budget."""
        kept = tuple(map(from_chat, transcript.read()))
        if not kept:
            return ""
        request = Request(
            "",
            (*kept, Message("user", question)),
            tenant=transcript.tenant,
            session=transcript.session,
        )
        step = with_budget(self._step, budget)
        seen = Pipeline([step]).plan(request).request.messages
        return _fitting([told(message) for message in seen[:-1]], budget)


def _count(text: str) -> int:
    return len(get_tokenizer()(text)) + FRAME


def _unmarked(message: ChatMessage) -> ChatMessage:
    kwargs = {key: value for key, value in message.additional_kwargs.items() if key != SESSION}
    return message.model_copy(update={"additional_kwargs": kwargs})


def _fitting(pieces: Sequence[str], budget: int) -> str:
    """Join the newest pieces that fit."""
    tokens = get_tokenizer()
    for start in range(len(pieces)):
        text = "\n".join(pieces[start:])
        if len(tokens(text)) <= budget:
            return text
    return ""
