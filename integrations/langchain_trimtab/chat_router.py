"""A chat model that is several: each call goes to the one that is likely to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr, field_validator, model_validator
from pydantic_core import core_schema
from typing_extensions import Self

from langchain_trimtab.convert import Messages, name_of
from langchain_trimtab.hushed import whole
from langchain_trimtab.routing import Routes, model_of_name
from langchain_trimtab.tools import Tools
from langchain_trimtab.turns import (
    Chunks,
    Events,
    Forms,
    Job,
    Plain,
    Structured,
    Turn,
    aevent_stream,
    event_stream,
)
from trimtab.route.cascade import Cascade
from trimtab.route.tiers import Tiers
from trimtab.tenant import current_tenant
from trimtab.types import Request

log = logging.getLogger("trimtab")
THEIRS = {"cache": None, "rate_limiter": None, "disable_streaming": False}
"""Settings of a chat model that the models within have, and their router has not."""


class _AsItIs:
    """Tells pydantic to take an object as it is given."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.is_instance_schema(source)


class ChatRouter(BaseChatModel):
    """Sends each call to one of the user's chat models, and stands aside.

    Tools, structured output, streams, events, callbacks, caches and traces are those of the model
    that answers: what it costs is counted once, under its own name. The answer's
    `response_metadata["trimtab"]` says which tier gave it, and why. Caches, rate limits and
    retries belong to the models.

    In an agent whose middleware looks at the class of the model, as that for Anthropic's prompt
    caching does, use `TrimtabMiddleware(models=...)` instead, placed before it.

    With a cascade, the weak model's answer is held back until it was judged; it comes as one chunk.

    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langchain_trimtab import ChatRouter
    >>> from trimtab.route import Length, Tiers
    >>> models = {name: FakeListChatModel(responses=[name]) for name in ("fast", "powerful")}
    >>> by = Length(0.3, traffic=["Hello! " * n for n in range(100)])
    >>> router = ChatRouter(models=models, tiers=Tiers(dict.fromkeys(models, "gpt-4o"), by=by))
    >>> router.invoke("Hello!").text, router.invoke("Hello! " * 99).text
    ('fast', 'powerful')
    """

    models: Mapping[str, BaseChatModel | str]
    """By tier. Names are made models by `langchain.chat_models.init_chat_model`."""
    tiers: Annotated[Tiers, _AsItIs()] | None = None
    """The models in the order given, from the weakest to the strongest, if nothing else is said."""
    cascade: Annotated[Cascade, _AsItIs()] | None = None
    """Judges answers of its weak tier, and asks its strong one where they will not do."""
    failover: bool = True
    """Whether another tier answers where a provider fails, but not in the midst of a stream."""

    _routes: Routes = PrivateAttr()
    _asked: Messages = PrivateAttr(default_factory=Messages)
    _offered: Tools = PrivateAttr(default_factory=Tools)

    @field_validator("models")
    @classmethod
    def _loaded(cls, given: Mapping[str, BaseChatModel | str]) -> Mapping[str, BaseChatModel | str]:
        return {name: model_of_name(model) for name, model in given.items()}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name, unset in THEIRS.items():
            if getattr(self, name) != unset:
                raise ValueError(f"{name} belongs to the models, not to their router")
        if self.tiers is None:
            self.tiers = Tiers({name: name_of(model) for name, model in self.models.items()})
        if set(self.tiers.names) != set(self.models):
            raise ValueError(f"models must be {self.tiers.names}, got {tuple(self.models)}")
        self._routes = Routes(self.tiers, self.cascade, failover=self.failover)
        if self.profile is None:
            self.profile = self._resolve_model_profile()
        return self

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer by the model that is chosen."""
        return cast(AIMessage, self._turn(input, config, _with(kwargs, stop)).invoke())

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Do the same without blocking the event loop."""
        return cast(AIMessage, await self._turn(input, config, _with(kwargs, stop)).ainvoke())

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Answer in chunks."""
        yield from self._turn(input, config, _with(kwargs, stop)).stream(Chunks())

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Do the same without blocking the event loop."""
        turn = self._turn(input, config, _with(kwargs, stop))
        async with aclosing(turn.astream(Chunks())) as chunks:
            async for chunk in chunks:
                yield chunk

    def _chat_model_stream_v3(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        return event_stream(self._turn(input, config, _with(kwargs, stop)).stream(Events()))

    async def _achat_model_stream_v3(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        return aevent_stream(self._turn(input, config, _with(kwargs, stop)).astream(Events()))

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer each list of messages by the model that is chosen for it."""
        config, rest = _config_of(callbacks, kwargs)
        answers = [self.invoke(each, {**config}, stop=stop, **rest) for each in messages]
        return LLMResult(generations=[[ChatGeneration(message=answer)] for answer in answers])

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Do the same for all of them at once, without blocking the event loop."""
        config, rest = _config_of(callbacks, kwargs)
        calls = (self.ainvoke(each, {**config}, stop=stop, **rest) for each in messages)
        answers = await asyncio.gather(*calls)
        return LLMResult(generations=[[ChatGeneration(message=answer)] for answer in answers])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Nothing of LangChain's comes here, because all that would is overridden.
        answer = self.invoke(messages, stop=stop, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools, which the model that is chosen will convert its own way."""
        return self.bind(tools=list(tools), tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer in a form, by the way to it of the model that is chosen."""
        return _Structures(self, schema, include_raw, kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """Count as the strongest model does, as the methods after this one."""
        return self._strongest.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return self._strongest.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Count the tokens of messages."""
        return self._strongest.get_num_tokens_from_messages(messages, tools)

    @property
    def _llm_type(self) -> str:
        return "trimtab-router"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Tell a router from others by all that its models say of themselves."""
        tiers, cascade = self._tiers(), self.cascade
        judge = cascade and [cascade.weak, cascade.strong, cascade.strong_rate, cascade.limit]
        return {
            "models": {name: model._get_llm_string() for name, model in self._models().items()},
            "tiers": {name: dict(vars(tiers.tier(name))) for name in tiers.names},
            "cascade": repr(judge),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        known = super()._get_ls_params(stop=stop, **kwargs)
        known["ls_provider"] = "trimtab"
        known.setdefault("ls_model_name", self._tiers().baseline)
        return known

    def _resolve_model_profile(self) -> Any:
        """Claim what all models can do."""
        profiles: list[Any] = [model.profile for model in self._models().values()]
        if not all(profiles):
            return None
        known = set.intersection(*map(set, profiles))
        said = {name: [profile[name] for profile in profiles] for name in known}
        return {name: _least(values) for name, values in said.items() if _alike(values)}

    def _turn(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: Mapping[str, Any],
        job: Job | None = None,
    ) -> Turn:
        """Decide about a call. What is wrong with its input is wrong for every model."""
        messages = self._convert_input(input).to_messages()
        job = job or Plain(self._tiers(), self._models(), kwargs)
        config = self._handed_on(config)
        request = self._request(messages, config, kwargs)
        return Turn(self._routes.line(request, job.judged), job, messages, config)

    def _handed_on(self, config: RunnableConfig | None) -> RunnableConfig:
        """Hand the router's own callbacks, tags and metadata on to the run of the model."""
        own: RunnableConfig = {"tags": self.tags or []}
        # LangChain notes there which packages a model is of.
        own["metadata"] = {k: v for k, v in (self.metadata or {}).items() if k != "lc_versions"}
        if self.callbacks is not None:
            own["callbacks"] = self.callbacks
        return merge_configs(own, ensure_config(config))

    def _request(
        self, messages: Sequence[BaseMessage], config: RunnableConfig, kwargs: Mapping[str, Any]
    ) -> Request | None:
        """Convert what a router is to look at; None, with a warning, where that fails."""
        try:
            said = tuple(map(self._asked.to_core, messages))
            tools = tuple(map(self._offered.to_core, kwargs.get("tools") or ()))
        except Exception as error:
            log.warning("a request cannot be read, and the strongest model is asked: %r", error)
            return None
        params = {name: value for name, value in kwargs.items() if name != "tools"}
        request = Request(self._tiers().baseline, said, tools, params, current_tenant())
        return replace(request, session=_session(config, request))

    def _tiers(self) -> Tiers:
        assert self.tiers is not None
        return self.tiers

    def _models(self) -> Mapping[str, BaseChatModel]:
        return cast("Mapping[str, BaseChatModel]", self.models)

    @property
    def _strongest(self) -> BaseChatModel:
        return self._models()[self._tiers().strongest]


class _Structures(Runnable[LanguageModelInput, Any]):
    """Answers in a form."""

    def __init__(
        self, router: ChatRouter, schema: Any, include_raw: bool, options: Mapping[str, Any]
    ) -> None:
        self._router = router
        self._schema = schema
        self._include_raw = include_raw
        self._chains: dict[tuple[str, bool], Runnable[Any, Any]] = {}
        for name, model in router._models().items():
            form = model.with_structured_output(schema, include_raw=include_raw, **options)
            self._chains[name, False] = form
            if router.cascade is not None:
                seen = whole(model).with_structured_output(schema, include_raw=True, **options)
                self._chains[name, True] = seen

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Answer by the model that is chosen."""
        return self._turn(input, config, kwargs)[0].invoke()

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Do the same without blocking the event loop."""
        return await self._turn(input, config, kwargs)[0].ainvoke()

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Answer in what is there of the form so far."""
        turn, forms = self._turn(input, config, kwargs)
        yield from turn.stream(forms)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Do the same without blocking the event loop."""
        turn, forms = self._turn(input, config, kwargs)
        async with aclosing(turn.astream(forms)) as pieces:
            async for piece in pieces:
                yield piece

    def _turn(
        self, input: LanguageModelInput, config: RunnableConfig | None, kwargs: Mapping[str, Any]
    ) -> tuple[Turn, Forms]:
        router = self._router
        job = Structured(router._tiers(), self._chains, self._schema, self._include_raw, kwargs)
        return router._turn(input, config, kwargs, job), Forms(job)


def _with(kwargs: Mapping[str, Any], stop: list[str] | None) -> Mapping[str, Any]:
    return kwargs if stop is None else {**kwargs, "stop": stop}


def _config_of(
    callbacks: Callbacks, kwargs: dict[str, Any]
) -> tuple[RunnableConfig, dict[str, Any]]:
    """Part what LangChain's older methods are given of a run from what is for the model."""
    names = ("tags", "metadata", "run_name", "run_id")
    run = {name: kwargs.pop(name) for name in names if kwargs.get(name) is not None}
    rest = {name: value for name, value in kwargs.items() if name not in names}
    return cast(RunnableConfig, {"callbacks": callbacks, **run}), rest


def _session(config: RunnableConfig, request: Request) -> str:
    """Name the conversation by its thread; an agent within an agent has one of its own."""
    known = {**(config.get("metadata") or {}), **(config.get("configurable") or {})}
    thread, place = known.get("thread_id"), str(known.get("checkpoint_ns") or "")
    if not thread:
        return ""
    return f"{thread}/{request.conversation}" if "|" in place else str(thread)


def _alike(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int) for value in values) or len(set(map(repr, values))) == 1


def _least(values: Sequence[Any]) -> Any:
    """Return what holds for all: of numbers the least, of abilities those that all have."""
    return min(values) if all(isinstance(value, int) for value in values) else values[0]
