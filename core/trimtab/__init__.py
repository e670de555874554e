"""Spend fewer tokens for the same answer."""

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
