"""Waiting for a store without blocking an event loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

THREADS = 8
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def aside(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Run a store's blocking method in a thread.

    Not in the event loop's own threads: those may all be taken by callers that wait for the very
    answer that is to be stored.
    """
    import asyncio

    return await asyncio.wrap_future(begin(partial(work, *args, **kwargs)))


def begin(work: Callable[[], Result]) -> Future[Result]:
    """Run it in a thread, and see later what became of it."""
    return _threads(os.getpid()).submit(work)


@lru_cache(maxsize=1)
def _threads(process: int) -> ThreadPoolExecutor:
    """Make the threads. A forked process needs its own, because threads do not survive."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(THREADS, thread_name_prefix="trimtab-store")
