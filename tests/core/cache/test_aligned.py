"""The network that lays two questions beside each other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from trimtab.cache.aligned import ROW, TOKENS, Aligner
from trimtab.cache.contrast import FEATURES

TRAIN = Path(__file__).parents[3] / "benchmarks" / "same_answer" / "train.py"
DICE = np.random.default_rng(0)


def question(length: int) -> tuple[np.ndarray, np.ndarray]:
    states = DICE.standard_normal((length, 384)).astype(np.float32)
    return DICE.integers(0, 30_000, length).astype(np.int32), states


def test_it_says_what_the_trained_network_says_whichever_comes_first() -> None:
    torch = pytest.importorskip("torch")
    if not TRAIN.exists():
        pytest.skip("the training script is not here")
    spec = importlib.util.spec_from_file_location("train", TRAIN)
    assert spec and spec.loader
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    torch.manual_seed(0)
    net = train.Net(DICE.standard_normal((9, len(FEATURES))).astype(np.float32)).eval()
    own = Aligner({name: value.numpy() for name, value in net.state_dict().items()})
    for lengths in ((7, 12), (1, 1), (TOKENS, 3)):
        (ids_a, a), (ids_b, b) = (question(length) for length in lengths)
        ids_b[0] = ids_a[0]
        table = DICE.standard_normal((1, len(FEATURES))).astype(np.float32)
        states = {"a": (ids_a, a, None), "b": (ids_b, b, None)}
        with torch.inference_mode():
            wanted = float(net(train.batch_of([("a", "b", 1, 0)], table, states))[0])
        notes = own.note(ids_a, a), own.note(ids_b, b)

        assert own.score(*notes, list(table[0])) == pytest.approx(wanted, abs=0.02)
        assert own.score(*notes[::-1], list(table[0])) == pytest.approx(wanted, abs=0.02)
        assert len(notes[0]) == ROW * lengths[0]
