"""Trains the model behind `trimtab.cache.same_answer`, and writes its weights.

    python benchmarks/same_answer/train.py [--epochs 7] [--out core/trimtab/cache/same_answer.npz]

The groups of questions beside this file were written for it: each wording in `same` is served by
one answer, none of those in `different` is. A tenth of the groups is held out; on those the
probabilities and the limits of the error budgets are fitted. Needs torch.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import re
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trimtab.cache.aligned import TOKENS, WIDTH
from trimtab.cache.calibrate import fit, limit_for
from trimtab.cache.contrast import FEATURES, features
from trimtab.cache.verify import joined, mixed, ruled
from trimtab.embed import SHOWN, MiniLM

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "core" / "trimtab" / "cache" / "same_answer.npz"
ORIGIN = (
    "trained by benchmarks/same_answer/train.py on the groups of questions beside it, which were"
    " written for this by a language model (MIT), and on no other data"
)
BEFORE = "um |so |hi, |hello, |hey |please |ok so |quick question: |can you tell me |sorry, ".split(
    "|"
)
AFTER = " thanks| please| thank you|??|...|!| thx| pls".split("|")
STATES = 384 * (len(SHOWN) + 1)
"""Numbers that are known of a token."""
BATCH = 64
RATE = 3e-3
SMOOTH = 0.03
Pair = tuple[str, str, int, int]
"""Two questions, whether one answer serves both, and their group."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=40_000, help="in an epoch")
    parser.add_argument("--net", type=Path, help="an earlier run's, in place of training anew")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.manual_seed(5)
    torch.set_num_threads(2)
    rows = [json.loads(line) for path in sorted(HERE.glob("*.jsonl")) for line in path.open()]
    encoder = MiniLM(threads=2)
    pairs, weights = hard_pairs(rows)
    near = near_pairs(rows, encoder)
    pairs, weights = pairs + near, np.concatenate([weights, np.full(len(near), 0.05)])
    texts = sorted({text for pair in pairs for text in pair[:2]})
    print(f"{len(rows)} groups, {len(pairs)} pairs, {len(texts)} texts", flush=True)
    states = states_of(texts, encoder)
    table = np.array([features(a, b) for a, b, *_ in pairs], np.float32)
    net, words = Net(table), Words(table)
    held = np.array([group % 10 == 0 for *_, group in pairs])
    if options.net:
        found = np.load(options.net)
        net.load_state_dict({name: torch.tensor(found[name]).float() for name in net.state_dict()})
        words.load_state_dict({"mean": net.mean, "spread": net.spread}, strict=False)
    else:
        train(net, (pairs, weights, table, states), ~held, options)
    train(words, (pairs, weights, table, states), ~held, options)
    known = [i for i in np.flatnonzero(held) if weights[i] > 0.3]
    asked, measures = [pairs[i] for i in known], table[known]
    save(options.out, (net, words), held_scores((net, words), asked, measures, states, encoder),
         np.array([bool(pair[2]) for pair in asked]))  # fmt: skip


def held_scores(nets, pairs, table, states, encoder) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    """Score pairs as `Reader.compare` will."""
    seen, words = (score(net, pairs, table, states) for net in nets)
    found: dict[str, list[float]] = {"tokens": [], "words": []}
    for i, (a, b, *_) in enumerate(pairs):
        cosine = float(states[a][2] @ states[b][2])
        measures = list(map(float, table[i]))
        forced = ruled(a, b, measures, encoder.knows)
        found["tokens"].append(joined(float(seen[i]), cosine) if forced is None else forced)
        forced = ruled(a, b, measures, None)
        found["words"].append(float(words[i]) if forced is None else forced)
    return {kind: np.array(scores).clip(-30, None) for kind, scores in found.items()}


def states_of(texts: list[str], encoder: MiniLM) -> dict[str, tuple]:  # type: ignore[type-arg]
    """Read texts: their tokens, the states of these after several layers, and the vector."""
    found = {}
    for start in range(0, len(texts), 512):
        some = texts[start : start + 512]
        for text, read in zip(some, encoder.read(some), strict=True):
            states = np.concatenate(read.layers, axis=1)[:TOKENS].astype(np.float16)
            found[text] = read.ids[:TOKENS], states, read.vector
    return found


def hard_pairs(rows: list[dict[str, object]]) -> tuple[list[Pair], np.ndarray]:
    """Pair each wording with each of its group, some of them with errors of typing and speech."""
    pairs: list[Pair] = []
    for group, row in enumerate(rows):
        same, different = [row["question"], *row["same"]], row["different"]
        for a, b in itertools.combinations(same, 2):
            pairs.append((a, b, 1, group))
        pairs += [(a, b, 0, group) for a in same for b in different]
        if not row["same"]:  # it points at what is not in the text, as all near it do
            pairs += [(a, b, 0, group) for a, b in itertools.combinations(different, 2)]
        for text in sorted(same, key=lambda text: zlib.crc32(text.encode()))[:2]:
            if (other := noisy(text)) != text:
                pairs += [(other, b, 1, group) for b in same]
                pairs += [(other, b, 0, group) for b in different]
    return pairs, np.array([1.0 if same else 0.4 for _, _, same, _ in pairs])


def noisy(text: str) -> str:
    """Write a text as somebody in a hurry does; the same way each time."""
    chance = random.Random(zlib.crc32(text.encode()))
    if chance.random() < 0.6:
        words = text.split(" ")
        long = [i for i, word in enumerate(words) if re.fullmatch(r"[A-Za-z]{5,}[?,.!]?", word)]
        for i in chance.sample(long, min(len(long), chance.choice([1, 1, 2]))):
            words[i] = mistyped(words[i], chance)
        text = " ".join(words)
    if chance.random() < 0.35:
        text = re.sub(r"[?.!,']", "", text).lower()
    if chance.random() < 0.35:
        text = chance.choice(BEFORE) + text[:1].lower() + text[1:]
    return text.rstrip("?") + chance.choice(AFTER) if chance.random() < 0.2 else text


def mistyped(word: str, chance: random.Random) -> str:
    at = chance.randrange(1, len(word) - 2)
    a, b = word[at], word[at + 1]
    return (
        word[:at]
        + chance.choice([b + a, b, a + a + b, chance.choice("aeiou") + b])
        + word[at + 2 :]
    )


def near_pairs(rows: list[dict[str, object]], encoder: MiniLM) -> list[Pair]:
    """Pair each question with the nearest ones of other groups: surely another answer, mostly."""
    texts = [(row["question"], group) for group, row in enumerate(rows)]
    texts += [(text, group) for group, row in enumerate(rows) for text in row["different"][:2]]
    vectors, groups = encoder([text for text, _ in texts]), np.array([g for _, g in texts])
    found: list[Pair] = []
    for i, (text, group) in enumerate(texts):
        cosines = np.where(groups == group, -1, vectors @ vectors[i])
        found += [(text, texts[j][0], 0, group) for j in np.argpartition(-cosines, 2)[:2]]
    return found


class Net(nn.Module):
    """Attends from each token of a question to the other's, and compares what it finds there.

    Decomposable attention (Parikh et al. 2016) over the states of a frozen encoder.
    """

    def __init__(self, table: np.ndarray, drop: float = 0.3) -> None:
        super().__init__()
        self.project = nn.Linear(STATES, WIDTH)
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.bonus = nn.Parameter(torch.tensor(2.0))
        self.compare = nn.Linear(4 * WIDTH + 3, WIDTH)
        self.hidden = nn.Linear(4 * WIDTH + len(FEATURES), WIDTH)
        self.out = nn.Linear(WIDTH, 1)
        self.drop = nn.Dropout(drop)
        self.register_buffer("mean", torch.tensor(table.mean(0)))
        self.register_buffer("spread", torch.tensor(table.std(0) + 1e-3))

    def forward(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        a, b, here, there, equal, table = batch
        a, b = torch.tanh(self.project(a)), torch.tanh(self.project(b))
        near = functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).transpose(1, 2)
        one = self.side((a, b), (here, there), equal, near)
        other = self.side((b, a), (there, here), equal.transpose(1, 2), near.transpose(1, 2))
        sizes = self.drop(((table - self.mean) / self.spread).clamp(-4, 4))
        seen = [one[0] + other[0], (one[0] - other[0]).abs(),
                torch.maximum(one[1], other[1]), torch.minimum(one[1], other[1])]  # fmt: skip
        hidden = functional.relu(self.hidden(torch.cat([*seen, sizes], 1)))
        return self.out(self.drop(hidden))[:, 0]

    def side(self, both, masks, equal, near):  # type: ignore[no-untyped-def]
        own, other = (self.drop(states) for states in both)
        weight = self.scale * near + self.bonus * equal
        weight = weight.masked_fill(~masks[1][:, None, :], -1e4).softmax(-1)
        found = weight @ other
        hit = equal.max(-1).values[..., None]
        best = near.masked_fill(~masks[1][:, None, :], -1).max(-1).values[..., None]
        marks = [hit, best, best * (1 - hit)]
        parts = [own, found, own - found, own * found, *marks]
        compared = functional.relu(self.compare(torch.cat(parts, -1))) * masks[0][..., None]
        mean = self.drop(compared).sum(1) / masks[0].sum(1, keepdim=True)
        return mean, compared.max(1).values


class Words(nn.Module):
    """Looks at the measures alone, for embedders that do not show the states of tokens."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.hidden = nn.Linear(len(FEATURES), 48)
        self.out = nn.Linear(48, 1)
        self.drop = nn.Dropout(0.1)
        self.register_buffer("mean", torch.tensor(table.mean(0)))
        self.register_buffer("spread", torch.tensor(table.std(0) + 1e-3))

    def forward(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        sizes = self.drop(((batch[-1] - self.mean) / self.spread).clamp(-4, 4))
        return self.out(self.drop(functional.relu(self.hidden(sizes))))[:, 0]


def batch_of(pairs: list[Pair], table: np.ndarray, states: dict) -> tuple[torch.Tensor, ...]:  # type: ignore[type-arg]
    (a, ids_a), (b, ids_b) = (padded([states[pair[i]] for pair in pairs]) for i in (0, 1))
    here, there = ids_a >= 0, ids_b >= 0
    equal = (ids_a[:, :, None] == ids_b[:, None, :]) & here[:, :, None] & there[:, None, :]
    return a, b, here, there, equal.float(), torch.from_numpy(table)


def padded(rows: list) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[type-arg]
    longest = max(len(row[0]) for row in rows)
    states = np.zeros((len(rows), longest, STATES), np.float32)
    ids = np.full((len(rows), longest), -1)
    for i, (code, state, _) in enumerate(rows):
        states[i, : len(code)], ids[i, : len(code)] = state, code
    return torch.from_numpy(states), torch.from_numpy(ids)


def train(net, data, use: np.ndarray, options: argparse.Namespace) -> None:  # type: ignore[no-untyped-def]
    """Train a net, and leave it with the moving average of its weights, which errs less."""
    pairs, weights, table, states = data
    chance = np.random.default_rng(0)
    odds = np.where(use, weights, 0)
    lengths = np.array([len(states[a][0]) + len(states[b][0]) for a, b, *_ in pairs])
    steps = options.epochs * (options.pairs // BATCH)
    moves = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.02)
    pace = torch.optim.lr_scheduler.OneCycleLR(moves, RATE, total_steps=steps + 1, pct_start=0.1)
    mean = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    for epoch in range(options.epochs):
        net.train()
        chosen = chance.choice(len(pairs), options.pairs, p=odds / odds.sum())
        chosen = chosen[np.argsort(lengths[chosen] + chance.normal(0, 3, len(chosen)))]
        batches = [chosen[i : i + BATCH] for i in range(0, len(chosen) - BATCH + 1, BATCH)]
        chance.shuffle(batches)
        total = 0.0
        for batch in batches:
            total += step(net, batch_of([pairs[i] for i in batch], table[batch], states),
                          [pairs[i][2] for i in batch], moves)  # fmt: skip
            pace.step()
            mean.update_parameters(net)
        print(f"epoch {epoch} loss {total / len(batches):.3f}", flush=True)
    net.load_state_dict(mean.module.state_dict())


def step(net, batch, same: list[int], moves) -> float:  # type: ignore[no-untyped-def]
    """Move the weights once. Labels are smoothed, for some are wrong."""
    wanted = torch.tensor(same) * (1 - 2 * SMOOTH) + SMOOTH
    loss = functional.binary_cross_entropy_with_logits(net(batch), wanted)
    moves.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    moves.step()
    return float(loss.item())


def score(net: Net, pairs: list[Pair], table: np.ndarray, states: dict) -> np.ndarray:  # type: ignore[type-arg]
    net.eval()
    with torch.inference_mode():
        parts = [net(batch_of(pairs[i : i + 128], table[i : i + 128], states)).numpy()
                 for i in range(0, len(pairs), 128)]  # fmt: skip
    return np.concatenate(parts)


def save(
    out: Path, nets: tuple[Net, Words], scores: dict[str, np.ndarray], same: np.ndarray
) -> None:
    """Write the weights in half precision, and the scores of the pairs that were held out."""
    net, words = nets
    weights = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items()}
    weights |= {
        "mean": net.mean.numpy(),
        "spread": net.spread.numpy(),
        "words.hidden": words.hidden.weight.detach().numpy().T,
        "words.bias": words.hidden.bias.detach().numpy(),
        "words.out": words.out.weight.detach().numpy()[0],
        "words.shift": words.out.bias.detach().numpy()[0],
        "held.same": same,
    }
    for kind, found in scores.items():
        weights[f"held.{kind}"] = found.astype(np.float32)
        weights[f"odds.{kind}"] = fit(found[:, None].astype(float), same)
    digest = hashlib.sha256(b"".join(value.tobytes() for value in weights.values()))
    np.savez_compressed(out, **weights, version=digest.hexdigest()[:8], origin=ORIGIN)
    print(f"wrote {out}: {out.stat().st_size} bytes, {len(same)} held-out pairs")
    for kind, found in scores.items():
        slope, bias = weights[f"odds.{kind}"]
        some = mixed(same)
        chances = 1 / (1 + np.exp(-(found[some] * slope + bias)))
        for budget in (0.01, 0.05):
            limit = limit_for(chances, same[some], budget)
            share = (chances[same[some]] >= limit).mean()
            print(f"{kind}: error budget {budget}, limit {limit:.3f}, repeats served {share:.3f}")


if __name__ == "__main__":
    main()
