"""What a way of shrinking agent requests keeps, and what it would cost.

tokens     o200k_base tokens of all requests as serialised: contents, tool calls, tool definitions
cost       input cost under a prefix cache: the longest prefix shared with an earlier request of the
           conversation, from 1,024 tokens on in steps of 128, is read; the rest is written
evidence   of the argument values (4+ characters) of the recorded next tool call that stood in the
           full request, the share that still stands in the shrunk one
tied       of those that stood under a key in a tool's JSON, the share that still stands in a
           message which names that key
tool       the share of next tool calls whose tool is offered with all the arguments used
rules      the share of the system prompt's sentences of which 80 % of the content words and all
           numbers still stand there
words      the share of what descriptions of tools and arguments say beyond the tools' names
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
PRICES = {
    "no cache": (1.0, 1.0),
    "read 0.5": (0.5, 1.0),
    "read 0.1": (0.1, 1.0),
    "read 0.1, write 1.25": (0.1, 1.25),
}
SHARES = ("evidence", "tied", "tool", "rules", "words")
COMMON = frozenset(
    "this that these those with from have will would should could must when then than into your "
    "their they them which what there here also only such each more most very other about being "
    "been were does make made like just please always never".split()
)


@dataclass
class Figures:
    """Sums over the calls of one conversation, or of several."""

    sums: Counter[str] = field(default_factory=Counter)

    def share(self, name: str) -> float:
        """Return a kept share; 1 where nothing was needed."""
        need = self.sums[f"{name} needed"]
        return self.sums[f"{name} kept"] / need if need else 1.0

    def note(self, name: str, needed: int, kept: int) -> None:
        """Add to a kept share."""
        self.sums[f"{name} needed"] += needed
        self.sums[f"{name} kept"] += kept


def recorded(conversation: Json) -> Iterator[Json]:
    """Yield the requests as they were sent, one for each recorded answer."""
    for step, message in enumerate(conversation["messages"]):
        if message["role"] == "assistant":
            yield {
                "step": step,
                "messages": conversation["messages"][:step],
                "tools": conversation.get("tools") or [],
            }


def judge(conversation: Json, requests: Iterable[Json]) -> Figures:
    """Compare the requests that would have been sent with those that were."""
    figures, sent = Figures(), []
    for full, shrunk in zip(recorded(conversation), requests, strict=True):
        tokens = _tokens(shrunk)
        hit = max((_shared(tokens, before) for before in sent[-6:]), default=0)
        hit = hit // 128 * 128 if hit >= 1024 else 0
        figures.sums.update(calls=1, tokens=len(tokens))
        for name, (read, write) in PRICES.items():
            figures.sums[name] += hit * read + (len(tokens) - hit) * write
        sent.append(tokens)
        figures.note("rules", *_rules(_system(full), _system(shrunk)))
        figures.note("words", *_words(json.dumps(full["tools"]), json.dumps(shrunk["tools"])))
        for call in conversation["messages"][full["step"]].get("tool_calls") or []:
            _judge_call(call["function"], full, shrunk, figures)
    return figures


def total(figures: Iterable[Figures]) -> Figures:
    """Add up conversations."""
    whole = Figures()
    for one in figures:
        whole.sums.update(one.sums)
    return whole


def interval(figures: Sequence[Figures], base: Sequence[Figures], name: str) -> tuple[float, float]:
    """Bootstrap a 95 % interval of a ratio or share over conversations."""
    dice, values = random.Random(0), []
    for _ in range(300):
        picks = [dice.randrange(len(figures)) for _ in figures]
        mine = total(figures[i] for i in picks)
        if name in SHARES:
            values.append(mine.share(name))
        else:
            values.append(mine.sums[name] / total(base[i] for i in picks).sums[name])
    values.sort()
    return values[7], values[-8]


def _judge_call(call: Json, full: Json, shrunk: Json, figures: Figures) -> None:
    try:
        arguments = json.loads(call["arguments"])
    except ValueError:
        arguments = {}
    before, after = _text(full), _text(shrunk)
    keys = _keys(full)
    for value in filter(lambda value: value in before, _values(arguments)):
        kept = value in after
        figures.note("evidence", 1, kept)
        if kept and value in keys:
            near = (_flat(m) for m in shrunk["messages"])
            figures.note(
                "tied", 1, any(value in m and any(k in m for k in keys[value]) for m in near)
            )
    if full["tools"]:
        tools = {t["function"]["name"]: t["function"] for t in shrunk["tools"]}
        tool = tools.get(call["name"], {})
        known = (tool.get("parameters") or {}).get("properties", {})
        figures.note("tool", 1, bool(tool) and set(arguments) <= set(known))


def _flat(message: Json) -> str:
    lines = [message["role"], message.get("content") or ""]
    if message.get("tool_calls"):
        calls = [
            {
                "name": c["function"]["name"],
                "arguments": c["function"]["arguments"],
                "id": c.get("id"),
            }
            for c in message["tool_calls"]
        ]
        lines.append(json.dumps(calls, ensure_ascii=False))
    if message.get("tool_call_id"):
        lines.append(str(message["tool_call_id"]))
    return "\n".join(lines)


@lru_cache(maxsize=200_000)
def _encode(text: str) -> tuple[int, ...]:
    return tuple(_encoding().encode(text, disallowed_special=()))


@lru_cache(maxsize=1)
def _encoding() -> Any:
    import os
    from importlib.util import find_spec
    from pathlib import Path

    import tiktoken

    spec = find_spec("llama_index.core")
    if spec and spec.origin and "TIKTOKEN_CACHE_DIR" not in os.environ:
        ranks = Path(spec.origin).parent / "_static" / "tiktoken_cache"
        os.environ["TIKTOKEN_CACHE_DIR"] = str(ranks)
    return tiktoken.get_encoding("o200k_base")


def _tokens(request: Json) -> list[int]:
    tokens: list[int] = []
    if request["tools"]:
        tokens += _encode(json.dumps(request["tools"], ensure_ascii=False))
    for message in request["messages"]:
        tokens += (0, *_encode(_flat(message)))
    return tokens


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    length = min(len(one), len(other))
    low, high = 0, length
    while low < high:  # the longest common prefix, by halving
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _text(request: Json) -> str:
    return "\n".join(map(_flat, request["messages"]))


def _system(request: Json) -> str:
    told = (m for m in request["messages"] if m["role"] in ("system", "developer"))
    return "\n".join(m.get("content") or "" for m in told)


def _values(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    elif (
        isinstance(value, (str, int, float)) and not isinstance(value, bool) and len(str(value)) > 3
    ):
        yield str(value)


def _keys(request: Json) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for message in request["messages"]:
        if message["role"] == "tool":
            for value, keys in _keys_of(message.get("content") or "").items():
                found.setdefault(value, set()).update(keys)
    return found


@lru_cache(maxsize=50_000)
def _keys_of(text: str) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}

    def walk(value: object, key: str | None) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, name)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, key)
        elif key is not None and not isinstance(value, bool) and len(str(value)) > 3:
            found.setdefault(str(value), set()).add(key)

    try:
        walk(json.loads(text), None)
    except ValueError:
        return {}
    return found


def _content_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower())) - COMMON


@lru_cache(maxsize=10_000)
def _rules(before: str, after: str) -> tuple[int, int]:
    have, numbers = _content_words(after), _numbers(after)
    sentences = [s for s in re.split(r"(?<=[.!?])\s+|\n+", before) if len(_content_words(s)) >= 3]
    kept = sum(
        len(_content_words(s) & have) >= 0.8 * len(_content_words(s)) and _numbers(s) <= numbers
        for s in sentences
    )
    return len(sentences), kept


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,:]\d+)*", text))


@lru_cache(maxsize=10_000)
def _words(before: str, after: str) -> tuple[int, int]:
    full = {t["function"]["name"]: t["function"] for t in json.loads(before)}
    needed = kept = 0
    for tool in (t["function"] for t in json.loads(after)):
        old = full.get(tool["name"])
        if old:
            names = [old["name"], *(old.get("parameters") or {}).get("properties", {})]
            known = _content_words(re.sub(r"[_\W]+", " ", " ".join(names)))
            said = set().union(*map(_content_words, _descriptions(old))) - known
            needed += len(said)
            kept += len(said & set().union(*map(_content_words, _descriptions(tool))))
    return needed, kept


def _descriptions(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "description" and isinstance(inner, str):
                yield inner
            else:
                yield from _descriptions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _descriptions(inner)
