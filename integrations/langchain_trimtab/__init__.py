"""trimtab for LangChain."""

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
    from langchain_trimtab.middleware import TrimtabMiddleware

__all__ = ["TrimtabCache", "TrimtabMiddleware", "UsageCallback", "monitor", "tenant"]


def __getattr__(name: str) -> Any:
    # Late, because all but the middleware works with langchain-core alone.
    if name == "TrimtabMiddleware":
        from langchain_trimtab.middleware import TrimtabMiddleware

        return TrimtabMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
