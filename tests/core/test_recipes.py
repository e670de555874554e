"""What every recipe must keep to, on transcripts of all kinds."""

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab import Message, Pipeline, Request, Tool, ToolCall, recipes
from trimtab.prices import Outlook
from trimtab.tokens import count_message, count_tools, counter_for

MODEL = "gpt-4o"
COUNT = counter_for(MODEL)
RECIPES = [recipes.lossless, recipes.balanced, recipes.lean]
LOOKUP = Tool(
    "look_up",
    "Looks up the records of a customer.",
    {"type": "object", "properties": {"customer": {"type": "string"}}, "required": ["customer"]},
)
SYSTEM = Message("system", "You are a helpful agent. Please note that you must never guess. " * 20)


def transcript(seed: int, calls: int) -> tuple[Message, ...]:
    """Make a conversation in which tools return records, logs, repeats and errors."""
    dice = random.Random(seed)
    messages = [SYSTEM, Message("user", f"I am customer {seed}, and something is wrong.")]
    for call in range(calls):
        kind = dice.randrange(5)
        if kind == 0:
            messages += [
                Message("assistant", f"I found {dice.randrange(99)} orders. Which one? " * 3),
                Message("user", f"The one of order #W{dice.randrange(10_000_000)}, please."),
            ]
            continue
        text = result(dice, kind, messages)
        wish = ToolCall(f"call_{call}", LOOKUP.name, json.dumps({"customer": f"c{call}"}))
        messages += [
            Message("assistant", "", tool_calls=(wish,)),
            Message("tool", text, tool_call_id=wish.id),
        ]
    return tuple(messages)


def result(dice: random.Random, kind: int, before: list[Message]) -> str:
    old = [m.text for m in before if m.role == "tool"]
    if kind == 1 and old:
        return dice.choice(old)
    if kind == 2:
        lines = (
            f"2026-01-0{dice.randrange(1, 9)} 12:00:{i:02} INFO job {i} done" for i in range(60)
        )
        return "\n".join([*lines, "2026-01-09 12:01:00 ERROR disk full on node-7"])
    rows = [
        {
            "id": f"#W{dice.randrange(10**7)}",
            "price": dice.randrange(900) / 4,
            "status": "paid",
            "items": [{"sku": f"sku_{dice.randrange(999)}", "count": i} for i in range(3)],
        }
        for _ in range(dice.randrange(1, 60))
    ]
    return json.dumps(rows if kind == 3 else {"rows": rows, "more": False})


def sent(
    pipeline: Pipeline, messages: tuple[Message, ...], tools: tuple[Tool, ...] = (LOOKUP,)
) -> Iterator[tuple]:
    """Plan each call of a conversation, as an application would: the transcript up to it."""
    for place, message in enumerate(messages):
        if message.role == "assistant":
            request = Request(MODEL, messages[:place], tools, session="s")
            plan = pipeline.plan(pipeline.bind(request))
            yield plan.request, plan


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), calls=st.integers(2, 40))
def test_a_request_starts_with_the_one_before_it_but_at_a_named_cut(recipe, seed, calls) -> None:
    pipeline = recipe(MODEL)
    before = None
    for request, plan in sent(pipeline, transcript(seed, calls)):
        if before is not None and not plan.cuts:
            assert request.tools == before.tools
            assert request.messages[: len(before.messages)] == before.messages
        before = request
    assert not pipeline.failures


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_new_process_sends_the_same(recipe) -> None:
    messages = transcript(7, 40)
    grown = [request.messages for request, _ in sent(recipe(MODEL), messages)]

    for place in (5, 20, len(grown) - 1):
        calls = [i for i, m in enumerate(messages) if m.role == "assistant"]
        pipeline = recipe(MODEL)
        request = Request(MODEL, messages[: calls[place]], (LOOKUP,), session="s")
        assert pipeline.plan(pipeline.bind(request)).request.messages == grown[place]


def bill(requests: list[Request], how: Outlook) -> float:
    """Add up what requests cost, in uncached input tokens, where a prefix sent before is read."""
    total, before = 0.0, None
    for request in requests:
        size = [
            count_tools(request.tools, COUNT),
            *(count_message(m, COUNT) for m in request.messages),
        ]
        kept = 0
        if before is not None and before.tools == request.tools:
            kept = 1
            for old, new in zip(before.messages, request.messages, strict=False):
                if old != new:
                    break
                kept += 1
        total += how.read * sum(size[:kept]) + how.write * sum(size[kept:])
        before = request
    return total


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_wins_what_its_plan_expects_once_the_expected_calls_are_made(seed) -> None:
    pipeline = recipes.lean(MODEL)
    how = pipeline.outlook
    plans = [plan for _, plan in sent(pipeline, transcript(seed, 120))]
    cuts = [i for i, plan in enumerate(plans) if plan.cuts]
    assert cuts, "these transcripts are long enough to be cut"
    for place in cuts[:3]:
        (cut,) = plans[place].cuts
        assert cut.gain > 0 and cut.removed > 0
        uncut, after = plans[place - 1].request, plans[place].request
        grown = len(plans[place].asked.messages) - len(plans[place - 1].asked.messages)
        whole = Request(MODEL, (*uncut.messages, *after.messages[-grown:]), uncut.tools)
        with_cut = bill([uncut, after, *[after] * how.calls], how)
        without = bill([uncut, whole, *[whole] * how.calls], how)
        assert without - with_cut == pytest.approx(cut.gain, rel=0.2)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_the_user_said_and_the_system_prompts_rules_survive(recipe) -> None:
    messages = transcript(3, 80)
    request = [request for request, _ in sent(recipe(MODEL), messages)][-1]

    said = [m.text for m in messages if m.role == "user"]
    text = "\n".join(m.text for m in request.messages)
    assert all(words in text for words in said)
    assert "ust never guess" in request.messages[0].text


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_lossy_happens_where_the_recall_tool_is_not_bound(recipe) -> None:
    messages = transcript(11, 60)
    pipeline = recipe(MODEL)

    for place in range(len(messages) - 10, len(messages)):
        request = Request(MODEL, messages[:place], session="s")  # no tools: none is added
        after = pipeline.plan(request).request
        assert not after.tools and len(after.messages) == place
        assert not any("left out" in m.text or "recall" in m.text for m in after.messages)
