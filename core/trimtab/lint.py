"""What breaks a provider's prefix cache: text near the front that differs from call to call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trimtab.prices import rates, rule_for
from trimtab.tokens import count_message, count_tools, counter_for
from trimtab.types import Counter, Message, Request

FRONT = ("system", "developer")
_CHANGING = (
    (
        "a time of day",
        r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?\b"
        r"|\b(?:current|now|today'?s?)\b[^\n]{0,48}?\b\d{1,2}:\d\d(?::\d\d)?\b",
    ),
    (
        "a date of today",
        r"(?i)\b(?:current|today'?s?|now)\b[^\n]{0,48}?"
        r"(?:\d{4}-\d\d-\d\d|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}|\w+ \d{1,2}(?:st|nd|rd|th)?,? \d{4})",
    ),
    ("an id", r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
    (
        "an id",
        r"(?i)\b(?:request|session|trace|run|correlation|conversation)[ _-]?id\b\W{1,4}[\w-]{6,}",
    ),
    ("a time in seconds", r"\b1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?\b"),
)
_PATTERNS = tuple((name, re.compile(sign)) for name, sign in _CHANGING)


@dataclass(frozen=True)
class Finding:
    """Something near the front that is likely to differ from call to call."""

    what: str
    text: str
    """What differs, as it stands there."""
    before: int
    """Tokens in front of it, which stay cached."""
    after: int
    """Tokens behind it, which are written anew at each call."""
    dollars: Decimal | None
    """What moving it to the end would save a call; None where the model has no known price."""

    def __str__(self) -> str:
        saved = "" if self.dollars is None else f", which saves ${self.dollars:.6f} a call"
        return (
            f"{self.what}, {self.text!r}, stands before {self.after:,} tokens that the provider"
            f" could read from its cache: move it to the end{saved}"
        )


def lint(*requests: Request, count: Counter | None = None) -> tuple[Finding, ...]:
    """Warn of what breaks the prefix cache.

    Of one request, times, dates and ids in its instructions are suspects. Of several, as of
    different conversations of one application, it is what their instructions really differ in.
    What stands before so little that no provider would cache it is not reported.

    Raises:
        ValueError: There are no requests.

    >>> from trimtab import Message, Request
    >>> from trimtab.lint import Finding, lint
    >>> rules = "The time is 2026-05-04 10:30." + " Answer politely." * 500
    >>> chat = (Message("system", rules), Message("user", "Hello!"))
    >>> found: tuple[Finding, ...] = lint(Request("gpt-4o", chat))
    >>> print(found[0])
    a time of day, '2026-05-04 10:30', stands before 1,5... tokens that the provider could read from
    its cache: move it to the end, which saves $0.001... a call
    """
    if not requests:
        raise ValueError("give at least one request")
    request = requests[0]
    count = count or counter_for(request.model)
    found = list(_compared(requests)) if len(requests) > 1 else list(_suspects(request))
    return tuple(
        finding
        for place, what, text in found[:1] or ()
        if (finding := _finding(request, (place, what, text), count)) is not None
    )


def _suspects(request: Request) -> Iterator[tuple[tuple[int, int], str, str]]:
    """Yield what is likely to change, the first one first: what follows it is lost anyway."""
    for number, message in enumerate(request.messages):
        if message.role not in FRONT:
            return
        hits = [
            (match.start(), name, match[0])
            for name, sign in _PATTERNS
            for match in sign.finditer(message.text)
        ]
        for start, name, text in sorted(hits):
            yield (number, start), name, text


def _compared(requests: Sequence[Request]) -> Iterator[tuple[tuple[int, int], str, str]]:
    """Yield the first place at which instructions differ."""
    fronts = [[m for m in r.messages if m.role in FRONT] for r in requests]
    for number, messages in enumerate(zip(*fronts, strict=False)):
        texts = [message.text for message in messages]
        if len(set(texts)) > 1:
            start = _common(texts)
            word = re.match(r"\S{0,60}", texts[0][start:])
            yield (number, start), "text that differs", word[0] if word else ""
            return


def _common(texts: Sequence[str]) -> int:
    """Return the characters with which all texts start."""
    pairs = enumerate(zip(*texts, strict=False))
    shortest = min(map(len, texts))
    return next((i for i, letters in pairs if len(set(letters)) > 1), shortest)


def _finding(
    request: Request, found: tuple[tuple[int, int], str, str], count: Counter
) -> Finding | None:
    (number, start), what, text = found
    message = request.messages[number]
    head, rest = message.text[:start], message.text[start + len(text) :]
    before = count_tools(request.tools, count) + count(head)
    before += sum(count_message(m, count) for m in request.messages[:number])
    after = count(rest) + sum(count_message(m, count) for m in _stable(request, number))
    if before + after < rule_for(request.model).minimum or not after:
        return None
    price = rates(request.model)
    dollars = None if price is None else after * (price.cache_write - price.cache_read)
    return Finding(what, text, before, after, dollars)


def _stable(request: Request, number: int) -> Sequence[Message]:
    """Return the messages behind a place that were sent before: all but the newest."""
    return request.messages[number + 1 : -1]
