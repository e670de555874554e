"""Conversion between LangChain's tools and trimtab's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_trimtab.tools import Tools, edited_tool, tool_to_core, tools_back


@tool
def look_up(id: int, city: str = "Austin") -> str:
    """Look something up.

    Args:
        id: Its number.
        city: Where.
    """
    return ""


def plain_function(id: int) -> str:
    """Look something up."""
    return ""


def name(source: Any) -> str:
    return type(source).__name__


SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
OPENAI = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
STRICT = {**OPENAI, "function": {**OPENAI["function"], "strict": True}}  # type: ignore[dict-item]
ANTHROPIC = {"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": {"a": 1}}
BUILT_IN = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
TOOLS = [look_up, plain_function, OPENAI, STRICT, ANTHROPIC, BUILT_IN, {"type": "web_search"}]


@pytest.mark.parametrize("source", TOOLS, ids=name)
def test_an_unedited_tool_comes_back_as_the_very_same_object(source: Any) -> None:
    convert = Tools()
    core = convert.to_core(source)
    assert list(tools_back([core], [core], {})) == [source]
    assert next(tools_back([replace(core)], [core], {})) is source
    assert convert.to_core(source) is core


@pytest.mark.parametrize("source", [look_up, plain_function, OPENAI, STRICT, ANTHROPIC], ids=name)
def test_an_edited_tool_says_what_the_step_wrote_and_nothing_else_changes(source: Any) -> None:
    core = tool_to_core(source)
    short = {**core.parameters, "properties": {"id": {"type": "integer", "description": "number"}}}
    back = edited_tool(source, replace(core, description="Finds.", parameters=short))
    spec = convert_to_openai_tool(back)["function"]
    assert (spec["name"], spec["description"]) == (core.name, "Finds.")
    assert spec["parameters"] == short
    if isinstance(source, dict):
        assert back.get("cache_control") == source.get("cache_control")
        assert back.get("function", {}).get("strict") == source.get("function", {}).get("strict")
    if isinstance(source, BaseTool):
        assert isinstance(back, BaseTool) and source.description != "Finds."


def test_a_tool_that_the_provider_runs_is_pinned_and_all_of_it_counts() -> None:
    core = tool_to_core(BUILT_IN)
    assert core.pinned and core.name == "web_search"
    assert tool_to_core({**BUILT_IN, "max_uses": 4}) != core


def test_a_tool_that_a_step_remembers_stands_for_the_one_of_this_call() -> None:
    convert, now = Tools(), look_up.model_copy(update={"extras": {"cache_control": {"a": 1}}})
    remembered, asked = convert.to_core(look_up), convert.to_core(now)
    assert next(tools_back([remembered], [asked], {})) is now
    (short,) = tools_back([replace(remembered, description="Finds.")], [asked], {})
    assert short.extras == now.extras and short.description == "Finds."
