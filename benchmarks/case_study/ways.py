"""The pipelines to compare: everything at once, lever upon lever, and each lever left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from case_study.settings import Settings
from case_study.traffic import Day, Json

from trimtab import Message, Pipeline, Request, recipes
from trimtab.cache import SemanticCache
from trimtab.cache.verify import Reader, Reading
from trimtab.compress import Compress, Tighten
from trimtab.prefix import BreakPoints
from trimtab.route import Learned, Rule, Tiers
from trimtab.tools import Select, ShortenTools, learn_follows
from trimtab.tools.follows import Follows
from trimtab.types import Step

LEVERS = ("cache", "words", "history", "tools", "routing")
"""In the order in which they come on top of one another: what cannot harm an agent first."""
Recipe = Callable[[str], Pipeline]


@dataclass(frozen=True)
class Way:
    """What is switched on."""

    levers: tuple[str, ...] = LEVERS
    recipe: Recipe = recipes.balanced
    offered: int | None = None
    """Tools that `Select` offers, where it does not choose how many."""


WHOLE = Way()


def ways(*, brief: bool = False) -> dict[str, Way]:
    """Name the ways to handle the day."""
    found = {"without trimtab": Way(()), "all": WHOLE}
    if brief:
        return found
    for place in range(1, len(LEVERS)):
        found["+ " + LEVERS[place - 1]] = Way(LEVERS[:place])
    for lever in LEVERS:
        rest = tuple(other for other in LEVERS if other != lever)
        found[f"all but {lever}"] = Way(rest)
    found["all, lean"] = Way(recipe=recipes.lean)
    found["all, 5 tools"] = Way(offered=5)
    return found


@dataclass(frozen=True)
class Yesterday:
    """What was recorded before, to learn from."""

    outcomes: Sequence[Json]
    ordinary: Sequence[str]
    follows: Mapping[int, Follows]
    """For each half of the tasks, what conversations of the other half used."""
    strong_rate: float

    @classmethod
    def before(cls, day: Day, settings: Settings) -> Yesterday:
        """Take outcomes of other questions, and the conversations of other tasks."""
        halves = {
            fold: learn_follows([c.conversation.messages for c in day.cases if c.fold != fold])
            for fold in (0, 1)
        }
        return cls(day.yesterday, day.ordinary, halves, settings.strong_rate)

    def router(self) -> Learned:
        """Fit a router, which itself falls back on length where that is better."""
        found = Learned.fit(self.outcomes, strong_rate=self.strong_rate)
        for text in self.ordinary:  # or else "hard" would mean hard among those with an outcome
            found.observe(Request("", (Message("user", text),)))
        return found


def pipelines(way: Way, models: tuple[str, str], before: Yesterday) -> dict[int, Pipeline]:
    """Make the pipeline, once for each half of the tasks: they share all but `follows`."""
    strong, weak = models
    whole = way.recipe(strong)
    cache = SemanticCache(reader=_reader()) if "cache" in way.levers else None
    tiers: list[Step] = []
    if "routing" in way.levers:
        named = {"fast": weak, "powerful": strong}
        tiers.append(Tiers(named, by=before.router(), rules=[SIGNED_IN]))
    found = {}
    for fold, follows in before.follows.items():
        steps: list[Step] = [step for step in whole.steps if lever_of(step) in way.levers]
        if "tools" in way.levers:
            steps.append(Select(way.offered, follows=follows))
        steps += tiers
        steps += [step for step in whole.steps if isinstance(step, BreakPoints)]
        found[fold] = Pipeline(steps, cache=cache, count=whole.count, outlook=whole.outlook)
    return found


SIGNED_IN = Rule("powerful", lambda request: bool(request.tenant), "a signed-in customer's case")
"""No outcome of the weak model is known for the agent's cases, so they stay with the strong one."""


class _Once(Reader):
    """Reads each question once, for all ways: what `Remembered` is for other vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Reading] = {}

    def read(self, text: str) -> Reading:
        """Read a question, if it is a new one."""
        if text not in self.known:
            self.known[text] = super().read(text)
        return self.known[text]


@lru_cache(maxsize=1)
def _reader() -> Reader:
    return _Once()


def lever_of(step: Step) -> str:
    """Tell which lever a step of a recipe belongs to; break points stand without trimtab, too."""
    if isinstance(step, BreakPoints):
        return ""
    words = isinstance(step, ShortenTools) or (
        isinstance(step, Compress) and isinstance(step.compressor, Tighten)
    )
    return "words" if words else "history"
