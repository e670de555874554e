"""The pipeline's straight line around one call of a LlamaIndex model."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from llama_index_trimtab.convert import from_chat
from llama_index_trimtab.events import recorded_in
from llama_index_trimtab.requests import Ask
from llama_index_trimtab.routing import Attempt, Heard, Line
from llama_index_trimtab.usage import Receipt, receipt
from trimtab.errors import BudgetExceeded
from trimtab.ledger import Ledger
from trimtab.pipeline import Pipeline, Plan
from trimtab.types import Request, Response

log = logging.getLogger("trimtab")
END = object()


class Call:
    """One planned call of the caller's, in whatever way: `chat`, `astream_complete`, and so on."""

    def __init__(self, pipeline: Pipeline, way: str, ask: Ask, plan: Plan) -> None:
        self.pipeline = pipeline
        self.plan = plan
        self._way = way
        self._ask = ask
        self._spent: list[Response] = []

    def line(self) -> Line:
        """Begin to ask."""
        return self._ask.routes.line(self.plan, partial(_failed, self.pipeline))

    def put(self, attempt: Attempt) -> Any:
        """Put the planned request to a model; as it was asked, where it cannot be said."""
        try:
            first, kwargs = self._ask.sent(self.plan, attempt)
        except Exception as error:
            _failed(self.pipeline, error)
            asked, planned = self.plan.asked, attempt.request
            attempt = replace(attempt, request=_routed(asked, planned))
            unedited = _routed(asked, self.plan.request)
            self.plan = replace(self.plan, request=unedited, changes=(), cuts=())
            first, kwargs = self._ask.sent(self.plan, attempt)
        return getattr(attempt.llm, self._way)(first, **kwargs)

    def answered(self, attempt: Attempt, found: Any) -> Heard:
        """Take note of an answer that came in one piece."""
        response = self._noted(attempt, self._ask.learned(found, receipt(found)))
        return Heard(self._ask.checked(attempt.llm, found), response)

    def streamed(self, attempt: Attempt, heard: Said) -> Heard:
        """Take note of an answer that came in chunks."""
        response = self._ask.learned(heard.last, heard.receipt, whole=heard.whole)
        if not heard.whole:
            message = replace(response.message, content=heard.text)
            response = replace(response, message=message)
        return Heard(heard.held, self._noted(attempt, response))

    def finish(self, heard: Heard) -> Response:
        """Return the answer with all that was paid for on the way to it."""
        asides = (one for one in self._spent if one is not heard.response)
        instead = self._ask.routes.instead
        return replace(heard.response, asides=tuple(asides), instead=instead)

    def abandon(self, error: BaseException) -> None:
        """Record that there will be no answer."""
        self.pipeline.abandon(self.plan, error, self._spent)

    def _noted(self, attempt: Attempt, response: Response) -> Response:
        response = replace(response, model=response.model or attempt.request.model)
        self._spent.append(response)
        return response


def once(pipeline: Pipeline, way: str, ask: Ask) -> Any:
    """Answer a call of an LLM's method `way`, asking a model only if the cache cannot."""
    plan = _open(pipeline, ask)
    if plan is None:
        return getattr(ask.routes.default, way)(ask.first, **ask.kwargs)
    if plan.hit:
        pipeline.finish(plan, plan.hit)
        return ask.replay(plan.hit, plan.id)
    call = Call(pipeline, way, ask, plan)
    try:
        line = call.line()
        step = next(line)
        while isinstance(step, Attempt):
            step = line.send(_tried(call, step))
    except BaseException as error:
        call.abandon(error)
        raise
    pipeline.finish(call.plan, call.finish(step))
    return step.found


async def aonce(pipeline: Pipeline, way: str, ask: Ask) -> Any:
    """Do the same without blocking the event loop."""
    plan = await _aopen(pipeline, ask)
    if plan is None:
        return await getattr(ask.routes.default, way)(ask.first, **ask.kwargs)
    if plan.hit:
        await pipeline.afinish(plan, plan.hit)
        return ask.replay(plan.hit, plan.id)
    call = Call(pipeline, way, ask, plan)
    try:
        line = call.line()
        step = next(line)
        while isinstance(step, Attempt):
            step = line.send(await _atried(call, step))
    except BaseException as error:
        call.abandon(error)
        raise
    await pipeline.afinish(call.plan, call.finish(step))
    return step.found


def streamed(pipeline: Pipeline, way: str, ask: Ask) -> Generator[Any, None, None]:
    """Answer in chunks, after an empty one for each model that has begun.

    An answer from the cache is one chunk. One that is judged comes when it is whole.
    """
    plan = _open(pipeline, ask)
    if plan is None:
        yield None
        yield from getattr(ask.routes.default, way)(ask.first, **ask.kwargs)
        return
    if plan.hit:
        pipeline.finish(plan, plan.hit)
        yield None
        yield ask.replay(plan.hit, plan.id)
        return
    call = Call(pipeline, way, ask, plan)
    try:
        line = call.line()
        step = next(line)
        while isinstance(step, Attempt):
            said = Said(held=[] if step.held else None)
            with closing(_chunks(call, step, said)) as chunks:
                yield from chunks
            step = line.send(said.failed or call.streamed(step, said))
    except BaseException as error:
        call.abandon(error)
        raise
    pipeline.finish(call.plan, call.finish(step))
    yield from step.found or ()


async def astreamed(pipeline: Pipeline, way: str, ask: Ask) -> AsyncGenerator[Any, None]:
    """Do the same without blocking the event loop."""
    plan = await _aopen(pipeline, ask)
    if plan is None:
        yield None
        async for chunk in await getattr(ask.routes.default, way)(ask.first, **ask.kwargs):
            yield chunk
        return
    if plan.hit:
        await pipeline.afinish(plan, plan.hit)
        yield None
        yield ask.replay(plan.hit, plan.id)
        return
    call = Call(pipeline, way, ask, plan)
    try:
        line = call.line()
        step = next(line)
        while isinstance(step, Attempt):
            said = Said(held=[] if step.held else None)
            async with aclosing(_achunks(call, step, said)) as chunks:
                async for chunk in chunks:
                    yield chunk
            step = line.send(said.failed or call.streamed(step, said))
    except BaseException as error:
        call.abandon(error)
        raise
    await pipeline.afinish(call.plan, call.finish(step))
    for chunk in step.found or ():
        yield chunk


@dataclass
class Said:
    """What a stream has said so far."""

    held: list[Any] | None = None
    """Its chunks, where they are held back."""
    last: Any = None
    receipt: Receipt = field(default_factory=Receipt)
    failed: Exception | None = None
    _deltas: list[str] = field(default_factory=list)

    def add(self, chunk: Any) -> None:
        """Take note of a chunk."""
        self.last = chunk
        self.receipt = self.receipt.then(receipt(chunk))
        self._deltas.append(chunk.delta or "")
        if self.held is not None:
            self.held.append(chunk)

    def fail(self, error: Exception) -> None:
        """Take note of an error, or raise it where it is too late for another model."""
        if self.last is not None and self.held is None:
            raise error
        self.failed = error

    @property
    def text(self) -> str:
        """What its chunks add up to."""
        return "".join(self._deltas)

    @property
    def whole(self) -> bool:
        """Whether the last chunk holds all of the answer, as LlamaIndex's streams should."""
        if self.last is None:
            return False
        message = getattr(self.last, "message", None)
        if message is None:
            return bool(self.last.text == self.text)
        text = message.content or ""
        if text == self.text:
            return True
        # Some integrations stream the arguments of tool calls as deltas, after the text.
        return self.text.startswith(text) and bool(from_chat(message).tool_calls)


def _tried(call: Call, attempt: Attempt) -> Heard | Exception:
    try:
        with recorded_in(call.pipeline.ledger):
            found = call.put(attempt)
        return call.answered(attempt, found)
    except Exception as error:
        return error


async def _atried(call: Call, attempt: Attempt) -> Heard | Exception:
    try:
        with recorded_in(call.pipeline.ledger):
            found = await call.put(attempt)
        return call.answered(attempt, found)
    except Exception as error:
        return error


def _chunks(call: Call, attempt: Attempt, said: Said) -> Generator[Any, None, None]:
    """Ask a model, and show what it says unless that is held back."""
    ledger = call.pipeline.ledger
    try:
        with ExitStack() as stack:
            with recorded_in(ledger):
                chunks = call.put(attempt)
            stack.callback(getattr(chunks, "close", _nothing))
            yield None
            for chunk in _noted(iter(chunks), ledger):
                said.add(chunk)
                if said.held is None:
                    yield chunk
    except Exception as error:
        said.fail(error)


async def _achunks(call: Call, attempt: Attempt, said: Said) -> AsyncGenerator[Any, None]:
    """Do the same without blocking the event loop."""
    ledger = call.pipeline.ledger
    try:
        async with AsyncExitStack() as stack:
            with recorded_in(ledger):
                chunks = await call.put(attempt)
            stack.push_async_callback(getattr(chunks, "aclose", _anothing))
            yield None
            async for chunk in _anoted(aiter(chunks), ledger):
                said.add(chunk)
                if said.held is None:
                    yield chunk
    except Exception as error:
        said.fail(error)


def _open(pipeline: Pipeline, ask: Ask) -> Plan | None:
    """Plan a call; None where that failed, and it goes its way as if there were no pipeline."""
    try:
        return _sayable(pipeline, ask, pipeline.plan(ask.request()))
    except BudgetExceeded:
        raise
    except Exception as error:
        _failed(pipeline, error)
        return None


async def _aopen(pipeline: Pipeline, ask: Ask) -> Plan | None:
    try:
        return _sayable(pipeline, ask, await pipeline.aplan(ask.request()))
    except BudgetExceeded:
        raise
    except Exception as error:
        _failed(pipeline, error)
        return None


def _sayable(pipeline: Pipeline, ask: Ask, plan: Plan) -> Plan:
    """Leave a remembered answer alone that cannot be said in LlamaIndex's terms."""
    try:
        if plan.hit:
            ask.replay(plan.hit, plan.id)
    except Exception as error:
        _failed(pipeline, error)
        return replace(plan, hit=None)
    return plan


def _routed(asked: Request, planned: Request) -> Request:
    """Return what was asked, for the model that was planned."""
    return replace(asked, model=planned.model, params=planned.params)


def _failed(pipeline: Pipeline, error: Exception) -> None:
    if not pipeline.failures["llama_index"]:
        log.warning("a call goes on without what failed: %r", error)
    pipeline.failures["llama_index"] += 1


def _noted(chunks: Iterator[Any], ledger: Ledger) -> Iterator[Any]:
    while True:
        with recorded_in(ledger):
            chunk = next(chunks, END)
        if chunk is END:
            return
        yield chunk


async def _anoted(chunks: AsyncIterator[Any], ledger: Ledger) -> AsyncIterator[Any]:
    while True:
        with recorded_in(ledger):
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk


def _nothing() -> None:
    """Close what needs no closing."""


async def _anothing() -> None:
    """Close what needs no closing."""
