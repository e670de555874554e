"""A BERT-like sentence encoder on ONNX Runtime, built from its saved weights."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trimtab.types import Vector, Vectors

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
except ImportError as error:
    raise ImportError(
        "the fast encoder needs onnx and onnxruntime: pip install 'trimtab[semantic]'"
    ) from error

BATCH = 64
MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators, each of which does the work of a dozen small ones."""


class Encoder:
    """Turns texts into the mean of their tokens' last states, of unit length.

    Exact to about 1e-6 beside the same weights in PyTorch. Safe to call from several threads.
    `layers` are those before the last whose states `read` shows too, where the model has them.
    """

    def __init__(
        self, folder: Path, *, threads: int = 1, window: int = 256, layers: Sequence[int] = ()
    ) -> None:
        config, weights = _saved(folder)
        self._tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokens.no_padding()
        self._tokens.enable_truncation(min(window, config["max_position_embeddings"]))
        self._ends = self._tokens.encode("").ids
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        self._width = int(config["hidden_size"])
        self._window = min(window, config["max_position_embeddings"])
        count = config["num_hidden_layers"]
        shown = [*(i for i in layers if i < count), count]
        self._session = onnxruntime.InferenceSession(
            _graph(config, weights, shown), options, providers=["CPUExecutionProvider"]
        )
        self._shown = [output.name for output in self._session.get_outputs()]
        last = weights[f"encoder.layer.{count - 1}.output.dense.weight"]
        self.mark = f"{zlib.crc32(last.astype(np.float32).tobytes()):08x}"
        """Tells these weights from others."""

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Embed texts."""
        found = np.zeros((len(texts), self._width), np.float32)
        for i, (last,) in self._states(self._coded(texts), self._shown[-1:]):
            total = last.sum(axis=0)
            found[i] = total / np.linalg.norm(total)
        return found

    def read(self, texts: Sequence[str]) -> list[Read]:
        """Read texts with the states of their tokens."""
        codes = self._coded(texts)
        found: dict[int, Read] = {}
        for i, layers in self._states(codes, self._shown):
            total = layers[-1].sum(axis=0)
            ids = np.array(codes[i], np.int32)
            found[i] = Read(ids, total / np.linalg.norm(total), layers)
        return [found[i] for i in range(len(codes))]

    def pieces(self, passages: Sequence[Sequence[str]]) -> list[Vectors]:
        """Embed each piece of a passage as it reads in its place: the mean of its tokens' states.

        A passage longer than the window is read in several, each after the passage's first piece.
        Late chunking, as of Guenther et al. 2024 (arXiv 2409.04701).
        """
        windows = [
            (number, window)
            for number, pieces in enumerate(passages)
            for window in self._windows(pieces)
        ]
        first, last = self._ends
        texts = [[first, *chain.from_iterable(ids for _, ids in w), last] for _, w in windows]
        found = [np.zeros((len(pieces), self._width), np.float32) for pieces in passages]
        for at, (last_states,) in self._states(texts, self._shown[-1:]):
            number, window = windows[at]
            start = 1
            for place, codes in window:
                total = last_states[start : start + len(codes)].sum(axis=0)
                start += len(codes)
                found[number][place] = total / max(float(np.linalg.norm(total)), 1e-9)
        return found

    def _windows(self, pieces: Sequence[str]) -> Iterator[list[tuple[int, list[int]]]]:
        """Group the tokens of pieces, each with its place, so that each group can be read."""
        room = self._window - len(self._ends)
        coded = self._tokens.encode_batch_fast(_clean(pieces), add_special_tokens=False)
        codes = [code.ids[: room // 2] for code in coded]
        window: list[tuple[int, list[int]]] = []
        used = 0
        for place, ids in enumerate(codes):
            if used + len(ids) > room:
                yield window
                window, used = [(0, codes[0])], len(codes[0])
            window.append((place, ids))
            used += len(ids)
        if window:
            yield window

    def knows(self, word: str) -> bool:
        """Tell whether a lower-case word is in the vocabulary, as typing errors are not."""
        return self._tokens.token_to_id(word) is not None

    def _coded(self, texts: Sequence[str]) -> list[list[int]]:
        return [code.ids for code in self._tokens.encode_batch_fast(_clean(texts))]

    def _states(
        self, codes: Sequence[Sequence[int]], shown: Sequence[str]
    ) -> Iterator[tuple[int, list[Vectors]]]:
        """Run texts through the network; those of like length together, so little is padded.

        Yields the number of a text, and the states of its tokens after each layer asked for.
        """
        order = sorted(range(len(codes)), key=lambda i: len(codes[i]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            lengths = np.array([len(codes[i]) for i in rows], np.int32)
            ids = np.zeros((len(rows), lengths.max()), np.int32)
            for row, i in zip(ids, rows, strict=True):
                row[: len(codes[i])] = codes[i]
            mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int32)
            states = self._session.run(shown, {"ids": ids, "mask": mask})
            for row, (i, length) in enumerate(zip(rows, lengths, strict=True)):
                yield i, [layer[row, :length] for layer in states]


@dataclass(frozen=True)
class Read:
    """What the encoder makes of a text."""

    ids: NDArray[np.int32]
    """Its tokens, the marks of its beginning and end included."""
    vector: Vector
    layers: Sequence[Vectors]
    """The tokens' states after each layer asked for, and after the last."""


def _clean(texts: Iterable[str]) -> list[str]:
    """Put a question mark for each half of an emoji, which no tokenizer takes."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


def _saved(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Load a model's settings and weights.

    Raises:
        ValueError: The folder holds another kind of model.
    """
    config = json.loads((folder / "config.json").read_text())
    kind = [config.get(name) for name in ("model_type", "hidden_act", "position_embedding_type")]
    if kind not in (["bert", "gelu", "absolute"], ["bert", "gelu", None]):
        raise ValueError(f"not a BERT with gelu and absolute places: {folder} ({kind})")
    pooling = folder / "1_Pooling" / "config.json"
    if pooling.exists() and not _is_mean(json.loads(pooling.read_text())):
        raise ValueError(f"not a model that takes the mean of its tokens: {folder}")
    weights = load_file(folder / "model.safetensors")
    return config, {name.removeprefix("bert."): value for name, value in weights.items()}


def _is_mean(pooling: Mapping[str, Any]) -> bool:
    """Tell whether a model takes the mean, as its settings said it before and say it now."""
    on = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value]
    return pooling.get("pooling_mode", "mean") == "mean" and on in (
        [], ["pooling_mode_mean_tokens"]
    )  # fmt: skip


def _graph(
    config: Mapping[str, Any], weights: Mapping[str, NDArray[Any]], layers: Sequence[int]
) -> bytes:
    """Write the network as an ONNX model."""
    net = _Net(weights, heads=config["num_attention_heads"], epsilon=config["layer_norm_eps"])
    states = [net.embedded()]
    for layer in range(config["num_hidden_layers"]):
        states.append(net.layer(states[-1], f"encoder.layer.{layer}."))
    shape = ["texts", "tokens", config["hidden_size"]]
    graph = helper.make_graph(
        net.nodes,
        "bert",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT32, ["texts", "tokens"]),
            helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "tokens"]),
        ],
        [helper.make_tensor_value_info(states[i], TensorProto.FLOAT, shape) for i in layers],
        net.constants,
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=versions, ir_version=8)
    written: bytes = model.SerializeToString()
    return written


class _Net:
    """The nodes of a network as they are added, each named by its output."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], heads: int, epsilon: float) -> None:
        self.weights = weights
        self.heads = heads
        self.epsilon = epsilon
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def embedded(self) -> str:
        """Add the embeddings of words and places. All tokens are of the first type."""
        name = "embeddings."
        places = self.weights[name + "position_embeddings.weight"]
        places = places + self.weights[name + "token_type_embeddings.weight"][0]
        table = self.constant("words", self.weights[name + "word_embeddings.weight"])
        words = self.node("Gather", [table, "ids"])
        shape = self.node("Shape", ["ids"])
        count = self.node("Slice", [shape, *map(self.number, (1, 2))])
        near = self.node("Slice", [self.constant("places", places), self.number(0), count])
        return self.normal(self.node("Add", [words, near]), name + "LayerNorm")

    def layer(self, state: str, name: str) -> str:
        """Add a transformer layer."""
        inner = name + "attention.self."
        parts = [inner + part for part in ("query", "key", "value")]
        weight = np.concatenate([self.weights[p + ".weight"] for p in parts]).T
        bias = np.concatenate([self.weights[p + ".bias"] for p in parts])
        both = [self.constant(inner + "weight", weight), self.constant(inner + "bias", bias)]
        seen = self.node("Attention", [state, *both, "mask"], MICROSOFT, num_heads=self.heads)
        state = self.joined(seen, state, name + "attention.output.")
        wide, bias_name = self.dense(state, name + "intermediate.dense")
        active = self.node("BiasGelu", [wide, bias_name], MICROSOFT)
        return self.joined(active, state, name + "output.")

    def joined(self, new: str, state: str, name: str) -> str:
        """Add a projection, what was there before it, and a norm."""
        projected, bias = self.dense(new, name + "dense")
        scale, shift = self.both(name + "LayerNorm")
        inputs = [projected, state, scale, shift, bias]
        return self.node("SkipLayerNormalization", inputs, MICROSOFT, epsilon=self.epsilon)

    def normal(self, state: str, name: str) -> str:
        """Add a norm."""
        inputs = [state, *self.both(name)]
        return self.node("LayerNormalization", inputs, epsilon=self.epsilon)

    def dense(self, state: str, name: str) -> tuple[str, str]:
        """Add a projection; its bias is left to the next operator."""
        weight = self.constant(name + ".weight", self.weights[name + ".weight"].T)
        bias = self.constant(name + ".bias", self.weights[name + ".bias"])
        return self.node("MatMul", [state, weight]), bias

    def both(self, name: str) -> list[str]:
        return [self.constant(name + end, self.weights[name + end]) for end in (".weight", ".bias")]

    def number(self, value: int) -> str:
        return self.constant(f"number{len(self.constants)}", np.array([value], np.int64))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        kept = value if value.dtype == np.int64 else value.astype(np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def node(self, kind: str, inputs: Iterable[str], domain: str = "", **attributes: Any) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name
