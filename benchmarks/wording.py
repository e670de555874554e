"""Instructions of recorded agents in fewer words, and whether anything that binds is lost."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import folder, rows, save, show

from trimtab.compress import Tighten
from trimtab.sentences import split
from trimtab.tokens import counter_for

TRACES = ("tau-airline-dev", "swe-agent-dev", "toolbench-dev")
BINDING = re.compile(
    r"\b(?:must|should|shall|may|might|can(?:not)?|not|never|no|none|only|always|except|unless|if|"
    r"when|before|after|until|at (?:least|most)|without|or|and|all|any|each|every)\b|n't\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d[\d.,:/%]*")
NAME = re.compile(r"\b\w+_\w+\b|\b[A-Z]\w+|`[^`\n]+`|<[^>\n]+>|\"[^\"\n]+\"")
SAYS_NOTHING = {"the", "a", "an", "you", "please"}
SAME = {"can't": "can not", "cannot": "can not", "n't": " not", "in addition to": "besides"}


def main() -> None:
    count = counter_for("gpt-4o")
    ways = {"balanced": Tighten(count=count), "lean": Tighten(terse=True, count=count)}
    results = []
    for trace in TRACES:
        recorded = rows(folder(__doc__) / "traces" / f"{trace}.jsonl.gz")
        texts = Counter(filter(None, map(instructions, recorded)))
        for name, shorten in ways.items():
            pairs = {text: shorten(text) for text in texts}
            before = sum(count(text) * n for text, n in texts.items())
            after = sum(count(pairs[text]) * n for text, n in texts.items())
            results.append(
                {
                    "trace": trace,
                    "recipe": name,
                    "texts": len(texts),
                    "sentences": sum(len(list(split(text))) for text in texts),
                    "before": before,
                    "after": after,
                    "lost": sorted({lost for pair in pairs.items() for lost in missing(*pair)}),
                }
            )
    show(
        "instructions of recorded agents in fewer words",
        ["", "recipe", "different texts", "sentences", "tokens", "saved", "lost"],
        [line(result) for result in results],
    )
    save("wording", results)


def instructions(conversation: dict) -> str:
    return next((m["content"] for m in conversation["messages"] if m["role"] == "system"), "")


def missing(before: str, after: str) -> list[str]:
    """List the binding words, numbers and names that a text has lost."""
    return sorted((found(before) - found(after)).elements())


def found(text: str) -> Counter[str]:
    for short, long in SAME.items():
        text = re.sub(short, long, text, flags=re.IGNORECASE)
    bound = Counter(word.lower() for word in BINDING.findall(text))
    names = Counter(name for name in NAME.findall(text) if name.lower() not in SAYS_NOTHING)
    return bound + Counter(NUMBER.findall(text)) + names


def line(result: dict) -> list[str]:
    saved = 1 - result["after"] / result["before"]
    names = ("trace", "recipe", "texts", "sentences", "before")
    lost = ", ".join(result["lost"]) or "nothing"
    return [*(str(result[name]) for name in names), f"{saved:.1%}", lost]


if __name__ == "__main__":
    main()
