import asyncio
import logging
import threading
from dataclasses import replace

import pytest

from trimtab import (
    BudgetExceeded,
    Ledger,
    Message,
    Pipeline,
    Request,
    Response,
    Tool,
    ToolCall,
    Usage,
)
from trimtab.pipeline import BOUND, call_tool
from trimtab.types import RunnableTool, fold


def ask(*texts: str, **rest) -> Request:
    return Request("gpt-4o", tuple(Message("user", text) for text in texts), **rest)


def answer(request: Request) -> Response:
    """A stand-in model that repeats the last message, and bills a token a word."""
    words = sum(len(m.text.split()) for m in request.messages)
    return Response(Message("assistant", request.messages[-1].text), Usage(words, 1), "gpt-4o")


def shout(request: Request) -> Request:
    return replace(
        request, messages=tuple(replace(m, content=m.text.upper()) for m in request.messages)
    )


def drop_first(request: Request) -> Request:
    return replace(request, messages=request.messages[1:])


class Remembers:
    """A cache that is a dictionary."""

    def __init__(self) -> None:
        self.answers: dict[str, Response] = {}

    def get(self, request: Request) -> Response | None:
        return self.answers.get(request.key)

    def put(self, request: Request, response: Response) -> None:
        self.answers[request.key] = response


class Broken:
    """A cache whose server is down."""

    def get(self, request: Request) -> Response | None:
        raise ConnectionError("no route")

    def put(self, request: Request, response: Response) -> None:
        raise ConnectionError("no route")


def test_an_empty_pipeline_changes_nothing() -> None:
    request = ask("hello")

    assert Pipeline().plan(request).request.messages is request.messages
    assert Pipeline().run(request, answer).message.text == "hello"


def test_steps_run_in_order_and_the_plan_says_what_each_saved() -> None:
    plan = Pipeline([drop_first, shout]).plan(ask("a long old question indeed", "new"))

    assert [m.text for m in plan.request.messages] == ["NEW"]
    first, second = plan.changes
    assert (first.step, second.step) == ("drop_first", "shout")
    assert first.before - first.after == plan.tokens_saved > 0


def test_a_repeated_request_never_reaches_the_model_and_counts_as_saved() -> None:
    pipeline = Pipeline(cache=Remembers())
    answers = iter([Response(Message("assistant", "hi"), Usage(7, 2))])

    first, second = (pipeline.run(ask("hello"), lambda _: next(answers)) for _ in range(2))

    assert first == second
    spent, saved = pipeline.ledger.events
    assert (spent.hit, spent.usage.input_tokens) == (False, 7)
    assert (saved.hit, saved.usage.input_tokens, saved.saved) == (True, 0, Usage(7, 2))


def test_another_pipeline_does_not_share_answers() -> None:
    cache = Remembers()
    Pipeline(cache=cache).run(ask("hello"), answer)

    assert Pipeline([shout], cache=cache).plan(ask("hello")).hit is None
    assert Pipeline(cache=cache).plan(ask("hello")).hit is not None


def test_an_answer_that_cannot_be_rebuilt_is_not_remembered() -> None:
    pipeline = Pipeline(cache=Remembers())

    pipeline.run(ask("hello"), lambda r: replace(answer(r), cacheable=False))

    assert pipeline.plan(ask("hello")).hit is None


def test_what_breaks_is_logged_once_counted_and_left_out(caplog) -> None:
    def fails(request: Request) -> Request:
        raise RuntimeError("out of luck")

    pipeline = Pipeline([fails, shout], cache=Broken())
    with caplog.at_level(logging.WARNING, logger="trimtab"):
        texts = [pipeline.run(ask("hi"), answer).message.text for _ in range(3)]

    assert texts == ["HI"] * 3
    assert pipeline.failures == {"fails": 3, "cache": 6}
    assert len(caplog.records) == 2


def test_a_counter_that_breaks_costs_the_steps_and_not_the_record() -> None:
    def count(text: str) -> int:
        raise RuntimeError("no tokens")

    pipeline = Pipeline([shout], count=count)
    assert pipeline.run(ask("hi"), answer).message.text == "hi"
    (event,) = pipeline.ledger.events
    assert event.usage == answer(ask("hi")).usage
    assert pipeline.failures == {"plan": 1, "components": 1}


def test_an_answer_that_was_cut_short_is_not_remembered() -> None:
    pipeline = Pipeline(cache=Remembers())
    for reason in ("length", "MAX_TOKENS", "content_filter"):
        cut = replace(answer(ask("hi")), finish_reason=reason)
        pipeline.finish(pipeline.plan(ask("hi")), cut)
        assert pipeline.plan(ask("hi")).hit is None


def test_a_ledger_that_breaks_does_not_break_the_call() -> None:
    class Full(Ledger):
        def record(self, event) -> None:
            raise OSError("disk full")

    assert Pipeline(ledger=Full()).run(ask("hi"), answer).message.text == "hi"


def test_a_spent_budget_stops_the_call() -> None:
    def poor(request: Request) -> Request:
        raise BudgetExceeded("spent $2 of $2")

    with pytest.raises(BudgetExceeded):
        Pipeline([poor]).run(ask("hi"), answer)


def test_what_the_last_of_a_budget_paid_for_is_remembered() -> None:
    class Poor(Ledger):
        def record(self, event) -> None:
            raise BudgetExceeded("spent $2 of $2")

    pipeline = Pipeline(cache=Remembers(), ledger=Poor())

    with pytest.raises(BudgetExceeded):
        pipeline.run(ask("hi"), answer)
    assert pipeline.plan(ask("hi")).hit == answer(ask("hi"))


class Shared(Remembers):
    """A cache in which others wait for the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def put(self, request: Request, response: Response) -> None:
        super().put(request, response)
        self.told.append("put")

    def release(self, request: Request, *, retry: bool) -> None:
        self.told.append("retry" if retry else "none to come")

    def forsake(self, request: Request) -> None:
        self.told.append("forsaken")


class SharedLater(Shared):
    """The same for async callers."""

    async def aget(self, request: Request) -> Response | None:
        return self.get(request)

    async def aput(self, request: Request, response: Response) -> None:
        self.put(request, response)


def test_a_failed_call_gives_back_its_lease_though_a_budget_is_spent() -> None:
    class Poor(Ledger):
        def record(self, event) -> None:
            raise BudgetExceeded("spent $2 of $2")

    pipeline = Pipeline(cache=Shared(), ledger=Poor())

    with pytest.raises(BudgetExceeded):
        pipeline.abandon(pipeline.plan(ask("hi")), TimeoutError())
    assert pipeline.cache.told == ["retry"]


def test_those_who_wait_hear_once_what_became_of_a_call() -> None:
    cache = Shared()
    pipeline = Pipeline(cache=cache)

    pipeline.run(ask("short"), lambda r: replace(answer(r), finish_reason="length"))
    pipeline.run(ask("whole"), answer)
    pipeline.run(ask("whole"), answer)  # a hit
    with pytest.raises(ZeroDivisionError):
        pipeline.run(ask("fails"), lambda r: 1 / 0)

    assert cache.told == ["none to come", "put", "retry"]


def test_those_who_wait_for_an_async_call_hear_the_same() -> None:
    cache = SharedLater()
    pipeline = Pipeline(cache=cache)

    async def call(request: Request) -> Response:
        if request.query == "fails":
            raise TimeoutError("no answer")
        reason = "length" if request.query == "short" else "stop"
        return replace(answer(request), finish_reason=reason)

    async def main() -> None:
        for text in ("short", "whole", "whole", "fails"):
            await asyncio.gather(pipeline.arun(ask(text), call), return_exceptions=True)

    asyncio.run(main())
    assert cache.told == ["none to come", "put", "retry"]


def test_those_who_wait_are_let_go_where_another_cache_answered() -> None:
    pipeline = Pipeline(cache=Shared())
    plan = pipeline.plan(ask("hi"))

    pipeline.finish(replace(plan, hit=answer(ask("hi"))), answer(ask("hi")))

    assert pipeline.cache.told == ["none to come"]


def test_a_plan_that_is_forgotten_is_no_call_to_wait_for() -> None:
    pipeline = Pipeline(cache=Shared())

    assert pipeline.plan(ask("hi")).tokens_saved == 0

    assert pipeline.cache.told == ["forsaken"]


def test_those_who_wait_are_told_where_a_budget_stops_the_steps() -> None:
    def poor(request: Request) -> Request:
        raise BudgetExceeded("spent $2 of $2")

    pipeline = Pipeline([poor], cache=Shared())

    with pytest.raises(BudgetExceeded):
        pipeline.run(ask("hi"), answer)
    assert pipeline.cache.told == ["retry"]


def test_a_step_that_edits_a_pinned_message_is_left_out() -> None:
    request = Request("gpt-4o", (Message("system", "be kind", pinned=True), Message("user", "hi")))
    pipeline = Pipeline([shout])

    assert pipeline.plan(request).request.messages == request.messages
    assert pipeline.failures["shout"] == 1


def test_a_step_that_parts_a_result_from_its_call_is_left_out() -> None:
    wish = ToolCall("1", "look_up", "{}")
    request = Request(
        "gpt-4o",
        (Message("assistant", "", tool_calls=(wish,)), Message("tool", "x", tool_call_id="1")),
    )
    pipeline = Pipeline([drop_first])

    assert pipeline.plan(request).request.messages == request.messages
    assert pipeline.failures["drop_first"] == 1


def test_async_gives_the_same_answer() -> None:
    async def later(request: Request) -> Response:
        return answer(request)

    pipeline = Pipeline([shout], cache=Remembers())

    assert asyncio.run(pipeline.arun(ask("a b"), later)) == pipeline.run(ask("a b"), answer)
    assert [event.hit for event in pipeline.ledger.events] == [False, True]


def test_an_async_cache_is_awaited() -> None:
    class Later(Remembers):
        async def aget(self, request: Request) -> Response | None:
            await asyncio.sleep(0)
            return self.get(request)

        async def aput(self, request: Request, response: Response) -> None:
            await asyncio.sleep(0)
            self.put(request, response)

    async def later(request: Request) -> Response:
        return answer(request)

    async def twice() -> list[bool]:
        pipeline = Pipeline(cache=Later())
        for _ in range(2):
            await pipeline.arun(ask("hi"), later)
        return [event.hit for event in pipeline.ledger.events]

    assert asyncio.run(twice()) == [False, True]


def test_a_step_that_calls_a_model_does_not_hold_up_the_event_loop() -> None:
    let_go = threading.Event()

    class Slow:
        blocking = True

        def __call__(self, request: Request) -> Request:
            assert let_go.wait(10)
            return shout(request)

    async def go() -> Response:
        async def call(request: Request) -> Response:
            return answer(request)

        asked = asyncio.create_task(Pipeline([Slow()]).arun(ask("hi"), call))
        await asyncio.sleep(0)
        let_go.set()
        return await asked

    assert asyncio.run(go()).message.text == "HI"


def test_a_call_that_fails_is_recorded_and_raised() -> None:
    def down(request: Request) -> Response:
        raise TimeoutError("no answer")

    pipeline = Pipeline()
    with pytest.raises(TimeoutError):
        pipeline.run(ask("hi"), down)

    (event,) = pipeline.ledger.events
    assert "no answer" in event.error and event.usage == Usage()


def test_a_rewritten_history_is_named_as_a_cut_and_a_grown_one_is_not() -> None:
    pipeline = Pipeline([drop_first])
    opening = [Message("user", "word " * 300), Message("user", "word " * 200)]

    plans = [
        pipeline.plan(Request("gpt-4o", tuple(opening), session="s")),
        pipeline.plan(Request("gpt-4o", (*opening, Message("user", "next")), session="s")),
    ]
    assert [plan.cuts for plan in plans] == [(), ()]

    @fold
    def forgets(request: Request) -> Request:
        return drop_first(request) if len(request.messages) > 2 else request

    pipeline = Pipeline([forgets])
    pipeline.plan(Request("gpt-4o", tuple(opening), session="s"))
    (cut,) = pipeline.plan(Request("gpt-4o", (*opening, Message("user", "next")), session="s")).cuts

    assert (cut.step, cut.message) == ("forgets", 0)
    assert cut.after > 500 and 290 < cut.removed < 310


def test_a_history_that_the_caller_rewrote_is_not_called_a_cut() -> None:
    pipeline = Pipeline([shout])
    pipeline.plan(ask("one", "two", session="s"))

    assert pipeline.plan(ask("other", "two", "three", session="s")).cuts == ()


def test_the_tools_of_steps_are_offered_only_beside_others() -> None:
    class Needs:
        tools = (RunnableTool(Tool("recall"), lambda arguments: f"got {arguments['handle']}"),)

        def __call__(self, request: Request) -> Request:
            return request

    pipeline = Pipeline([Needs()])

    assert pipeline.bind(ask("hi")).tools == ()
    bound = pipeline.bind(ask("hi", tools=(Tool("look_up"),)))
    assert [tool.name for tool in bound.tools] == ["look_up", "recall"]
    assert pipeline.bind(bound) is bound
    assert call_tool(pipeline.tools, "recall", {"handle": "7"}) == "got 7"
    with pytest.raises(KeyError, match="recall"):
        call_tool(pipeline.tools, "other", {})


def test_pipelines_with_the_same_settings_have_the_same_fingerprint() -> None:
    assert Pipeline([shout]).fingerprint == Pipeline([shout]).fingerprint
    assert Pipeline([shout]).fingerprint != Pipeline([drop_first]).fingerprint


def test_a_budget_spent_in_an_async_cache_stops_the_call() -> None:
    class Poor(Remembers):
        async def aget(self, request: Request) -> Response | None:
            raise BudgetExceeded("spent $2 of $2")

    async def later(request: Request) -> Response:
        return answer(request)

    with pytest.raises(BudgetExceeded):
        asyncio.run(Pipeline(cache=Poor()).arun(ask("hi"), later))


def test_the_steps_own_tools_cost_what_they_cost_where_they_are_sent() -> None:
    class Tooled:
        tools = (RunnableTool(Tool("recall", "Gives it back. " * 9), lambda **_: ""),)
        sends = True

        def __call__(self, request: Request) -> Request:
            return request if self.sends else replace(request, tools=request.tools[:1])

    step = Tooled()
    pipeline = Pipeline([step])
    asked = pipeline.bind(replace(ask("hello"), tools=(Tool("look", "Looks."),)))
    assert [change.step for change in pipeline.plan(asked).changes] == ["Tooled", BOUND]
    assert pipeline.plan(asked).tokens_saved < 0
    step.sends = False  # and nobody is told that this saved anything
    assert pipeline.plan(asked).tokens_saved == 0
