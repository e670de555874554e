"""The pipeline's straight line around one call of a LlamaIndex model."""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from llama_index_trimtab.events import recorded_in
from llama_index_trimtab.requests import Ask
from llama_index_trimtab.usage import Receipt, receipt
from trimtab.errors import BudgetExceeded
from trimtab.ledger import Ledger
from trimtab.pipeline import Pipeline, Plan
from trimtab.types import Response

log = logging.getLogger("trimtab")
END = object()
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Turn:
    """What to do about a call: send `first` and `kwargs`, unless `replay` already answers it."""

    first: Any
    kwargs: dict[str, Any]
    plan: Plan | None = None
    """None where planning failed, and the call goes its way as if there were no pipeline."""
    replay: Any = None


def once(pipeline: Pipeline, call: Callable[..., Answer], ask: Ask) -> Answer:
    """Answer a call, asking the model only if the cache cannot."""
    turn = _open(pipeline, ask)
    if turn.plan is None:
        return call(turn.first, **turn.kwargs)
    if turn.plan.hit:
        pipeline.finish(turn.plan, turn.plan.hit)
        return cast(Answer, turn.replay)
    try:
        with recorded_in(pipeline.ledger):
            found = call(turn.first, **turn.kwargs)
    except BaseException as error:
        pipeline.abandon(turn.plan, error)
        raise
    pipeline.finish(turn.plan, ask.learned(found, receipt(found)))
    return found


async def aonce(pipeline: Pipeline, call: Callable[..., Awaitable[Answer]], ask: Ask) -> Answer:
    """Do the same without blocking the event loop."""
    turn = await _aopen(pipeline, ask)
    if turn.plan is None:
        return await call(turn.first, **turn.kwargs)
    if turn.plan.hit:
        await pipeline.afinish(turn.plan, turn.plan.hit)
        return cast(Answer, turn.replay)
    try:
        with recorded_in(pipeline.ledger):
            found = await call(turn.first, **turn.kwargs)
    except BaseException as error:
        pipeline.abandon(turn.plan, error)
        raise
    await pipeline.afinish(turn.plan, ask.learned(found, receipt(found)))
    return found


def streamed(
    pipeline: Pipeline, call: Callable[..., Generator[Any, None, None]], ask: Ask
) -> Generator[Any, None, None]:
    """Answer in chunks, after an empty one that says that it has begun.

    An answer from the cache is one chunk.
    """
    turn = _open(pipeline, ask)
    if turn.plan is None:
        yield None
        yield from call(turn.first, **turn.kwargs)
        return
    if turn.plan.hit:
        pipeline.finish(turn.plan, turn.plan.hit)
        yield None
        yield turn.replay
        return
    heard = _Heard()
    try:
        with ExitStack() as stack:
            with recorded_in(pipeline.ledger):
                chunks = call(turn.first, **turn.kwargs)
            stack.callback(getattr(chunks, "close", _nothing))
            yield None
            for chunk in _noted(iter(chunks), pipeline.ledger):
                heard.add(chunk)
                yield chunk
    except BaseException as error:
        pipeline.abandon(turn.plan, error)
        raise
    pipeline.finish(turn.plan, heard.learned(ask))


async def astreamed(
    pipeline: Pipeline, call: Callable[..., Awaitable[AsyncGenerator[Any, None]]], ask: Ask
) -> AsyncGenerator[Any, None]:
    """Do the same without blocking the event loop."""
    turn = await _aopen(pipeline, ask)
    if turn.plan is None:
        yield None
        async for chunk in await call(turn.first, **turn.kwargs):
            yield chunk
        return
    if turn.plan.hit:
        await pipeline.afinish(turn.plan, turn.plan.hit)
        yield None
        yield turn.replay
        return
    heard = _Heard()
    try:
        async with AsyncExitStack() as stack:
            with recorded_in(pipeline.ledger):
                chunks = await call(turn.first, **turn.kwargs)
            stack.push_async_callback(getattr(chunks, "aclose", _anothing))
            yield None
            async for chunk in _anoted(aiter(chunks), pipeline.ledger):
                heard.add(chunk)
                yield chunk
    except BaseException as error:
        pipeline.abandon(turn.plan, error)
        raise
    await pipeline.afinish(turn.plan, heard.learned(ask))


class _Heard:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self._last: Any = None
        self._told = Receipt()
        self._deltas: list[str] = []

    def add(self, chunk: Any) -> None:
        self._last = chunk
        self._told = self._told.then(receipt(chunk))
        self._deltas.append(chunk.delta or "")

    def learned(self, ask: Ask) -> Response:
        return ask.learned(self._last, self._told, whole=self._whole())

    def _whole(self) -> bool:
        """Tell whether the last chunk holds all of the answer, as LlamaIndex's streams should."""
        if self._last is None:
            return False
        message = getattr(self._last, "message", None)
        text = (message.content or "") if message is not None else self._last.text
        heard = "".join(self._deltas)
        # Some integrations stream the arguments of tool calls as deltas, after the text.
        return bool(text == heard or (message is not None and heard.startswith(text)))


def _open(pipeline: Pipeline, ask: Ask) -> Turn:
    try:
        return _turn(pipeline, ask, pipeline.plan(ask.request()))
    except BudgetExceeded:
        raise
    except Exception as error:
        _failed(pipeline, error)
        return Turn(ask.first, ask.kwargs)


async def _aopen(pipeline: Pipeline, ask: Ask) -> Turn:
    try:
        return _turn(pipeline, ask, await pipeline.aplan(ask.request()))
    except BudgetExceeded:
        raise
    except Exception as error:
        _failed(pipeline, error)
        return Turn(ask.first, ask.kwargs)


def _turn(pipeline: Pipeline, ask: Ask, plan: Plan) -> Turn:
    """Say what was planned in LlamaIndex's terms; send what was asked where that fails."""
    try:
        if plan.hit:
            return Turn(ask.first, ask.kwargs, plan, ask.replay(plan.hit))
        first, kwargs = ask.sent(plan)
        return Turn(first, kwargs, plan)
    except Exception as error:
        _failed(pipeline, error)
        asked = replace(plan, request=plan.asked, hit=None, changes=(), cuts=())
        return Turn(ask.first, ask.kwargs, asked)


def _failed(pipeline: Pipeline, error: Exception) -> None:
    if not pipeline.failures["llama_index"]:
        log.warning("a call goes to the model as it was asked: %r", error)
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
