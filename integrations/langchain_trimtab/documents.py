"""Retrieved documents, cut down to what the question needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field, PrivateAttr

if TYPE_CHECKING:
    from trimtab.compress.extractive import Extractive

log = logging.getLogger("trimtab")


class TrimtabDocumentCompressor(BaseDocumentCompressor):
    """Keeps of documents the sentences that a question needs, within one budget for all of them.

    A document of which nothing is kept is left out; one of which all is kept is the same object,
    and any other a copy with its id and metadata. A `title` in the metadata helps to find what is
    needed. Where the compression fails, all documents are
    returned as they are.

    >>> from langchain_core.documents import Document
    >>> from langchain_trimtab import TrimtabDocumentCompressor
    >>> text = "A second bag costs thirty dollars. Seats are chosen at check-in. No pets."
    >>> compressor = TrimtabDocumentCompressor(budget=10)
    >>> found = compressor.compress_documents([Document(text)], "How much is a second bag?")
    >>> found[0].page_content
    'A second bag costs thirty dollars.'
    """

    budget: int | Literal["auto"] | None = None
    """Tokens of all documents together; "auto" keeps as little as is likely to do."""
    ratio: float = 4.0
    """Without a budget: how many times less to keep."""
    embed: Any = Field(default=None, exclude=True)
    """What `trimtab.embed.embedder` takes: a function that makes vectors of texts, or the name of a
    model."""

    _extractive: Extractive = PrivateAttr()
    _failures: int = PrivateAttr(default=0)

    def model_post_init(self, context: Any) -> None:
        """Check the settings."""
        from trimtab.compress.extractive import Extractive

        super().model_post_init(context)
        self._extractive = Extractive(budget=self.budget, ratio=self.ratio, embed=self.embed)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return what a question needs of documents, in their order."""
        try:
            texts = self._extractive.many(_texts(documents), query, titles=_titles(documents))
        except Exception as error:
            if not self._failures:
                log.warning("trimtab failed, and documents are left as they are: %r", error)
            self._failures += 1
            return documents
        both = zip(documents, texts, strict=True)
        return [_with_text(document, text) for document, text in both if text]

    def remember(self, documents: Sequence[Document]) -> None:
        """Embed documents when they come in, to save that time when a question comes."""
        self._extractive.remember(_texts(documents), titles=_titles(documents))


def _texts(documents: Sequence[Document]) -> list[str]:
    return [document.page_content for document in documents]


def _titles(documents: Sequence[Document]) -> list[str]:
    """Return what the metadata calls documents."""
    return [str(document.metadata.get("title") or "") for document in documents]


def _with_text(document: Document, text: str) -> Document:
    if text == document.page_content:
        return document
    update = {"page_content": text, "metadata": dict(document.metadata)}
    return document.model_copy(update=update)
