"""Tool definitions as OpenAI's models see them: a TypeScript namespace, by the harmony format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.types import Tool

DEPTH = 12
"""How deep schemas are followed: they may refer to themselves."""
HEAD = "# Tools\n\n## functions\n\n"
_PLAIN = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean"}


def namespace(tools: Sequence[Tool]) -> str:
    """Write the section of a system prompt that declares the tools."""
    declared = "\n\n".join(_function(tool) for tool in tools)
    return f"{HEAD}namespace functions {{\n\n{declared}\n\n}} // namespace functions"


def _function(tool: Tool) -> str:
    schema = dict(tool.parameters)
    empty = not schema.get("properties")
    signature = "()" if empty else f"(_: {_object(schema, schema, 0)})"
    return _comment(tool.description, 0) + f"type {tool.name} = {signature} => any;"


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    required = schema.get("required") or ()
    lines = ["{"]
    for name, value in schema["properties"].items():
        inner = _resolve(value, root)
        mark = "" if name in required else "?"
        default = f", // default: {json.dumps(inner['default'])}" if "default" in inner else ","
        comment = _comment(str(inner.get("description") or ""), depth)
        lines.append(
            f"{comment}{'  ' * depth}{name}{mark}: {_type(inner, root, depth + 1)}{default}"
        )
    return "\n".join([*lines, "  " * max(depth - 1, 0) + "}"])


def _type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    kinds = schema.get("type", "any")
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if choices := _choices(schema):
        return " | ".join(_type(_resolve(choice, root), root, depth + 1) for choice in choices)
    if depth > DEPTH:
        return "any"
    if kinds == "array":
        return f"{_type(_resolve(schema.get('items') or {}, root), root, depth)}[]"
    if kinds == "object" and schema.get("properties"):
        return _object(schema, root, depth)
    return _PLAIN.get(kinds, str(kinds))


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    """List what a value may be, where that is more than one thing."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return [{**schema, "type": kind} for kind in kinds]
    return schema.get("anyOf") or schema.get("oneOf") or []


def _resolve(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference into the same schema. One that leads nowhere stands for anything."""
    if not isinstance(schema, Mapping):
        return {}
    if "$ref" not in schema:
        return schema
    target: Any = root
    for key in str(schema["$ref"]).removeprefix("#/").split("/"):
        target = target.get(key, {}) if isinstance(target, Mapping) else {}
    return {**target, **{k: v for k, v in schema.items() if k != "$ref"}}


def _comment(text: str, depth: int) -> str:
    return "".join(f"{'  ' * depth}// {line}\n" for line in text.splitlines())
