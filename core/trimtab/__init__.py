"""Spend fewer tokens for the same answer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.errors import BudgetExceeded, TraceError, TrimtabError
    from trimtab.ledger import Event, Ledger
    from trimtab.pipeline import Pipeline, Plan
    from trimtab.types import Message, Part, Request, Response, Tool, ToolCall, Usage

__version__ = "0.1.0"

__all__ = [
    "BudgetExceeded",
    "Event",
    "Ledger",
    "Message",
    "Part",
    "Pipeline",
    "Plan",
    "Request",
    "Response",
    "Tool",
    "ToolCall",
    "TraceError",
    "TrimtabError",
    "Usage",
]
_HOMES = {
    "errors": ("BudgetExceeded", "TraceError", "TrimtabError"),
    "ledger": ("Event", "Ledger"),
    "pipeline": ("Pipeline", "Plan"),
    "types": ("Message", "Part", "Request", "Response", "Tool", "ToolCall", "Usage"),
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: an application that imports us pays for what it uses.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"trimtab.{home}"), name)
    try:
        return import_module(f"trimtab.{name}")  # a module, as in `trimtab.recipes.balanced`
    except ModuleNotFoundError as error:
        if error.name != f"trimtab.{name}":
            raise  # the module is there, and what it needs is not
        raise AttributeError(f"module 'trimtab' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
