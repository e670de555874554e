"""A LlamaIndex LLM with a pipeline around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import PrivateAttr, SerializeAsAny, field_serializer

from llama_index_trimtab.requests import Chat, Completion
from llama_index_trimtab.rounds import aanswer, answer, astream, stream
from trimtab.pipeline import Pipeline

PROMPTING = (
    "system_prompt",
    "messages_to_prompt",
    "completion_to_prompt",
    "output_parser",
    "pydantic_program_mode",
    "query_wrapper_prompt",
)
"""What an LLM makes prompts with, which LlamaIndex reads from, and sets on, the outermost one."""


class TrimtabLLM(FunctionCallingLLM):
    """Runs each call of any LLM through a pipeline: `Settings.llm = TrimtabLLM(OpenAI(...))`.

    What the inner LLM makes of its own interface stays its own: how it renders tools, reads tool
    calls, predicts structures. A provider whose integration talks to its client directly when it
    predicts structures (Anthropic, Gemini) is neither rewritten nor recorded there. Events are the
    inner LLM's, one pair for each call that reaches it; an answer from the cache has none.

    Its JSON holds no secret and no pipeline, so `from_json(text, inner=llm, pipeline=pipeline)`.

    Args:
        inner: The LLM that answers.
        pipeline: `trimtab.recipes.balanced` for the inner LLM's model where it is not given.
        fields: A callback manager, and what prompts are made with; the inner LLM's by default.
    """

    inner: SerializeAsAny[LLM]
    _pipeline: Pipeline = PrivateAttr()

    def __init__(self, inner: LLM, pipeline: Pipeline | None = None, **fields: Any) -> None:
        if not isinstance(inner, LLM):
            raise TypeError(f"inner must be an LLM, got {type(inner).__name__}: pass inner=llm")
        if isinstance(inner, TrimtabLLM) and pipeline and inner.pipeline.ledger is pipeline.ledger:
            raise ValueError("one ledger would count each call twice: give each pipeline its own")
        super().__init__(inner=inner, **{**_prompting(inner), **fields})
        self._pipeline = _balanced(inner) if pipeline is None else pipeline

    @classmethod
    def class_name(cls) -> str:
        """Name the class, as LlamaIndex asks."""
        return "TrimtabLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The inner LLM's."""
        return self.inner.metadata

    @property
    def pipeline(self) -> Pipeline:
        """Where the ledger, the cache and the failures are."""
        return self._pipeline

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages."""
        llm = self._llm()
        return answer(self._pipeline, llm.chat, self._chat(llm, messages, kwargs))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages."""
        llm = self._llm()
        return await aanswer(self._pipeline, llm.achat, self._chat(llm, messages, kwargs))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer messages in chunks."""
        llm = self._llm()
        return stream(self._pipeline, llm.stream_chat, self._chat(llm, messages, kwargs))

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer messages in chunks."""
        llm = self._llm()
        return await astream(self._pipeline, llm.astream_chat, self._chat(llm, messages, kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt."""
        llm, kwargs = self._llm(), {"formatted": formatted, **kwargs}
        return answer(self._pipeline, llm.complete, Completion(llm, prompt, kwargs))

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer a prompt."""
        llm, kwargs = self._llm(), {"formatted": formatted, **kwargs}
        return await aanswer(self._pipeline, llm.acomplete, Completion(llm, prompt, kwargs))

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer a prompt in chunks."""
        llm, kwargs = self._llm(), {"formatted": formatted, **kwargs}
        return stream(self._pipeline, llm.stream_complete, Completion(llm, prompt, kwargs))

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt in chunks."""
        llm, kwargs = self._llm(), {"formatted": formatted, **kwargs}
        return await astream(self._pipeline, llm.astream_complete, Completion(llm, prompt, kwargs))

    def chat_with_tools(self, *args: Any, **kwargs: Any) -> ChatResponse:
        """Answer with calls of tools, if the inner LLM can."""
        return self._tooled().chat_with_tools(*args, **kwargs)

    async def achat_with_tools(self, *args: Any, **kwargs: Any) -> ChatResponse:
        """Answer with calls of tools, if the inner LLM can."""
        return await self._tooled().achat_with_tools(*args, **kwargs)

    def stream_chat_with_tools(self, *args: Any, **kwargs: Any) -> ChatResponseGen:
        """Answer with calls of tools in chunks, if the inner LLM can."""
        return self._tooled().stream_chat_with_tools(*args, **kwargs)

    async def astream_chat_with_tools(self, *args: Any, **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer with calls of tools in chunks, if the inner LLM can."""
        return await self._tooled().astream_chat_with_tools(*args, **kwargs)

    def _prepare_chat_with_tools(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self._tooled()._prepare_chat_with_tools(*args, **kwargs)

    def _validate_chat_with_tools_response(self, *args: Any, **kwargs: Any) -> ChatResponse:
        return self._tooled()._validate_chat_with_tools_response(*args, **kwargs)

    def get_tool_calls_from_response(self, *args: Any, **kwargs: Any) -> list[ToolSelection]:
        """Read an answer's calls of tools as the inner LLM does."""
        return self._tooled().get_tool_calls_from_response(*args, **kwargs)

    def predict_and_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool that the model wants called."""
        return self._view().predict_and_call(*args, **kwargs)

    async def apredict_and_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool that the model wants called."""
        return await self._view().apredict_and_call(*args, **kwargs)

    def structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model."""
        return self._view().structured_predict(*args, **kwargs)

    async def astructured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model."""
        return await self._view().astructured_predict(*args, **kwargs)

    def stream_structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model that grows."""
        return self._view().stream_structured_predict(*args, **kwargs)

    async def astream_structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model that grows."""
        return await self._view().astream_structured_predict(*args, **kwargs)

    @field_serializer("inner")
    def _without_secrets(self, inner: LLM) -> dict[str, Any]:
        # The JSON of most LLMs holds their API key.
        return {"class_name": inner.class_name(), **inner.metadata.model_dump(mode="json")}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # The repr of most LLMs holds their API key.
        yield "inner", f"{self.inner.class_name()}({self.metadata.model_name})"

    def _llm(self) -> LLM:
        """Return the inner LLM, which reports to whom this one was told to report to."""
        # `Settings.callback_manager` reaches the outermost LLM only.
        if self.callback_manager.handlers:
            self.inner.callback_manager = self.callback_manager
        return self.inner

    def _chat(self, llm: LLM, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Chat:
        return Chat(llm, messages, kwargs, self._pipeline.tools)

    def _view(self) -> LLM:
        """Return a copy of the inner LLM, whose calls of the model are ours.

        All that it builds on those calls, it then does its own way, and through the pipeline.
        """
        mine = {"callback_manager": self.callback_manager, **_prompting(self)}
        view = self._llm().model_copy(update=mine)
        # In the instance, where they go before the methods of its class.
        view.__dict__.update(
            chat=self.chat,
            achat=self.achat,
            stream_chat=self.stream_chat,
            astream_chat=self.astream_chat,
            complete=self.complete,
            acomplete=self.acomplete,
            stream_complete=self.stream_complete,
            astream_complete=self.astream_complete,
        )
        return view

    def _tooled(self) -> FunctionCallingLLM:
        view = self._view()
        if not isinstance(view, FunctionCallingLLM):
            raise NotImplementedError(f"{self.inner.class_name()} cannot call tools")
        return view


def _prompting(llm: LLM) -> dict[str, Any]:
    return {name: getattr(llm, name) for name in PROMPTING}


def _balanced(llm: LLM) -> Pipeline:
    from trimtab.recipes import balanced

    return balanced(llm.metadata.model_name)
