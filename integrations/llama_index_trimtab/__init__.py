"""trimtab for LlamaIndex."""

try:
    from llama_index_trimtab.events import UsageHandler
    from llama_index_trimtab.llm import TrimtabLLM
except ImportError as error:
    raise ImportError(
        "llama_index_trimtab needs llama-index-core: pip install 'trimtab[llama-index]'"
    ) from error

__all__ = ["TrimtabLLM", "UsageHandler"]
