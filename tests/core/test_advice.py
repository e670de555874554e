"""What a ledger says would save more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trimtab import Event, Ledger, Message, Pipeline, Request, Usage
from trimtab.ledger import Change, Recommendation, recommend
from trimtab.ledger.advice import LEVERS
from trimtab.ledger.dollars import bought_at, provider_saved, unread, worth
from trimtab.prices import cost, rates

GPT, CLAUDE = "gpt-4o", "claude-sonnet-4-5"
PARTS = {"system": 2000, "tools": 4000, "tool results": 3000, "history": 1000}


def ledger(*events: Event) -> Ledger:
    made = Ledger()
    for event in events:
        made.record(event)
    return made


def call(id: str = "a", model: str = GPT, **rest: Any) -> Event:
    usage = rest.pop("usage", Usage(10_000, 100, 5_000, 0, 0))
    known = {"components": PARTS, "cost": cost(model, usage), **rest}
    return Event(id, 1000.0, model, usage, **known)


def advice(*events: Event) -> dict[str, Recommendation]:
    return {one.lever: one for one in recommend(ledger(*events).analytics(None))}


def test_a_large_part_is_worth_its_share_at_the_price_it_was_bought_at() -> None:
    found = advice(call())
    price = rates(GPT)
    assert price
    half = (price.input + price.cache_read) / 2
    tools = found["tools"]
    assert tools.low == Decimal("0.25") * 4000 * half
    assert tools.high == Decimal("0.26") * 4000 * half
    assert "40%" in tools.reason
    assert next(iter(found)) == "tool results"  # the most first


def test_what_is_in_use_already_is_not_advised() -> None:
    found = advice(call(changes=(Change("ShortenTools", 14_000, 10_000),)))
    assert "tools" not in found and "system" in found


def test_small_parts_are_left_alone() -> None:
    assert "system" not in advice(call(components={"system": 50, "tools": 1000}))
    assert not LEVERS.keys() & advice(call(components={}))


def test_dollars_that_only_a_trial_can_tell_are_not_made_up() -> None:
    found = advice(call(usage=Usage(100, 2000, 0, 0, 0)))
    assert {"answers", "response cache", "router"} <= found.keys()
    assert all(found[name].high is None for name in ("answers", "response cache", "router"))
    assert found["prefix cache"].high == unread(
        ledger(call(usage=Usage(100, 2000, 0, 0, 0))).analytics(None).models
    )
    unpriced = advice(call(model="my-own", cost=None))
    assert unpriced["tools"].high is None


def test_a_cache_that_answers_and_several_models_need_no_advice() -> None:
    hit = Event("h", 1001.0, GPT, hit=True, saved=Usage(10, 1))
    found = advice(call(), hit, call("b", CLAUDE))
    assert not {"response cache", "router"} & found.keys()


@pytest.mark.parametrize("lever", [*LEVERS, "answers", "response cache", "prefix cache", "router"])
def test_each_line_of_code_works(lever: str) -> None:
    every = advice(call(components=dict.fromkeys(LEVERS, 900), usage=Usage(100, 9000, 0, 0, 0)))
    code = every[lever].code
    if code.startswith("trimtab"):
        return
    request = Request(GPT, (Message("user", "Which?"),))
    names: dict[str, Any] = {
        "pipeline": Pipeline(),
        "model": GPT,
        "request": request,
        "documents": ["One is red. The other is not. " * 9],
        "question": "Which is red?",
    }
    exec(code, names)
    assert names["pipeline"].plan(request).request


def test_what_the_provider_saved_is_told_apart() -> None:
    usage = Usage(10_000, 0, 6_000, 2_000, 0)
    models = ledger(call(model=CLAUDE, usage=usage)).analytics(None).models
    plain = cost(CLAUDE, Usage(10_000, 0, 0, 0, 0))
    paid = cost(CLAUDE, usage)
    assert plain and paid
    assert provider_saved(models) == plain - paid
    assert provider_saved(ledger(call(model="my-own")).analytics(None).models) is None
    assert provider_saved(ledger(call(usage=Usage(10, 1))).analytics(None).models) is None


def test_where_reads_are_not_known_tokens_are_taken_for_cheap_ones() -> None:
    (figures,) = ledger(call(usage=Usage(10, 1))).analytics(None).models.values()
    price = rates(GPT)
    assert price and bought_at(GPT, figures) == price.cache_read
    assert bought_at("my-own", figures) is None
    assert worth({"my-own": figures}, lambda one: one.calls) is None
