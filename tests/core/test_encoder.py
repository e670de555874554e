"""The encoder's graph, on a tiny network of random weights beside the same one in plain numpy."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.embed import MiniLM, fingerprint

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxruntime", "safetensors", "tokenizers"))),
    reason="needs trimtab[semantic]",
)
WORDS = "[PAD] [UNK] [CLS] [SEP] how do i pay my bill today ##s late ? rent".split()
TEXTS = ["how do i pay my bills ?", "rent", "", "pay " * 100, "\U0001f9fe bill", "how late"]
PLACES, WIDTH, WIDER, HEADS, LAYERS = 24, 32, 48, 4, 2
Weights = dict[str, Any]
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": PLACES,
    "layer_norm_eps": 1e-12,
}


def weights_of(seed: int) -> Weights:
    """Make up a BERT."""
    dice, found = np.random.default_rng(seed), {}

    def dense(name: str, *shape: int) -> None:
        found[name + ".weight"] = dice.normal(0, 0.4, shape).astype(np.float32)
        found[name + ".bias"] = dice.normal(0, 0.4, shape[:1]).astype(np.float32)

    for table, rows in {"word": len(WORDS), "position": PLACES, "token_type": 2}.items():
        dense(f"embeddings.{table}_embeddings", rows, WIDTH)
    dense("embeddings.LayerNorm", WIDTH)
    for layer in (f"encoder.layer.{i}." for i in range(LAYERS)):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            dense(f"{layer}attention.{part}", WIDTH, WIDTH)
        dense(f"{layer}intermediate.dense", WIDER, WIDTH)
        dense(f"{layer}output.dense", WIDTH, WIDER)
        for norm in ("attention.output", "output"):
            dense(f"{layer}{norm}.LayerNorm", WIDTH)
    return found


def states_of(ids: Any, weights: Weights) -> list[Any]:
    """Run a BERT as Devlin et al. 2018 describe it, in double precision."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def dense(x: Any, name: str) -> Any:
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(x: Any, name: str) -> Any:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * w[name + ".LayerNorm.weight"] + w[name + ".LayerNorm.bias"]

    def heads(x: Any) -> Any:
        return x.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)

    words, places, kinds = (
        w[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
    )
    found = [norm(words[ids] + places[: len(ids)] + kinds[0], "embeddings")]
    for layer in (f"encoder.layer.{i}." for i in range(LAYERS)):
        x, at = found[-1], layer + "attention."
        q, k, v = (heads(dense(x, f"{at}self.{part}")) for part in ("query", "key", "value"))
        odds = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(WIDTH / HEADS))
        seen = ((odds / odds.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = norm(x + dense(seen, at + "output.dense"), at + "output")
        wide = dense(x, layer + "intermediate.dense")
        active = wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2
        found.append(norm(x + dense(active, layer + "output.dense"), layer + "output"))
    return found


def saved(folder: Path, seed: int = 0) -> Weights:
    """Save a tiny BERT with its tokenizer, and return its weights."""
    import tokenizers
    from safetensors.numpy import save_file
    from tokenizers import models, normalizers, pre_tokenizers, processors

    weights = weights_of(seed)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    codes = {word: code for code, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(codes, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return weights


def opened(folder: Path, **rest: Any) -> Any:
    from trimtab.encoder import Encoder

    return Encoder(folder, **rest)


def test_each_layer_is_that_of_the_written_out_network(tmp_path: Path) -> None:
    weights = saved(tmp_path)
    for text, read in zip(TEXTS, opened(tmp_path, layers=(0, 1, 5)).read(TEXTS), strict=True):
        wanted = states_of(read.ids, weights)
        assert len(read.ids) <= PLACES
        for layer, state in zip(read.layers, wanted, strict=True):
            assert np.abs(layer - state).max() < 1e-5, text
        mean = wanted[-1].mean(0)
        assert np.abs(read.vector - mean / np.linalg.norm(mean)).max() < 1e-5


def test_weights_in_the_name_of_a_whole_model_are_the_same(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    weights = saved(tmp_path)
    before = opened(tmp_path)(TEXTS)
    named = {f"bert.{name}": value for name, value in weights.items()}
    save_file(named, tmp_path / "model.safetensors")
    assert (opened(tmp_path)(TEXTS) == before).all()


def test_company_threads_and_order_change_nothing(tmp_path: Path) -> None:
    saved(tmp_path)
    encode = opened(tmp_path)
    texts = [" ".join(WORDS[4 + (i * j) % 7] for j in range(i % 9)) for i in range(150)]
    together = encode(texts)
    with ThreadPoolExecutor(4) as pool:
        alone = np.array(list(pool.map(lambda text: encode([text])[0], texts)))
    assert np.abs(alone - together).max() < 1e-5
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert encode([]).shape == (0, 32)


def test_half_an_emoji_is_read_all_the_same(tmp_path: Path) -> None:
    saved(tmp_path)
    assert np.isfinite(opened(tmp_path)(["pay \ud83e bill"])).all()


def test_it_knows_its_words(tmp_path: Path) -> None:
    saved(tmp_path)
    encode = opened(tmp_path)
    assert encode.knows("bill") and not encode.knows("bil")


def test_weights_are_told_apart_wherever_they_are_saved(tmp_path: Path) -> None:
    folders = [tmp_path / name / "model" for name in ("one", "copy", "other")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        folder.mkdir(parents=True)
        saved(folder, seed)
    one, copy, other = (fingerprint(MiniLM(folder)) for folder in folders)
    assert one == copy != other


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "gpt2"},
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
    ],
)
def test_another_kind_of_model_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    saved(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(ValueError, match="not a BERT"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("pooling", "fits"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, False),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, False),
        ({"pooling_mode": "cls"}, False),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, True),
        ({"pooling_mode": "mean", "embedding_dimension": 32}, True),
    ],
)
def test_a_model_must_take_the_mean_of_its_tokens(
    tmp_path: Path, pooling: dict[str, Any], fits: bool
) -> None:
    saved(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if fits:
        assert opened(tmp_path)(["pay"]).shape == (1, 32)
    else:
        with pytest.raises(ValueError, match="mean of its tokens"):
            opened(tmp_path)
