"""The values that flow through trimtab, and the shapes of the functions that change them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    """One text as a point on the unit sphere, shape (d,)."""
    Vectors = NDArray[np.float32]
    """Texts as points on the unit sphere, shape (n, d)."""

CUT_SHORT = frozenset(
    (
        "length max_tokens max_output_tokens model_length model_context_window_exceeded incomplete"
        " content_filter content_filtered refusal safety image_safety recitation language blocklist"
        " prohibited_content spii guardrail_intervened error error_toxic error_limit failed"
        " malformed_function_call insufficient_system_resource cancelled user_cancel pause_turn"
    ).split()
)
"""Finish reasons, by whatever provider, of answers that are not worth remembering."""
LONG = 1000
"""Characters from which on a message stands in a key by its digest, which is taken once."""


@dataclass(frozen=True)
class Part:
    """One block of a message's content: a text, or something only the provider reads.

    >>> from trimtab import Message, Part
    >>> Message("user", (Part("See the picture:"), Part(data='{"type":"image_url"}'))).text
    'See the picture:'
    """

    text: str | None = None
    """None where the block is not a text."""
    data: str = ""
    """Canonical JSON of the rest of the block: all of an image, the citations of a text."""


@dataclass(frozen=True)
class ToolCall:
    """A model's wish to call a tool.

    >>> from trimtab import Message, ToolCall
    >>> Message("assistant", "", (ToolCall("call-1", "look_up", '{"order": "W-1"}'),)).text
    ''
    """

    id: str
    name: str
    arguments: str
    """The JSON text as the model wrote it, which need not be valid."""


@dataclass(frozen=True)
class Tool:
    """What a model is told about a tool.

    >>> from trimtab import Message, Request, Tool
    >>> tool = Tool("look_up", "Look up an order", {"type": "object", "properties": {}})
    >>> Request("gpt-4o", (Message("user", "Hello!"),), tools=(tool,)).tools[0].name
    'look_up'
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """A JSON schema of the arguments."""
    pinned: bool = False
    """True where no step may edit it, as for a tool that the provider itself runs."""
    source: Any = field(default=None, compare=False, repr=False)
    """The framework's own object."""


@dataclass(frozen=True)
class Message:
    """One message. Steps edit texts, and drop whole messages; all else travels untouched.

    >>> from trimtab import Message
    >>> Message("user", "Where is it?").with_texts(str.upper).text
    'WHERE IS IT?'
    """

    role: str
    """system, developer, user, assistant or tool."""
    content: str | tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    pinned: bool = False
    """True where no step may edit or drop the message."""
    encoded: bool = False
    """True once a compressor has rewritten the text: nothing rewrites it again."""
    source: Any = field(default=None, compare=False, repr=False)
    """The framework's own object, handed back unharmed where nothing was edited."""

    @cached_property
    def text(self) -> str:
        """The texts of all parts, joined by line breaks."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if part.text is not None)

    def with_texts(self, edit: Callable[[str], str]) -> Message:
        """Rewrite each text. Returns this very object if nothing changed."""
        content: str | tuple[Part, ...]
        if isinstance(self.content, str):
            content = edit(self.content)
        else:
            content = tuple(
                part if part.text is None else replace(part, text=edit(part.text))
                for part in self.content
            )
        return self if content == self.content else replace(self, content=content, encoded=True)


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider billed them. Unknown is None, and makes every sum unknown.

    >>> from trimtab import Usage
    >>> total = Usage(100, 20, cache_read_tokens=64) + Usage(50, 10)
    >>> total.input_tokens, total.cache_read_tokens
    (150, None)
    """

    input_tokens: int | None = None
    """All of the prompt, what was read from or written to the prefix cache included."""
    output_tokens: int | None = None
    """All of the answer, reasoning included."""
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        mine, others = vars(self), vars(other)
        return Usage(**{name: _sum(mine[name], others[name]) for name in mine})


@dataclass(frozen=True)
class Request:
    """What is about to be sent to a model.

    >>> from trimtab import Message, Request
    >>> one = Request("gpt-4o", (Message("user", "Hello!"),))
    >>> other = Request("gpt-4o", (Message("user", " Hello! "),))
    >>> one == other, one.key == other.key
    (False, True)
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else can change the answer: temperature, stop sequences, the output format."""
    tenant: str = ""
    """Whose request it is. Nothing is ever shared between tenants."""
    session: str = ""
    """Which conversation it belongs to, if the caller knows; see `conversation`."""
    fingerprint: str = ""
    """The pipeline that will rewrite it, set by the pipeline."""
    marks: tuple[int, ...] = field(default=(), compare=False)
    """Where break points of the provider's prefix cache stand: at the end of which of the tools
    and messages, counted in this order."""

    @property
    def query(self) -> str:
        """The latest text of the user, or an empty string."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @cached_property
    def conversation(self) -> str:
        """The session, or a digest of the messages that opened it, up to the first of the user."""
        if self.session:
            return digest([self.tenant, self.session])
        end = next((i for i, m in enumerate(self.messages) if m.role == "user"), -1)
        return digest([self.tenant, [_said(m) for m in self.messages[: end + 1]]])

    @cached_property
    def key(self) -> str:
        """A digest of all that can change the answer, and of nothing else.

        Ids, white space around a text and at the ends of its lines, the kind of line ends and the
        order of dictionary keys make no difference. What tools return, and a part with data, is
        taken to the letter but for the white space around a text.
        """
        return digest(
            [
                self.model,
                self.tenant,
                self.fingerprint,
                [_said(message) for message in self.messages],
                _links(self.messages),
                [_offered(tool) for tool in self.tools],
                dict(self.params),
            ]
        )


@dataclass(frozen=True)
class Response:
    """What came back, and what it cost in tokens.

    >>> from trimtab import Message, Response, Usage
    >>> Response(Message("assistant", "Hel"), Usage(9, 1), finish_reason="length").keepable
    False
    """

    message: Message
    usage: Usage | None = None
    model: str = ""
    """The model that answered, if the provider said so."""
    finish_reason: str | None = None
    logprobs: tuple[float, ...] | None = None
    id: str | None = None
    cacheable: bool = True
    """False where the answer could not be rebuilt from its message alone."""
    cached: str = field(default="", compare=False)
    """`semantic` where a cache answered a question that was asked in other words."""
    asides: tuple[Response, ...] = field(default=(), compare=False, repr=False)
    """Other calls that were paid for on the way to this answer, each with its own usage."""
    instead: str = field(default="", compare=False)
    """The model that would have answered if a router had not chosen."""

    @property
    def keepable(self) -> bool:
        """Whether it is worth remembering: whole, not refused, and not empty."""
        if not self.cacheable or (self.finish_reason or "").lower() in CUT_SHORT:
            return False
        content = self.message.content
        told = isinstance(content, tuple) and any(part.data for part in content)
        return bool(told or self.message.tool_calls or self.message.text.strip())


@dataclass(frozen=True)
class RunnableTool:
    """A tool that a step needs and that this library runs itself.

    >>> from trimtab import Tool
    >>> from trimtab.types import RunnableTool
    >>> clock = RunnableTool(Tool("clock", "What time it is"), lambda arguments: "10:30")
    >>> clock.run({})
    '10:30'
    """

    tool: Tool
    run: Callable[[Mapping[str, Any]], str]
    """Takes the arguments, returns the text of the tool's result."""


Counter = Callable[[str], int]
Compressor = Callable[[str, str], str]
"""(text, query) -> a shorter text."""
Scorer = Callable[[str, Sequence[str]], Sequence[float]]
"""(query, texts) -> how much each text bears on the query; higher is better."""
Step = Callable[[Request], Request]
Call = Callable[[Request], Response]
AsyncCall = Callable[[Request], Awaitable[Response]]
Price = Callable[[str, Usage], "Decimal | None"]
"""(model, usage) -> dollars, or None where the model has no known price."""
Summarize = Callable[[Sequence[Message]], str]
Embed = Callable[[Sequence[str]], "Vectors"]
"""texts -> one vector a text, of unit length."""


class Cache(Protocol):
    """Remembers answers."""

    def get(self, request: Request) -> Response | None:
        """Return the answer remembered for this request, if any."""

    def put(self, request: Request, response: Response) -> None:
        """Remember an answer."""


StepT = TypeVar("StepT", bound=Callable[..., Any])


def fold(step: StepT) -> StepT:
    """Declare that what a step makes of old messages stays the same when new ones arrive.

    Works on a function or on a class. The prefix that the provider has cached survives such a
    step, except where the step cuts history, which the pipeline sees and reports.

    >>> from dataclasses import replace
    >>> from trimtab.types import fold
    >>> @fold
    ... def without_greetings(request):
    ...     kept = tuple(m for m in request.messages if m.text != "Hello!")
    ...     return replace(request, messages=kept)
    >>> without_greetings.kind
    'fold'
    """
    step.kind = "fold"  # type: ignore[attr-defined]
    return step


def tail(step: StepT) -> StepT:
    """Declare that a step touches only what was never sent: the end of the request, parameters.

    >>> from dataclasses import replace
    >>> from trimtab.types import tail
    >>> @tail
    ... def cold(request):
    ...     return replace(request, params={**request.params, "temperature": 0})
    >>> cold.kind
    'tail'
    """
    step.kind = "tail"  # type: ignore[attr-defined]
    return step


def canonical_json(value: Any) -> str:
    """Write JSON that is the same for equal values: sorted keys, no white space.

    >>> from trimtab.types import canonical_json
    >>> canonical_json({"b": 1, "a": [2]})
    '{"a":[2],"b":1}'
    """
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """Hash a value of JSON's types. Mappings count as objects, whatever else by its `repr`.

    >>> from trimtab.types import digest
    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return _hash(canonical_json(value))


def _hash(text: str) -> str:
    # Texts cut in the middle of an emoji hold half of a pair, which UTF-8 alone refuses.
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)


# Made once, because making it takes longer than writing a short question.
_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain
)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _said(message: Message) -> str:
    """Write what a message says, without ids: equal texts for equal messages, and no others.

    Kept beside the fields, which never change, because each turn of a conversation says it all
    again.
    """
    known: str | None = vars(message).get("_said")
    if known is None:
        known = vars(message)["_said"] = _say(message)
    return known


def _say(message: Message) -> str:
    content = message.content
    if isinstance(content, str) and not message.tool_calls and message.name is None:
        text = f"{len(message.role)}:{message.role}{_trimmed(content, message.role)}"
    else:
        calls = [[call.name, _arguments(call.arguments)] for call in message.tool_calls]
        text = canonical_json([message.role, message.name, _content(message), calls])
    return text if len(text) < LONG else f"#{_hash(text)}"


def _content(message: Message) -> str | list[list[str | None]]:
    """Leave out white space, but not where one part ends and the next begins."""
    content, role = message.content, message.role
    if isinstance(content, str):
        return _trimmed(content, role)
    said = [[part.text, part.data] for part in content]
    plain = [i for i, part in enumerate(content) if part.text is not None and not part.data]
    for i in plain:
        said[i][0] = _without_blanks(content[i].text or "", role)
    if 0 in plain:
        said[0][0] = (said[0][0] or "").lstrip()
    if len(content) - 1 in plain:
        said[-1][0] = (said[-1][0] or "").rstrip()
    return said


def _trimmed(text: str, role: str) -> str:
    return _without_blanks(text, role).strip()


def _without_blanks(text: str, role: str) -> str:
    """Leave out what nobody sees: blanks before line ends, and the kind of line ends."""
    if role == "tool" or not ("\r" in text or " \n" in text or "\t\n" in text):
        return text
    return _BLANKS.sub("\n", text)


# From the first blank of a run only, or a long run would be tried at each of its places.
_BLANKS = re.compile(r"(?<![ \t])[ \t]*(?:\r\n?|\n)")


def _links(messages: Sequence[Message]) -> list[list[int]]:
    """Say which result belongs to which call, by numbers in the order of appearance."""
    ids: dict[str, int] = {}
    links = []
    for place, message in enumerate(messages):
        calls, answered = message.tool_calls, message.tool_call_id
        if calls or answered is not None:
            keys = [call.id for call in calls] + ([] if answered is None else [answered])
            links.append([place, *(ids.setdefault(key, len(ids)) for key in keys)])
    return links


def _offered(tool: Tool) -> str:
    """Digest what a model is told about a tool, once: schemas are long."""
    known: str | None = vars(tool).get("_offered")
    if known is None:
        known = digest([tool.name, tool.description, tool.parameters])
        vars(tool)["_offered"] = known
    return known


def _arguments(text: str) -> str:
    """Write arguments the same way whatever their order, and leave what is not JSON as it is."""
    try:
        return canonical_json(json.loads(text))
    except (ValueError, RecursionError):
        return text
