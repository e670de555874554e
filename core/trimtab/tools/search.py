"""Tools that a model is not shown, and the two with which it reaches them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.called import DISPATCHER
from trimtab.tools.ranking import rank
from trimtab.types import Embed, RunnableTool, Tool, ToolCall
from trimtab.validate import faults

FOUND = 5
"""Tools that a search returns."""
SEARCH = Tool(
    "search_tools",
    "Find more tools by what they should do. Run what is found with call_tool",
    {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)
CALL = Tool(
    DISPATCHER,
    "Run a tool that search_tools found",
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
        "required": ["name", "arguments"],
    },
)
"""The same whatever there is to call, so that the provider's prefix cache holds."""
Execute = Callable[[str, Mapping[str, Any]], str]
"""(name, arguments) -> the text of the tool's result."""


@dataclass(frozen=True)
class Catalogue:
    """All tools of a session, to search and to call by name.

    It holds the session's own tools and no others, so that nobody finds those of another user.

    >>> from trimtab import Tool
    >>> from trimtab.tools import Catalogue
    >>> tools = (Tool("send_mail", "Send an e-mail"), Tool("get_weather", "Tell the weather"))
    >>> search, call = Catalogue(tools).runnables(lambda name, arguments: f"{name}: sunny")
    >>> call.run({"name": "get_weather", "arguments": {}})
    'get_weather: sunny'
    """

    tools: tuple[Tool, ...]
    embed: Embed | None = None

    def runnables(self, execute: Execute | None = None) -> tuple[RunnableTool, RunnableTool]:
        """Return `search_tools` and `call_tool`.

        Args:
            execute: Runs a tool of the framework's. Without it, `call_tool` only checks its
                arguments: who translates calls by `resolve` never runs it.
        """

        def call(arguments: Mapping[str, Any]) -> str:
            found = self.resolve(ToolCall("", CALL.name, json.dumps(dict(arguments))))
            if isinstance(found, str):
                return found
            if execute is None:
                return f"{found.name} cannot be run from here; call it directly."
            return execute(found.name, json.loads(found.arguments))

        return RunnableTool(SEARCH, self.search), RunnableTool(CALL, call)

    def search(self, arguments: Mapping[str, Any]) -> str:
        """Answer a model with the tools nearest to its query, as JSON with their schemas."""
        query = str(arguments.get("query") or "")
        if not query.strip():
            return "Say in `query` what the tool should do."
        found = rank(query, self.tools, embed=self.embed)[:FOUND]
        return json.dumps([_definition(tool) for tool in found], ensure_ascii=False)

    def resolve(self, call: ToolCall) -> ToolCall | str:
        """Translate a model's `call_tool` to a call of the real tool, under the same id.

        Other calls are returned as they are. A call that cannot be is explained, as the text of
        the tool's result.
        """
        if call.name != CALL.name:
            return call
        said = _object(call.arguments)
        if said is None:
            return "The arguments of call_tool must be a JSON object with `name` and `arguments`."
        name = str(said.get("name") or "")
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            near = [one.name for one in rank(name, self.tools, embed=self.embed)[:3]]
            return f"There is no tool {name!r}; the nearest are {', '.join(near)}."
        given = _object(said.get("arguments", {}))
        if given is None:
            return f"The arguments of {name} must be a JSON object."
        if wrong := faults(given, tool.parameters):
            schema = json.dumps(dict(tool.parameters), ensure_ascii=False)
            return f"{name} was not called: {'; '.join(wrong)}. Its arguments: {schema}"
        return ToolCall(call.id, name, json.dumps(given, ensure_ascii=False))


def _object(said: Any) -> dict[str, Any] | None:
    """Read an object, which some models write as JSON within JSON."""
    if isinstance(said, str):
        try:
            said = json.loads(said or "{}")
        except (ValueError, RecursionError):
            return None
    return said if isinstance(said, dict) else None


def _definition(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def is_ours(tool: Tool) -> bool:
    """Tell our tools, their descriptions shortened or not, from others of the same names."""
    ours: Sequence[Tool] = (SEARCH, CALL)
    return any(
        tool.name == one.name and _arguments(tool).keys() == _arguments(one).keys() for one in ours
    )


def _arguments(tool: Tool) -> Mapping[str, Any]:
    found = tool.parameters.get("properties")
    return found if isinstance(found, Mapping) else {}
