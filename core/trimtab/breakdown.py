"""Where a request's tokens go, and what would save some of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trimtab import tokens
from trimtab.lint import lint
from trimtab.prices import outlook_for, rates
from trimtab.types import Counter, Message, Part, Request, Response, Step

SYSTEM_ROLES = ("system", "developer")
INPUT = ("system", "tools", "context", "tool results", "history", "tool calls", "input")
"""What a request is made of. The newest message of the user is its input, in an agent too, where
calls and results follow it; documents beside the question are context."""
OUTPUT = ("reasoning", "tool calls", "answer")
LEAST = 0.01
"""The share of a request that a lever must save to be worth a line."""
_REASONING = r'"type":"(?:redacted_)?(?:thinking|reasoning)"'
_DOCUMENT = r'"(?:block_)?type":"(?:input_)?(?:document|file|search_result)"'


@dataclass(frozen=True)
class Opportunity:
    """A lever of this library that would make a request cheaper."""

    component: str
    reason: str
    tokens: int
    """Input tokens saved in this very request, by trying it. Levers overlap: do not add them up."""
    dollars: Decimal | None
    """What those cost where they are not cached, or None where the price is not known."""
    code: str
    """The line that uses the lever."""


@dataclass(frozen=True)
class Breakdown:
    """Tokens of a request, and of its answer if there is one, by component."""

    request: Request = field(repr=False)
    count: Counter = field(repr=False)
    input: Mapping[str, int]
    output: Mapping[str, int]
    tools_as_billed: int | None
    """Tokens of the tools as the model sees them, or None where no one knows how."""

    @property
    def input_tokens(self) -> int:
        """All that was sent."""
        return sum(self.input.values())

    @property
    def output_tokens(self) -> int:
        """All that came back."""
        return sum(self.output.values())

    @property
    def input_shares(self) -> Mapping[str, float]:
        """The part of the request that each component is; empty for an empty request."""
        return _shares(self.input)

    @property
    def output_shares(self) -> Mapping[str, float]:
        """The part of the answer that each component is; empty without one."""
        return _shares(self.output)

    def opportunities(self) -> tuple[Opportunity, ...]:
        """Try what this library can do about this request. What saves most comes first."""
        least = LEAST * self.input_tokens
        found = [o for o in self._tried() if o.tokens > least]
        found.sort(key=lambda o: -o.tokens)
        return (*self._layout(), *found)

    def _tried(self) -> Iterator[Opportunity]:
        before = tokens.count_request(self.request, self.count)
        for lever in _levers(self.count, self.request.model):
            saved = before - tokens.count_request(lever.step(self.request), self.count)
            worth = self._worth(saved)
            yield Opportunity(lever.component, lever.reason, saved, worth, lever.code)

    def _worth(self, number: int) -> Decimal | None:
        price = rates(self.request.model)
        return None if price is None else price.input * number

    def _layout(self) -> Iterator[Opportunity]:
        """Look for text near the front that changes, so that nothing after it is ever cached."""
        for found in lint(self.request, count=self.count):
            yield Opportunity(
                component="system",
                reason=f"{found.text!r} looks as if it changed from call to call, and then the"
                f" provider caches none of the {found.after:,} tokens after it: move it to the end",
                tokens=0,
                dollars=found.dollars,
                code='messages = [*messages, {"role": "user", "content": what_changes}]',
            )


def components(request: Request, count: Counter) -> Mapping[str, int]:
    """Count tokens by component; see `INPUT`. They add up to the whole request.

    >>> from trimtab import Message, Request
    >>> from trimtab.breakdown import components
    >>> asked = Request("gpt-4o", (Message("system", "Be brief."), Message("user", "Hello!")))
    >>> components(asked, len)["system"]
    13
    """
    sizes = dict.fromkeys(INPUT, 0)
    sizes["tools"] = tokens.count_tools(request.tools, count)
    places = (i for i, m in enumerate(request.messages) if m.role == "user")
    newest = max(places, default=-1)
    for place, message in enumerate(request.messages):
        size = tokens.count_message(message, count)
        calls = tokens.count_calls(message, count)
        context = _context(message, count, place == newest)
        sizes["tool calls"] += calls
        sizes["context"] += context
        sizes[_component(message, place == newest)] += size - calls - context
    return sizes


def analyze(
    request: Request, response: Response | None = None, count: Counter | None = None
) -> Breakdown:
    """Count a request and its answer by component, with the counter of its model if none is given.

    Reasoning is what the provider reports, or else what the answer shows of it.

    >>> from trimtab import Message, Request
    >>> from trimtab.breakdown import Breakdown, Opportunity, analyze
    >>> rows = '[{"id": "A-1", "state": "open"}, {"id": "A-2", "state": "open"}]'
    >>> asked = Request("gpt-4o", (Message("user", "Which are open?"), Message("tool", rows)))
    >>> found: Breakdown = analyze(asked)
    >>> found.input["tool results"] > found.input["input"]
    True
    >>> best: Opportunity = found.opportunities()[0]
    >>> best.code
    'Pipeline([Compress(Lossless(), observations=True)])'
    """
    count = count or tokens.counter_for(request.model)
    return Breakdown(
        request=request,
        count=count,
        input=components(request, count),
        output={} if response is None else _output(response, count),
        tools_as_billed=tokens.tools_as_billed(request.tools, request.model, count),
    )


def _component(message: Message, newest: bool) -> str:
    if message.role in SYSTEM_ROLES:
        return "system"
    if message.role == "tool":
        return "tool results"
    return "input" if newest else "history"


def _context(message: Message, count: Counter, newest: bool) -> int:
    """Count documents, and the texts that stand before the question in a message of parts."""
    if isinstance(message.content, str):
        return 0
    texts = [part.text for part in message.content if part.text is not None]
    beside = count(message.text) - count(texts[-1]) if newest and texts else 0
    blocks = (p for p in message.content if p.text is None and re.search(_DOCUMENT, p.data))
    return beside + sum(tokens.count_block(block, count) for block in blocks)


def _output(response: Response, count: Counter) -> Mapping[str, int]:
    message, usage = response.message, response.usage
    reported = usage.reasoning_tokens if usage else None
    parts = () if isinstance(message.content, str) else message.content
    shown = sum(tokens.count_block(part, count) for part in parts if _is_reasoning(part))
    sizes = (
        shown if reported is None else reported,
        tokens.count_calls(message, count),
        count(message.text),
    )
    return dict(zip(OUTPUT, sizes, strict=True))


def _is_reasoning(part: Part) -> bool:
    return part.text is None and re.search(_REASONING, part.data) is not None


def _shares(sizes: Mapping[str, int]) -> Mapping[str, float]:
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()} if total else {}


@dataclass(frozen=True)
class _Lever:
    component: str
    reason: str
    step: Step
    code: str


def _levers(count: Counter, model: str) -> Iterator[_Lever]:
    """List what can be tried."""
    from trimtab.compress import Compress, Lossless, Repeats
    from trimtab.tools import ShortenTools

    yield _Lever(
        "tool results",
        "JSON, logs and listings say the same in fewer tokens, and nothing is lost",
        Compress(Lossless(count), observations=True),
        "Pipeline([Compress(Lossless(), observations=True)])",
    )
    yield _Lever(
        "tool results",
        "lines stand again that an earlier message holds",
        Repeats(observations=True, count=count),
        "Pipeline([Repeats(observations=True)])",
    )
    yield _Lever(
        "tools",
        "descriptions say the same in fewer words",
        ShortenTools(count=count),
        "Pipeline([ShortenTools()])",
    )
    yield _Lever(
        "system",
        "instructions say the same in fewer words",
        _tighten,
        "prompt = trimtab.wording.tighten(prompt)",
    )
    yield _Lever(
        "history",
        "old rounds cost more than they are worth, and a tool gives them back",
        _cut(count, model),
        f"trimtab.recipes.lean({model!r})",
    )


def _cut(count: Counter, model: str) -> Step:
    """Cut history where that pays back, as if its tool were offered."""
    from trimtab.compress.recall import Originals
    from trimtab.prune import History

    originals = Originals()
    history = History(originals.keep, originals.tool, outlook_for(model), count=count)

    def cut(request: Request) -> Request:
        offered = replace(request, tools=(*request.tools, originals.tool.tool))
        return replace(history(offered), tools=request.tools)

    return cut


def _tighten(request: Request) -> Request:
    """Reword the system prompt."""
    from trimtab.wording import tighten

    messages = (
        replace(m, content=tighten(m.content))
        if m.role in SYSTEM_ROLES and isinstance(m.content, str)
        else m
        for m in request.messages
    )
    return replace(request, messages=tuple(messages))
