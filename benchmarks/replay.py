"""What each recipe, and each peer, would have sent in place of recorded requests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import TRACES, folder, rows, save, show
from lib.judge import PRICES, SHARES, Figures, Json, interval, judge, recorded, total
from lib.peers import Shrink, peers

from trimtab import Pipeline, recipes, trace
from trimtab.replay import requests

RECIPES = {"lossless": recipes.lossless, "balanced": recipes.balanced, "lean": recipes.lean}


def main() -> None:
    data = folder(__doc__)
    for name in TRACES:
        path = data / "traces" / f"{name}.jsonl.gz"
        recordings = rows(path)
        base = [judge(c, recorded(c)) for c in recordings]
        found = {f"trimtab {n}": ours(path, recordings, r("gpt-4o")) for n, r in RECIPES.items()}
        found |= {peer: theirs(recordings, shrink) for peer, shrink in peers()}
        report(name, found, base)


def ours(path: Path, recordings: list[Json], pipeline: Pipeline) -> list[Figures]:
    """Judge what a pipeline would have sent."""
    return [
        judge(raw, (as_dicts(sent.plan.request) for sent in requests(one, pipeline, one.model)))
        for raw, one in zip(recordings, trace.read(path), strict=True)
    ]


def as_dicts(request: object) -> Json:
    """Write a request out as it would be sent."""
    return {
        "messages": [trace.message_dict(m) for m in request.messages],  # type: ignore[attr-defined]
        "tools": [trace.tool_dict(t) for t in request.tools],  # type: ignore[attr-defined]
    }


def theirs(recordings: list[Json], shrink: Shrink) -> list[Figures]:
    """Judge what a peer would have sent. Requests that it raises on are sent as they were."""

    def shrunk(conversation: Json) -> Iterator[Json]:
        for full in recorded(conversation):
            try:
                yield {**full, "messages": shrink(full["messages"])}
            except Exception as error:
                print(f"  {type(error).__name__} on {conversation['id']}: {error}"[:120])
                yield full

    return [judge(c, shrunk(c)) for c in recordings]


def report(name: str, found: dict[str, list[Figures]], base: list[Figures]) -> None:
    whole = total(base)
    print_rows, result = [], {}
    for way, figures in found.items():
        mine = total(figures)
        ratios = {key: mine.sums[key] / whole.sums[key] for key in ("tokens", *PRICES)}
        shares = {key: mine.share(key) for key in SHARES}
        low, high = interval(figures, base, "tokens")
        worst = max(ratios[key] for key in PRICES)
        result[way] = {**ratios, **shares, "worst cost": worst, "tokens 95 %": [low, high]}
        cells = [f"{ratios['tokens']:.3f}", f"{low:.3f}-{high:.3f}", f"{worst:.3f}"]
        print_rows.append([way, *cells, *(f"{shares[key]:.3f}" for key in SHARES)])
    calls = whole.sums["calls"]
    show(
        f"{name}: {len(base)} conversations, {calls} calls, {whole.sums['tokens']:,} tokens",
        ["", "tokens", "95 %", "worst cost", *SHARES],
        print_rows,
    )
    save(f"replay-{name}", {"conversations": len(base), "calls": calls, "ways": result})


if __name__ == "__main__":
    main()
