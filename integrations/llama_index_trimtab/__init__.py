"""trimtab for LlamaIndex."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    from llama_index_trimtab.events import UsageHandler
    from llama_index_trimtab.llm import TrimtabLLM
except ImportError as error:
    raise ImportError(
        "llama_index_trimtab needs llama-index-core: pip install 'trimtab[llama-index]'"
    ) from error

if TYPE_CHECKING:
    from llama_index_trimtab.memory import TrimtabMemory
    from llama_index_trimtab.memory_block import TrimtabMemoryBlock
    from llama_index_trimtab.postprocessor import TrimtabPostprocessor
    from llama_index_trimtab.prompts import compile_prompt
    from llama_index_trimtab.summaries import summarizer

__all__ = [
    "TrimtabLLM",
    "TrimtabMemory",
    "TrimtabMemoryBlock",
    "TrimtabPostprocessor",
    "UsageHandler",
    "compile_prompt",
    "summarizer",
]
LATE = {
    "TrimtabMemory": "memory",
    "TrimtabMemoryBlock": "memory_block",
    "TrimtabPostprocessor": "postprocessor",
    "compile_prompt": "prompts",
    "summarizer": "summaries",
}
"""Names that are loaded when they are used, and their modules: a memory brings SQLite along."""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(f"{__name__}.{LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
