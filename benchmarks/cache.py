"""Response caches beside one another: what they serve rightly, what wrongly, and how fast.

Needs langchain-community, gptcache, redisvl, langchain-redis, and a Redis server with a query
engine: one at TRIMTAB_REDIS, or else from the packages that the tests use. What is missing is said.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from langchain_core.messages import HumanMessage
from lib.caches import Agent, Asked, LangChain, Made, Model, Setting, Way, versions, ways
from lib.data import save, show

from trimtab.cache.trial import Pair, Share, Trial, Tried, read_pairs
from trimtab.embed import MiniLM

AT_ONCE = 50
ENTRIES, LOOKUPS = 500, 100
FIRST = Asked("Can I bring my dog?", "You work for a hotel.", ("Hi", "Hello"), tenant="ann")
CHANGED = {
    "model": replace(FIRST, model="model-b"),
    "temperature": replace(FIRST, temperature=1.0),
    "system prompt": replace(FIRST, system="You work for an airline."),
    "turns before": replace(FIRST, before=("I fly to Rome", "Have a good trip")),
    "tenant": replace(FIRST, tenant="bob"),
}
"""The same question, which must not be given the same answer."""
TURNS = ("What is your name?", "Where do you live?", "What is it like there?")
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    usual = os.environ.get("TRIMTAB_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(usual), help=f"default: {usual}")
    parser.add_argument("--pairs", type=int, default=1000, help="how many of QQP's")
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    folder = wanted.data / "cache"
    pairs = {
        "trap pairs": read_pairs(folder / "trap-pairs.jsonl.gz"),
        "QQP pairs": read_pairs(folder / "qqp-pairs.jsonl.gz")[: wanted.pairs],
    }
    with tempfile.TemporaryDirectory() as scratch, redis() as url:
        setting = Setting(MiniLM(), Path(scratch), url)
        found = {name: measured(name, make, pairs, setting) for name, make in ways(setting).items()}
    report(found)
    about = {"pairs": {name: len(rows) for name, rows in pairs.items()}, "versions": versions()}
    save("cache", {**about, "ways": found})


@contextmanager
def redis() -> Iterator[str | None]:
    """Find or start a server with a query engine."""
    if url := os.environ.get("TRIMTAB_REDIS"):
        yield url
        return
    sys.path.append(str(Path(__file__).parent.parent / "tests" / "core" / "cache"))
    try:
        import pytest
        import servers
    except ImportError:
        yield None
        return
    try:
        url = f"redis://127.0.0.1:{servers.redis(servers.ENGINE).port}"
    except pytest.skip.Exception as error:
        print(f"no Redis server: {error}")
    try:
        yield url
    finally:
        servers.stop_all()


def measured(name: str, make: Made, pairs: dict[str, list[Pair]], setting: Setting) -> Figures:
    """Try one cache in all ways; where it cannot be made, say why."""
    try:
        make(Model())
    except ImportError as error:
        return {"missing": str(error)}
    print(f"{time.strftime('%X')}  {name}", flush=True)
    found: Figures = {}
    if not isinstance(make(Model()), Agent):
        for of, rows in pairs.items():
            found[of] = shares(tried(make, rows))
        found["lookups"] = timed(make, pairs["QQP pairs"], setting)
    found["crossed"] = crossed(make)
    found["calls at once"] = at_once(make)
    found["replays"] = replays(make)
    found["streams"] = streams(make)
    return found


def tried(make: Made, pairs: list[Pair]) -> Trial:
    """Ask one question of each pair, and then the other one, with nothing else in the cache."""
    model = Model()
    way, results = make(model), []
    for pair in pairs:
        way.clear()
        way.ask(Asked(pair.cached))
        before = model.calls
        way.ask(Asked(pair.question))
        results.append(Tried(pair, model.calls == before, None))
    return Trial(tuple(results))


def shares(trial: Trial) -> Figures:
    return {
        "repeats served": told(trial.served),
        "traps served": told(trial.traps),
        "precision": told(trial.precision),
    }


def told(share: Share) -> Figures:
    return {
        "part": share.part,
        "whole": share.whole,
        "share": share.value,
        "95 %": list(share.interval),
    }


def crossed(make: Made) -> dict[str, bool]:
    """Tell what may change without the answer changing."""
    model = Model()
    way, found = make(model), {}
    for name, other in CHANGED.items():
        way.clear()
        found[name] = way.ask(FIRST) == way.ask(other)
    return found


def at_once(make: Made) -> int | str:
    """Return how often the model is called when many ask the same."""
    model = Model(seconds=0.3)
    way, start = make(model), Barrier(AT_ONCE)

    def ask(_: int) -> bool:
        start.wait()
        try:
            way.ask(FIRST)
        except Exception:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answered = sum(pool.map(ask, range(AT_ONCE)))
    return model.calls if answered == AT_ONCE else f"{model.calls}, {AT_ONCE - answered} failed"


def replays(make: Made) -> Figures:
    """Hold the same conversation four times, and count the calls of each.

    Wrong are answers that had been given to another turn.
    """
    model = Model()
    way, counts, wrong = make(model), [], 0
    for _ in range(4):
        before = model.calls
        answers = converse(way)
        counts.append(model.calls - before)
        wrong += len(answers) - len(set(answers))
    return {"calls": counts, "wrong": wrong}


def converse(way: Way) -> list[str]:
    if not isinstance(way, LangChain):
        return [way.ask(Asked(turn)) for turn in TURNS]
    said: list[Any] = []
    for turn in TURNS:
        said.append(HumanMessage(turn))
        said.append(way.say(FIRST, list(said)))
    return [message.text for message in said[1::2]]


def streams(make: Made) -> dict[str, bool] | None:
    """Tell whether a stream is answered from the cache, and whether one is kept."""
    model = Model()
    way = make(model)
    if not isinstance(way, LangChain):
        return None
    way.ask(FIRST)
    way.stream(FIRST)
    served, before = model.calls == 1, model.calls
    for _ in range(2):
        way.stream(CHANGED["model"])
    return {"served": served, "kept": model.calls == before + 1}


def timed(make: Made, pairs: list[Pair], setting: Setting) -> Figures:
    """Time lookups of what is there and of what is not, in turn with embedding the same text."""
    way = make(Model())
    way.clear()
    kept = [pair.cached for pair in pairs[:ENTRIES]]
    for text in kept:
        way.keep(Asked(text), "An answer of some length. " * 20)
    times: dict[str, list[float]] = {"embedding": [], "same": [], "new": [], "ratio": []}
    for i in range(LOOKUPS):
        fresh = f"{pairs[-1 - i % len(pairs)].question} ({i})"
        raw = seconds(lambda text=fresh: setting.embed([text]))
        new = seconds(way.look(Asked(fresh)))
        times["embedding"].append(raw)
        times["same"].append(seconds(way.look(Asked(kept[i % len(kept)]))))
        times["new"].append(new)
        times["ratio"].append(new / raw)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "entries": len(kept),
        "lookups": LOOKUPS,
        **{f"{name}, median ms": medians[name] * 1e3 for name in ("embedding", "same", "new")},
        "new, over one embedding": medians["ratio"],
    }


def seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(found: dict[str, Figures]) -> None:
    for name, figures in found.items():
        if "missing" in figures:
            print(f"{name} is left out: {figures['missing']}")
    there = {name: figures for name, figures in found.items() if "missing" not in figures}
    timings = {name: figures for name, figures in there.items() if "lookups" in figures}
    for of in ("trap pairs", "QQP pairs"):
        heads = ["repeats served", "traps served", "precision"]
        body = [[n, *(cell(f[of][head]) for head in heads)] for n, f in timings.items()]
        show(f"{of}, shares and their 95 %", ["", *heads], body)
    body = [
        [n, *("crosses" if x else "-" for x in f["crossed"].values())] for n, f in there.items()
    ]
    show("the same question, but another ...", ["", *CHANGED], body)
    body = [
        [n, str(f["calls at once"]), replayed(f["replays"]), streamed(f["streams"])]
        for n, f in there.items()
    ]
    heads = ["", f"calls for {AT_ONCE} at once", "calls of 4 replays", "streams"]
    show("calls of the model", heads, body)
    names = ("same, median ms", "new, median ms", "new, over one embedding")
    body = [[n, *(f"{f['lookups'][name]:.3f}" for name in names)] for n, f in timings.items()]
    show(f"lookups among {ENTRIES} entries", ["", *names], body)


def cell(share: Figures) -> str:
    if share["share"] is None:
        return "none of none"
    low, high = share["95 %"]
    return f"{share['share']:.3f} ({low:.3f}-{high:.3f})"


def replayed(found: Figures) -> str:
    told = ", ".join(map(str, found["calls"]))
    return f"{told} ({found['wrong']} of 12 wrong)" if found["wrong"] else told


def streamed(found: dict[str, bool] | None) -> str:
    if found is None:
        return "not its business"
    return ", ".join(name for name, yes in found.items() if yes) or "neither served nor kept"


if __name__ == "__main__":
    main()
