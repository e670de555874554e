"""trimtab for LlamaIndex."""

from llama_index_trimtab.events import UsageHandler
from llama_index_trimtab.llm import TrimtabLLM

__all__ = ["TrimtabLLM", "UsageHandler"]
