"""Which tool a call means."""

from __future__ import annotations

import json

from trimtab.types import ToolCall

DISPATCHER = "call_tool"
"""The name of the tool by which a model calls those that it is not offered."""
RECALL = "recall"
"""The name of the tool that gives back what was cut out of a request."""


def called_name(call: ToolCall) -> str:
    """Name the tool that a call means: of `call_tool`, the one in its arguments."""
    if call.name != DISPATCHER:
        return call.name
    try:
        said = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.name
    return str(said.get("name", call.name)) if isinstance(said, dict) else call.name
