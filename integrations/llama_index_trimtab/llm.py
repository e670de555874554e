"""A LlamaIndex LLM with a pipeline around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

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
from llama_index.core.tools import BaseTool
from pydantic import PrivateAttr, SerializeAsAny, field_serializer

from llama_index_trimtab.ours import Ours
from llama_index_trimtab.requests import Chat, Completion, Tooling
from llama_index_trimtab.rounds import aanswer, answer, astream, stream
from llama_index_trimtab.routing import Routes, routes_of, tiers_of, tool_calls_of
from trimtab.pipeline import Pipeline

if TYPE_CHECKING:
    from trimtab.route.cascade import Cascade

PROMPTING = (
    "system_prompt",
    "messages_to_prompt",
    "completion_to_prompt",
    "output_parser",
    "pydantic_program_mode",
    "query_wrapper_prompt",
)
"""What an LLM makes prompts with, which LlamaIndex reads from, and sets on, the outermost one."""
TOOLING = "trimtab_tooling"
"""Passed from where an LLM renders tools to where it is called."""


class TrimtabLLM(FunctionCallingLLM):
    """Runs each call of any LLM through a pipeline: `Settings.llm = TrimtabLLM(OpenAI(...))`.

    What the inner LLM makes of its own interface stays its own: how it renders tools, reads tool
    calls, predicts structures. A provider whose integration talks to its client directly when it
    predicts structures (Anthropic, Gemini) is neither rewritten nor recorded there. Events are the
    inner LLM's, one pair for each call that reaches it; an answer from the cache has none.

    With `models`, each request goes to the LLM of the tier that it was given by the `Tiers` of the
    pipeline, in its own provider's words; where that fails, to another tier's, but not in the
    midst of a stream. LLMs of different classes predict structures by calling tools.

    The steps' own tools are run here. Of what a model finds by `search_tools`, its agent gets calls
    of the real tools, and the model sees them again in the form in which it made them.

    Its JSON holds no secret and no pipeline, so `from_json(text, inner=llm, pipeline=pipeline)`.

    Args:
        inner: The LLM that answers; the last, and strongest, of the models by default.
        pipeline: `trimtab.recipes.balanced` for the inner LLM's model where it is not given.
        models: LLMs by tier, from the weakest to the strongest. Without `Tiers` or a cascade that
            choose between them, they are made tiers behind the pipeline's steps.
        cascade: Judges the answers of its weak tier, and asks its strong one where they will not
            do. A stream of the weak one comes when all of it was judged.
        fields: A callback manager, and what prompts are made with; the inner LLM's by default.
    """

    inner: SerializeAsAny[LLM]
    _pipeline: Pipeline = PrivateAttr()
    _routes: Routes = PrivateAttr()
    _ours: Ours = PrivateAttr()

    def __init__(
        self,
        inner: LLM | None = None,
        pipeline: Pipeline | None = None,
        *,
        models: Mapping[str, LLM] | None = None,
        cascade: Cascade | None = None,
        **fields: Any,
    ) -> None:
        models = {name: _checked(llm, pipeline) for name, llm in (models or {}).items()}
        inner = _checked(inner or next(reversed(models.values()), None), pipeline)
        super().__init__(inner=inner, **{**_prompting(inner), **fields})
        pipeline = _balanced(inner) if pipeline is None else pipeline
        routes = routes_of(pipeline, inner, models, cascade)
        if models and routes.known is None:
            pipeline = pipeline.with_steps(tiers_of(models))
            routes = routes_of(pipeline, inner, models, cascade)
        self._pipeline, self._routes, self._ours = pipeline, routes, Ours.of(pipeline)

    @classmethod
    def class_name(cls) -> str:
        """Name the class, as LlamaIndex asks."""
        return "TrimtabLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The inner LLM's; of several, what is true of each."""
        described = [llm.metadata for llm in self._routes.llms]
        if len(described) == 1:
            return described[0]
        return described[0].model_copy(
            update={
                "model_name": " | ".join(one.model_name for one in described),
                "context_window": min(one.context_window for one in described),
                "num_output": min(one.num_output for one in described),
                "is_chat_model": all(one.is_chat_model for one in described),
                "is_function_calling_model": all(
                    one.is_function_calling_model for one in described
                ),
            }
        )

    @property
    def pipeline(self) -> Pipeline:
        """Where the ledger, the cache and the failures are."""
        return self._pipeline

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages."""
        found: ChatResponse = answer(self._pipeline, "chat", self._chat(messages, kwargs))
        return found

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages."""
        ask = self._chat(messages, kwargs)
        found: ChatResponse = await aanswer(self._pipeline, "achat", ask)
        return found

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer messages in chunks."""
        return stream(self._pipeline, "stream_chat", self._chat(messages, kwargs))

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer messages in chunks."""
        return await astream(self._pipeline, "astream_chat", self._chat(messages, kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt."""
        ask = self._completion(prompt, {"formatted": formatted, **kwargs})
        found: CompletionResponse = answer(self._pipeline, "complete", ask)
        return found

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answer a prompt."""
        ask = self._completion(prompt, {"formatted": formatted, **kwargs})
        found: CompletionResponse = await aanswer(self._pipeline, "acomplete", ask)
        return found

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answer a prompt in chunks."""
        ask = self._completion(prompt, {"formatted": formatted, **kwargs})
        return stream(self._pipeline, "stream_complete", ask)

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt in chunks."""
        ask = self._completion(prompt, {"formatted": formatted, **kwargs})
        return await astream(self._pipeline, "astream_complete", ask)

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
        """Read an answer's calls of tools as the LLM that gave it does."""
        return tool_calls_of(self._routes.llms, *args, **kwargs)

    def predict_and_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool that the model wants called."""
        return self._view().predict_and_call(*args, **kwargs)

    async def apredict_and_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool that the model wants called."""
        return await self._view().apredict_and_call(*args, **kwargs)

    def structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model."""
        return self._predicting().structured_predict(*args, **kwargs)

    async def astructured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model."""
        return await self._predicting().astructured_predict(*args, **kwargs)

    def stream_structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model that grows."""
        return self._predicting().stream_structured_predict(*args, **kwargs)

    async def astream_structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a pydantic model that grows."""
        return await self._predicting().astream_structured_predict(*args, **kwargs)

    @field_serializer("inner")
    def _without_secrets(self, inner: LLM) -> dict[str, Any]:
        # The JSON of most LLMs holds their API key.
        return {"class_name": inner.class_name(), **inner.metadata.model_dump(mode="json")}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # The repr of most LLMs holds their API key.
        yield "inner", f"{self.inner.class_name()}({self.metadata.model_name})"

    def _told(self) -> Routes:
        """Return the LLMs, which report to whom this one was told to report to."""
        # `Settings.callback_manager` reaches the outermost LLM only.
        if self.callback_manager.handlers:
            for llm in self._routes.llms:
                llm.callback_manager = self.callback_manager
        return self._routes

    def _chat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Chat:
        tooling = kwargs.pop(TOOLING, None)
        return Chat(self._told(), messages, kwargs, self._ours, tooling)

    def _completion(self, prompt: str, kwargs: dict[str, Any]) -> Completion:
        return Completion(self._told(), prompt, kwargs)

    def _view(self, inner: LLM | None = None) -> LLM:
        """Return a copy of the inner LLM, whose calls of the model are ours.

        All that it builds on those calls, it then does its own way, and through the pipeline.
        """
        mine = {"callback_manager": self.callback_manager, **_prompting(self)}
        view = (inner or self.inner).model_copy(update=mine)
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
        if len(self._routes.llms) > 1 and isinstance(view, FunctionCallingLLM):
            view.__dict__.update(
                _prepare_chat_with_tools=partial(_prepared, view._prepare_chat_with_tools),
                # The LLM that answers has looked already.
                _validate_chat_with_tools_response=lambda response, *_, **__: response,
                get_tool_calls_from_response=self.get_tool_calls_from_response,
            )
        return view

    def _predicting(self) -> LLM:
        """Return what predicts structures: an LLM's own way, where all have the same."""
        if not self._routes.mixed:
            # What the weakest can do, the others can.
            return self._view(next(iter(self._routes.models.values()), self.inner))
        return super()  # type: ignore[return-value]

    def _tooled(self) -> FunctionCallingLLM:
        view = self._view()
        if not isinstance(view, FunctionCallingLLM):
            raise NotImplementedError(f"{self.inner.class_name()} cannot call tools")
        return view


def _prompting(llm: LLM) -> dict[str, Any]:
    return {name: getattr(llm, name) for name in PROMPTING}


def _prepared(
    prepare: Callable[..., dict[str, Any]],
    tools: Sequence[BaseTool],
    user_msg: Any = None,
    chat_history: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Render tools, and keep what they were for another LLM that may be asked."""
    found = prepare(tools, user_msg=user_msg, chat_history=chat_history, **options)
    return {**found, TOOLING: Tooling(tools, options)}


def _checked(llm: LLM | None, pipeline: Pipeline | None) -> LLM:
    if not isinstance(llm, LLM):
        raise TypeError(f"an LLM is needed, got {type(llm).__name__}: pass inner=llm, or models")
    if isinstance(llm, TrimtabLLM) and pipeline and llm.pipeline.ledger is pipeline.ledger:
        raise ValueError("one ledger would count each call twice: give each pipeline its own")
    return llm


def _balanced(llm: LLM) -> Pipeline:
    from trimtab.recipes import balanced

    return balanced(llm.metadata.model_name)
