"""The encoder's graph, on a tiny network of random weights beside the same one in PyTorch."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for needed in ("onnx", "onnxruntime", "safetensors", "tokenizers"):
    pytest.importorskip(needed)

from trimtab.embed import MiniLM, fingerprint
from trimtab.encoder import Encoder

WORDS = "[PAD] [UNK] [CLS] [SEP] how do i pay my bill today ##s late ? rent".split()
TEXTS = ["how do i pay my bills ?", "rent", "", "pay " * 100, "\U0001f9fe bill", "how late"]
PLACES = 24


def saved(folder: Path, seed: int = 0) -> Any:
    """Save a tiny BERT with its tokenizer, and return it as PyTorch runs it."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, processors

    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=PLACES,
        initializer_range=0.4,
    )
    model = transformers.BertModel(config).eval()
    model.save_pretrained(folder)
    codes = {word: code for code, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(codes, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


def test_each_layer_is_what_pytorch_makes_of_it(tmp_path: Path) -> None:
    model = saved(tmp_path)
    import torch

    for text, read in zip(TEXTS, Encoder(tmp_path, layers=(0, 1, 2)).read(TEXTS), strict=True):
        with torch.inference_mode():
            wanted = model(torch.tensor(read.ids[None].astype(np.int64)), output_hidden_states=True)
        assert len(read.ids) <= PLACES
        for layer, state in zip(read.layers, wanted.hidden_states, strict=True):
            assert np.abs(layer - state[0].numpy()).max() < 1e-5, text
        mean = wanted.last_hidden_state[0].mean(0).numpy()
        assert np.abs(read.vector - mean / np.linalg.norm(mean)).max() < 1e-5


def test_company_threads_and_order_change_nothing(tmp_path: Path) -> None:
    saved(tmp_path)
    encode = Encoder(tmp_path)
    texts = [" ".join(WORDS[4 + (i * j) % 7] for j in range(i % 9)) for i in range(150)]
    together = encode(texts)
    with ThreadPoolExecutor(4) as pool:
        alone = np.array(list(pool.map(lambda text: encode([text])[0], texts)))
    assert np.abs(alone - together).max() < 1e-5
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert encode([]).shape == (0, 32)


def test_half_an_emoji_is_read_all_the_same(tmp_path: Path) -> None:
    saved(tmp_path)
    assert np.isfinite(Encoder(tmp_path)(["pay \ud83e bill"])).all()


def test_it_knows_its_words(tmp_path: Path) -> None:
    saved(tmp_path)
    encode = Encoder(tmp_path)
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
        Encoder(tmp_path)


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
        assert Encoder(tmp_path)(["pay"]).shape == (1, 32)
    else:
        with pytest.raises(ValueError, match="mean of its tokens"):
            Encoder(tmp_path)
