"""Recorded traffic in, savings out: what each call would have sent, and what that would cost."""

from __future__ import annotations

import json
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from trimtab.breakdown import components
from trimtab.errors import TraceError
from trimtab.ledger import Change
from trimtab.offer import Offer
from trimtab.pipeline import BOUND, Cut, Pipeline, Plan
from trimtab.prefix import break_points
from trimtab.prices import (
    DEFAULT_RULE,
    GENERIC,
    Outlook,
    PrefixCache,
    cost,
    outlook_for,
    rule_for,
)
from trimtab.tokens import TokenCounter, count_message, count_tool, counter_for, openai_definition
from trimtab.trace import Conversation
from trimtab.types import Message, Request, Tool, Usage

SHORTEST = 4
"""Characters of the shortest value that counts as evidence; shorter ones stand anywhere."""
EXAMPLE = 2_400
"""Characters of the longest tool result that is shown as an example."""
LEAST = 0.2
"""The share that must be left of an example; one that is shorter only points to another text."""


@dataclass(frozen=True)
class Sent:
    """What would have been sent in place of one recorded call."""

    conversation: Conversation
    step: int
    """Index of the recorded answer among the conversation's messages."""
    recorded: Request
    """What had been sent, as recorded."""
    plan: Plan
    seconds: float
    """How long planning took."""


NOTHING = Usage(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Bill:
    """The input of one call, or of several."""

    usage: Usage = NOTHING
    """With a prefix cache as most providers have it: from 1,024 tokens on, in steps of 128."""
    plain: Decimal | None = Decimal(0)
    """Dollars if nothing were cached, or None where no price is known."""
    cached: Decimal | None = Decimal(0)
    """Dollars with the prefix cache of the model's provider, by its own rules."""

    @property
    def tokens(self) -> int:
        """All tokens, cached or not."""
        return self.usage.input_tokens or 0

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            self.usage + other.usage,
            _sum(self.plain, other.plain),
            _sum(self.cached, other.cached),
        )


@dataclass(frozen=True)
class Turn:
    """One recorded call, as it was and as it would have been."""

    step: int
    before: Bill
    after: Bill
    changes: tuple[Change, ...] = ()
    cuts: tuple[Cut, ...] = ()
    needed: int = 0
    """Values of the next tool call that stood verbatim in the recorded request."""
    kept: int = 0
    """How many of them still stand in what would have been sent."""
    seconds: float = 0.0


@dataclass(frozen=True)
class CutResult:
    """A cut of history, with what it was expected to win and what it won."""

    conversation: str
    step: int
    cut: Cut
    won: float
    """Uncached input tokens, from the cut to the end of the recording."""


@dataclass(frozen=True)
class Outcome:
    """One conversation, replayed."""

    id: str
    model: str
    turns: tuple[Turn, ...]
    before: Mapping[str, int] = field(default_factory=dict)
    """Tokens by component, over all calls."""
    after: Mapping[str, int] = field(default_factory=dict)
    cuts: tuple[CutResult, ...] = ()


@dataclass(frozen=True)
class Example:
    """A tool result before and after."""

    tool: str
    before: str
    after: str


@dataclass(frozen=True)
class Replay:
    """What a recipe would have done to recorded traffic.

    >>> from trimtab import recipes, trace
    >>> from trimtab.demo import TRAFFIC
    >>> from trimtab.replay import Bill, CutResult, Example, Outcome, Replay, Turn, replay
    >>> found: Replay = replay([next(trace.read(TRAFFIC))], recipes.lean)
    >>> outcome: Outcome = found.outcomes[0]
    >>> turn: Turn = outcome.turns[-1]
    >>> before: Bill = turn.before
    >>> before.tokens > turn.after.tokens
    True
    >>> example: Example = found.examples[0]
    >>> len(example.before) > len(example.after)
    True
    >>> cuts: tuple[CutResult, ...] = found.cuts
    """

    outcomes: tuple[Outcome, ...]
    examples: tuple[Example, ...] = ()
    """Results that were shortened most, among those short enough to show."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """How often each step failed, and was left out."""

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """All calls."""
        return tuple(turn for outcome in self.outcomes for turn in outcome.turns)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were asked."""
        return tuple(sorted({outcome.model for outcome in self.outcomes}))

    @cached_property
    def before(self) -> Bill:
        """All input as recorded."""
        return sum((turn.before for turn in self.turns), Bill())

    @cached_property
    def after(self) -> Bill:
        """All input as it would have been."""
        return sum((turn.after for turn in self.turns), Bill())

    @property
    def levers(self) -> Mapping[str, int]:
        """Tokens that each step removed, in order; negative where it added some.

        The recipe's own tools come last.
        """
        removed: Tally[str] = Tally()
        for turn in self.turns:
            for change in turn.changes:
                removed[change.step] += change.before - change.after
        bound = removed.pop(BOUND, 0)
        removed.pop(Offer.__name__, None)
        return {**removed, **({BOUND: bound} if bound else {})}

    @property
    def ratios(self) -> Mapping[str, float | None]:
        """Input cost after, relative to before, under each of the generic price models."""
        before, after = self.before.usage, self.after.usage
        return {
            name: prices.bill(after) / prices.bill(before) if before.input_tokens else None
            for name, prices in GENERIC.items()
        }

    @property
    def worst(self) -> float | None:
        """The least favourable of `ratios`."""
        return max((ratio for ratio in self.ratios.values() if ratio is not None), default=None)

    @property
    def needed(self) -> int:
        """Values that recorded tool calls took verbatim from their requests."""
        return sum(turn.needed for turn in self.turns)

    @property
    def kept(self) -> int:
        """How many of them still stand in what would have been sent."""
        return sum(turn.kept for turn in self.turns)

    @property
    def cuts(self) -> tuple[CutResult, ...]:
        """All cuts of history."""
        return tuple(cut for outcome in self.outcomes for cut in outcome.cuts)

    def parts(self) -> Mapping[str, tuple[int, int]]:
        """Tokens by component, before and after."""
        before, after = (
            sum((Tally(getattr(o, when)) for o in self.outcomes), Tally[str]())
            for when in ("before", "after")
        )
        return {name: (before[name], after[name]) for name in {**before, **after}}

    def seconds(self, quantile: float) -> float | None:
        """How long planning a call took, at a quantile between 0 and 1."""
        took = sorted(turn.seconds for turn in self.turns)
        return took[min(int(quantile * len(took)), len(took) - 1)] if took else None


def requests(conversation: Conversation, pipeline: Pipeline, model: str) -> Iterator[Sent]:
    """Plan each recorded call of a conversation anew, with the messages that stood before it.

    >>> from trimtab import recipes, trace
    >>> from trimtab.demo import TRAFFIC
    >>> from trimtab.replay import Sent, requests
    >>> conversation = next(trace.read(TRAFFIC))
    >>> sent: Sent = next(requests(conversation, recipes.lossless("gpt-4o"), "gpt-4o"))
    >>> sent.step, sent.plan.tokens_saved > 0
    (2, True)
    """
    for step in conversation.answers:
        recorded = Request(
            model, conversation.messages[:step], conversation.tools, session=conversation.id
        )
        started = time.perf_counter()
        plan = pipeline.plan(pipeline.bind(recorded))
        yield Sent(conversation, step, recorded, plan, time.perf_counter() - started)


def replay(
    conversations: Iterable[Conversation],
    recipe: Callable[[str], Pipeline],
    *,
    model: str | None = None,
    watch: Callable[[Sent], None] = lambda sent: None,
) -> Replay:
    """Replay conversations one by one. Only figures are kept, so the file may be of any size.

    The recipe is asked for a pipeline once for each model that was recorded, or for the one that is
    named instead. `watch` is shown each call, to write it down.

    Raises:
        TraceError: The record names no model, and none is given.

    >>> from trimtab import recipes, trace
    >>> from trimtab.demo import TRAFFIC
    >>> from trimtab.replay import replay
    >>> found = replay([next(trace.read(TRAFFIC))], recipes.balanced)
    >>> found.after.tokens < found.before.tokens, found.needed, found.kept
    (True, 16, 16)
    """
    made: dict[str, Pipeline] = {}
    outcomes: list[Outcome] = []
    examples: tuple[Example, ...] = ()
    for conversation in conversations:
        asked = model or conversation.model
        if not asked:
            raise TraceError(f"conversation {conversation.id} names no model; name one (--model)")
        if asked not in made:
            made[asked] = recipe(asked)
        calls = _Calls(conversation.id, asked)
        for sent in requests(conversation, made[asked], asked):
            calls.add(sent)
            watch(sent)
        outcomes.append(calls.outcome())
        examples = _best((*examples, *calls.examples))
    failures = sum((pipeline.failures for pipeline in made.values()), Tally[str]())
    return Replay(tuple(outcomes), examples, dict(failures))


class _Calls:
    """Adds up the calls of one conversation."""

    def __init__(self, name: str, model: str) -> None:
        self.id, self.model = name, model
        self.count = counter_for(model)
        self.before, self.after = _Meter(model, self.count), _Meter(model, self.count)
        self.parts: tuple[Tally[str], Tally[str]] = (Tally(), Tally())
        self.turns: list[Turn] = []
        self.examples: list[Example] = []
        self.seen = 0

    def add(self, sent: Sent) -> None:
        """Measure one call, as it was and as it would have been."""
        recorded, request = sent.recorded, sent.plan.request
        for parts, one in zip(self.parts, (recorded, request), strict=True):
            parts.update(components(one, self.count))
        values = _evidence(recorded, sent.conversation.messages[sent.step : sent.step + 1])
        said = _said(request)
        self.turns.append(
            Turn(
                step=sent.step,
                before=self.before.bill(recorded),
                after=self.after.bill(request),
                changes=sent.plan.changes,
                cuts=sent.plan.cuts,
                needed=len(values),
                kept=sum(value in said for value in values),
                seconds=sent.seconds,
            )
        )
        self.examples += _examples(recorded.messages[self.seen :], request)
        self.seen = len(recorded.messages)

    def outcome(self) -> Outcome:
        """Close the conversation."""
        return Outcome(
            id=self.id,
            model=self.model,
            turns=tuple(self.turns),
            before=dict(self.parts[0]),
            after=dict(self.parts[1]),
            cuts=tuple(self._cuts()),
        )

    def _cuts(self) -> Iterator[CutResult]:
        how = outlook_for(self.model)
        for i, turn in enumerate(self.turns):
            later = len(self.turns) - i - 1
            for cut in turn.cuts:
                won = _won(cut, self.turns[i - 1].after.tokens, turn.after, how)
                won += how.read * cut.removed * later
                yield CutResult(self.id, turn.step, cut, won)


class _Meter:
    """Bills the requests of one conversation, in order."""

    def __init__(self, model: str, count: TokenCounter) -> None:
        self.model, self.count = model, count
        self.sizes: dict[str, int] = {}
        self.pieces: dict[int, tuple[object, str]] = {}
        rule = rule_for(model)
        self.ideal = PrefixCache(self.sizes.__getitem__, DEFAULT_RULE, count.shared)
        self.rule = rule
        same = (rule.minimum, rule.steps) == (DEFAULT_RULE.minimum, DEFAULT_RULE.steps)
        same = same and not rule.marks
        self.real = None if same else PrefixCache(self.sizes.__getitem__, rule, count.shared)

    def bill(self, request: Request) -> Bill:
        """Price a request, given those that the conversation sent before."""
        pieces = [self._piece(tool) for tool in request.tools]
        pieces += [self._piece(message) for message in request.messages]
        usage = self.ideal.send(pieces)
        marks = break_points(request, self.count) if self.rule.marks else None
        real = usage if self.real is None else self.real.send(pieces, marks=marks)
        plain = Usage(usage.input_tokens, 0, 0, 0, 0)
        return Bill(usage, cost(self.model, plain), cost(self.model, real))

    def _piece(self, one: Tool | Message) -> str:
        """Write what the provider tokenises in one go, and remember how many tokens it has."""
        known = self.pieces.get(id(one))
        if known is not None and known[0] is one:
            return known[1]
        if isinstance(one, Tool):
            text, size = json.dumps(openai_definition(one)), count_tool(one, self.count)
        else:
            text, size = _written(one), count_message(one, self.count)
        self.sizes[text] = size
        self.pieces[id(one)] = (one, text)
        return text


def _written(message: Message) -> str:
    """Write a message as one text: what it says first, because that is what prefixes share."""
    rest = [part.data for part in message.content if not isinstance(part, str) and part.data]
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    about = (rest, calls, message.tool_call_id, message.name)
    return f"{message.role}\n{message.text}\n{json.dumps(about) if any(about) else ''}"


def _won(cut: Cut, last: int, now: Bill, how: Outlook) -> float:
    """What a cut won in its own call: the price of going on as before, less what was paid."""
    uncut = how.read * last + how.write * (now.tokens + cut.removed - last)
    return uncut - how.bill(now.usage)


def _evidence(request: Request, answers: Sequence[Message]) -> list[str]:
    """Values that the recorded answer's tool calls took verbatim from the request."""
    calls = [call for answer in answers for call in answer.tool_calls]
    if not calls:
        return []
    said = _said(request)
    found = (value for call in calls for value in _values(_parsed(call.arguments)))
    return [value for value in found if value in said]


def _said(request: Request) -> str:
    """All that a request's messages say."""
    return "\n".join(
        text for m in request.messages for text in (m.text, *(c.arguments for c in m.tool_calls))
    )


def _values(value: object) -> Iterator[str]:
    """Walk JSON for the texts and numbers in it that are long enough to be told apart."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _values(one)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield from [str(value)] if len(str(value)) >= SHORTEST else []


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _examples(fresh: Sequence[Message], request: Request) -> Iterator[Example]:
    """Pair each new tool result with what would have been sent for it."""
    sent = {id(m.source): m for m in request.messages if m.role == "tool"}
    names = {call.id: call.name for m in fresh for call in m.tool_calls}
    for message in fresh:
        after = sent.get(id(message.source)) if message.source is not None else None
        if after is None or message.role != "tool" or len(message.text) > EXAMPLE:
            continue
        if LEAST * len(message.text) < len(after.text) < len(message.text):
            name = names.get(message.tool_call_id or "", "")
            yield Example(name, message.text, after.text)


def _best(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Keep the examples that were shortened most, one of a tool."""
    best: dict[str, Example] = {}
    for example in sorted(examples, key=lambda e: len(e.after) - len(e.before)):
        best.setdefault(example.tool, example)
    return tuple(best.values())[:3]


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other
