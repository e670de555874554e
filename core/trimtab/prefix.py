"""Asking a provider to cache the prefix of a request, where that pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from trimtab.fronts import Fronts, is_front
from trimtab.prices import LOOKBACK, Outlook, outlook_for, rule_for
from trimtab.tokens import count_message, count_tool, counter_for
from trimtab.types import Counter, Message, Request, tail

MOST = 4
"""Break points that Anthropic takes in a request."""


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

    >>> from trimtab import Message, Request
    >>> from trimtab.prefix import break_points
    >>> chat = (Message("system", "Answer politely. " * 500), Message("user", "Hello!"))
    >>> break_points(Request("claude-sonnet-4-5", chat))
    (0, 1)
    """
    count = count or counter_for(request.model)
    tools, messages = len(request.tools), request.messages
    front = next((i for i, m in enumerate(messages) if not is_front(m)), len(messages))
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

    Of Anthropic's models only, who charge a quarter more for what they write to the cache. So
    nothing is written for a question alone, without tools or an answer before it, but for a
    front that was sent already within the life of the cache.

    >>> from trimtab import Message, Request
    >>> from trimtab.prefix import BreakPoints
    >>> rules, step = Message("system", "Answer politely. " * 500), BreakPoints()
    >>> [step(Request("claude-sonnet-4-5", (rules, Message("user", q)))).marks for q in "abc"]
    [(), (0,), (0,)]
    """

    runs_last: ClassVar[bool] = True
    outlook: Outlook | None = None
    """How many calls a session is expected to make; what is known of the model if not given."""
    count: Counter | None = None
    _fronts: Fronts = field(init=False, repr=False, compare=False, default_factory=Fronts)

    def __call__(self, request: Request) -> Request:
        """Return the request with break points."""
        rule = rule_for(request.model)
        if not rule.marks:
            return request
        marks = break_points(request, self.count, calls=self._calls(request))
        goes_on = marks[-1:] == (len(request.tools) + len(request.messages) - 1,)
        shared = self._fronts.is_shared(request, request.model, rule.life)
        return replace(request, marks=marks) if marks and (goes_on or shared) else request

    def _calls(self, request: Request) -> int | None:
        if self.outlook is not None:
            return self.outlook.calls
        begun = any(message.role == "assistant" for message in request.messages)
        return None if request.tools or begun else 1


@tail
@dataclass(frozen=True)
class CacheKey:
    """Sends the calls of a conversation to the machine that has cached it: `prompt_cache_key`.

    Of OpenAI's models only. What other servers make of it, and old SDKs, is theirs to say.

    >>> from trimtab import Message, Request
    >>> from trimtab.prefix import CacheKey
    >>> same_prompt = CacheKey(key=lambda request: f"support {request.tenant}")
    >>> same_prompt(Request("gpt-4o", (Message("user", "Hello!"),), tenant="acme")).params
    {'prompt_cache_key': 'support acme'}
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
