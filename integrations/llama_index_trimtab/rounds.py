"""Asking a model until it has what it needs from the tools that are run here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from typing import Any, TypeVar, cast

from llama_index_trimtab.calls import aonce, astreamed, once, streamed
from llama_index_trimtab.requests import Ask
from trimtab.pipeline import Pipeline

ROUNDS = 8
"""How often a model is asked for one answer, should it call nothing but our tools each time."""
Answer = TypeVar("Answer")


def answer(pipeline: Pipeline, call: Callable[..., Answer], ask: Ask) -> Answer:
    """Answer a call; each round of it is planned and recorded as a call of its own."""
    for _ in range(ROUNDS):
        found = once(pipeline, call, ask)
        follow_up = ask.follow_up(found)
        if follow_up is None:
            break
        ask = follow_up()
    return cast(Answer, ask.shown(found))


async def aanswer(pipeline: Pipeline, call: Callable[..., Awaitable[Answer]], ask: Ask) -> Answer:
    """Do the same without blocking the event loop."""
    for _ in range(ROUNDS):
        found = await aonce(pipeline, call, ask)
        follow_up = ask.follow_up(found)
        if follow_up is None:
            break
        ask = await asyncio.to_thread(follow_up)
    return cast(Answer, ask.shown(found))


def stream(
    pipeline: Pipeline, call: Callable[..., Generator[Answer, None, None]], ask: Ask
) -> Generator[Answer, None, None]:
    """Answer a call in chunks, all rounds in one stream.

    With a cache the call is made by the first who reads: others may wait for its end.
    """
    chunks = _stream(pipeline, call, ask)
    if pipeline.cache is not None:
        return _when_read(chunks)
    next(chunks)  # Started here, so that a stream dropped unread is abandoned too.
    return chunks


async def astream(
    pipeline: Pipeline, call: Callable[..., Awaitable[AsyncGenerator[Answer, None]]], ask: Ask
) -> AsyncGenerator[Answer, None]:
    """Do the same without blocking the event loop."""
    chunks = _astream(pipeline, call, ask)
    if pipeline.cache is not None:
        return _awhen_read(chunks)
    await anext(chunks)
    return chunks


def _when_read(chunks: Generator[Any, None, None]) -> Generator[Any, None, None]:
    with closing(chunks):
        next(chunks)
        yield from chunks


async def _awhen_read(chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    async with aclosing(chunks):
        await anext(chunks)
        async for chunk in chunks:
            yield chunk


def _stream(
    pipeline: Pipeline, call: Callable[..., Generator[Any, None, None]], ask: Ask
) -> Generator[Any, None, None]:
    for number in range(ROUNDS):
        last = None
        with closing(streamed(pipeline, call, ask)) as chunks:
            for chunk in chunks:
                last = chunk
                if chunk is not None or number == 0:
                    yield chunk and ask.shown(chunk)
        follow_up = ask.follow_up(last)
        if follow_up is None:
            return
        ask = follow_up()


async def _astream(
    pipeline: Pipeline, call: Callable[..., Awaitable[AsyncGenerator[Any, None]]], ask: Ask
) -> AsyncGenerator[Any, None]:
    for number in range(ROUNDS):
        last = None
        async with aclosing(astreamed(pipeline, call, ask)) as chunks:
            async for chunk in chunks:
                last = chunk
                if chunk is not None or number == 0:
                    yield chunk and ask.shown(chunk)
        follow_up = ask.follow_up(last)
        if follow_up is None:
            return
        ask = await asyncio.to_thread(follow_up)
