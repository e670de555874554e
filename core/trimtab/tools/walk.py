"""Where the schemas inside a JSON schema stand, and where text that merely looks like one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trimtab.wording import word_set

Path = tuple[str, ...]
"""The keywords and names that lead to a schema."""
Edit = Callable[[dict[str, Any], Path], dict[str, Any]]

ONE = word_set(
    "items additionalItems contains not if then else propertyNames additionalProperties "
    "unevaluatedItems unevaluatedProperties contentSchema"
)
"""Keywords that hold a schema."""
MANY = word_set("allOf anyOf oneOf prefixItems items")
"""Keywords that hold a list of schemas."""
NAMED = word_set("properties patternProperties $defs definitions dependentSchemas dependencies")
"""Keywords that hold schemas by name. The names, `description` too, are not ours to touch."""


def rewrite(schema: Any, edit: Edit, path: Path = ()) -> Any:
    """Edit a schema and all schemas inside it, outermost first. Examples and values stay."""
    if not isinstance(schema, Mapping):
        return schema
    edited = edit(dict(schema), path)
    return {key: _inside(key, value, edit, (*path, key)) for key, value in edited.items()}


def name_at(path: Path) -> str | None:
    """The name of the property or definition that stands at a path."""
    return path[-1] if len(path) > 1 and path[-2] in NAMED else None


def names_to(path: Path) -> list[str]:
    """The names of all properties and definitions that a path leads through."""
    names, i = [], 0
    while i < len(path):
        if path[i] in NAMED and i + 1 < len(path):
            names.append(path[i + 1])
            i += 1
        i += 1
    return names


def _inside(key: str, value: Any, edit: Edit, path: Path) -> Any:
    if key in NAMED and isinstance(value, Mapping):
        return {name: rewrite(one, edit, (*path, name)) for name, one in value.items()}
    if key in MANY and isinstance(value, list):
        return [rewrite(one, edit, (*path, str(i))) for i, one in enumerate(value)]
    return rewrite(value, edit, path) if key in ONE else value
