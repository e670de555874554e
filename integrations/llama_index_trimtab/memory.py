"""A memory that keeps a whole conversation, and sends of it what the budget allows."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemory
from pydantic import Field, PrivateAttr

from llama_index_trimtab import strategies
from llama_index_trimtab.convert import chats_back, from_chat
from llama_index_trimtab.transcript import Transcript
from trimtab.archive import Archive, archive_in
from trimtab.pipeline import Pipeline
from trimtab.prune.turns import history, size
from trimtab.tenant import tenant
from trimtab.tokens import counter_for
from trimtab.types import Counter, Message, Request, Step

TOKEN_LIMIT = 3000
"""As of LlamaIndex's ChatMemoryBuffer, where neither a limit nor an LLM is given."""
SHARE = 0.75
"""The share of an LLM's window that a memory may fill, as of LlamaIndex's."""
GRAINS = 8
"""Budgets are of so many sizes. A strategy keeps what it sent in place for one budget alone."""
Tokenizer = Callable[[str], Sized]


class TrimtabMemory(BaseMemory):
    """Keeps every message, and returns those worth sending: a drop-in for ChatMemoryBuffer.

    What is returned begins with a message of the user, after system messages, and holds no result
    of a tool without its call. Messages that no step edited are the very objects that were put in.
    Where a step fails, that is logged once, and all messages are returned.

    Two `from_defaults` with the same archive and session are one conversation, in whichever process
    and for the tenant (`trimtab.tenant`) in force when they were made. `to_dict` holds the messages
    themselves where they are in no file, and never the archive's.

    >>> from llama_index.core.llms import ChatMessage
    >>> from llama_index_trimtab import TrimtabMemory
    >>> memory = TrimtabMemory.from_defaults(token_limit=100)
    >>> memory.put_messages([ChatMessage(f"Question {n}") for n in range(50)])
    >>> len(memory.get_all()), len(memory.get()) < 30
    (50, True)
    """

    token_limit: int = Field(
        default=TOKEN_LIMIT,
        ge=1,
        description="Tokens of all that is returned; only the latest turn may exceed it. With a"
        " step of one's own, that step's budget counts instead.",
    )
    session_id: str = Field(
        default_factory=lambda: uuid.uuid4().hex, description="Which conversation it is."
    )
    model: str = Field(default="", description="The model whose tokens are counted.")
    _transcript: Transcript = PrivateAttr()
    _step: Step = PrivateAttr()
    _own: bool = PrivateAttr()
    _named: dict[str, Any] | None = PrivateAttr()
    _count: Counter = PrivateAttr()
    _pipelines: dict[int | None, Pipeline] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        prune: Step | None = None,
        *,
        llm: LLM | None = None,
        archive: Archive | str | Path | None = None,
        tokenizer_fn: Tokenizer | None = None,
        **held: Any,
    ) -> None:
        if archive is not None and not held.get("session_id"):
            raise ValueError("an archive holds many conversations: give a session_id, too")
        messages = held.pop("chat_history", None)
        super().__init__(**held)
        kept = None if archive is None else archive_in(archive)
        self._transcript = Transcript(kept, self.session_id)
        counter = None if tokenizer_fn is None else _lengths(tokenizer_fn)
        self._count = counter or counter_for(self.model)
        self._own = prune is not None
        notes = None if kept is None else kept.notes(self.session_id)
        self._step = prune or strategies.strategy(self.token_limit, llm, counter, notes)
        self._named = strategies.written(self._step) if prune or llm else None
        if messages is not None:
            self.set(messages)

    @classmethod
    def class_name(cls) -> str:
        """Name the class, as LlamaIndex asks."""
        return "TrimtabMemory"

    @classmethod
    def from_defaults(  # type: ignore[override]  # noqa: PLR0913 - what LlamaIndex's take, and ours
        cls,
        chat_history: list[ChatMessage] | None = None,
        llm: LLM | None = None,
        *,
        token_limit: int | None = None,
        tokenizer_fn: Tokenizer | None = None,
        prune: Step | None = None,
        archive: Archive | str | Path | None = None,
        session_id: str | None = None,
    ) -> TrimtabMemory:
        """Make a memory.

        Args:
            chat_history: Messages to begin with, in the place of those in the archive.
            llm: Writes summaries of what is left out, and tells whose tokens to count.
            token_limit: Three quarters of the LLM's window, or 3,000, where it is not given.
            tokenizer_fn: Splits a text into tokens, if those of the LLM's model are not meant.
            prune: Chooses what is sent, as `trimtab.prune.Relevant(budget=4000)` or any step; else
                `prune.Summary` with an LLM, and `prune.Hybrid` without one.
            archive: Where to keep the messages beyond this process, or the path of a file for it.
            session_id: Which conversation it is; needed with an archive.
        """
        window = int(llm.metadata.context_window * SHARE) if llm else TOKEN_LIMIT
        held = {"session_id": session_id} if session_id else {}
        return cls(
            prune,
            llm=llm,
            archive=archive,
            tokenizer_fn=tokenizer_fn,
            chat_history=chat_history,
            token_limit=window if token_limit is None else token_limit,
            model=llm.metadata.model_name if llm else "",
            **held,
        )

    def get(
        self, input: str | None = None, initial_token_count: int = 0, **kwargs: Any
    ) -> list[ChatMessage]:
        """Return the messages worth sending before an input, or with the last message as it is.

        Args:
            input: The question; it need not be among the messages, and is not returned.
            initial_token_count: Tokens of what is sent before them, such as a system prompt.
            kwargs: What other memories take.

        Raises:
            ValueError: The limit does not even hold those.
        """
        asked = tuple(map(from_chat, self._transcript.read()))
        question = _question(asked, input)
        request = Request(
            self.model,
            (*asked, *question),
            tenant=self._transcript.tenant,
            session=self.session_id,
        )
        pipeline = self._pipeline(request, len(question), initial_token_count)
        with tenant(request.tenant):  # whose summaries the archive then finds
            planned = pipeline.plan(request).request.messages
        kept = planned[: len(planned) - len(question)]
        return chats_back(_opened(kept), asked)

    async def aget(self, input: str | None = None, **kwargs: Any) -> list[ChatMessage]:
        """Return them without blocking the event loop: a strategy may ask an LLM, or a file."""
        return await asyncio.to_thread(self.get, input, **kwargs)

    def get_all(self) -> list[ChatMessage]:
        """Return every message."""
        return self._transcript.read()

    def put(self, message: ChatMessage) -> None:
        """Keep a message."""
        self._transcript.add([message])

    def put_messages(self, messages: Sequence[ChatMessage]) -> None:
        """Keep messages; in an archive they stand together."""
        self._transcript.add(messages)

    def set(self, messages: Sequence[ChatMessage]) -> None:
        """Keep these messages in the place of all others."""
        self._transcript.replace(messages)

    def reset(self) -> None:
        """Forget every message, in the archive, too."""
        self._transcript.clear()

    def tokenizer_fn(self, text: str) -> Sized:
        """Return as many things as a text has tokens: chat engines count their prefix so."""
        return range(self._count(text))

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return what `from_dict` needs: the path of the archive, or else the messages."""
        path = self._transcript.archive and self._transcript.archive.path
        messages = [m.model_dump(mode="json") for m in self.get_all()] if path is None else None
        parts = {"archive": path, "chat_history": messages, "prune": self._named}
        return {**super().to_dict(**kwargs), **{k: v for k, v in parts.items() if v is not None}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **kwargs: Any) -> TrimtabMemory:
        """Make a memory of what `to_dict` returned; a `prune` or an `llm` can be given anew."""
        held = {**data, **kwargs}
        if "prune" not in kwargs and "llm" not in kwargs:
            held["prune"] = strategies.read(data.get("prune"))
        messages = held.pop("chat_history", None)
        if messages is not None:
            held["chat_history"] = list(map(ChatMessage.model_validate, messages))
        held.pop("class_name", None)
        return cls(**held)

    def to_string(self) -> str:
        """Return what `from_string` needs."""
        return self.to_json()

    @classmethod
    def from_string(cls, json_str: str, **kwargs: Any) -> TrimtabMemory:
        """Make a memory of what `to_string` returned."""
        return cls.from_dict(json.loads(json_str), **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what `to_dict` returns; the rest holds locks and open files."""
        return type(self).from_dict, (self.to_dict(),)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> TrimtabMemory:
        """Copy the messages; an archive is shared."""
        copied = self.model_copy()
        copied._transcript = self._transcript.copy()
        return copied

    def _pipeline(self, request: Request, questions: int, before: int) -> Pipeline:
        """Return what prunes to the tokens that are left for history."""
        limit = strategies.budget_of(self._step) if self._own else self.token_limit
        if limit is not None and before > limit:
            raise ValueError(f"{before} tokens stand before a memory that may have {limit}")
        fixed = 0 if self._own else _fixed(request.messages, questions, self._count)
        budget = None if limit is None else _rounded(limit, before + fixed)
        if (pipeline := self._pipelines.get(budget)) is None:
            step = self._step if budget is None else strategies.with_budget(self._step, budget)
            pipeline = self._pipelines[budget] = Pipeline([step])
        return pipeline


def _question(asked: Sequence[Message], input: str | None) -> tuple[Message, ...]:
    """Return the question as a message, if it is not among the messages yet.

    Agents ask while they work at the latest message, which may by then also tell their state.
    """
    latest = next((m.text for m in reversed(asked) if m.role == "user"), None)
    if input is None or input == latest:
        return ()
    working = bool(asked) and (asked[-1].role != "assistant" or bool(asked[-1].tool_calls))
    if working and latest is not None and input in latest:
        return ()
    return (Message("user", input),)


def _opened(messages: Sequence[Message]) -> list[Message]:
    """Leave out the answers at the start, which some providers refuse."""
    opened = False
    kept = []
    for message in messages:
        opened = opened or message.role not in ("system", "developer", "assistant", "tool")
        if opened or message.role in ("system", "developer"):
            kept.append(message)
    return kept


def _fixed(messages: Sequence[Message], questions: int, count: Counter) -> int:
    """Count what no strategy drops: instructions and the latest turn, but for the question."""
    loose = {place for turn in history(messages) for place in turn.places}
    stay = range(len(messages) - questions)
    return sum(size(messages[place], count) for place in stay if place not in loose)


def _rounded(limit: int, reserved: int) -> int:
    """Return what is left of a limit, rounded down, so that it is mostly the same."""
    grain = max(limit // GRAINS, 1)
    return max((limit - reserved) // grain * grain, 1) if reserved else limit


def _lengths(tokenizer: Tokenizer) -> Counter:
    def count(text: str) -> int:
        return len(tokenizer(text))

    return count
