"""What `same_answer` tells repeats from, and what `calibrate` makes of labelled pairs.

Pairs made to fool a likeness of vectors, and Quora's, whose labels are often disputed; the model
was trained on neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from lib.data import folder, save, show

from trimtab.cache.calibrate import calibrate
from trimtab.cache.trial import Pair, read_pairs
from trimtab.cache.verify import Evidence, Reader

DRAWS, LEARNT, OTHERS, BUDGET = 60, 1000, 5000, 0.10
LEAST = 20
"""Answers that must have been served for a precision to be looked at."""


def main() -> None:
    data = folder(__doc__) / "cache"
    result: dict[str, Any] = {}
    for name in ("trap-pairs", "qqp-pairs"):
        pairs = read_pairs(data / f"{name}.jsonl.gz")
        evidence = compared(pairs)
        same = np.array([pair.same for pair in pairs])
        scores = {
            "same_answer": np.array([one.score for one in evidence]),
            "cosine": np.array([one.cosine for one in evidence]),
        }
        result[name] = {
            "pairs": len(pairs),
            "repeats": int(same.sum()),
            **{way: figures(score, same) for way, score in scores.items()},
        }
        heads = list(result[name]["same_answer"])
        show(
            f"{name}, {len(pairs)} pairs, {same.sum()} repeats",
            ["by", *heads],
            [[way, *(f"{result[name][way][head]:.3f}" for head in heads)] for way in scores],
        )
        if len(pairs) >= LEARNT + OTHERS:
            result[name]["calibrated"] = found = calibrated(evidence, same)
            show(f"calibrate, {DRAWS} draws", list(found), [[f"{v:.3f}" for v in found.values()]])
    save("verifier", result)


def compared(pairs: Sequence[Pair]) -> list[Evidence]:
    """Read each text once, and compare the pairs."""
    reader = Reader()
    texts = sorted({text for pair in pairs for text in (pair.question, pair.cached)})
    read = {reading.text: reading for reading in reader.read_all(texts)}
    return [reader.compare(read[pair.question], read[pair.cached]) for pair in pairs]


def figures(score: Any, same: Any) -> dict[str, float]:
    """Look at each limit a score could be cut at."""
    order = np.argsort(-score, kind="stable")
    sorted_, served = score[order], np.arange(1, len(score) + 1)
    right = np.cumsum(same[order])
    ends = np.append(sorted_[1:] != sorted_[:-1], True)
    right, served = right[ends], served[ends]
    recall = right / same.sum()
    trapped = (served - right) / (~same).sum()
    precision = np.where(served >= LEAST, right / served, 0)
    return {
        "repeats served at 3 % of traps": best(recall, trapped <= 0.03),
        "at 1 %": best(recall, trapped <= 0.01),
        "recall at precision 0.95": best(recall, precision >= 0.95),
        "at 0.90": best(recall, precision >= 0.90),
    }


def best(values: Any, where: Any) -> float:
    return float(values[where].max()) if where.any() else 0.0


def calibrated(evidence: Sequence[Evidence], same: Any) -> dict[str, float]:
    """Calibrate on some pairs, and serve others, each in a partition of its own."""
    wrong, served = [], []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(evidence))
        learnt, others = order[:LEARNT], order[LEARNT : LEARNT + OTHERS]
        found = calibrate([evidence[i] for i in learnt], list(same[learnt]), BUDGET)
        serves = np.array([found.probability(evidence[i]) >= found.limit for i in others])
        wrong.append((serves & ~same[others]).sum() / max(1, serves.sum()))
        served.append((serves & same[others]).sum() / same[others].sum())
    return {
        "draws within the budget": float(np.mean(np.array(wrong) <= BUDGET)),
        "repeats served, mean": float(np.mean(served)),
        "draws that serve nothing": float(np.mean(np.array(served) == 0)),
        "wrong of served, median": float(np.median(wrong)),
        "wrong of served, most": float(np.max(wrong)),
    }


if __name__ == "__main__":
    main()
