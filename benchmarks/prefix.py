"""What the airline agent's input costs at Anthropic's prices, with break points and recipes.

By the simulator, beside the same requests with nothing cached. Without trimtab, the break points
are set just as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import folder, save, show

from trimtab import Pipeline, recipes, trace
from trimtab.replay import replay

MODEL = "claude-sonnet-4-5"
RECIPES: dict[str, Callable[[str], Pipeline]] = {
    "nothing": lambda _: Pipeline(),
    "lossless": recipes.lossless,
    "balanced": recipes.balanced,
    "lean": recipes.lean,
}


def main() -> None:
    path = folder(__doc__) / "traces" / "tau-airline-dev.jsonl.gz"
    plain, results = None, {}
    for name, recipe in RECIPES.items():
        found = replay(trace.read(path), recipe, model=MODEL)
        plain = plain or found.before.plain
        results[name] = {
            "dollars": float(found.after.cached),
            "of no caching": float(found.after.cached / plain),
            "tokens": found.after.tokens / found.before.tokens,
        }
    show(
        f"input of tau-bench airline at the prices of {MODEL}",
        ["recipe", "dollars", "of what it costs uncached", "tokens"],
        [
            [name, f"{one['dollars']:.2f}", f"{one['of no caching']:.3f}", f"{one['tokens']:.3f}"]
            for name, one in results.items()
        ],
    )
    save("prefix", {"model": MODEL, "uncached, dollars": float(plain), "recipes": results})


if __name__ == "__main__":
    main()
