"""A day of customer service with everything at once, against the same day without trimtab.

Recorded conversations of an airline's agent, and questions: new ones, ones asked again in the same
words and in others, ones that only look alike, and easy and hard ones of known outcome. The mix is
set in `settings.py`, with the reason for each choice. No model runs: answers are those that were
recorded, so what is said of wrong answers rests on labels, and what asking for brevity would save
cannot be said. Where no answer was recorded, it counts as long as GPT-4's are on the mean. A search
for a tool that was not offered is charged, by the words of its name; evidence lost is only counted.
Claude's tokens are estimates.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import repeat
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from case_study.figures import METRICS, Compared, wilson
from case_study.output import limits
from case_study.picture import draw
from case_study.play import Played, play
from case_study.settings import MODELS, Settings
from case_study.traffic import day
from case_study.ways import LEVERS, WHOLE, Way, Yesterday, ways
from lib.data import save, show

Figures = dict[str, Any]
ARTICLE = {"tokens": 0.35, "cost": 0.24}
"""What is left in the article's example, which is computed, not measured."""
DAYS = 6
"""Of questions alone, to count wrong answers in more than one day's."""
WRONG = (
    "served",
    "served wrongly",
    "served, ?",
    "by the weak model",
    "by the weak model, outcome unknown",
    "weak wrong, strong right",
    "weak right, strong wrong",
    "evidence lost",
    "tool hidden",
    "tool not found",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    usual = os.environ.get("TRIMTAB_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(usual), help=f"default: {usual}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a fifth of it, and nothing is saved")
    wanted = parser.parse_args()
    settings = Settings(seed=wanted.seed, questions=80 if wanted.quick else Settings.questions)
    started = time.perf_counter()
    with ProcessPoolExecutor(len(MODELS)) as pool:
        jobs = pool.map(measured, MODELS, *map(repeat, (wanted.data, settings, wanted.quick)))
        providers = dict(zip(MODELS, jobs, strict=True))
        seeds = range(settings.seed, settings.seed + (1 if wanted.quick else DAYS))
        wrong = pool.map(errors, repeat(wanted.data), [replace(settings, seed=s) for s in seeds])
        result = {
            "settings": asdict(settings),
            "day": composed(wanted.data, settings),
            "article": ARTICLE,
            "providers": providers,
            "limits on answers": limits(wanted.data),
            "wrong answers": added(wrong),
            "seconds": round(time.perf_counter() - started),
        }
    report(result)
    if not wanted.quick:
        save("case_study", result)
        draw(result)


def composed(data: Path, settings: Settings) -> Figures:
    """Say what the day is made of."""
    found = day(data, settings)
    return {"cases": len(found.cases), **Counter(one.kind for one in found.questions)}


def measured(provider: str, data: Path, settings: Settings, quick: bool) -> Figures:
    """Handle the day in all ways, with a provider's models."""
    today = day(data, settings, 20 if quick else None)
    before = Yesterday.before(today, settings)
    played = {
        name: play(today, settings, MODELS[provider], way, before)
        for name, way in ways(brief=quick).items()
    }
    found = compared(played)
    if not quick:
        found["levers"] = levers(played)
    apart = replace(settings, one_agent=False)
    both = {"without trimtab": Way(()), "all": WHOLE}
    desk = {name: play(today, apart, MODELS[provider], way, before) for name, way in both.items()}
    return {**found, "questions at a desk of their own": compared(desk)}


def compared(played: dict[str, Played]) -> Figures:
    """Put ways beside the one without trimtab."""
    base = played["without trimtab"]
    whole = Compared(base)
    found = {}
    for name, one in played.items():
        found[name] = {
            "whole": _written(whole.ratio(one)),
            "questions": _written(whole.ratio(one, 0)),
            "cases": _written(whole.ratio(one, 1)),
            "events": {key: one.events[key] for key in (*WRONG, "cuts")},
            "failures": dict(one.failures),
            "spent": _total(one),
        }
    return {"ways": found}


def levers(played: dict[str, Played]) -> Figures:
    """Return what each lever saves on top of those before it, and what is lost without it."""
    whole = Compared(played["without trimtab"])
    steps = ["without trimtab", *(f"+ {lever}" for lever in LEVERS[:-1]), "all"]
    found = {}
    for lever, less, more in zip(LEVERS, steps, steps[1:], strict=False):
        found[lever] = {
            "on top": _written(whole.gain(played[less], played[more])),
            "left out": _written(whole.gain(played[f"all but {lever}"], played["all"])),
        }
    return found


def errors(data: Path, settings: Settings) -> Counter[str]:
    """Count wrong answers in a day's questions: only cache and router decide on them."""
    settings = replace(settings, one_agent=False)
    today = day(data, settings, 0)
    before = Yesterday.before(today, settings)
    return play(today, settings, MODELS["OpenAI"], Way(("cache", "routing")), before).events


def added(days: Iterable[Counter[str]]) -> Figures:
    """Add up the wrong answers of several days."""
    found = sum(days, Counter[str]())
    known = found["by the weak model"] - found["by the weak model, outcome unknown"]
    shares = {
        "served": (found["served"], found["questions"]),
        "wrong, of those served": (found["served wrongly"], found["served"]),
        "of unknown sameness": (found["served, ?"], found["served"]),
        "by the weak model": (found["by the weak model"], found["questions"]),
        "worse for it, of those whose outcome is known": (found["weak wrong, strong right"], known),
        "better for it": (found["weak right, strong wrong"], known),
        "wrong by the strong model alone": (found["strong wrong"], found["outcome known"]),
    }
    return {
        name: {"part": part, "whole": whole, **wilson(part, whole).written}
        for name, (part, whole) in shares.items()
    }


def _written(figures: Any) -> Figures:
    return {name: figure.written for name, figure in figures.items()}


def _total(one: Played) -> Figures:
    """Return what was spent, by model."""
    return {model: vars(spent) for model, spent in one.models.items()}


def report(result: Figures) -> None:
    print("the day:", result["day"], f"{result['seconds']} s")
    for name, found in result["providers"].items():
        table(f"{name}, one agent for all", found["ways"])
        for lever, gains in found.get("levers", {}).items():
            told = (f"{kind} {_cell(gains[kind]['cached'])}" for kind in ("on top", "left out"))
            print(f"  {lever}: of the bill with the provider's cache", *told)
        apart = found["questions at a desk of their own"]["ways"]
        table(f"{name}, questions at a desk of their own", apart)
    for name, one in result["wrong answers"].items():
        print(f"{name}: {one['part']} of {one['whole']}, {_cell(one)}")
    for name, one in result["limits on answers"].items():
        for limit, cut in one["limits"].items():
            saved = f"{cut['tokens saved']:.1%} of the tokens, {cut['answers cut']}"
            print(f"{name}, {limit}: {saved} of {cut['answers']} answers cut")


def table(title: str, found: Figures) -> None:
    head = ["", *METRICS, "questions", "cases", *WRONG]
    body = [
        [
            name,
            *(_cell(one["whole"][metric]) for metric in METRICS),
            *(f"{one[part]['cached']['value']:.3f}" for part in ("questions", "cases")),
            *(str(one["events"][key]) for key in WRONG),
        ]
        for name, one in found.items()
    ]
    show(title, head, body)


def _cell(figure: Figures) -> str:
    low, high = figure["95 %"]
    return f"{figure['value']:.3f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    main()
