"""What several tools of a request say alike."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trimtab.tools.describe import content_words
from trimtab.tools.walk import Path, name_at, rewrite
from trimtab.types import Tool
from trimtab.wording import binds

FEWEST = 3
"""Tools that must share a sentence, unless it speaks of the tool as a tool: then two will do."""
_END = re.compile(r"""(?<=[.!?])\s+|(?<=[.!?])(?=[A-Z"“])|\n+|(?<=:)\s*(?=["“])""")
_ABOUT = re.compile(r"\b(?:sub)?(?:tool|function|api|method|endpoint|description)s?\b|\0")


def without_boilerplate(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Drop sentences that more than half of the tools share, their own names apart.

    Such a sentence tells no tool from another. Warnings, conditions and numbers stay, and so does
    a description that says nothing else.
    """
    said = [_sentences(tool) for tool in tools]
    sharers = Tally(form for sentences in said for form in {form for _, form in sentences})
    some = sum(map(bool, said))
    dull = {form for form, n in sharers.items() if n * 2 > some and _is_dull(form, n)}
    if not dull:
        return tuple(tools)
    return tuple(_without(tool, one, dull) for tool, one in zip(tools, said, strict=True))


def without_repeats(tools: Sequence[Tool], short: Sequence[Tool], words: float) -> tuple[Tool, ...]:
    """Drop what an earlier tool says of an argument of the same name.

    Each tool still says its share of the words that it said in `tools`.
    """
    heard: set[tuple[str, str]] = set()
    return tuple(
        after if after.pinned else _unrepeated(after, words * len(_words(before)), heard)
        for before, after in zip(tools, short, strict=True)
    )


def names_of(tool: str, parameters: Mapping[str, Any]) -> str:
    """The names that a tool and its arguments go by."""
    return " ".join([tool, *parameters.get("properties", {})])


def _is_dull(form: str, sharers: int) -> bool:
    enough = sharers >= FEWEST or (sharers == FEWEST - 1 and _ABOUT.search(form))
    return bool(enough) and len(form.split()) >= 4 and not binds(form)


def _sentences(tool: Tool) -> list[tuple[str, str]]:
    """Each sentence, and its form with the words of the tool's name blotted out."""
    text, start, found = tool.description, 0, []
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        if text[start:end].strip():
            found.append((text[start:end], _form(text[start:end], tool.name)))
        start = end
    return found


def _form(sentence: str, name: str) -> str:
    own = f"_{re.sub(r'[^a-z0-9]+', '_', name.lower())}_"
    words = re.findall(r"\w+|[^\w\s]", sentence.lower())
    blotted = ["\0" if f"_{word}_" in own and len(word) > 2 else word for word in words]
    return re.sub("\0(?: \0)+", "\0", " ".join(blotted))


def _without(tool: Tool, sentences: list[tuple[str, str]], dull: set[str]) -> Tool:
    kept = "".join(text for text, form in sentences if form not in dull).strip()
    if tool.pinned or not re.search(r"\w", kept) or len(kept) >= len(tool.description.strip()):
        return tool
    if kept[0] in '"“' and kept[-1] in '"”':
        kept = kept[1:-1].strip()
    return replace(tool, description=kept)


def _unrepeated(tool: Tool, least: float, heard: set[tuple[str, str]]) -> Tool:
    for path, said in _described(tool):
        if (path[-1], said) not in heard:
            heard.add((path[-1], said))
            continue
        shorter = replace(tool, parameters=rewrite(tool.parameters, _dropping(path)))
        if len(_words(shorter)) >= least:
            tool = shorter
    return tool


def _dropping(path: Path) -> Any:
    def edit(node: dict[str, Any], at: Path) -> dict[str, Any]:
        return {k: v for k, v in node.items() if at != path or k != "description"}

    return edit


def _described(tool: Tool) -> list[tuple[Path, str]]:
    """The arguments that a tool describes, and how."""
    found: list[tuple[Path, str]] = []

    def note(node: dict[str, Any], path: Path) -> dict[str, Any]:
        if name_at(path) and isinstance(node.get("description"), str):
            found.append((path, node["description"]))
        return node

    rewrite(tool.parameters, note)
    return found


def _words(tool: Tool) -> frozenset[str]:
    """The different words that a tool says beyond names."""
    said = [tool.description, *(text for _, text in _described(tool))]
    return content_words(" ".join(said)) - content_words(names_of(tool.name, tool.parameters))
