"""The straight line a request follows: cache, steps, call, ledger, cache."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
import uuid
import weakref
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from typing import Any, Protocol

from trimtab.breakdown import components
from trimtab.called import called_name
from trimtab.errors import BudgetExceeded
from trimtab.latest import Latest
from trimtab.ledger import Change, Event, Ledger
from trimtab.prices import Outlook, cost, outlook_for
from trimtab.respond import kind_of
from trimtab.tokens import count_message, count_request, count_tools, counter_for
from trimtab.types import (
    AsyncCall,
    Cache,
    Call,
    Counter,
    Message,
    Request,
    Response,
    RunnableTool,
    Step,
    Tool,
    Usage,
    digest,
)

log = logging.getLogger("trimtab")
ENDED = (GeneratorExit, asyncio.CancelledError, KeyboardInterrupt)
"""Errors of a caller who no longer wants the answer, which is billed all the same."""
BOUND = "tools it adds"
"""What the change is called that the steps' own tools make, as far as they are sent."""
SESSIONS = 64
"""How many conversations a pipeline remembers the last request of, to see where history is cut."""


@dataclass(frozen=True)
class Cut:
    """A place where a request leaves the prefix that its conversation sent before."""

    step: str
    message: int
    """Index of the first message that changed, or -1 where the tools did."""
    after: int
    """Tokens that followed that place in the previous request."""
    removed: int
    """How many of those are gone."""
    gain: float
    """What the cut is expected to win over the session, in uncached input tokens."""


class Turn:
    """The duty to tell a cache what became of a question that others may wait for.

    Where the plan is forgotten, as after a look at what would be sent, the cache hears that too.
    """

    def __init__(self, cache: Cache, asked: Request) -> None:
        forsake: Callable[[Request], None] = getattr(cache, "forsake", _nothing)
        self._forget = weakref.finalize(self, forsake, asked)
        self._forget.atexit = False

    def over(self) -> bool:
        """End it. False where it was over before."""
        return self._forget.detach() is not None

    def forsake(self) -> None:
        """End it without taking a lock."""
        self._forget()


class Hold(Protocol):
    """What a budget has set aside for a call."""

    def settle(self, calls: Iterable[tuple[str, Usage]]) -> None:
        """Put what was spent in its place: the models asked, and what each used."""


@dataclass(frozen=True)
class Plan:
    """What to do about a request: send `request`, unless `hit` already answers it.

    >>> from trimtab import Message, Pipeline, Plan, Request
    >>> from trimtab.compress import Compress, Lossless
    >>> rows = '[{"id": "A-1", "state": "open"}, {"id": "A-2", "state": "open"}]'
    >>> asked = Request("gpt-4o", (Message("user", "Which are open?"), Message("tool", rows)))
    >>> plan: Plan = Pipeline([Compress(Lossless())]).plan(asked)
    >>> plan.changes
    (Change(step='Lossless', before=42, after=2...),)
    """

    asked: Request
    request: Request
    hit: Response | None = None
    changes: tuple[Change, ...] = ()
    """Tokens before and after each step, in order."""
    cuts: tuple[Cut, ...] = ()
    id: str = ""
    started: float = 0.0
    """Seconds, by `time.monotonic`."""
    turn: Turn | None = field(default=None, compare=False, repr=False)
    """Set where the cache had no answer."""
    holds: tuple[Hold, ...] = field(default=(), compare=False, repr=False)
    """What budgets have set aside for the call."""

    @property
    def tokens_saved(self) -> int:
        """Input tokens that the steps removed."""
        return sum(change.before - change.after for change in self.changes)


class Pipeline:
    """Runs requests through steps, with an optional cache before them and a ledger after.

    Safe to share between threads and tasks. Whatever of its parts breaks is logged once, counted
    in `failures`, and left out of that call; only a spent budget stops one.

    Args:
        steps: As they run, but one that `runs_last` runs after all others.
        count: Tokens of a text; the counter of the request's model where it is not given.
        outlook: What the provider's prefix cache costs, and how many calls a session is expected
            to make; what is known of the request's model where it is not given.
    """

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        cache: Cache | None = None,
        ledger: Ledger | None = None,
        count: Counter | None = None,
        outlook: Outlook | None = None,
    ) -> None:
        self.steps = tuple(sorted(steps, key=lambda step: getattr(step, "runs_last", False)))
        self.cache = cache
        self.ledger = Ledger() if ledger is None else ledger
        self.count = count
        self.outlook = outlook
        self.failures: Tally[str] = Tally()
        self.fingerprint = digest([_identity(step) for step in self.steps])
        self._sent = _Sent()
        self._hits: Latest[Request] = Latest()

    def with_steps(self, *steps: Step) -> Pipeline:
        """Return a pipeline with more steps, as a recipe with a budget; all else is shared."""
        return Pipeline(
            (*self.steps, *steps),
            cache=self.cache,
            ledger=self.ledger,
            count=self.count,
            outlook=self.outlook,
        )

    @property
    def tools(self) -> tuple[RunnableTool, ...]:
        """The tools that the steps need bound to the model, and run for it."""
        found = {t.tool.name: t for step in self.steps for t in getattr(step, "tools", ())}
        return tuple(found.values())

    def bind(self, request: Request) -> Request:
        """Offer the steps' own tools to a model that is offered tools at all."""
        have = {tool.name for tool in request.tools}
        extra = tuple(t.tool for t in self.tools if t.tool.name not in have)
        return replace(request, tools=request.tools + extra) if have and extra else request

    def plan(self, request: Request) -> Plan:
        """Decide what to send. Does no I/O beyond the cache, but for steps that call a model."""
        asked = self._ask(request)
        found = self._guard("cache", lambda: (self.cache.get(asked),)) if self.cache else None
        return self._decide(asked, found)

    async def aplan(self, request: Request) -> Plan:
        """Decide what to send, and wait for the cache without blocking the event loop.

        Steps that say that they are `blocking`, as those that call a model, run in a thread.
        """
        asked = self._ask(request)
        found = await self._known(asked)
        if any(getattr(step, "blocking", False) for step in self.steps):
            return await asyncio.to_thread(self._decide, asked, found)
        return self._decide(asked, found)

    async def _known(self, asked: Request) -> tuple[Response | None] | None:
        """Ask the cache; None where it failed, or where there is none."""
        get = getattr(self.cache, "aget", None)
        if get is None:
            return self._guard("cache", lambda: (self.cache.get(asked),)) if self.cache else None
        try:
            return (await get(asked),)
        except BudgetExceeded:
            raise
        except Exception as error:
            self._failed("cache", error)
            return None

    def finish(self, plan: Plan, response: Response) -> Response:
        """Remember the answer, and record what it cost.

        It is paid for, so it is remembered even if the ledger finds that a budget is spent.
        """
        if self.cache and _keeps(plan, response):
            self._guard("cache", lambda: self.cache.put(plan.asked, response))
            _over(plan)
        else:
            self._release(plan, retry=False)
        self._record(plan, response)
        return response

    async def afinish(self, plan: Plan, response: Response) -> Response:
        """Remember and record, without blocking the event loop on the cache."""
        put = getattr(self.cache, "aput", None)
        if put is None or not _keeps(plan, response):
            return self.finish(plan, response)
        try:
            await put(plan.asked, response)
        except Exception as error:
            self._failed("cache", error)
        finally:
            _over(plan)
            self._record(plan, response)
        return response

    def abandon(self, plan: Plan, error: BaseException, asides: Sequence[Response] = ()) -> None:
        """Record a call that failed, or a stream that nobody read to its end.

        `asides` are other calls that were paid for by then.
        """
        if plan.turn and isinstance(error, GeneratorExit) and hasattr(self.cache, "forsake"):
            # A generator may be collected in a thread that is just within the cache's lock.
            self._guard("cache", plan.turn.forsake)
        else:
            self._release(plan, retry=True)
        nothing = Response(Message("assistant", ""), asides=tuple(asides))
        self._record(plan, nothing, repr(error), isinstance(error, ENDED))

    def run(self, request: Request, call: Call) -> Response:
        """Answer a request, calling the model only if the cache cannot."""
        plan = self.plan(request)
        try:
            response = plan.hit or call(plan.request)
        except BaseException as error:
            self.abandon(plan, error)
            raise
        return self.finish(plan, response)

    async def arun(self, request: Request, call: AsyncCall) -> Response:
        """Do the same without blocking the event loop."""
        plan = await self.aplan(request)
        try:
            response = plan.hit or await call(plan.request)
        except BaseException as error:
            self.abandon(plan, error)
            raise
        return await self.afinish(plan, response)

    def wrong(self, id: str) -> bool:
        """Say that an answer from the cache was a wrong one; False if it is not known any more.

        Args:
            id: Of its plan, and its event: the id of a message of LangChain's agents, and
                `raw["trimtab"]["id"]` of LlamaIndex's answers.
        """
        asked = self._hits.pop(id)
        report: Callable[[Request], bool] | None = getattr(self.cache, "wrong", None)
        return asked is not None and report is not None and report(asked)

    def _ask(self, request: Request) -> Request:
        return replace(request, fingerprint=self.fingerprint)

    def _decide(self, asked: Request, found: tuple[Response | None] | None) -> Plan:
        """Plan what follows from the cache's word, which is None where it failed."""
        hit = found[0] if found else None
        turn = Turn(self.cache, asked) if self.cache and found and hit is None else None
        plan = Plan(asked, asked, hit, id=uuid.uuid4().hex, started=time.monotonic(), turn=turn)
        if hit is not None:
            self._hits[plan.id] = asked
            return plan
        try:
            return self._guard("plan", lambda: self._stepped(plan)) or plan
        except BaseException:
            self._release(plan, retry=True)
            raise

    def _release(self, plan: Plan, *, retry: bool) -> None:
        """Tell a cache that there is nothing to remember, if it counts on hearing that."""
        release = getattr(self.cache, "release", None)
        if _over(plan) and release is not None:
            self._guard("cache", lambda: release(plan.asked, retry=retry))

    def _stepped(self, plan: Plan) -> Plan:
        """Run the steps, and measure them."""
        asked = plan.asked
        count = self.count or counter_for(asked.model)
        own = frozenset(tool.tool.name for tool in self.tools)
        stages, changes, holds = [asked], [], list[Hold]()
        size = count_request(_without(asked, own), count)
        for step in self.steps:
            after = self._apply(step, stages[-1], holds)
            before, size = size, size + _growth(stages[-1], after, count, own)
            changes.append(Change(name_of(step), before, size))
            stages.append(after)
        if bound := [tool for tool in stages[-1].tools if tool.name in own]:
            changes.append(Change(BOUND, size, size + count_tools(bound, count)))
        cuts = self._sent.cuts(stages, self.steps, count, self.outlook or outlook_for(asked.model))
        sent, held = stages[-1], tuple(holds)
        return replace(plan, request=sent, changes=tuple(changes), cuts=cuts, holds=held)

    def _apply(self, step: Step, request: Request, holds: list[Hold]) -> Request:
        """Apply a step; a step that fails, or breaks what must hold, is left out."""
        reserve = getattr(step, "reserve", None)
        try:
            after, *held = (step(request),) if reserve is None else reserve(request)
            _check(request, after)
            holds += held
        except BudgetExceeded:
            raise
        except Exception as error:
            self._failed(name_of(step), error)
            return request
        return after

    def _record(
        self, plan: Plan, response: Response, error: str = "", billed: bool = False
    ) -> None:
        event = partial(self._event, plan, response)
        self._guard("ledger", lambda: self.ledger.record(replace(event(), error=error)))
        for number, aside in enumerate(response.asides):
            self._guard("ledger", partial(self._record_aside, plan, aside, number))
        self._settle(plan, response, billed=billed or not error)

    def _settle(self, plan: Plan, response: Response, billed: bool) -> None:
        """Tell budgets what was spent; what is not known only where it was billed."""
        calls = [
            (call.model or plan.request.model, call.usage or Usage())
            for call in (response, *response.asides)
            if call.usage or billed
        ]
        for hold in plan.holds:
            self._guard("budget", partial(hold.settle, calls))

    def _record_aside(self, plan: Plan, aside: Response, number: int) -> None:
        """Record a call made on the way to an answer."""
        usage = aside.usage or Usage()
        event = Event(
            id=aside.id or f"{plan.id}-{number}",
            time=time.time(),
            model=aside.model or plan.request.model,
            usage=usage,
            cost=cost(aside.model or plan.request.model, usage),
            tenant=plan.asked.tenant,
            session=plan.asked.conversation,
        )
        self.ledger.record(event)

    def _spared(self, plan: Plan, response: Response) -> Decimal | None:
        """Price what a router saved: the model that would have answered, less what was spent."""
        routed = (getattr(step, "baseline", "") for step in self.steps)
        instead = response.instead or next(filter(None, routed), "")
        if not instead or response.usage is None:
            return None
        calls = (replace(response, model=response.model or plan.request.model), *response.asides)
        spent = [cost(call.model, call.usage or Usage()) for call in calls]
        known = [dollars for dollars in spent if dollars is not None]
        would = cost(instead, response.usage)
        return None if would is None or len(known) < len(spent) else would - sum(known)

    def _event(self, plan: Plan, response: Response) -> Event:
        hit = plan.hit is not None
        model = response.model or plan.request.model
        usage = response.usage or Usage()
        spared = None if hit else self._spared(plan, response)
        return Event(
            id=plan.id if hit else response.id or plan.id,
            time=time.time(),
            model=model,
            usage=Usage(0, 0, 0, 0, 0) if hit else usage,
            cost=None if hit else cost(model, usage),
            saved=usage if hit else None if spared is None else Usage(0, 0, 0, 0, 0),
            saved_cost=spared,
            tenant=plan.asked.tenant,
            session=plan.asked.conversation,
            latency=time.monotonic() - plan.started,
            hit=hit,
            changes=plan.changes,
            components=self._guard("components", lambda: self._components(plan, model)) or {},
            kind=kind_of(plan.asked, plan.request),
            calls=tuple(called_name(call) for call in response.message.tool_calls),
        )

    def _components(self, plan: Plan, model: str) -> Mapping[str, int]:
        return components(plan.request, self.count or counter_for(model))

    def _guard(self, part: str, work: Any) -> Any:
        try:
            return work()
        except BudgetExceeded:
            raise
        except Exception as error:
            self._failed(part, error)
            return None

    def _failed(self, part: str, error: Exception) -> None:
        if not self.failures[part]:
            log.warning("%s failed, and is left out of this call: %r", part, error)
        self.failures[part] += 1


def name_of(step: Step) -> str:
    """Name a step as its author did: by its `name`, a function by its own, or by its class."""
    named = getattr(step, "name", None) or getattr(step, "__name__", None)
    return str(named or type(step).__name__)


def _over(plan: Plan) -> bool:
    return plan.turn is not None and plan.turn.over()


def _nothing(request: Request) -> None:
    pass


def _keeps(plan: Plan, response: Response) -> bool:
    """Tell whether an answer is a new one that is worth remembering."""
    return response.keepable and plan.hit is None


class _Sent:
    """What each conversation last sent, stage by stage, to see where the next request leaves it."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, list[Request]] = OrderedDict()
        self._lock = threading.Lock()

    def cuts(
        self, stages: list[Request], steps: Sequence[Step], count: Counter, outlook: Outlook
    ) -> tuple[Cut, ...]:
        """Name the step that first made something else of what was sent before, if one did."""
        with self._lock:
            last = self._last.pop(stages[0].conversation, None)
            self._last[stages[0].conversation] = stages
            if len(self._last) > SESSIONS:
                self._last.popitem(last=False)
        if last is None or _fork(last[0], stages[0]) is not None:
            return ()  # a new conversation, or one that the caller itself rewrote
        for step, before, after in zip(steps, last[1:], stages[1:], strict=True):
            if (place := _fork(before, after)) is not None:
                return (_cut(name_of(step), place, (last, stages), count, outlook),)
        return ()


def _fork(before: Request, after: Request) -> int | None:
    """Where `after` stops repeating `before`: a message's index, -1 for the tools, or nowhere."""
    if before.tools is not after.tools and before.tools != after.tools:
        return -1
    for i, (old, new) in enumerate(zip_longest(before.messages, after.messages)):
        if old is None:
            return None
        if old is not new and old != new:
            return i
    return None


def _cut(
    step: str, place: int, sent: tuple[list[Request], list[Request]], count: Counter, how: Outlook
) -> Cut:
    """Measure a cut. Messages that the model has yet to see do not count as kept ones."""
    (asked, old), (asks, new) = ((stages[0], stages[-1]) for stages in sent)
    known = len(new.messages) - (len(asks.messages) - len(asked.messages))
    after = sum(count_message(m, count) for m in old.messages[max(place, 0) :])
    kept = sum(count_message(m, count) for m in new.messages[max(place, 0) : known])
    removed = after - kept
    if place < 0:
        after += count_tools(old.tools, count)
        removed += count_tools(old.tools, count) - count_tools(new.tools, count)
    return Cut(step, place, after, removed, how.gain(after, removed))


def _without(request: Request, own: frozenset[str]) -> Request:
    """Leave out the steps' own tools."""
    theirs = tuple(tool for tool in request.tools if tool.name not in own)
    return request if len(theirs) == len(request.tools) else replace(request, tools=theirs)


def _growth(before: Request, after: Request, count: Counter, own: frozenset[str]) -> int:
    """How many tokens a step added, but for the steps' own tools; negative where it saved."""
    if before is after:
        return 0
    grown = 0
    if before.tools is not after.tools:
        were, are = _without(before, own).tools, _without(after, own).tools
        grown += count_tools(are, count) - count_tools(were, count)
    for old, new in zip_longest(before.messages, after.messages):
        if old is not new:
            grown += count_message(new, count) if new else 0
            grown -= count_message(old, count) if old else 0
    return grown


def _check(before: Request, after: Request) -> None:
    """Raise if a step touched what is pinned, or parted a tool's result from its call."""
    if before is after:
        return
    if [t for t in before.tools if t.pinned] != [t for t in after.tools if t.pinned]:
        raise ValueError("a pinned tool was changed or dropped")
    if before.messages is after.messages:
        return
    if [m for m in before.messages if m.pinned] != [m for m in after.messages if m.pinned]:
        raise ValueError("a pinned message was changed or dropped")
    if all(map(_same_calls, before.messages, after.messages)) and len(before.messages) == len(
        after.messages
    ):
        return
    if strays := _strays(after.messages) - _strays(before.messages):
        raise ValueError(f"tool calls and results were parted: {sorted(strays)}")


def _same_calls(old: Message, new: Message) -> bool:
    return old is new or (old.tool_calls == new.tool_calls and old.tool_call_id == new.tool_call_id)


def _strays(messages: Sequence[Message]) -> set[str]:
    """Ids of tool calls that no result follows, and of results that no call precedes."""
    called: set[str] = set()
    strays: set[str] = set()
    for message in messages:
        for call in message.tool_calls:
            called.add(call.id)
        if message.tool_call_id is not None:
            strays ^= {message.tool_call_id} if message.tool_call_id not in called else set()
            called.discard(message.tool_call_id)
    return strays | called


def _identity(step: Step) -> str:
    """Tell a step and its settings from another, the same way in every process."""
    if isinstance(step, type) or hasattr(step, "__qualname__"):
        return f"{step.__module__}.{step.__qualname__}"
    return f"{type(step).__module__}.{re.sub(' at 0x[0-9a-f]+', '', repr(step))}"


def runnable(tools: Sequence[RunnableTool], name: str) -> RunnableTool | None:
    """Find one of the steps' own tools by its name."""
    return next((t for t in tools if t.tool.name == name), None)


def call_tool(tools: Sequence[RunnableTool], name: str, arguments: Mapping[str, Any]) -> str:
    """Run one of the steps' own tools."""
    found = runnable(tools, name)
    if found is None:
        raise KeyError(f"no tool {name!r}; there are {[t.tool.name for t in tools]}")
    return found.run(arguments)


__all__ = ["Cut", "Pipeline", "Plan", "Tool", "call_tool", "name_of", "runnable"]
