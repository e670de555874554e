"""Leaving out of a schema what says nothing."""

from __future__ import annotations

import re
from typing import Any

from trimtab.tools.walk import Path, name_at, rewrite
from trimtab.wording import word_set

UNEVALUATED = frozenset(["unevaluatedProperties", "unevaluatedItems"])
ANNOTATIONS = word_set("title description default examples deprecated $comment")
DIALECTAL = UNEVALUATED | word_set(
    "siblings tuple additionalItems dependencies dependentRequired dependentSchemas prefixItems "
    "minContains maxContains contentSchema $recursiveRef $dynamicRef $recursiveAnchor "
    "$dynamicAnchor $anchor $id id"
)
"""What the dialects of JSON Schema read in different ways."""
MADE_UP = r"(?:args|arguments|inputs?|schema|params|parameters|model|request)+\Z"
"""How names end that frameworks make up for the arguments of a tool."""


def clean(schema: Any, tool: str, description: str) -> Any:
    """Leave out titles made of names, null defaults, and what is so without being said.

    The arguments of a tool that have no properties still say so: some providers insist.
    """
    keywords = _keywords(schema)

    def edit(node: dict[str, Any], path: Path) -> dict[str, Any]:
        dull = {key for key, value in node.items() if _says_nothing(key, value)}
        if node.get("required") == [] and node.get("additionalProperties") is not False:
            dull.add("required")
        if node.get("additionalProperties") is True and not UNEVALUATED & keywords:
            dull.add("additionalProperties")
        if _is_made_up(node.get("title"), name_at(path) if path else tool, root=not path):
            dull.add("title")
        if not path and node.get("description") == description:
            dull.add("description")
        if not path and _is_understood(node.get("$schema")) and not DIALECTAL & keywords:
            dull.add("$schema")
        return {key: value for key, value in node.items() if key not in dull}

    return rewrite(schema, edit)


def _says_nothing(key: str, value: Any) -> bool:
    if key == "description":
        return isinstance(value, str) and not value.strip()
    return (key == "default" and value is None) or (key == "$comment" and isinstance(value, str))


def _is_made_up(title: Any, name: str | None, *, root: bool) -> bool:
    """Whether a title only repeats a name, as those that pydantic makes up do."""
    if not isinstance(title, str) or name is None:
        return False
    said, known = (re.sub(r"[\W_]", "", text).lower() for text in (title, name))
    return said == known or (root and re.sub(MADE_UP, "", said) == re.sub(MADE_UP, "", known))


def _is_understood(dialect: Any) -> bool:
    return isinstance(dialect, str) and bool(re.search(r"draft-0[67]/|20(?:19-09|20-12)/", dialect))


def _keywords(schema: Any) -> set[str]:
    """All keywords used; `siblings` for a reference with some that an old dialect ignores."""
    found: set[str] = set()

    def note(node: dict[str, Any], _: Path) -> dict[str, Any]:
        found.update(node)
        if "$ref" in node and not node.keys() <= {"$ref", *ANNOTATIONS}:
            found.add("siblings")
        if isinstance(node.get("items"), list):
            found.add("tuple")
        return node

    rewrite(schema, note)
    return found
