"""Asking a provider to cache what the next call begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from trimtab import Message, Pipeline, Request, Response, Tool, ToolCall, Usage
from trimtab.budget import Budget
from trimtab.cache import ExactCache
from trimtab.ledger import Ledger
from trimtab.prefix import MOST, BreakPoints, CacheKey, break_points
from trimtab.prices import CacheRule, Outlook, PrefixCache, outlook_for
from trimtab.recipes import balanced, lean, lossless
from trimtab.types import fold

CLAUDE, GPT = "claude-sonnet-4-5", "gpt-5"
RULES = Message("system", "Never refund more than the ticket. " * 200)
TOOL = Tool("look", "Looks up a flight by its number, which is on the ticket. " * 120)
EACH = CacheRule("", 1, None, 1, "a test", marks=True)


def talk(turns: int, *, each: str = "word " * 50) -> tuple[Message, ...]:
    return tuple(Message(("user", "assistant")[i % 2], f"{each}{i}") for i in range(turns))


def request(*messages: Message, tools: tuple[Tool, ...] = (TOOL,), model: str = CLAUDE) -> Request:
    return Request(model, messages, tools)


def words(text: str) -> int:
    return len(text.split())


def test_break_points_stand_at_the_ends_of_tools_of_instructions_and_of_all() -> None:
    assert break_points(request(RULES, *talk(3))) == (0, 1, 4)


def test_none_stands_after_so_little_that_nothing_would_be_cached() -> None:
    assert break_points(request(*talk(3), tools=())) == ()
    small = Tool("look", "Looks it up.")
    assert break_points(request(RULES, *talk(1), tools=(small,))) == (1, 2)


def test_a_conversation_of_one_call_shares_only_its_front() -> None:
    assert break_points(request(RULES, *talk(1)), calls=1) == (0, 1)


def test_what_the_call_before_sent_is_found_however_much_came_since() -> None:
    calls = tuple(ToolCall(f"{i}", "look", "{}") for i in range(30))
    results = [Message("tool", "found", tool_call_id=call.id) for call in calls]
    asked = request(RULES, *talk(3), Message("assistant", "", tool_calls=calls), *results)
    marks = break_points(asked)
    assert marks == (0, 1, 4, 35)
    assert len(marks) <= MOST

    cache = PrefixCache(words, EACH)
    before = ["tools"] + ["a " * 10] * 4
    after = [*before, "calls", *["found"] * 30]
    cache.send(before, marks=(0, 1, 4))
    assert cache.send(after, marks=(0, 1, 4, 35)).cache_read_tokens == 41
    cache = PrefixCache(words, EACH)
    cache.send(before, marks=(4,))
    assert cache.send(after, marks=(35,)).cache_read_tokens == 0  # too far to be found


def test_the_simulator_reads_and_writes_up_to_break_points_alone() -> None:
    cache = PrefixCache(words, EACH)
    assert cache.send(["a b", "c d", "e"], marks=(1,)) == Usage(5, 0, 0, 4, 0)
    assert cache.send(["a b", "c d", "e", "f"], marks=(1, 3)) == Usage(6, 0, 4, 2, 0)
    assert cache.send(["a b", "c d", "e", "f", "g"], marks=(4,)) == Usage(7, 0, 6, 1, 0)
    assert cache.send(["a b", "x", "e"], marks=()) == Usage(4, 0, 0, 0, 0)


def test_each_call_of_a_conversation_reads_all_that_the_one_before_sent() -> None:
    cache = PrefixCache(words, EACH)
    pipeline = Pipeline([BreakPoints()])
    read = 0
    for turns in range(1, 12, 2):
        sent = pipeline.plan(request(RULES, *talk(turns))).request
        parts = [tool.description for tool in sent.tools] + [m.text for m in sent.messages]
        usage = cache.send(parts, marks=sent.marks)
        assert (usage.cache_read_tokens or 0) >= read
        read = sum(map(words, parts))
        assert (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0) == read


def test_an_openai_conversation_stays_with_the_machine_that_knows_it() -> None:
    step = CacheKey()
    one, two = (step(request(RULES, *talk(turns), model=GPT)) for turns in (1, 5))
    other = step(request(RULES, Message("user", "another"), model=GPT))
    keys = [each.params["prompt_cache_key"] for each in (one, two, other)]
    assert keys[0] == keys[1] != keys[2]
    given = request(RULES, model=GPT)
    by_tenant = CacheKey(key=lambda asked: f"tenant {asked.tenant}")(given)
    assert by_tenant.params == {"prompt_cache_key": "tenant "}
    assert step(by_tenant) is by_tenant


@pytest.mark.parametrize("model", ["gemini-3-flash", "my-own"])
def test_providers_that_need_no_asking_are_left_alone(model: str) -> None:
    asked = request(RULES, *talk(3), model=model)
    assert BreakPoints()(asked) is asked
    assert CacheKey()(asked) is asked


def test_asking_changes_nothing_of_what_is_said() -> None:
    asked = request(RULES, *talk(3))
    sent = BreakPoints()(asked)
    assert sent == asked
    assert sent.key == asked.key
    assert (sent.marks, asked.marks) == ((0, 1, 4), ())
    assert outlook_for(CLAUDE).calls > 1
    answer = Response(Message("assistant", "ok"))
    assert Pipeline([BreakPoints()]).run(asked, lambda sent: answer) is answer


def test_break_points_are_set_last_in_what_the_other_steps_send() -> None:
    def double(asked: Request) -> Request:
        return replace(asked, messages=(asked.messages[0], *asked.messages))

    pipeline = Pipeline([BreakPoints(), fold(double)]).with_steps(CacheKey(), Budget(dollars=9))
    assert isinstance(pipeline.steps[-1], BreakPoints)
    assert pipeline.plan(request(RULES, *talk(3))).request.marks == (0, 2, 5)


@pytest.mark.parametrize("recipe", [lossless, balanced, lean])
def test_every_recipe_sets_them(recipe: Callable[[str], Pipeline]) -> None:
    assert recipe(CLAUDE).plan(request(RULES, *talk(3))).request.marks
    assert not recipe(GPT).plan(request(RULES, *talk(3), model=GPT)).request.marks


def test_a_pipeline_with_more_steps_shares_all_else() -> None:
    cache, ledger = ExactCache(), Ledger()
    given = Pipeline([CacheKey()], cache=cache, ledger=ledger, count=words, outlook=Outlook())
    more = given.with_steps(BreakPoints())
    assert (more.cache, more.ledger, more.count, more.outlook) == (cache, ledger, words, Outlook())
    assert [type(step) for step in more.steps] == [CacheKey, BreakPoints]
    assert len(given.steps) == 1


def test_a_question_alone_writes_no_more_than_what_others_have_shown_to_share() -> None:
    step = BreakPoints()
    ask = [request(RULES, Message("user", f"{n} " * 5000), tools=()) for n in range(3)]
    assert [step(each).marks for each in ask] == [(), (0,), (0,)]
    other = request(replace(RULES, content=RULES.text + "."), *ask[0].messages[1:], tools=())
    assert step(other).marks == ()
    assert step(replace(other, model="claude-opus-4-6")).marks == ()
    answered = replace(other, messages=(*other.messages, *talk(2)[::-1]))
    assert step(answered).marks == (0, 3)


def test_one_call_a_session_writes_no_more_than_its_front() -> None:
    step = BreakPoints(outlook=Outlook(calls=1))
    assert [step(request(RULES, *talk(3))).marks for _ in range(2)] == [(), (0, 1)]
