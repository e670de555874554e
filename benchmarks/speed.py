"""What importing the library costs, and planning a call of a long conversation."""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lib.data import save, show

from trimtab import Message, Request, Tool, ToolCall, recipes
from trimtab.tokens import count_request, counter_for

MODEL = "gpt-4o"
RUNS = 15


def main() -> None:
    imported = cpu("import trimtab") - cpu("pass")
    result: dict[str, float] = {"import trimtab, ms of CPU beyond an empty interpreter": imported}
    messages, tools = conversation()
    tokens = count_request(Request(MODEL, messages, tools), counter_for(MODEL))
    for recipe in (recipes.lossless, recipes.balanced, recipes.lean):
        name = (
            f"plan, {recipe.__name__}: one message more, to {len(messages)} ({tokens:,} tokens), ms"
        )
        result[name] = grown(recipe, messages, tools)
    show("speed (medians)", ["", "ms"], [[name, f"{ms:.2f}"] for name, ms in result.items()])
    save("speed", result)


def cpu(code: str) -> float:
    """Median CPU time of a new interpreter, in ms."""
    times = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times) * 1e3


def grown(recipe: object, messages: tuple[Message, ...], tools: tuple[Tool, ...]) -> float:
    """Median time to plan the last call of a conversation whose calls so far were planned."""
    times = []
    for _ in range(RUNS):
        pipeline = recipe(MODEL)  # type: ignore[operator]
        for upto in (len(messages) - 2, len(messages) - 1):
            request = Request(MODEL, messages[:upto], tools, session="s")
            pipeline.plan(pipeline.bind(request))
        request = pipeline.bind(Request(MODEL, messages, tools, session="s"))
        start = time.perf_counter()
        pipeline.plan(request)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def conversation() -> tuple[tuple[Message, ...], tuple[Tool, ...]]:
    """Make 200 messages of about 60,000 tokens, and 15 tools."""
    dice = random.Random(0)
    messages = [Message("system", "Help with orders. " * 200), Message("user", "Where are they?")]
    for i in range(99):
        wish = ToolCall(f"c{i}", "look_up", json.dumps({"order": f"W{i}"}))
        rows = [{"id": f"W{dice.randrange(10**6)}", "state": "paid", "sum": k} for k in range(27)]
        messages += [
            Message("assistant", f"I look up W{i}.", tool_calls=(wish,)),
            Message("tool", json.dumps(rows), tool_call_id=wish.id),
        ]
    schema = {"type": "object", "properties": {"order": {"type": "string"}}}
    tools = tuple(Tool(f"look_up_{i}", "Looks up an order.", schema) for i in range(14))
    return tuple(messages), (Tool("look_up", "Looks up an order.", schema), *tools)


if __name__ == "__main__":
    main()
