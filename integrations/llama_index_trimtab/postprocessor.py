"""Retrieved nodes cut down to what the question needs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings.loading import load_embed_model
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    MetadataMode,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from pydantic import Field, PrivateAttr, field_serializer, model_validator

from llama_index_trimtab.requests import SECRET
from trimtab.compress.extractive import Extractive
from trimtab.embed import FromLlamaIndex, Remembered, remembered
from trimtab.tokens import counter_for

RATIO = 4.0
TITLES = ("title", "document_title", "header_path", "section", "name", "subject")
"""Metadata that says what a text is of, best first."""
ATTEMPTS = 7
"""How often sentences are chosen, to leave as much room as the metadata needs, and little more."""
CLOSE = 0.95
"""The share of the budget from which on another attempt would win little."""


class TrimtabPostprocessor(BaseNodePostprocessor):
    """Keeps of all nodes together the sentences that a question needs, within one budget.

    The budget counts what the LLM is shown of the nodes that are kept: their texts, and the
    metadata that goes with them. A ratio is one of the texts alone. Nodes that lose all their
    sentences are left out; the others keep order, ids, scores, relationships and metadata, and the
    index's own nodes are never changed: an unchanged node is the very same object. A title in the
    metadata that the LLM is shown helps to find the sentences. Images and other nodes that are not
    just text stay as they are, and are not counted. Without a question nothing is changed.

    Its JSON holds no secrets. An embedding that LlamaIndex cannot load from JSON is given again:
    `from_dict(data, embed_model=...)`.

    >>> from llama_index.core.schema import NodeWithScore, TextNode
    >>> from llama_index_trimtab import TrimtabPostprocessor
    >>> text = "A second bag costs thirty dollars. Seats are chosen at check-in. No pets."
    >>> nodes = [NodeWithScore(node=TextNode(text=text), score=0.5)]
    >>> shorten = TrimtabPostprocessor(budget=10)
    >>> shorten.postprocess_nodes(nodes, query_str="How much is a second bag?")[0].text
    'A second bag costs thirty dollars.'
    """

    budget: int | Literal["auto"] | None = Field(
        default=None, description="Tokens of all nodes; 'auto' for as few as keep the answer."
    )
    ratio: float | None = Field(
        default=None, ge=1, description=f"How much shorter to make the texts; {RATIO} by default."
    )
    embed_model: BaseEmbedding | None = Field(
        default=None, description="Compares sentences with the question; trimtab's own by default."
    )
    model: str = Field(default="", description="The model whose tokens are counted.")
    _embed: Remembered = PrivateAttr()

    @model_validator(mode="after")
    def _prepare(self) -> TrimtabPostprocessor:
        if self.budget is not None and self.ratio is not None:
            raise ValueError("give a budget or a ratio, not both")
        if isinstance(self.budget, int) and self.budget < 1:
            raise ValueError(f"budget must be at least 1, got {self.budget}")
        own = self.embed_model
        self._embed = remembered() if own is None else Remembered(FromLlamaIndex(own))
        return self

    @classmethod
    def class_name(cls) -> str:
        """Name the class, as LlamaIndex asks."""
        return "TrimtabPostprocessor"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **kwargs: Any) -> TrimtabPostprocessor:
        """Make a postprocessor of what `to_dict` returned.

        Raises:
            ValueError: LlamaIndex cannot load the embedding, and none is given.
        """
        held = {**data, **kwargs}
        embed_model = held.get("embed_model")
        if isinstance(embed_model, Mapping):
            try:
                held["embed_model"] = load_embed_model(dict(embed_model))
            except ValueError as error:
                raise ValueError(f"{error}: give from_dict(data, embed_model=...)") from error
        held.pop("class_name", None)
        return cls(**held)

    def remember(self, nodes: Sequence[BaseNode]) -> None:
        """Embed nodes ahead of the questions, so that only those are left to embed."""
        texts = [node for node in nodes if _is_text(node)]
        self._extractive().remember(list(map(_text, texts)), titles=list(map(_title, texts)))

    @field_serializer("embed_model")
    def _without_secrets(self, embed_model: BaseEmbedding | None) -> dict[str, Any] | None:
        if embed_model is None:
            return None
        return {k: v for k, v in embed_model.to_dict().items() if not SECRET.search(k)}

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        question = query_bundle.query_str if query_bundle else ""
        places = [place for place, found in enumerate(nodes) if _is_text(found.node)]
        if not question.strip() or not places:
            return nodes
        shortened = self._within([nodes[place] for place in places], question)
        kept: dict[int, NodeWithScore | None] = dict(enumerate(nodes))
        kept.update(zip(places, shortened, strict=True))
        return [found for found in kept.values() if found is not None]

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._postprocess_nodes, nodes, query_bundle)

    def _within(
        self, nodes: Sequence[NodeWithScore], question: str
    ) -> Sequence[NodeWithScore | None]:
        """Shorten nodes until what the LLM is shown of them is within the budget."""
        if not isinstance(self.budget, int):
            extract = self._extractive(budget=self.budget, ratio=self.ratio or RATIO)
            return _shortened(nodes, question, extract)
        if self._shown(nodes) <= self.budget:
            return nodes
        best: Sequence[NodeWithScore | None] = [None] * len(nodes)
        low, room, high = 0, self.budget, self.budget
        for _ in range(ATTEMPTS):
            kept = _shortened(nodes, question, self._extractive(budget=room))
            shown = self._shown(kept)
            if shown <= self.budget:
                best, low = kept, room
            else:
                high = room
            room = (low + high) // 2
            if room <= low or CLOSE * self.budget <= shown <= self.budget:
                break
        return best

    def _extractive(self, **settings: Any) -> Extractive:
        return Extractive(**settings, embed=self._embed, count=counter_for(self.model))

    def _shown(self, nodes: Sequence[NodeWithScore | None]) -> int:
        count = counter_for(self.model)
        return sum(count(found.get_content(MetadataMode.LLM)) for found in nodes if found)


def _shortened(
    nodes: Sequence[NodeWithScore], question: str, extract: Extractive
) -> list[NodeWithScore | None]:
    own = [found.node for found in nodes]
    kept = extract.many(list(map(_text, own)), question, titles=list(map(_title, own)))
    return [_with_text(found, text.strip()) for found, text in zip(nodes, kept, strict=True)]


def _text(node: BaseNode) -> str:
    return node.get_content(MetadataMode.NONE)


def _title(node: BaseNode) -> str:
    """Say what a text is of, if the LLM is told."""
    shown = {k: v for k, v in node.metadata.items() if k not in node.excluded_llm_metadata_keys}
    return " ".join(next((str(shown[key]) for key in TITLES if shown.get(key)), "").split())


def _with_text(found: NodeWithScore, text: str) -> NodeWithScore | None:
    """Give a copy of a node another text; None where nothing is left, itself if it is the same."""
    node = found.node
    before = _text(node).strip()
    if text == before:
        return found
    if not text:
        return None
    own = ("metadata", "relationships", "excluded_llm_metadata_keys")
    copied = node.model_copy(update={name: deepcopy(getattr(node, name)) for name in own})
    copied.set_content(text)
    return NodeWithScore(node=copied, score=found.score)


def _is_text(node: BaseNode) -> bool:
    if isinstance(node, Node):
        others = (node.image_resource, node.audio_resource, node.video_resource)
        return node.text_resource is not None and not any(others)
    return isinstance(node, TextNode) and not isinstance(node, ImageNode)
