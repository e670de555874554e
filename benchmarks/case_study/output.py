"""What limits on answers would have saved of recorded ones, learned from the other half of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lib.data import rows

from trimtab import Ledger, Message, Pipeline, Request, Response, Usage, trace
from trimtab.respond import Limit, kind
from trimtab.tokens import counter_for

MODEL = "gpt-4o"
TRIED = ((0.99, 1.5), (0.95, 1.0), (0.9, 1.0), (0.75, 1.0))
"""`share` and `room` of a limit; first the library's own."""
Answer = tuple[Request, int]
"""What was asked, and the tokens of the recorded answer."""


def limits(data: Path, seed: int = 0) -> dict[str, Any]:
    """Measure both kinds of recorded answers."""
    found = {"arithmetic, GPT-4": sums(data), "the agent's words to customers": words(data)}
    return {name: measured(list(answers), seed) for name, answers in found.items()}


def sums(data: Path) -> Iterator[Answer]:
    count = counter_for(MODEL)
    for row in rows(data / "routing" / "gsm8k.jsonl.gz"):
        yield _asked([Message("user", row["prompt"])]), count(row["strong_answer"])


def words(data: Path) -> Iterator[Answer]:
    """List what the agent said, and asked for without tools: `Limit` leaves others alone."""
    count = counter_for(MODEL)
    for one in trace.read(data / "traces" / "tau-airline-dev.jsonl.gz"):
        for place, message in enumerate(one.messages):
            if message.role == "assistant" and not message.tool_calls:
                yield _asked(one.messages[:place]), count(message.text)


def _asked(messages: Iterable[Message]) -> Request:
    return Request(MODEL, tuple(messages))


def measured(answers: list[Answer], seed: int) -> dict[str, Any]:
    random.Random(seed).shuffle(answers)
    half = len(answers) // 2
    ledger = recorded(answers[:half])
    tried = {
        f"{share:.0%} x {room}": cut(answers[half:], Limit(ledger, share, room, concise=False))
        for share, room in TRIED
    }
    ledger.close()
    return {"learned from": half, "tried on": len(answers) - half, "limits": tried}


def recorded(answers: Sequence[Answer]) -> Ledger:
    """Let a ledger see answers."""
    ledger = Ledger()
    pipeline = Pipeline(ledger=ledger)
    for request, tokens in answers:
        answer = Response(Message("assistant", "."), Usage(0, tokens), MODEL)
        pipeline.finish(pipeline.plan(request), answer)
    return ledger


def cut(answers: Sequence[Answer], limit: Limit) -> dict[str, Any]:
    """Count what is beyond the limits."""
    kinds: dict[str, int | None] = {}
    tokens = saved = ended = 0
    for request, size in answers:
        most = limit(request).params.get("max_tokens")
        kinds[kind(request)] = most
        tokens += size
        if most is not None and size > most:
            saved += size - most
            ended += 1
    return {
        "answers cut": ended,
        "answers": len(answers),
        "tokens saved": saved / tokens,
        "limits by kind": kinds,
    }
