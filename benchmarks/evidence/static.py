"""Makes the word vectors of `trimtab.static.Static` of all-MiniLM-L6-v2 (Apache-2.0).

    python benchmarks/evidence/static.py [--out core/trimtab/static.npz]

Each entry of the vocabulary is read alone, between the marks of beginning and end; of the states'
means the main directions are kept, and each is weighted by a / (a + p), p being its frequency by
Zipf's law of its place in the vocabulary, which is sorted so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from trimtab.embed import MiniLM

OUT = Path(__file__).parents[2] / "core" / "trimtab" / "static.npz"
DIMENSIONS = 64
SMOOTH = 1e-3
FIRST_WORD = 1996
"""Entries before it are marks and single letters."""
BATCH = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    runner = MiniLM()._run
    tokens = runner._tokens
    entries = [tokens.id_to_token(code) for code in range(tokens.get_vocab_size())]
    real = [not entry.startswith("[") or len(entry) == 1 for entry in entries]
    vectors = reduced(np.concatenate(list(read(runner, len(entries)))))
    vectors = vectors * weights(len(entries))[:, None]
    kept = [code for code, is_real in enumerate(real) if is_real]
    lengths = np.abs(vectors[kept]).max(axis=1) / 127
    small = np.round(vectors[kept] / lengths[:, None]).astype(np.int8)
    words = np.array("\n".join(entries[code] for code in kept))
    np.savez_compressed(out, words=words, vectors=small, lengths=lengths.astype(np.float16))
    print(f"wrote {out}: {out.stat().st_size} bytes, {len(kept)} entries")


def read(runner, many: int):
    """Embed each entry alone."""
    first, last = runner._ends
    for start in range(0, many, BATCH):
        codes = [[first, code, last] for code in range(start, min(start + BATCH, many))]
        found = np.zeros((len(codes), runner._width), np.float32)
        for place, (states,) in runner._states(codes, runner._shown[-1:]):
            found[place] = states.sum(axis=0) / np.linalg.norm(states.sum(axis=0))
        yield found


def reduced(vectors: np.ndarray) -> np.ndarray:
    """Keep the main directions."""
    moved = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(moved[1000:], full_matrices=False)
    return moved @ directions[:DIMENSIONS].T


def weights(many: int) -> np.ndarray:
    """Weigh each entry, frequent ones little."""
    share = 1 / (np.maximum(np.arange(many) - FIRST_WORD + 1, 1) + 10)
    share /= share.sum()
    return SMOOTH / (SMOOTH + share)


if __name__ == "__main__":
    main()
