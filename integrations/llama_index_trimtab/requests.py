"""One call of a LlamaIndex model, as trimtab sees it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import BaseTool
from llama_index_instrumentation.dispatcher import active_instrument_tags

from llama_index_trimtab.breaks import marked
from llama_index_trimtab.convert import (
    answer_from_chat,
    calls_in_blocks,
    chats_back,
    extras,
    from_chat,
    new_chat,
    plain,
    tool_from,
    tools_back,
)
from llama_index_trimtab.ours import Bound, Ours
from llama_index_trimtab.routing import Attempt, Routes
from llama_index_trimtab.usage import Receipt
from trimtab.pipeline import Plan
from trimtab.tenant import current_tenant
from trimtab.types import Message, Request, Response, Tool, Usage, digest

log = logging.getLogger("trimtab")
OWN = "llama_index"
"""The parameter of a request that tells calls of LlamaIndex apart, beyond what is sent."""
SECRET = re.compile(r"key|secret|password|credential|header|auth|cookie|(?<!max)_token$", re.I)


class Ask(Protocol):
    """A call, in LlamaIndex's terms and in trimtab's."""

    @property
    def routes(self) -> Routes:
        """The LLMs that may answer."""

    @property
    def first(self) -> Any:
        """The messages or the prompt."""

    @property
    def kwargs(self) -> dict[str, Any]:
        """All else the default LLM was called with."""

    def request(self) -> Request:
        """Say it in trimtab's terms."""

    def sent(self, plan: Plan, attempt: Attempt) -> tuple[Any, dict[str, Any]]:
        """Say what was planned in LlamaIndex's terms, as the LLM that is asked takes it."""

    def learned(self, found: Any, told: Receipt, *, whole: bool = True) -> Response:
        """Say what came back in trimtab's terms; never fails."""

    def checked(self, llm: LLM, found: Any) -> Any:
        """Return an answer as the LLM that gave it checks it."""

    def replay(self, response: Response, id: str) -> Any:
        """Say what the cache remembers in LlamaIndex's terms."""

    def shown(self, found: Any) -> Any:
        """Leave out of an answer what is not meant for the caller."""

    def last(self, found: Any) -> Any:
        """Return the answer that nothing follows, as it is shown."""

    def follow_up(self, found: Any) -> Callable[[], Ask] | None:
        """Return what runs the tools that an answer calls and says what to ask next, if so."""


@dataclass(frozen=True)
class Tooling:
    """The caller's tools as they are before a provider's integration renders them."""

    tools: Sequence[BaseTool]
    options: Mapping[str, Any]
    """Whether one must be called, whether several may be, and so on."""

    def rendered(
        self, llm: LLM, messages: Sequence[ChatMessage]
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Let an LLM render messages and tools its own way."""
        if not isinstance(llm, FunctionCallingLLM):
            raise NotImplementedError(f"{llm.class_name()} cannot call tools")
        history = list(messages)  # Some add to the list that they are given.
        kwargs = llm._prepare_chat_with_tools_compat(
            self.tools, chat_history=history, **self.options
        )
        return kwargs.pop("messages"), kwargs

    def checked(self, llm: LLM, found: ChatResponse) -> ChatResponse:
        """Let an LLM look whether its answer calls what was allowed, as it would itself."""
        if not isinstance(llm, FunctionCallingLLM):
            return found
        known = {k: v for k, v in self.options.items() if k not in ("verbose", "tool_required")}
        return llm._validate_chat_with_tools_response(found, self.tools, **known)


@dataclass(frozen=True)
class Chat:
    """A call with messages."""

    routes: Routes
    first: Any
    kwargs: dict[str, Any]
    """As for the default LLM."""
    ours: Ours = field(default_factory=Ours)
    """The steps' own tools, which are run here, because no agent knows them."""
    tooling: Tooling | None = None
    """Where another LLM may have to render the tools again."""
    rounds: int = 0
    """How many of the messages were added here, because our tools were called."""
    context: Context = field(default_factory=copy_context, repr=False, compare=False)
    """Where it was called from; a stream may be read elsewhere."""

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The caller's tools."""
        return _tools_of(self.kwargs)

    @cached_property
    def bound(self) -> Bound:
        """Those of the steps' tools that can be offered here."""
        known = any(not tool.pinned for tool in self.tools)
        if not known or _forced(self.kwargs.get("tool_choice")):
            return Bound()
        return self.ours.bind(self.tools)

    def request(self) -> Request:
        """Say it in trimtab's terms."""
        asked = self._request(self.first)
        seen = self.bound.seen(self.first, asked, own=self.rounds)
        return asked if seen is self.first else self._request(seen)

    def _request(self, messages: Sequence[ChatMessage]) -> Request:
        tools = (*self.tools, *(own.tool for own in self.bound.tools))
        said = tuple(from_chat(message) for message in messages)
        more = ["chat", extras(messages)]
        return self.context.run(_request, self.routes, said, tools, self.kwargs, more)

    def sent(self, plan: Plan, attempt: Attempt) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Say what was planned in LlamaIndex's terms."""
        asked, planned = plan.asked, attempt.request
        messages, kwargs = chats_back(planned.messages, asked.messages), self.kwargs
        if self.routes.mixed:
            messages = [_for(attempt.llm, message) for message in messages]
        tools = asked.tools
        if self.tooling is not None and attempt.llm is not self.routes.default:
            messages, kwargs = self.tooling.rendered(attempt.llm, messages)
            tools = _tools_of(kwargs)
        kwargs = {**kwargs, **_changes(asked, attempt)}
        if _offers(planned.tools, kwargs):
            kwargs["tools"] = tools_back(_theirs(planned.tools, asked.tools, tools), tools)
        return marked(attempt.llm, planned, messages, kwargs)

    def learned(self, found: ChatResponse | None, told: Receipt, *, whole: bool = True) -> Response:
        """Say what came back in trimtab's terms; never fails."""
        try:
            if found is None or found.logprobs or not whole:
                raise ValueError("an answer cannot be rebuilt from its message")
            return _response(answer_from_chat(found.message), told)
        except Exception as reason:
            log.debug("an answer is not remembered: %r", reason)
            return replace(_response(_heard(found), told), cacheable=False, logprobs=_sure(found))

    def checked(self, llm: LLM, found: ChatResponse) -> ChatResponse:
        """Return an answer as the LLM that gave it checks it."""
        return found if self.tooling is None else self.tooling.checked(llm, found)

    def replay(self, response: Response, id: str) -> ChatResponse:
        """Say what the cache remembers in LlamaIndex's terms, with no usage to count twice."""
        message = new_chat(response.message)
        found = ChatResponse(message=message, delta=message.content or "", raw=_note(response, id))
        return self.checked(self.routes.default, found)

    def shown(self, found: ChatResponse) -> ChatResponse:
        """Leave out of an answer what is not meant for the caller."""
        message = self.bound.shown(found.message)
        return found if message is found.message else found.model_copy(update={"message": message})

    def last(self, found: ChatResponse | None) -> ChatResponse | None:
        """Return the answer that ends the rounds, as it is shown, and remember the rounds."""
        if found is None:
            return None
        shown = self.shown(found)
        if self.rounds:
            place = len(self.first) - self.rounds
            asked = self._request(self.first[:place])
            self.ours.remember(asked, shown.message, self.first[place:])
        return shown

    def follow_up(self, found: ChatResponse | None) -> Callable[[], Chat] | None:
        """Return what runs the tools that an answer calls and says what to ask next, if so.

        Where it calls the caller's tools too, those come first; it can ask for ours again.
        """
        results = self.bound.results(found.message) if found is not None else None
        if found is None or results is None:
            return None
        message = found.message

        def run() -> Chat:
            said = [message, *map(new_chat, results())]
            rounds = self.rounds + len(said)
            return replace(self, first=[*self.first, *said], rounds=rounds)

        return run


@dataclass(frozen=True)
class Completion:
    """A call with a prompt."""

    routes: Routes
    first: str
    kwargs: dict[str, Any]
    context: Context = field(default_factory=copy_context, repr=False, compare=False)
    """Where it was called from; a stream may be read elsewhere."""

    def request(self) -> Request:
        """Say it in trimtab's terms."""
        said = (Message("user", self.first),)
        return self.context.run(_request, self.routes, said, (), self.kwargs, ["complete"])

    def sent(self, plan: Plan, attempt: Attempt) -> tuple[str, dict[str, Any]]:
        """Say what was planned in LlamaIndex's terms.

        Raises:
            ValueError: A step has made more of the prompt than one text.
        """
        planned = attempt.request.messages
        if [message.role for message in planned] != ["user"]:
            raise ValueError("a prompt cannot say what the steps have made of it")
        return planned[0].text, {**self.kwargs, **_changes(plan.asked, attempt)}

    def learned(
        self, found: CompletionResponse | None, told: Receipt, *, whole: bool = True
    ) -> Response:
        """Say what came back in trimtab's terms; never fails."""
        rebuilt = whole and found is not None and not found.logprobs
        text = found.text if found else ""
        response = _response(Message("assistant", text), told)
        return response if rebuilt else replace(response, cacheable=False, logprobs=_sure(found))

    def checked(self, llm: LLM, found: CompletionResponse) -> CompletionResponse:
        """Return the answer as it is."""
        return found

    def replay(self, response: Response, id: str) -> CompletionResponse:
        """Say what the cache remembers in LlamaIndex's terms, with no usage to count twice."""
        text = response.message.text
        return CompletionResponse(text=text, delta=text, raw=_note(response, id))

    def shown(self, found: CompletionResponse) -> CompletionResponse:
        """Return the answer as it is."""
        return found

    def last(self, found: CompletionResponse | None) -> CompletionResponse | None:
        """Return the answer as it is."""
        return found

    def follow_up(self, found: CompletionResponse | None) -> None:
        """Ask nothing more: a prompt offers no tools."""


def _request(
    routes: Routes,
    messages: tuple[Message, ...],
    tools: tuple[Tool, ...],
    kwargs: Mapping[str, Any],
    more: list[Any],
) -> Request:
    tags = active_instrument_tags.get()
    left = {k: plain(v) for k, v in kwargs.items() if k != "tools" or (v and not tools)}
    return Request(
        model=routes.default.metadata.model_name,
        messages=messages,
        tools=tools,
        params={**left, OWN: [*more, *map(_settings, routes.llms)]},
        tenant=str(tags.get("tenant") or current_tenant()),
        session=str(tags.get("session") or ""),
    )


def _settings(llm: LLM) -> str:
    """Digest what a model is set to, without its keys, on which no answer depends."""
    described = llm.to_payload() if hasattr(llm, "to_payload") else llm.metadata.model_dump()
    fields = {
        name: value
        for name, field in type(llm).model_fields.items()
        if not field.exclude
        and not SECRET.search(name)
        and isinstance(value := getattr(llm, name), str | int | float | bool | dict | list | None)
    }
    return digest([llm.class_name(), described, fields])


def _for(llm: LLM, message: ChatMessage) -> ChatMessage:
    """Return a message as an LLM understands it, whichever provider's integration wrote it."""
    calls = from_chat(message).tool_calls if message.role.value == "assistant" else ()
    if not calls or not isinstance(llm, FunctionCallingLLM):
        return message
    answer = ChatResponse(message=message)
    try:
        known = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    except Exception:
        known = []
    return message if len(known) == len(calls) else calls_in_blocks(message)


def _tools_of(kwargs: Mapping[str, Any]) -> tuple[Tool, ...]:
    specs = kwargs.get("tools")
    return tuple(tool_from(spec) for spec in specs) if isinstance(specs, list | tuple) else ()


def _theirs(
    planned: Sequence[Tool], asked: Sequence[Tool], rendered: Sequence[Tool]
) -> Sequence[Tool]:
    """Put tools that no step has edited in the words of another provider's integration."""
    if rendered is asked:
        return planned
    before = {tool.name: tool for tool in asked}
    now = {tool.name: tool for tool in rendered}
    return [now.get(t.name, t) if t == before.get(t.name) else t for t in planned]


def _changes(asked: Request, attempt: Attempt) -> dict[str, Any]:
    """What steps have made of the parameters, and of the model."""
    before, after = asked.params, attempt.request.params
    changed = {k: v for k, v in after.items() if k not in before or before[k] != v}
    changed.pop(OWN, None)
    if attempt.named and attempt.request.model != asked.model:
        changed["model"] = attempt.request.model
    return changed


def _offers(tools: tuple[Tool, ...], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the tool is offered that the caller wants to be called, or any."""
    choice = kwargs.get("tool_choice")
    named = choice.get("function", choice).get("name") if isinstance(choice, Mapping) else None
    return bool(tools) and (named is None or any(tool.name == named for tool in tools))


def _forced(choice: Any) -> bool:
    """Tell whether the caller leaves the model no choice, which is then not for us to widen."""
    kind = choice.get("type") if isinstance(choice, Mapping) else choice
    return kind not in (None, "auto")


def _response(message: Message, told: Receipt) -> Response:
    return Response(message, told.usage, told.model, told.finish_reason)


def _heard(found: ChatResponse | None) -> Message:
    """Read an answer that will not be rebuilt, for a judge."""
    try:
        return replace(from_chat(found.message), source=None) if found else Message("assistant", "")
    except Exception:
        return Message("assistant", "")


def _sure(found: ChatResponse | CompletionResponse | None) -> tuple[float, ...] | None:
    """Return the log-probability of each token: the likeliest one's, as no other is told."""
    likeliest = [token[0].logprob for token in (found and found.logprobs) or () if token]
    return tuple(likeliest) or None


def _note(response: Response, id: str) -> dict[str, Any]:
    saved = vars(response.usage or Usage())
    kind = response.cached or "exact"
    return {"trimtab": {"cache": "hit", "kind": kind, "id": id, "saved": saved}}
