"""How many tokens the lossless tier saves on real tool outputs, and that nothing is lost."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import folder, rows, save, show

from trimtab.compress import Lossless, restore
from trimtab.tokens import counter_for


def main() -> None:
    outputs = rows(folder(__doc__) / "tool-outputs" / "outputs.jsonl.gz")
    count, results = counter_for("gpt-4o"), []
    for output in outputs:
        short = Lossless(count)(output["text"])
        verbatim = sum(identifier in short for identifier in output["identifiers"])
        results.append(
            {
                "name": output["name"],
                "before": count(output["text"]),
                "after": count(short),
                "restored": restore(short) == output["text"],
                "identifiers": len(output["identifiers"]),
                "verbatim": verbatim,
            }
        )
    whole = total(results)
    low, high = interval(results)
    show(
        f"lossless tier on {len(results)} tool outputs",
        ["", "tokens", "saved", "restored", "identifiers verbatim"],
        [line(r) for r in [*results, whole]],
    )
    print(f"saved over all: 95 % interval over texts {low:.1%} to {high:.1%}")
    save("lossless", {"texts": results, "total": whole, "saved 95 %": [low, high]})


def total(results: list[dict]) -> dict:
    sums = {k: sum(r[k] for r in results) for k in ("before", "after", "identifiers", "verbatim")}
    return {"name": "all", **sums, "restored": all(r["restored"] for r in results)}


def interval(results: list[dict]) -> tuple[float, float]:
    """Bootstrap a 95 % interval over texts."""
    dice = random.Random(0)
    draws = (total(dice.choices(results, k=len(results))) for _ in range(1000))
    saved = sorted(1 - t["after"] / t["before"] for t in draws)
    return saved[25], saved[-26]


def line(result: dict) -> list[str]:
    saved = 1 - result["after"] / result["before"]
    verbatim = f"{result['verbatim']} of {result['identifiers']}"
    restored = "yes" if result["restored"] else "NO"
    return [result["name"], str(result["before"]), f"{saved:.1%}", restored, verbatim]


if __name__ == "__main__":
    main()
