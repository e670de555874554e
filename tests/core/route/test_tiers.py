"""Choosing a tier."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import pytest

from trimtab.prices import Outlook
from trimtab.route.dollars import Size, Tier, expected, switch
from trimtab.route.length import Length
from trimtab.route.tiers import Rule, Tiers
from trimtab.types import Message, Request, ToolCall

FAST, POWERFUL = "gpt-5-mini", "gpt-5"
TRAFFIC = ["word " * size for size in range(1, 301)]
EASY, MIDDLING, HARD = "word " * 30, "word " * 150, "word " * 295


def request(*texts: str, session: str = "", model: str = "auto") -> Request:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[i % 2], text) for i, text in enumerate(texts))
    return Request(model, messages, session=session)


def shuffled(texts: list[str]) -> list[str]:
    return random.Random(1).sample(texts, len(texts))


def tiers(**settings: object) -> Tiers:
    known = {"by": Length(0.3, TRAFFIC), **settings}
    return Tiers({"fast": FAST, "powerful": POWERFUL}, **known)  # type: ignore[arg-type]


def test_hard_requests_go_to_the_strong_model_and_easy_ones_to_the_weak() -> None:
    router = tiers()
    assert router.choose(request(EASY)).tier == "fast"
    assert router.choose(request(HARD)).tier == "powerful"


def test_a_choice_says_how_sure_it_is_and_why() -> None:
    sure, unsure = tiers().choose(request(EASY)), tiers().choose(request("word " * 208))
    assert sure.confidence > 0.99 > unsure.confidence > 0.4
    assert sure.reason == "harder than 10% of the last 300 prompts"
    assert sure.score < unsure.score


def test_as_a_step_it_sets_the_model_and_the_parameters_of_the_tier() -> None:
    quick = Tier(FAST, {"reasoning_effort": "low"})
    router = Tiers({"fast": quick, "reasoning": Tier(FAST)}, by=Length(0.3, TRAFFIC))
    asked = replace(request(EASY), params={"temperature": 0})
    sent = router(asked)
    assert (sent.model, sent.params) == (FAST, {"temperature": 0, "reasoning_effort": "low"})
    assert sent.messages is asked.messages
    assert asked.params == {"temperature": 0}


def test_several_tiers_share_the_traffic_as_they_are_told() -> None:
    names = ("fast", "balanced", "powerful", "reasoning")
    shares = {"fast": 0.5, "balanced": 0.3, "powerful": 0.15, "reasoning": 0.05}
    router = Tiers(dict.fromkeys(names, FAST), by=Length(traffic=TRAFFIC), shares=shares)
    chosen = [router.choose(request(text)).tier for text in shuffled(TRAFFIC)]
    for name, share in shares.items():
        assert chosen.count(name) / len(chosen) == pytest.approx(share, abs=0.03)


def test_without_shares_each_further_tier_gets_the_same_share_of_the_one_before() -> None:
    router = Tiers({"a": FAST, "b": FAST, "c": FAST}, by=Length(0.5, TRAFFIC))
    chosen = [router.choose(request(text)).tier for text in shuffled(TRAFFIC)]
    shares = [chosen.count(name) / 300 for name in "abc"]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.04)


def test_without_traffic_the_first_request_goes_to_the_strongest() -> None:
    choice = Tiers({"fast": FAST, "powerful": POWERFUL}).choose(request("hi"))
    assert (choice.tier, choice.confidence) == ("powerful", 0.0)


def test_a_rule_decides_before_all_else() -> None:
    def looks_up(request: Request) -> bool:
        return "law" in request.query

    router = tiers(rules=[Rule("powerful", looks_up, "a legal matter")])
    choice = router.choose(request("which law?"))
    assert (choice.tier, choice.reason, choice.confidence) == ("powerful", "a legal matter", 1.0)
    assert router.choose(request("which tree?")).tier == "fast"


def test_an_agent_stays_on_its_model_within_a_turn() -> None:
    router = tiers()
    first = request(HARD, session="s")
    call = Message("assistant", "", tool_calls=(ToolCall("1", "look", "{}"),))
    result = Message("tool", "found " * 4000, tool_call_id="1")
    later = replace(first, messages=(*first.messages, call, result))
    assert router.choose(first).tier == "powerful"
    for _ in range(3):
        choice = router.choose(later)
        assert (choice.tier, choice.reason) == ("powerful", "the turn goes on")
    assert router.by.traffic == 301  # the turn counts once


def test_a_session_moves_up_for_a_hard_question_but_not_if_its_prefix_is_too_dear() -> None:
    short, long = (request(EASY, "ok " * size, HARD, session=f"{size}") for size in (10, 200_000))
    for later, expected_tier in ((short, "powerful"), (long, "fast")):
        router = tiers(outlook=Outlook(calls=1))
        assert router.choose(replace(later, messages=later.messages[:1])).tier == "fast"
        assert router.choose(later).tier == expected_tier


def test_a_session_moves_down_after_two_easy_questions_in_a_row() -> None:
    router = tiers()
    texts = [HARD, "Here it is.", EASY, "Yes.", f"{EASY} two", "No.", f"{EASY} three"]
    sent = [request(*texts[:end], session="s") for end in range(1, len(texts) + 1, 2)]
    assert [router.choose(each).tier for each in sent] == ["powerful", "powerful", "fast", "fast"]


def test_a_session_does_not_move_down_where_its_prefix_would_cost_more() -> None:
    router = tiers(outlook=Outlook(calls=1))
    texts = [HARD, "ok " * 100_000, EASY, "Yes.", f"{EASY} two"]
    chosen = [router.choose(request(*texts[:end], session="s")) for end in (1, 3, 5)]
    assert [choice.tier for choice in chosen] == ["powerful"] * 3
    assert chosen[2].reason.endswith("but a cold prefix would cost more")


def test_where_no_price_is_known_sessions_only_move_up() -> None:
    router = Tiers({"fast": "my-own", "powerful": "my-other"}, by=Length(0.3, TRAFFIC))
    texts = [EASY, "ok", HARD, "ok", EASY, "ok", f"{EASY} two"]
    chosen = [router.choose(request(*texts[:end], session="s")).tier for end in (1, 3, 5, 7)]
    assert chosen == ["fast", "powerful", "powerful", "powerful"]


def test_what_does_not_fit_a_window_goes_to_a_tier_that_can_read_it() -> None:
    small, large = Tier(FAST, window=1000), Tier(POWERFUL, window=400_000)
    router = Tiers({"fast": small, "powerful": large}, by=Length(0.0, TRAFFIC))
    choice = router.choose(request(MIDDLING, "ok " * 5000, EASY))
    assert choice.tier == "powerful"
    assert "do not fit into fast" in choice.reason
    assert router.choose(request(MIDDLING)).tier == "fast"


def test_the_next_stronger_tier_answers_for_one_whose_provider_fails() -> None:
    router = Tiers(dict.fromkeys(("a", "b", "c"), FAST))
    assert [router.spare(name) for name in "abc"] == ["b", "c", "b"]
    assert router.spare("b", ["c"]) == "a"
    assert router.spare("b", ["a", "c"]) is None


def test_threads_may_share_it() -> None:
    router = tiers()

    def work(name: int) -> None:
        for i in range(50):
            router.choose(request(f"{TRAFFIC[i]} {name}", session=f"{name} {i}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert router.by.traffic == 300 + 8 * 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiers": {}}, "at least one"),
        ({"rules": [Rule("slow", lambda request: True)]}, "'slow'"),
        ({"shares": {"fast": 1.0}}, "each of"),
        ({"shares": {"fast": 0.5, "powerful": 0.6}}, "add up to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    known = {"tiers": {"fast": FAST, "powerful": POWERFUL}, **settings}
    with pytest.raises(ValueError, match=message):
        Tiers(**known)  # type: ignore[arg-type]


def test_a_cold_prefix_costs_more_than_a_warm_one() -> None:
    size, tier = Size(10_000, 100, 300), Tier("claude-sonnet-4-5")
    warm, cold = (expected(tier, size, warm=warm) for warm in (True, False))
    assert warm is not None and cold is not None
    assert float(warm) == pytest.approx(10_000 * 0.3e-6 + 100 * 3.75e-6 + 300 * 15e-6)
    assert float(cold) == pytest.approx(10_100 * 3.75e-6 + 300 * 15e-6)


def test_a_service_class_costs_its_share_and_shares_the_prefix() -> None:
    size, full, half = Size(10_000, 100, 300), Tier(POWERFUL), Tier(POWERFUL, discount=0.5)
    plain, flex = (expected(tier, size, warm=True) for tier in (full, half))
    assert plain is not None and flex == plain / 2
    change = switch(full, half, size, calls=3)
    assert change is not None and change.once == 0 and change.saves


def test_what_has_no_price_is_not_weighed() -> None:
    assert expected(Tier("my-own"), Size(1, 1, 1), warm=True) is None
    assert switch(Tier(FAST), Tier("my-own"), Size(1, 1, 1), calls=1) is None


@pytest.mark.parametrize("settings", [{"discount": -1}, {"window": 0}])
def test_a_tier_with_senseless_settings_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Tier(FAST, **settings)  # type: ignore[arg-type]


def test_a_new_session_goes_up_where_the_weak_model_cannot_cache_what_all_begin_with() -> None:
    weak, strong = "claude-haiku-4-5", "claude-sonnet-4-5"
    tiers = Tiers({"fast": weak, "strong": strong}, by=Length(0.3), output=50)
    for n in range(100):
        tiers.by.observe(Request("", (Message("user", "word " * n),)))

    def choice(tokens: int, text: str) -> str:
        rules = Message("system", "rule " * tokens)
        return tiers.choose(Request("", (rules, Message("user", text)))).tier

    assert choice(3000, "first") == "fast"  # nothing says yet that others begin so
    assert choice(3000, "second") == "strong"  # 0.1 of its price, beside the whole of the other's
    assert choice(6000, "first") == choice(6000, "second") == "fast"  # long enough for both
    assert choice(50, "first") == choice(50, "second") == "fast"
