"""One call of a LlamaIndex model, as trimtab sees it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import LLM
from llama_index_instrumentation.dispatcher import active_instrument_tags

from llama_index_trimtab.convert import (
    answer_from_chat,
    chats_back,
    extras,
    from_chat,
    new_chat,
    plain,
    tool_from,
    tools_back,
    without_calls,
)
from llama_index_trimtab.usage import Receipt
from trimtab.pipeline import Plan, call_tool
from trimtab.tenant import current_tenant
from trimtab.types import Message, Request, Response, RunnableTool, Tool, ToolCall, Usage, digest

log = logging.getLogger("trimtab")
OWN = "llama_index"
"""The parameter of a request that tells calls of LlamaIndex apart, beyond what is sent."""
SECRET = re.compile(r"key|secret|password|credential|header|auth|cookie|(?<!max)_token$", re.I)


class Ask(Protocol):
    """A call, in LlamaIndex's terms and in trimtab's."""

    @property
    def first(self) -> Any:
        """The messages or the prompt."""

    @property
    def kwargs(self) -> dict[str, Any]:
        """All else the model was called with."""

    def request(self) -> Request:
        """Say it in trimtab's terms."""

    def sent(self, plan: Plan) -> tuple[Any, dict[str, Any]]:
        """Say what was planned in LlamaIndex's terms."""

    def learned(self, found: Any, told: Receipt, *, whole: bool = True) -> Response:
        """Say what came back in trimtab's terms; never fails."""

    def replay(self, response: Response) -> Any:
        """Say what the cache remembers in LlamaIndex's terms."""

    def shown(self, found: Any) -> Any:
        """Leave out of an answer what is not meant for the caller."""

    def follow_up(self, found: Any) -> Callable[[], Ask] | None:
        """Return what runs the tools that an answer calls and says what to ask next, if so."""


@dataclass(frozen=True)
class Chat:
    """A call with messages."""

    llm: LLM
    first: Any
    kwargs: dict[str, Any]
    own: tuple[RunnableTool, ...] = ()
    """The steps' own tools, which are run here, because no agent knows them."""
    context: Context = field(default_factory=copy_context, repr=False, compare=False)
    """Where it was called from; a stream may be read elsewhere."""

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The caller's tools."""
        specs = self.kwargs.get("tools")
        return tuple(tool_from(spec) for spec in specs) if isinstance(specs, list | tuple) else ()

    @cached_property
    def bound(self) -> tuple[RunnableTool, ...]:
        """Those of the steps' tools that can be offered here."""
        names = {tool.name for tool in self.tools}
        known = any(not tool.pinned for tool in self.tools)
        if not known or _forced(self.kwargs.get("tool_choice")):
            return ()
        return tuple(tool for tool in self.own if tool.tool.name not in names)

    def request(self) -> Request:
        """Say it in trimtab's terms."""
        tools = (*self.tools, *(own.tool for own in self.bound))
        said = tuple(from_chat(message) for message in self.first)
        more = ["chat", extras(self.first)]
        return self.context.run(_request, self.llm, said, tools, self.kwargs, more)

    def sent(self, plan: Plan) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Say what was planned in LlamaIndex's terms."""
        asked, planned = plan.asked, plan.request
        kwargs = {**self.kwargs, **_changes(plan)}
        if _offers(planned.tools, self.kwargs):
            kwargs["tools"] = tools_back(planned.tools, asked.tools)
        return chats_back(planned.messages, asked.messages), kwargs

    def learned(self, found: ChatResponse | None, told: Receipt, *, whole: bool = True) -> Response:
        """Say what came back in trimtab's terms; never fails."""
        try:
            if found is None or found.logprobs or not whole:
                raise ValueError("an answer cannot be rebuilt from its message")
            return _response(answer_from_chat(found.message), told)
        except Exception as reason:
            log.debug("an answer is not remembered: %r", reason)
            return replace(_response(Message("assistant", ""), told), cacheable=False)

    def replay(self, response: Response) -> ChatResponse:
        """Say what the cache remembers in LlamaIndex's terms, with no usage to count twice."""
        message = new_chat(response.message)
        return ChatResponse(message=message, delta=message.content or "", raw=_note(response))

    def shown(self, found: ChatResponse) -> ChatResponse:
        """Leave out of an answer what is not meant for the caller."""
        names = {tool.tool.name for tool in self.bound}
        if not names or not any(c.name in names for c in from_chat(found.message).tool_calls):
            return found
        return found.model_copy(update={"message": without_calls(found.message, names)})

    def follow_up(self, found: ChatResponse | None) -> Callable[[], Chat] | None:
        """Return what runs the tools that an answer calls and says what to ask next, if so.

        Where it calls the caller's tools too, those come first; it can ask for ours again.
        """
        names = {tool.tool.name for tool in self.bound}
        calls = from_chat(found.message).tool_calls if found is not None and names else ()
        if found is None or not calls or any(call.name not in names for call in calls):
            return None
        message = found.message

        def run() -> Chat:
            results = [new_chat(_result(call, self.bound)) for call in calls]
            return replace(self, first=[*self.first, message, *results])

        return run


@dataclass(frozen=True)
class Completion:
    """A call with a prompt."""

    llm: LLM
    first: str
    kwargs: dict[str, Any]
    context: Context = field(default_factory=copy_context, repr=False, compare=False)
    """Where it was called from; a stream may be read elsewhere."""

    def request(self) -> Request:
        """Say it in trimtab's terms."""
        said = (Message("user", self.first),)
        return self.context.run(_request, self.llm, said, (), self.kwargs, ["complete"])

    def sent(self, plan: Plan) -> tuple[str, dict[str, Any]]:
        """Say what was planned in LlamaIndex's terms.

        Raises:
            ValueError: A step has made more of the prompt than one text.
        """
        if [message.role for message in plan.request.messages] != ["user"]:
            raise ValueError("a prompt cannot say what the steps have made of it")
        return plan.request.messages[0].text, {**self.kwargs, **_changes(plan)}

    def learned(
        self, found: CompletionResponse | None, told: Receipt, *, whole: bool = True
    ) -> Response:
        """Say what came back in trimtab's terms; never fails."""
        rebuilt = whole and found is not None and not found.logprobs
        text = found.text if found else ""
        response = _response(Message("assistant", text), told)
        return response if rebuilt else replace(response, cacheable=False)

    def replay(self, response: Response) -> CompletionResponse:
        """Say what the cache remembers in LlamaIndex's terms, with no usage to count twice."""
        text = response.message.text
        return CompletionResponse(text=text, delta=text, raw=_note(response))

    def shown(self, found: CompletionResponse) -> CompletionResponse:
        """Return the answer as it is."""
        return found

    def follow_up(self, found: CompletionResponse | None) -> None:
        """Ask nothing more: a prompt offers no tools."""


def _request(
    llm: LLM,
    messages: tuple[Message, ...],
    tools: tuple[Tool, ...],
    kwargs: Mapping[str, Any],
    more: list[Any],
) -> Request:
    tags = active_instrument_tags.get()
    left = {k: plain(v) for k, v in kwargs.items() if k != "tools" or (v and not tools)}
    return Request(
        model=llm.metadata.model_name,
        messages=messages,
        tools=tools,
        params={**left, OWN: [*more, _settings(llm)]},
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


def _changes(plan: Plan) -> dict[str, Any]:
    """What steps have made of the parameters, and of the model."""
    before, after = plan.asked.params, plan.request.params
    changed = {k: v for k, v in after.items() if k not in before or before[k] != v}
    changed.pop(OWN, None)
    if plan.request.model != plan.asked.model:
        changed["model"] = plan.request.model
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


def _result(call: ToolCall, tools: tuple[RunnableTool, ...]) -> Message:
    try:
        text = call_tool(tools, call.name, json.loads(call.arguments or "{}"))
    except Exception as error:
        text = f"{call.name} failed: {error!r}"
    return Message("tool", text, tool_call_id=call.id, name=call.name)


def _response(message: Message, told: Receipt) -> Response:
    return Response(message, told.usage, told.model, told.finish_reason)


def _note(response: Response) -> dict[str, Any]:
    saved = vars(response.usage or Usage())
    return {"trimtab": {"cache": "hit", "kind": response.cached or "exact", "saved": saved}}
