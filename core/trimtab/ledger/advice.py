"""What would save more, by which lever, in dollars, and the line of code for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from trimtab.ledger.dollars import unread, worth
from trimtab.ledger.figures import Analytics, Figures
from trimtab.prices import rates

LARGE = 0.1
"""The share of all sent tokens from which on a part of the requests is worth a lever."""
HELD = 0.5
"""The share that a provider should read from its prefix cache."""
ANSWERS = 0.4
"""The share of the bill from which on answers are worth a limit."""


@dataclass(frozen=True)
class Lever:
    """What shortens a part of the requests."""

    steps: frozenset[str]
    """The steps that do so; where one of them is at work already, nothing is advised."""
    low: float
    high: float
    """The share of the part that it took away in recorded traffic, see `benchmarks/replay.py`."""
    does: str
    code: str


LEVERS = {
    "tools": Lever(
        frozenset({"ShortenTools", "Select"}), 0.25, 0.26,
        "says the same of each tool in fewer words",
        "from trimtab.tools import ShortenTools\n"
        "pipeline = pipeline.with_steps(ShortenTools(words=0.62, once=True))",
    ),
    "system": Lever(
        frozenset({"Tighten"}), 0.05, 0.09,
        "says the instructions in fewer words",
        "from trimtab.compress import Compress, Tighten\n"
        "pipeline = pipeline.with_steps(Compress(Tighten(), roles=('system', 'developer')))",
    ),
    "tool results": Lever(
        frozenset({"Lossless", "Reduce"}), 0.23, 0.49,
        "writes results in fewer tokens, and loses nothing",
        "from trimtab.compress import Compress, Lossless\n"
        "pipeline = pipeline.with_steps(Compress(Lossless()))",
    ),
    "context": Lever(
        frozenset(), 0.7, 0.75,
        "keeps of documents the sentences that a question needs",
        "from trimtab.compress import Extractive\n"
        "texts = Extractive(ratio=4).many(documents, question)",
    ),
    "history": Lever(
        frozenset({"History"}), 0.0, 0.1,
        "cuts old rounds behind a recall tool, where that pays",
        "from trimtab import recipes\npipeline = recipes.balanced(model)",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Recommendation:
    """What would save more."""

    lever: str
    reason: str
    low: Decimal | None
    """Dollars of the report's period, at the prices that its tokens were bought at; None where
    only a trial can tell."""
    high: Decimal | None
    code: str
    """Lines of Python, or one of a shell where it begins with `trimtab`; `pipeline` is yours."""


def recommend(found: Analytics) -> tuple[Recommendation, ...]:
    """Say what would save more, by what it is expected to save, the most first.

    A lever that shortens requests is expected to save the share that it saved in recorded traffic.
    `trimtab replay` says what it would have saved in your own.
    """
    every = (*_parts(found), *_prefix(found), *_answers(found), *_repeats(found), *_route(found))
    return tuple(sorted(every, key=lambda one: -(one.high or 0)))


def _parts(found: Analytics) -> Iterator[Recommendation]:
    sent = sum(found.components.values())
    for name, lever in LEVERS.items():
        tokens = found.components.get(name, 0)
        if not tokens or tokens < LARGE * sent or lever.steps & set(found.levers):
            continue
        reason = f"{tokens / sent:.0%} of all sent ({tokens:,} tokens). {lever.does.capitalize()}"
        yield Recommendation(name, reason, *_expected(found, name, lever), lever.code)


def _expected(found: Analytics, name: str, lever: Lever) -> tuple[Decimal | None, Decimal | None]:
    def tokens(figures: Figures) -> int:
        return figures.components.get(name, 0)

    cost = worth(found.models, tokens)
    if cost is None:
        return None, None
    return cost * Decimal(str(lever.low)), cost * Decimal(str(lever.high))


def _prefix(found: Analytics) -> Iterator[Recommendation]:
    share = found.cache_read_share
    if share is None or share >= HELD:
        return
    reason = (
        f"The provider read only {share:.0%} of all sent from its cache. What changes, such as"
        " dates and ids, belongs behind what stays"
    )
    code = "from trimtab.lint import lint\nprint(lint(request))"
    most = unread(found.models)
    yield Recommendation("prefix cache", reason, None if most is None else Decimal(0), most, code)


def _answers(found: Analytics) -> Iterator[Recommendation]:
    cost = Decimal(0)
    for name, figures in found.models.items():
        price = rates(name)
        cost += 0 if price is None else price.output * (figures.usage.output_tokens or 0)
    if not found.cost or cost < found.cost * Decimal(str(ANSWERS)) or "Limit" in found.levers:
        return
    reason = f"Answers are {cost / found.cost:.0%} of the bill. Learns a limit for each kind"
    code = (
        "from trimtab.respond import Limit\npipeline = pipeline.with_steps(Limit(pipeline.ledger))"
    )
    yield Recommendation("answers", reason, None, None, code)


def _repeats(found: Analytics) -> Iterator[Recommendation]:
    if found.hits or not found.calls:
        return
    each = "" if found.cost is None else f": ${found.cost / found.calls:.4f} each"
    reason = f"It answered nothing. Every request that comes again is then paid once{each}"
    code = "from trimtab.cache import ExactCache\npipeline.cache = ExactCache()"
    yield Recommendation("response cache", reason, None, None, code)


def _route(found: Analytics) -> Iterator[Recommendation]:
    if len(found.models) != 1 or "Tiers" in found.levers or not found.cost:
        return
    reason = "One model answers everything. What a cheaper one can do, outcomes of your own tell"
    code = "trimtab calibrate outcomes.jsonl --out router.json"
    yield Recommendation("router", reason, None, None, code)
