"""trimtab for LangChain."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimtab.tenant import tenant

try:
    from langchain_trimtab.cache import TrimtabCache
    from langchain_trimtab.callbacks import UsageCallback, monitor
except ImportError as error:
    raise ImportError(
        "langchain_trimtab needs langchain-core: pip install 'trimtab[langchain]'"
    ) from error

if TYPE_CHECKING:
    from langchain_trimtab.chat_router import ChatRouter
    from langchain_trimtab.decisions import TrimtabDecisions
    from langchain_trimtab.documents import TrimtabDocumentCompressor
    from langchain_trimtab.history import TrimtabChatMessageHistory
    from langchain_trimtab.memory import TrimtabMemory
    from langchain_trimtab.middleware import TrimtabMiddleware
    from langchain_trimtab.prompts import compile_prompt
    from langchain_trimtab.summaries import summarizer

__all__ = [
    "ChatRouter",
    "TrimtabCache",
    "TrimtabChatMessageHistory",
    "TrimtabDecisions",
    "TrimtabDocumentCompressor",
    "TrimtabMemory",
    "TrimtabMiddleware",
    "UsageCallback",
    "compile_prompt",
    "monitor",
    "summarizer",
    "tenant",
]

# Late, because some of them need more than langchain-core, and the others take time to import.
_LATE = {
    "ChatRouter": "chat_router",
    "TrimtabChatMessageHistory": "history",
    "TrimtabDecisions": "decisions",
    "TrimtabDocumentCompressor": "documents",
    "TrimtabMemory": "memory",
    "TrimtabMiddleware": "middleware",
    "compile_prompt": "prompts",
    "summarizer": "summaries",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
