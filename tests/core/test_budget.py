"""Limits on tokens and dollars."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from trimtab import BudgetExceeded, Message, Pipeline, Request, Response, Usage
from trimtab.budget import WRAP_UP, Budget, by_run, by_session, by_tenant, run
from trimtab.spending import LIFE, PARTS, Amount, Spending

MODEL = "gpt-5"
ANSWER = Usage(14, 80, 0, 0, 0)
"""Just what is expected of it."""
EACH = 94


def words(text: str) -> int:
    return len(text.split())


def request(text: str = "word " * 10, **fields: object) -> Request:
    return Request(MODEL, (Message("user", text),), **fields)  # type: ignore[arg-type]


def answering(usage: Usage | None = ANSWER) -> Response:
    return Response(Message("assistant", "ok"), usage, MODEL)


def budget(**settings: object) -> Budget:
    known = {"tokens": 1000, "output": 80, "last": 10, "count": words, **settings}
    return Budget(**known)  # type: ignore[arg-type]


def calls_until_spent(pipeline: Pipeline, usage: Usage | None = ANSWER) -> int:
    for number in range(1000):
        try:
            pipeline.run(request(), lambda _: answering(usage))
        except BudgetExceeded:
            return number
    raise AssertionError("never spent")


def test_calls_go_through_until_the_budget_is_spent() -> None:
    made = budget()
    assert calls_until_spent(Pipeline([made])) == 10
    assert made.spent(request()) == (0, 10 * EACH)


def test_dollars_count_what_was_read_from_and_written_to_the_prefix_cache() -> None:
    made = Budget(dollars="1.00")
    usage = Usage(100_000, 1000, 80_000, 0, 0)
    Pipeline([made]).run(request(), lambda _: answering(usage))
    dollars, tokens = made.spent(request())
    assert (
        dollars
        == Decimal("0.125") * 80_000 / 10**6
        + Decimal("1.25") * 20_000 / 10**6
        + Decimal("10") * 1000 / 10**6
    )
    assert tokens == 101_000


def test_near_its_end_the_model_is_told_to_come_to_one() -> None:
    made = budget(tokens=400, warn=0.5, wrap_up=0.7)
    pipeline = Pipeline([made])
    sent: list[Request] = []

    def call(asked: Request) -> Response:
        sent.append(asked)
        return answering()

    for _ in range(3):
        pipeline.run(request(), call)
    assert sent[0] == sent[0].__class__(MODEL, sent[0].messages, fingerprint=pipeline.fingerprint)
    assert [asked.messages[-1].text == WRAP_UP for asked in sent] == [False, False, True]
    assert sent[2].params == {"max_tokens": 10}
    assert sent[2].messages[0].text == request().query


def test_a_call_after_which_no_other_fits_is_told_so_too() -> None:
    made = budget(tokens=250, wrap_up=1.0, warn=1.0)
    pipeline = Pipeline([made])
    plans = [pipeline.plan(request()) for _ in range(2)]
    assert [plan.request.messages[-1].text == WRAP_UP for plan in plans] == [False, True]
    with pytest.raises(BudgetExceeded):
        pipeline.plan(request())


def test_a_limit_that_the_request_sets_itself_is_lowered_and_not_doubled() -> None:
    made = budget(tokens=120, wrap_up=0.8)
    sent = made(request(params={"max_completion_tokens": 500, "temperature": 0}))
    assert sent.params == {"max_completion_tokens": 10, "temperature": 0}
    sent = made(request(params={"max_tokens": 5}))
    assert sent.params == {"max_tokens": 5}
    assert len(sent.messages) == 1  # it is short enough for several


def test_a_warning_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    calls_until_spent(Pipeline([budget()]))
    (record,) = caplog.records
    assert "% of the budget for everything are taken" in record.getMessage()


def test_the_error_says_what_is_spent_and_what_to_do() -> None:
    made = budget(tokens=30)
    with pytest.raises(BudgetExceeded, match=r"of 30 tokens.*Raise the limit"):
        made(request())


def test_sixty_four_threads_cannot_spend_the_same_dollar() -> None:
    made = budget(tokens=5000)
    pipeline = Pipeline([made])
    answered: list[int] = []

    def work(_: int) -> None:
        for _ in range(5):
            try:
                pipeline.run(request(), lambda _: answering())
            except BudgetExceeded:
                continue
            answered.append(1)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(64)))
    assert made.spent(request())[1] == len(answered) * EACH
    assert 5000 - EACH <= made.spent(request())[1] <= 5000


def test_sixty_four_tasks_cannot_either() -> None:
    made = budget(tokens=5000)
    pipeline = Pipeline([made])
    under_way, most = 0, 0

    async def call(_: Request) -> Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return answering()

    async def work() -> None:
        for _ in range(3):
            try:
                await pipeline.arun(request(), call)
            except BudgetExceeded:
                await asyncio.sleep(0.01)

    async def all_at_once() -> None:
        await asyncio.gather(*(work() for _ in range(64)))

    asyncio.run(all_at_once())
    assert most > 10
    assert 5000 - EACH <= made.spent(request())[1] <= 5000


def spend(path: str) -> None:
    pipeline = Pipeline([budget(tokens=5000, path=path)])
    for _ in range(40):
        try:
            pipeline.run(request(), lambda _: answering())
        except BudgetExceeded:
            return


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "spent.db")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=spend, args=(path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert 5000 - EACH <= budget(path=path).spent(request())[1] <= 5000


def test_a_failed_call_costs_nothing_and_a_dropped_stream_what_was_expected() -> None:
    made = budget()
    pipeline = Pipeline([made])
    with pytest.raises(ConnectionError):
        pipeline.run(request(), raising)
    assert made.spent(request())[1] == 0
    plan = pipeline.plan(request())
    expected = made.spent(request())[1]
    pipeline.abandon(plan, GeneratorExit())
    assert made.spent(request())[1] == expected > 0


def raising(_: Request) -> Response:
    raise ConnectionError


def test_a_plan_that_nobody_carries_out_gives_back_what_it_held() -> None:
    made = budget()
    pipeline = Pipeline([made])
    plan = pipeline.plan(request())
    assert made.spent(request())[1] > 0
    del plan
    gc.collect()
    pipeline.run(request(), lambda _: answering())
    assert made.spent(request())[1] == EACH


def test_an_answer_that_does_not_say_its_usage_counts_as_expected() -> None:
    made = budget()
    pipeline = Pipeline([made])
    plan = pipeline.plan(request())
    expected = made.spent(request())[1]
    pipeline.finish(plan, answering(None))
    assert made.spent(request())[1] == expected


def test_each_session_tenant_or_run_has_a_budget_of_its_own() -> None:
    for by, fields in (
        (by_session, [{"session": "a"}, {"session": "b"}]),
        (by_tenant, [{"tenant": "a"}, {"tenant": "b"}]),
    ):
        made = budget(by=by)
        pipeline = Pipeline([made])
        pipeline.run(request(**fields[0]), lambda _: answering())
        assert [made.spent(request(**each))[1] for each in fields] == [EACH, 0]


def test_a_run_is_a_block_also_where_its_stream_ends_elsewhere() -> None:
    made = budget(by=by_run)
    pipeline = Pipeline([made])
    with run("first"):
        plan = pipeline.plan(request())
    with run("second"):
        pipeline.finish(plan, answering())
        assert made.spent(request())[1] == 0
    with run("first"):
        assert made.spent(request())[1] == EACH


def test_what_was_spent_before_the_period_is_forgotten() -> None:
    now = [1e9]
    spending = Spending(hours=1, clock=lambda: now[0])
    for _ in range(3):
        now[0] += 1000
        spending.settle("x", "all", Amount(tokens=10))
    now[0] += 1000
    assert spending.total("all").tokens == 30
    now[0] += 700
    assert spending.total("all").tokens == 20
    now[0] += 3600 + 3600 / PARTS
    assert spending.total("all") == Amount()
    assert budget(period=timedelta(days=1)).spent(request())[1] == 0


def test_what_a_dead_process_held_is_free_again_in_time() -> None:
    now = [1e9]
    spending = Spending(clock=lambda: now[0])
    fits = lambda total: total.tokens <= 10  # noqa: E731
    assert spending.reserve("a", "all", Amount(tokens=10), fits) == (Amount(tokens=10), True)
    assert spending.reserve("b", "all", Amount(tokens=1), fits) == (Amount(tokens=11), False)
    now[0] += LIFE + 1
    assert spending.reserve("b", "all", Amount(tokens=1), fits) == (Amount(tokens=1), True)


def test_a_model_without_a_price_is_not_sent_dollars_of_unknown_number() -> None:
    asked = Request("my-own", (Message("user", "hi"),))
    with pytest.raises(BudgetExceeded, match=r"'my-own' has no known price.*tokens="):
        Budget(dollars=1)(asked)
    made = Budget(dollars=1, price=lambda model, usage: Decimal("0.25"))
    assert calls_until_spent(Pipeline([made])) == 4


def test_an_answer_from_the_cache_spends_nothing() -> None:
    from trimtab.cache import ExactCache

    made = budget()
    pipeline = Pipeline([made], cache=ExactCache())
    for _ in range(50):
        pipeline.run(request(), lambda _: answering())
    assert made.spent(request())[1] == EACH


def test_forking_threads_do_not_deadlock() -> None:
    made = budget(tokens=10**9)
    pipeline = Pipeline([made])
    stop = threading.Event()

    def work() -> Iterator[None]:
        while not stop.is_set():
            pipeline.plan(request())
            yield

    threads = [threading.Thread(target=lambda: list(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        pipeline.run(request(), lambda _: answering())
        gc.collect(0)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a limit"),
        ({"tokens": 0}, "tokens must be"),
        ({"dollars": -1}, "dollars must be"),
        ({"tokens": 1, "warn": 0.9, "wrap_up": 0.5}, "warn"),
        ({"tokens": 1, "period": timedelta(0)}, "period"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**settings)  # type: ignore[arg-type]
