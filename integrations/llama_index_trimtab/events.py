"""Usage, as LlamaIndex's own instrumentation tells it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index_instrumentation.events.span import SpanDropEvent
from pydantic import PrivateAttr

from llama_index_trimtab.usage import Receipt, receipt
from trimtab.ledger import Event, Ledger
from trimtab.prices import cost
from trimtab.tenant import current_tenant
from trimtab.types import Request, Usage

log = logging.getLogger("trimtab")
OPEN = 4096
"""Calls under way that are remembered; streams that nobody reads never end."""

_numbers = itertools.count()
_recorder: ContextVar[Ledger | None] = ContextVar("llama_index_trimtab_recorder", default=None)


@dataclass(frozen=True)
class _Call:
    """A call under way."""

    order: int
    started: float
    model: str
    streams: bool = False
    elsewhere: bool = False
    """True where a TrimtabLLM records it in the same ledger."""


_last: ContextVar[tuple[_Call, Any] | None] = ContextVar("llama_index_trimtab_last", default=None)
"""The call that ended last in this thread or task, with its raw answer."""


@contextmanager
def recorded_in(ledger: Ledger) -> Iterator[None]:
    """Tell handlers that calls made inside the `with` block are recorded in this ledger."""
    token = _recorder.set(ledger)
    try:
        yield
    finally:
        _recorder.reset(token)


class UsageHandler(BaseEventHandler):
    """Records each LLM call that LlamaIndex tells about in a ledger.

    `get_dispatcher().add_event_handler(UsageHandler(ledger))`. What a TrimtabLLM records in the
    same ledger is left to it. A call made within another, as by a model whose `chat` is its
    `complete`, counts once. Of `instrument_tags`, it reads `tenant` and `session`.

    It can watch, not enforce: LlamaIndex swallows whatever a handler raises.

    >>> from llama_index.core.instrumentation import get_dispatcher
    >>> from llama_index.core.llms import MockLLM
    >>> from llama_index_trimtab import UsageHandler
    >>> handler = UsageHandler()
    >>> get_dispatcher().add_event_handler(handler)
    >>> answer = MockLLM().complete("Hello!")
    >>> handler.ledger.analytics().calls
    1
    >>> get_dispatcher().event_handlers.remove(handler)
    """

    _ledger: Ledger = PrivateAttr()
    _calls: OrderedDict[str, _Call] = PrivateAttr(default_factory=OrderedDict)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _failures: Tally[str] = PrivateAttr(default_factory=Tally)

    def __init__(self, ledger: Ledger | None = None) -> None:
        super().__init__()
        self._ledger = Ledger() if ledger is None else ledger

    @classmethod
    def class_name(cls) -> str:
        """Name the class, as LlamaIndex asks."""
        return "UsageHandler"

    @property
    def ledger(self) -> Ledger:
        """Where the calls are recorded."""
        return self._ledger

    @property
    def failures(self) -> Mapping[str, int]:
        """How many events could not be recorded, by kind."""
        return self._failures

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Take note of one event."""
        try:
            self._handle(event)
        except Exception as error:
            name = type(event).__name__
            if not self._failures[name]:
                log.warning("an event could not be recorded: %s: %r", name, error)
            self._failures[name] += 1

    def _handle(self, event: BaseEvent) -> None:
        if isinstance(event, LLMChatStartEvent | LLMCompletionStartEvent):
            self._start(str(event.span_id), event.model_dict)
        elif isinstance(event, LLMChatInProgressEvent | LLMCompletionInProgressEvent):
            self._stream(str(event.span_id))
        elif isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            self._end(event, receipt(event.response), getattr(event.response, "raw", None))
        elif isinstance(event, ExceptionEvent):
            self._end(event, Receipt(), None, error=repr(event.exception))
        elif isinstance(event, SpanDropEvent):
            self._end(event, Receipt(), None, error=event.err_str)

    def _start(self, span: str, model: Mapping[str, Any]) -> None:
        if model.get("class_name") == StructuredLLM.class_name():
            return  # It only passes on what another LLM answers.
        name = str(model.get("model_name") or model.get("model") or "")
        elsewhere = _recorder.get() is self.ledger
        call = _Call(next(_numbers), time.monotonic(), name, elsewhere=elsewhere)
        with self._lock:
            self._calls[span] = call
            if len(self._calls) > OPEN:
                self._calls.popitem(last=False)

    def _stream(self, span: str) -> None:
        with self._lock:
            call = self._calls.get(span)
            if call is not None and not call.streams:
                self._calls[span] = replace(call, streams=True)

    def _end(self, event: BaseEvent, found: Receipt, raw: Any, *, error: str = "") -> None:
        with self._lock:
            call = self._calls.pop(str(event.span_id), None)
        if call is None or _told_within(call, raw):
            return
        _last.set((call, raw))
        if not call.elsewhere:
            self.ledger.record(_event(call, found, event, error))


def _told_within(call: _Call, raw: Any) -> bool:
    """Tell whether the call that ended last was made by this one, and has told its usage already.

    While a stream is open its reader may make calls of its own, so there the answer must be one.
    """
    last = _last.get()
    if last is None or last[0].order < call.order:
        return False
    return not call.streams or (raw is not None and raw is last[1])


def _event(call: _Call, found: Receipt, ended: BaseEvent, error: str) -> Event:
    model, usage = found.model or call.model, found.usage or Usage()
    tenant = str(ended.tags.get("tenant") or current_tenant())
    session = str(ended.tags.get("session") or "")
    return Event(
        # Not the provider's id: some servers give the same one to many answers.
        id=str(ended.id_),
        time=time.time(),
        model=model,
        usage=usage,
        cost=cost(model, usage),
        tenant=tenant,
        session=Request(model, (), tenant=tenant, session=session).conversation if session else "",
        latency=time.monotonic() - call.started,
        error=error,
    )
