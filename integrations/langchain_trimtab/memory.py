"""A memory for chains that loads what matters for the question, within a budget."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage, SystemMessage, get_buffer_string
from langchain_core.prompts import BasePromptTemplate
from pydantic import Field, PrivateAttr

from langchain_trimtab.convert import name_of
from langchain_trimtab.history import TrimtabChatMessageHistory
from langchain_trimtab.summaries import ask, summarizer
from langchain_trimtab.transcript import Seen, View, acceptable
from trimtab.types import Step

try:
    from langchain_classic.memory.chat_memory import BaseChatMemory
except ImportError as error:
    raise ImportError(
        "TrimtabMemory needs langchain-classic: pip install 'trimtab[classic]'"
    ) from error


class TrimtabMemory(BaseChatMemory):
    """Takes the place of `ConversationBufferMemory` and `ConversationSummaryBufferMemory`.

    Has their keys, and loads what they load as long as the conversation is within the budget. Every
    message is kept in `chat_memory`; what is pruned is only left out of what is loaded. Where the
    pruning fails, everything is loaded.

    >>> from langchain_trimtab import TrimtabMemory
    >>> memory = TrimtabMemory(max_token_limit=1000)
    >>> memory.save_context({"input": "My cat is called Momo."}, {"output": "Noted."})
    >>> print(memory.load_memory_variables({"input": "What is my cat called?"})["history"])
    Human: My cat is called Momo.
    AI: Noted.
    """

    memory_key: str = "history"
    human_prefix: str = "Human"
    ai_prefix: str = "AI"
    max_token_limit: int = 2000
    """The budget, in tokens of the model `llm`, of what is loaded for a question."""
    # Without their types, of which pydantic would make classes of their own.
    llm: BaseLanguageModel | None = None  # type: ignore[type-arg]
    """Summarizes what is left out; without it, the messages that matter most are loaded."""
    prompt: BasePromptTemplate | None = None  # type: ignore[type-arg]
    """Asks for a summary, by the keys `summary`, which stays empty, and `new_lines`."""
    summary_message_cls: type[BaseMessage] = SystemMessage
    prune: Step | None = Field(default=None, exclude=True)
    """Chooses what to load, in place of `llm` and `max_token_limit`."""
    earlier: str = Field(default="", alias="moving_summary_buffer")
    """A summary of what was said before `chat_memory` begins, which is always loaded."""

    _view: View = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Choose how to prune."""
        super().model_post_init(context)
        model = "" if self.llm is None else name_of(self.llm)
        self._view = View(self.prune or self._strategy(), model)

    @property
    def memory_variables(self) -> list[str]:
        """The one key that is loaded."""
        return [self.memory_key]

    @property
    def moving_summary_buffer(self) -> str:
        """What stands for the messages that are left out, if there are such."""
        digest = self._see(self._everything()).digest
        return "\n".join(filter(None, [self.earlier, str(digest.text) if digest else ""]))

    @moving_summary_buffer.setter
    def moving_summary_buffer(self, summary: str) -> None:
        self.earlier = summary

    @property
    def buffer(self) -> str | list[BaseMessage]:
        """What is loaded where no question is known."""
        return self.buffer_as_messages if self.return_messages else self.buffer_as_str

    @property
    def buffer_as_str(self) -> str:
        """The same as a text, whatever `return_messages` says."""
        return self._as_str(self._see(self._everything()))

    @property
    def buffer_as_messages(self) -> list[BaseMessage]:
        """The same as messages, whatever `return_messages` says."""
        return self._as_messages(self._see(self._everything()))

    async def abuffer(self) -> str | list[BaseMessage]:
        """Return `buffer` without blocking the event loop."""
        return await (self.abuffer_as_messages if self.return_messages else self.abuffer_as_str)()

    async def abuffer_as_str(self) -> str:
        """Return `buffer_as_str` without blocking the event loop."""
        return self._as_str(await asyncio.to_thread(self._see, await self._aeverything()))

    async def abuffer_as_messages(self) -> list[BaseMessage]:
        """Return `buffer_as_messages` without blocking the event loop."""
        return self._as_messages(await asyncio.to_thread(self._see, await self._aeverything()))

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return what to send before a question."""
        seen = self._see(self._everything(), self._question(inputs))
        return {self.memory_key: self._loaded(seen)}

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Do the same without blocking the event loop."""
        everything = await self._aeverything()
        seen = await asyncio.to_thread(self._see, everything, self._question(inputs))
        return {self.memory_key: self._loaded(seen)}

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self.earlier = ""

    async def aclear(self) -> None:
        """Forget everything, without blocking the event loop."""
        await super().aclear()
        self.earlier = ""

    def _strategy(self) -> Step:
        from trimtab.prune import Hybrid, Summary

        history = self.chat_memory
        notes = history.notes if isinstance(history, TrimtabChatMessageHistory) else None
        if self.llm is None:
            return Hybrid(self.max_token_limit, memory=notes)
        prompt = self.prompt
        asks = (lambda said: prompt.format(summary="", new_lines=said)) if prompt else ask
        return Summary(self.max_token_limit, summarizer(self.llm, ask=asks), memory=notes)

    def _everything(self) -> list[BaseMessage]:
        history = self.chat_memory
        if isinstance(history, TrimtabChatMessageHistory):
            return self._since_earlier(history.everything)
        return self._since_earlier(history.messages)

    async def _aeverything(self) -> list[BaseMessage]:
        history = self.chat_memory
        if isinstance(history, TrimtabChatMessageHistory):
            return self._since_earlier(await asyncio.to_thread(lambda: history.everything))
        return self._since_earlier(await history.aget_messages())

    def _since_earlier(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        earlier = [self.summary_message_cls(content=self.earlier)] if self.earlier else []
        return [*earlier, *messages]

    def _question(self, inputs: dict[str, Any]) -> str:
        """Find what is asked. Unlike saving, loading does not depend on it."""
        keys = [key for key in inputs if key not in (self.memory_key, "stop")]
        key = self.input_key or (keys[0] if len(keys) == 1 else "")
        asked = inputs.get(key, "")
        return str(asked.text) if isinstance(asked, BaseMessage) else str(asked)

    def _see(self, everything: list[BaseMessage], question: str = "") -> Seen:
        """Leave out what need not be sent, and say of what stands for it that it is a summary."""
        seen = self._view(everything, question=question)
        if seen.digest is None:
            return seen
        digest = self.summary_message_cls(content=seen.digest.content)
        return Seen([digest if m is seen.digest else m for m in seen.messages], digest)

    def _loaded(self, seen: Seen) -> str | list[BaseMessage]:
        return self._as_messages(seen) if self.return_messages else self._as_str(seen)

    def _as_messages(self, seen: Seen) -> list[BaseMessage]:
        return acceptable(seen.messages)

    def _as_str(self, seen: Seen) -> str:
        return get_buffer_string(seen.messages, self.human_prefix, self.ai_prefix)
