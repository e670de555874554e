"""Shorter tool definitions that take exactly the same arguments."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from trimtab.tokens import counter_for
from trimtab.tools.clean import clean
from trimtab.tools.describe import Share, content_words, say_less
from trimtab.tools.pieces import Said, stems
from trimtab.tools.shared import names_of, without_boilerplate, without_repeats
from trimtab.tools.walk import Path, names_to, rewrite
from trimtab.types import Counter, Request, Tool, fold
from trimtab.wording import tidy_space

MODEL = "gpt-4o"
"""Whose tokens are saved where no counter is given."""


def shorten(
    tool: Tool, words: float = 0.6, *, examples: bool = True, count: Counter | None = None
) -> Tool:
    """Say the same of a tool in fewer tokens. Returns this very object if that cannot be.

    Which arguments are valid does not change; conditions, negations, warnings, numbers, units and
    formats stay.

    Args:
        tool: What a model is to be told less about.
        words: The least share to keep of the different words that the descriptions say beyond
            the names of the tool and its arguments. At 1, only what says nothing goes: titles
            made of names, defaults that are null, white space.
        examples: Whether one example of each value must stay.
        count: What to save on; o200k_base tokens if it is not given.

    >>> from trimtab import Tool
    >>> from trimtab.tools import shorten
    >>> tool = Tool("get_weather", "This tool can be used in order to get the weather of a city")
    >>> shorten(tool).description
    'This tool can be used to get weather of city'
    """
    _check(words)
    if tool.pinned:
        return tool
    key = _written(tool.name, tool.description, tool.parameters)
    short = _shorten(key, Share(words, examples), count or counter_for(MODEL))
    if short is None:
        return tool
    return replace(tool, description=short[0], parameters=short[1])


@fold
@dataclass(frozen=True)
class ShortenTools:
    """Shortens the definitions of all tools of a request, pinned ones apart.

    What most of them say alike goes first, and does not count as said. The same tools always give
    the same definitions, so that the provider's prefix cache holds.

    >>> from trimtab import Message, Request, Tool
    >>> from trimtab.tools import ShortenTools
    >>> tool = Tool("get_weather", "This tool can be used in order to get the weather of a city")
    >>> asked = Request("gpt-4o", (Message("user", "Hello!"),), (tool,))
    >>> ShortenTools()(asked).tools[0].description
    'This tool can be used to get weather of city'
    """

    words: float = 0.6
    """The least share of words to keep; see `shorten`."""
    once: bool = False
    """Whether an argument that several tools describe alike is described by the first alone."""
    examples: bool = True
    """Whether one example of each value must stay."""
    count: Counter | None = None
    """What to save on; o200k_base tokens if it is not given."""
    _last: list[tuple[tuple[Tool, ...], tuple[Tool, ...]]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    """The latest tools and what became of them: a session sends the same ones each time."""

    def __post_init__(self) -> None:
        _check(self.words)

    def __call__(self, request: Request) -> Request:
        """Return the request with shorter tools."""
        short = self._remembered(request.tools)
        return request if short is request.tools else replace(request, tools=short)

    def _remembered(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        for before, short in self._last:
            if len(before) == len(tools) and all(map(operator.is_, before, tools)):
                return tools if short is before else short
        short = self._shorten(tools)
        self._last[:] = [(tools, short)]
        return short

    def _shorten(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        said = tools if self.words == 1 else without_boilerplate(tools)
        short = tuple(
            shorten(tool, self.words, examples=self.examples, count=self.count) for tool in said
        )
        if self.once:
            short = without_repeats(said, short, self.words)
        return tools if all(map(operator.is_, short, tools)) else short


def _check(words: float) -> None:
    if not 0 <= words <= 1:
        raise ValueError(f"words is a share between 0 and 1, got {words}")


@lru_cache(maxsize=4096)
def _shorten(key: str, share: Share, count: Counter) -> tuple[str, dict[str, Any]] | None:
    """Return the new description and parameters, or None where they would not be shorter."""
    name, description, parameters = json.loads(key)
    cleaned = clean(parameters, name, description)
    names = names_of(name, cleaned)
    said = [Said(description, stems(names), whole=True)]
    inner = _descriptions(cleaned, name)
    said += inner.values()
    if share.words == 1:
        first, *rest = (tidy_space(one.text) for one in said)
    else:
        first, *rest = say_less(said, content_words(names), share, count)
    after = _described(cleaned, dict(zip(inner, rest, strict=True)))
    shorter = count(_written(name, first, after)) < count(key)
    return (first, after) if shorter else None


def _written(name: str, description: str, parameters: Any) -> str:
    return json.dumps([name, description, parameters], ensure_ascii=False, default=dict)


def _descriptions(schema: Any, tool: str) -> dict[Path, Said]:
    """What each schema inside says of itself, and what its reader knows without it."""
    found: dict[Path, Said] = {}

    def note(node: dict[str, Any], path: Path) -> dict[str, Any]:
        if isinstance(node.get("description"), str):
            values = frozenset(map(_plain, [*_list(node.get("enum")), node.get("const")]))
            default = _plain(node.get("default"))
            known = " ".join([tool, *names_to(path), str(node.get("type", "")), *values, default])
            found[path] = Said(node["description"], stems(known), values - {""}, default)
        return node

    rewrite(schema, note)
    return found


def _plain(value: Any) -> str:
    """A value as a description would name it; "" for none."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _described(schema: Any, texts: dict[Path, str]) -> Any:
    """Put new descriptions in place; an empty one goes."""

    def edit(node: dict[str, Any], path: Path) -> dict[str, Any]:
        if path not in texts:
            return node
        edited = {key: texts[path] if key == "description" else one for key, one in node.items()}
        return edited if texts[path] else {k: v for k, v in edited.items() if k != "description"}

    return rewrite(schema, edit)
