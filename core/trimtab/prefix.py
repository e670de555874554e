"""Asking a provider to cache the prefix of a request, where that pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from trimtab.prices import LOOKBACK, Outlook, outlook_for, rule_for
from trimtab.tokens import count_message, count_tool, counter_for
from trimtab.types import Counter, Message, Request, tail

MOST = 4
"""Break points that Anthropic takes in a request."""
FRONT = ("system", "developer")


def break_points(
    request: Request, count: Counter | None = None, *, calls: int | None = None
) -> tuple[int, ...]:
    """Choose where to set break points: at most four, at the ends of what is sent again.

    Of the tools, which other conversations may share; of the instructions, likewise; of what the
    call before this one sent, so that it is found however much came since; and of all, which the
    next call begins with. None stands where so little precedes it that the provider would not
    cache it, and none at the end of a conversation of one call.

    Args:
        request: As it is sent.
        count: Counts tokens; by the request's model where it is not given.
        calls: Calls that the conversation is expected to make yet; as known of the model where it
            is not given.

    Returns:
        Places among the tools and messages, counted in this order.
    """
    count = count or counter_for(request.model)
    tools, messages = len(request.tools), request.messages
    front = next((i for i, m in enumerate(messages) if m.role not in FRONT), len(messages))
    wanted = [tools - 1, tools + front - 1]
    if (outlook_for(request.model).calls if calls is None else calls) > 1:
        wanted += [tools + _before(messages), tools + len(messages) - 1]
    sizes = [count_tool(tool, count) for tool in request.tools]
    sizes += [count_message(message, count) for message in messages]
    minimum = rule_for(request.model).minimum
    places = sorted({place for place in wanted if place >= 0})
    return tuple(place for place in places if sum(sizes[: place + 1]) >= minimum)[-MOST:]


def _before(messages: Sequence[Message]) -> int:
    """Return the index of the last message of the call before, or a negative number.

    Only where it would not be found from the end alone.
    """
    answers = [i for i, message in enumerate(messages) if message.role == "assistant"]
    if not answers or len(messages) - answers[-1] < LOOKBACK:
        return -len(messages) - 1
    return answers[-1] - 1


@tail
@dataclass(frozen=True)
class BreakPoints:
    """Asks the provider to cache what the next call begins with, where it wants to be asked.

    Of Anthropic's models only; a request to any other is left as it is.
    """

    runs_last: ClassVar[bool] = True
    outlook: Outlook | None = None
    """How many calls a session is expected to make; what is known of the model if not given."""
    count: Counter | None = None

    def __call__(self, request: Request) -> Request:
        """Return the request with break points."""
        if not rule_for(request.model).marks:
            return request
        calls = None if self.outlook is None else self.outlook.calls
        marks = break_points(request, self.count, calls=calls)
        return replace(request, marks=marks) if marks else request


@tail
@dataclass(frozen=True)
class CacheKey:
    """Sends the calls of a conversation to the machine that has cached it: `prompt_cache_key`.

    Of OpenAI's models only. What other servers make of it, and old SDKs, is theirs to say.
    """

    key: Callable[[Request], str] | None = None
    """Names what shares a prefix; a conversation where it is not given."""

    def __call__(self, request: Request) -> Request:
        """Return the request with a key, unless it has one."""
        ours = "developers.openai.com" in rule_for(request.model).source
        if not ours or "prompt_cache_key" in request.params:
            return request
        named = request.conversation if self.key is None else self.key(request)
        return replace(request, params={**request.params, "prompt_cache_key": named})
