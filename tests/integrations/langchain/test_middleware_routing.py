"""A pipeline that chooses among chat models, in an agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import StructuredOutputError, ToolStrategy
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from langchain_trimtab import TrimtabMiddleware, UsageCallback
from trimtab import Ledger, Pipeline, recipes
from trimtab.cache import ExactCache
from trimtab.errors import BudgetExceeded
from trimtab.prices import cost
from trimtab.route import Rule, Tier, Tiers
from trimtab.types import Request, Usage, tail

WEAK, STRONG = "gpt-4o-mini", "gpt-4o"


class Answer(BaseModel):
    """An answer."""

    pages: int


def ask(agent: Any, text: str, config: Any = None) -> list[Any]:
    return list(agent.invoke({"messages": [HumanMessage(text)]}, config)["messages"])


def tiers(**models: Any) -> Tiers:
    hard = Rule("powerful", lambda request: "hard" in request.query, "it is hard")
    names = models or {"fast": WEAK, "powerful": STRONG}
    return Tiers(names, rules=[hard, Rule("fast", lambda request: True)])


@pytest.fixture
def models(scripted: Any) -> dict[str, Any]:
    return {"fast": scripted(model_name=WEAK), "powerful": scripted(model_name=STRONG)}


@pytest.fixture
def calls(models: Any) -> Callable[[], list[int]]:
    return lambda: [model.calls for model in models.values()]


def test_each_call_goes_to_the_model_of_its_tier(models: Any, scripted: Any, calls: Any) -> None:
    own = scripted()
    middleware = TrimtabMiddleware(Pipeline([tiers()]), models=models)
    agent = create_agent(own, middleware=[middleware])
    for text in ("easy", "hard", "easy"):
        ask(agent, text)
    assert (own.calls, calls()) == (0, [2, 1])


@pytest.mark.parametrize("way", ["invoke", "messages", "ainvoke", "events"])
@pytest.mark.parametrize("callbacks", [False, True])
async def test_the_ledger_holds_the_price_of_the_model_that_answered(
    way: str, callbacks: bool, models: Any, agrees: Any, calls: Any
) -> None:
    ledger = Ledger()
    agent = create_agent(
        models["powerful"],
        middleware=[TrimtabMiddleware(Pipeline([tiers()], ledger=ledger), models=models)],
    )
    config: Any = {"callbacks": [UsageCallback(ledger)]} if callbacks else {}
    question: Any = {"messages": [HumanMessage("easy")]}
    if way == "invoke":
        agent.invoke(question, config)
    elif way == "messages":
        list(agent.stream(question, config, stream_mode="messages"))
    elif way == "ainvoke":
        await agent.ainvoke(question, config)
    else:
        _ = [event async for event in agent.astream_events(question, config, version="v2")]
    assert calls() == [1, 0]
    assert agrees(ledger, models["fast"])
    usage = models["fast"].spent[0]
    spent = Usage(usage["input_tokens"], usage["output_tokens"], 8)
    found = ledger.analytics()
    assert found.cost == cost(WEAK, spent)
    assert found.saved_cost and found.saved_cost > 0


def test_middleware_that_comes_after_knows_the_model_for_what_it_is(
    models: Any, calls: Any
) -> None:
    seen: list[Any] = []

    class Watch(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append(request.model)
            return handler(request)

    middleware = [TrimtabMiddleware(Pipeline([tiers()]), models=models), Watch()]
    ask(create_agent(models["powerful"], middleware=middleware), "easy")
    assert seen == [models["fast"]]


def test_parameters_of_a_tier_are_settings_of_the_model(models: Any) -> None:
    effort = tiers(fast=WEAK, powerful=Tier(STRONG, {"reasoning_effort": "high"}))
    agent = create_agent(
        models["fast"], middleware=[TrimtabMiddleware(Pipeline([effort]), models=models)]
    )
    ask(agent, "hard")
    ask(agent, "easy")
    assert models["powerful"].bound == [{"reasoning_effort": "high"}]
    assert models["fast"].bound == [{}]


def test_one_model_may_be_several_tiers(scripted: Any) -> None:
    one, other = scripted(model_name=STRONG), scripted(model_name=STRONG)
    effort = tiers(fast=STRONG, powerful=Tier(STRONG, {"reasoning_effort": "high"}))
    middleware = TrimtabMiddleware(Pipeline([effort]), models={"fast": one, "powerful": other})
    agent = create_agent(one, middleware=[middleware])
    ask(agent, "hard")
    ask(agent, "easy")
    assert (one.calls, other.calls) == (1, 1)


def test_models_alone_are_chosen_among_in_their_order(models: Any, calls: Any) -> None:
    middleware = TrimtabMiddleware(models=models)
    agent = create_agent(models["fast"], middleware=[middleware])
    ask(agent, "the first has nothing to compare with")
    assert calls() == [0, 1]
    assert middleware.pipeline is not None
    *steps, last = recipes.balanced(WEAK).steps
    used = [type(step) for step in middleware.pipeline.steps]
    assert used == [*map(type, steps), Tiers, type(last)]


def test_tiers_go_with_any_recipe_and_pipeline(models: Any, calls: Any) -> None:
    cache, ledger = ExactCache(), Ledger()
    given = Pipeline(cache=cache, ledger=ledger)
    middleware = TrimtabMiddleware(given, models=models, tiers=tiers())
    assert middleware.pipeline is not None
    assert (middleware.pipeline.cache, middleware.pipeline.ledger) == (cache, ledger)
    ask(create_agent(models["fast"], middleware=[middleware]), "hard")
    lossless = TrimtabMiddleware(recipe=recipes.lossless, models=models, tiers=tiers())
    ask(create_agent(models["fast"], middleware=[lossless]), "hard")
    assert calls() == [0, 2]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_where_a_provider_fails_the_model_of_another_tier_is_asked(
    way: str, models: Any, agrees: Any, caplog: Any
) -> None:
    ledger = Ledger()
    effort = tiers(fast=Tier(WEAK, {"reasoning_effort": "low"}), powerful=Tier(STRONG, {"x": 1}))
    models["fast"].script.append(ConnectionError("gone"))
    agent = create_agent(
        models["fast"],
        middleware=[TrimtabMiddleware(Pipeline([effort], ledger=ledger), models=models)],
    )
    question: Any = {"messages": [HumanMessage("easy")]}
    said = agent.invoke(question) if way == "invoke" else await agent.ainvoke(question)
    assert said["messages"][-1].response_metadata["model_name"] == STRONG
    assert models["powerful"].bound == [{"x": 1}]
    assert agrees(ledger, models["powerful"])
    assert "'fast' failed" in caplog.text


def test_where_all_fail_the_first_error_is_raised(models: Any, calls: Any) -> None:
    ledger = Ledger()
    models["fast"].script.append(ConnectionError("first"))
    models["powerful"].script.append(ConnectionError("second"))
    middleware = TrimtabMiddleware(Pipeline([tiers()], ledger=ledger), models=models)
    with pytest.raises(ConnectionError, match="first"):
        ask(create_agent(models["fast"], middleware=[middleware]), "easy")
    assert (calls(), ledger.analytics().failed) == ([1, 1], 1)


def test_a_spent_budget_is_no_failure_of_a_provider(models: Any, calls: Any) -> None:
    models["fast"].script.append(BudgetExceeded("spent"))
    middleware = TrimtabMiddleware(Pipeline([tiers()]), models=models)
    with pytest.raises(BudgetExceeded):
        ask(create_agent(models["fast"], middleware=[middleware]), "easy")
    assert calls() == [1, 0]


def test_an_answer_of_the_wrong_form_is_no_failure_of_a_provider(
    models: Any, calls: Any, tool_call: Any
) -> None:
    models["fast"].script.append(tool_call("Answer", pages="none"))
    middleware = TrimtabMiddleware(Pipeline([tiers()]), models=models)
    form = ToolStrategy(Answer, handle_errors=False)
    agent = create_agent(models["fast"], middleware=[middleware], response_format=form)
    with pytest.raises(StructuredOutputError):
        ask(agent, "easy")
    assert calls() == [1, 0]


def test_a_step_that_chooses_a_model_that_is_not_given_is_reported_once(
    models: Any, caplog: Any
) -> None:
    @tail
    def elsewhere(request: Request) -> Request:
        return replace(request, model="another")

    caplog.set_level(logging.WARNING)
    agent = create_agent(models["fast"], middleware=[TrimtabMiddleware(Pipeline([elsewhere]))])
    ask(agent, "one")
    ask(agent, "two")
    assert caplog.text.count("chose the model 'another'") == 1
    assert models["fast"].calls == 2


def test_tiers_without_models_are_reported_and_leave_the_agents_own(
    models: Any, caplog: Any
) -> None:
    agent = create_agent(models["fast"], middleware=[TrimtabMiddleware(Pipeline([tiers()]))])
    ask(agent, "hard")
    assert "give its middleware" in caplog.text
    assert models["fast"].calls == 1


def test_what_does_not_fit_together_is_an_error_at_once(models: Any) -> None:
    with pytest.raises(ValueError, match="models must be"):
        TrimtabMiddleware(Pipeline([tiers(fast=WEAK, strong=STRONG, powerful="x")]), models=models)
    with pytest.raises(ValueError, match="give models too"):
        TrimtabMiddleware(tiers=tiers())
    with pytest.raises(ValueError, match="tiers of its own"):
        TrimtabMiddleware(Pipeline([tiers()]), models=models, tiers=tiers())


def test_answers_from_the_cache_are_those_of_whichever_model_gave_them(
    models: Any, calls: Any
) -> None:
    pipeline = Pipeline([tiers()], cache=ExactCache())
    agent = create_agent(
        models["powerful"], middleware=[TrimtabMiddleware(pipeline, models=models)]
    )
    first, second = ask(agent, "easy")[-1], ask(agent, "easy")[-1]
    assert first.content == second.content and calls() == [1, 0]
