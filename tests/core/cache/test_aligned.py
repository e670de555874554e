"""The network that lays two questions beside each other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from trimtab.cache.aligned import ROW, TOKENS, WIDTH, Aligner, _read
from trimtab.cache.contrast import FEATURES

TRAIN = Path(__file__).parents[3] / "benchmarks" / "same_answer" / "train.py"
DICE = np.random.default_rng(0)


def question(length: int) -> tuple[np.ndarray, list[np.ndarray]]:
    layers = DICE.standard_normal((3, length, 384)).astype(np.float32)
    return DICE.integers(0, 30_000, length).astype(np.int32), list(layers)


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
        states = {"a": (ids_a, np.hstack(a), None), "b": (ids_b, np.hstack(b), None)}
        with torch.inference_mode():
            wanted = float(net(train.batch_of([("a", "b", 1, 0)], table, states))[0])
        notes = own.note(ids_a, a), own.note(ids_b, b)

        assert own.score(*notes, list(table[0])) == pytest.approx(wanted, abs=0.02)
        assert own.score(*notes[::-1], list(table[0])) == pytest.approx(wanted, abs=0.02)
        assert len(notes[0]) == ROW * lengths[0]


def weights() -> dict[str, np.ndarray]:
    wide, sizes = 4 * WIDTH + 3, len(FEATURES)
    shapes = {
        "project": (WIDTH, 3 * 384),
        "compare": (WIDTH, wide),
        "hidden": (WIDTH, 4 * WIDTH + sizes),
        "out": (1, WIDTH),
    }
    found = {f"{k}.weight": DICE.normal(0, 0.05, v) for k, v in shapes.items()}
    found |= {f"{k}.bias": DICE.normal(0, 0.05, v[0]) for k, v in shapes.items()}
    found |= {"scale": np.array(4.0), "bonus": np.array(2.0)}
    found |= {"mean": np.zeros(sizes), "spread": np.ones(sizes)}
    return {name: value.astype(np.float32) for name, value in found.items()}


def test_a_note_keeps_the_beginning_of_a_question_a_byte_a_number() -> None:
    made = weights()
    ids, layers = question(TOKENS + 20)
    note = Aligner(made).note(ids, layers)
    kept_ids, kept = _read(note)
    wanted = np.tanh(np.hstack(layers)[:TOKENS] @ made["project.weight"].T + made["project.bias"])

    assert len(note) == ROW * TOKENS
    assert (kept_ids == ids[:TOKENS]).all()
    assert np.abs(kept - wanted).max() <= 0.5 / 127 + 1e-6


def test_the_order_of_two_notes_changes_nothing() -> None:
    network = Aligner(weights())
    measures = list(map(float, range(len(FEATURES))))
    for one, other in ((1, 9), (30, 30), (TOKENS, 2)):
        a, b = network.note(*question(one)), network.note(*question(other))
        assert network.score(a, b, measures) == pytest.approx(
            network.score(b, a, measures), abs=1e-4
        )
