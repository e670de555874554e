"""Recording what calls cost, wherever they are made."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.tracers.context import register_configure_hook

from langchain_trimtab.convert import message_to_core, model_of, saved_by_cache, usage_of
from langchain_trimtab.stops import stopping
from langchain_trimtab.tools import tool_to_core
from trimtab.budget import Budget, Hold
from trimtab.errors import BudgetExceeded
from trimtab.ledger import Event, Ledger
from trimtab.prices import cost
from trimtab.tenant import current_tenant
from trimtab.types import Request, Usage

log = logging.getLogger("trimtab")
current_plan: ContextVar[str] = ContextVar("trimtab_plan", default="")
"""The id of the pipeline's plan that the current call follows, so that both record one event."""


@dataclass(frozen=True)
class _Run:
    """What is known of a call before its answer."""

    started: float
    model: str
    tenant: str
    session: str
    plan: str
    hold: Hold | None = None


class UsageCallback(BaseCallbackHandler):
    """Records an event for each call of a model: in chains, agents, streams, batches and async.

    An answer from a cache counts as saved, not as spent. A stream that nobody read to its end is
    recorded as an error whose usage is unknown.

    Args:
        ledger: Where to record.
        budget: What calls may spend together. One that does not fit raises `BudgetExceeded` before
            it is made, in async code too; it cannot be told to come to an end here, as by
            `TrimtabMiddleware`, which is to have another budget than this.

    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langchain_trimtab import UsageCallback
    >>> watch = UsageCallback()
    >>> answer = FakeListChatModel(responses=["Hi."]).invoke("Hello!", {"callbacks": [watch]})
    >>> watch.ledger.analytics().calls
    1
    """

    def __init__(self, ledger: Ledger | None = None, *, budget: Budget | None = None) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self.budget = budget
        # Else LangChain lets no error of a callback reach the caller.
        self.raise_error = self.run_inline = budget is not None
        self.failures = 0
        self._runs: dict[UUID, _Run] = {}

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note when a chat model was called, and which.

        Raises:
            BudgetExceeded: The call does not fit into the budget.
        """
        self._begin(run_id, chain.from_iterable(messages), kwargs)

    def on_llm_start(
        self, serialized: Any, prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note when a text model was called, and which.

        Raises:
            BudgetExceeded: The call does not fit into the budget.
        """
        self._begin(run_id, map(HumanMessage, prompts), kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Record an answer."""
        answer = _first(response)
        message = answer.message if isinstance(answer, ChatGeneration) else None
        if message is None:
            return self._record(run_id, Event("", 0, "", _text_usage(response) or Usage()))
        model, saved = model_of(message), saved_by_cache(message)
        if saved is None:
            event = Event(message.id or "", 0, model, usage_of(message) or Usage())
        else:
            # Without the message's id: a cache may repeat that of the answer that was paid for.
            event = Event("", 0, model, Usage(0, 0, 0, 0, 0), saved=saved, hit=True)
        return self._record(run_id, event)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a call that failed, or a stream that was left."""
        self._record(run_id, Event("", 0, "", error=repr(error)))

    def _begin(
        self, run_id: UUID, messages: Iterable[BaseMessage], kwargs: Mapping[str, Any]
    ) -> None:
        params = kwargs.get("invocation_params") or {}
        run = _run(kwargs.get("metadata"), params)
        try:
            if self.budget is not None:
                with stopping():
                    _, hold = self.budget.reserve(_request(run, messages, params))
                run = replace(run, hold=hold)
        except BudgetExceeded:
            raise
        except Exception as error:
            self._failed("a call's price could not be reckoned", error)
        self._runs[run_id] = run

    def _failed(self, what: str, error: Exception) -> None:
        if not self.failures:
            log.warning("%s, and it goes on: %r", what, error)
        self.failures += 1

    def _record(self, run_id: UUID, event: Event) -> None:
        """Record an event, with what was known before the answer."""
        run = self._runs.pop(run_id, None) or _run(None, None)
        model = event.model or run.model
        try:
            if run.hold is not None:
                left = event.error.startswith(("GeneratorExit", "CancelledError"))
                spent = not event.error or left
                run.hold.settle([(model, event.usage)] if spent else ())
            self.ledger.record(
                replace(
                    event,
                    id=event.id or run.plan or str(run_id),
                    time=time.time(),
                    model=model,
                    cost=None if event.hit else cost(model, event.usage),
                    tenant=run.tenant,
                    session=run.session,
                    latency=time.monotonic() - run.started,
                )
            )
        except Exception as failure:
            self._failed("a call could not be recorded", failure)


_monitor: ContextVar[UsageCallback | None] = ContextVar("trimtab_monitor", default=None)
# Once, here: LangChain keeps each hook for as long as the process lives.
register_configure_hook(_monitor, inheritable=True)


@contextmanager
def monitor(ledger: Ledger | None = None) -> Iterator[Ledger]:
    """Record every call made inside the `with` block, without a change to the code that calls.

    Reaches chains, batches and tasks, but not threads that the caller starts. Of nested monitors,
    the innermost records.

    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langchain_trimtab import monitor
    >>> with monitor() as ledger:
    ...     answer = FakeListChatModel(responses=["Hi."]).invoke("Hello!")
    >>> ledger.analytics().calls
    1
    """
    callback = UsageCallback(ledger)
    token = _monitor.set(callback)
    try:
        yield callback.ledger
    finally:
        _monitor.reset(token)


def _run(metadata: Mapping[str, Any] | None, params: Mapping[str, Any] | None) -> _Run:
    said, plan, tenant = metadata or {}, current_plan.get(), current_tenant()
    names = (said.get("ls_model_name"), *((params or {}).get(k) for k in ("model_name", "model")))
    thread = str(said.get("thread_id") or "")
    # A plan knows its conversation better than the thread does.
    known = thread and not plan
    return _Run(
        started=time.monotonic(),
        model=str(next(filter(None, names), "")),
        tenant=tenant,
        session=Request("", (), tenant=tenant, session=thread).conversation if known else "",
        plan=plan,
    )


def _request(run: _Run, messages: Iterable[BaseMessage], params: Mapping[str, Any]) -> Request:
    """Convert what a budget needs to know of a call."""
    said = tuple(map(message_to_core, messages))
    offered = params.get("tools") or ()
    tools = tuple(tool_to_core(tool) for tool in offered)
    return Request(run.model, said, tools, dict(params), run.tenant, run.session)


def _first(response: LLMResult) -> Generation | None:
    # Providers report the usage of all alternatives with each of them.
    generations: Sequence[Any] = response.generations[0] if response.generations else ()
    return generations[0] if generations else None


def _text_usage(response: LLMResult) -> Usage | None:
    used = (response.llm_output or {}).get("token_usage") or {}
    return Usage(used.get("prompt_tokens"), used.get("completion_tokens")) if used else None
