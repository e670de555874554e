import io
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from trimtab import trace
from trimtab.demo import TRAFFIC
from trimtab.pipeline import Cut, Pipeline
from trimtab.replay import CutResult, Replay
from trimtab.replay import replay as run
from trimtab.report import change, dollars, figures, line, percent, show
from trimtab.types import Request, fold


@fold
def halve(request: Request) -> Request:
    edit = lambda text: text[: len(text) // 2]  # noqa: E731
    messages = tuple(m.with_texts(edit) if m.role == "tool" else m for m in request.messages)
    return replace(request, messages=messages)


@pytest.fixture(scope="module")
def result() -> Replay:
    (first, second, *_) = trace.read(TRAFFIC)
    return run([first, second], lambda model: Pipeline([halve]))


def printed(result: Replay, width: int) -> str:
    out = io.StringIO()
    show(result, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_the_tables_fit_a_terminal(result: Replay, width: int) -> None:
    lines = printed(result, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(text.split()[:1] == ["halve"] for text in lines)
    assert not any("…" in text for text in lines)


def test_tables_say_tokens_dollars_and_evidence(result: Replay) -> None:
    text = printed(result, 100)
    for part in ("recorded", "would be sent", "with prefix cache", "evidence kept", "p95"):
        assert part in text
    assert f"{result.before.tokens:,}" in text
    assert dollars(result.after.cached, len(result.outcomes)) in text


def test_the_figures_are_json_and_dollars_exact(result: Replay) -> None:
    read = json.loads(json.dumps(figures(result)))
    assert read["tokens"] == {"before": result.before.tokens, "after": result.after.tokens}
    assert Decimal(read["dollars"]["prefix_cache"]["after"]) == result.after.cached
    assert read["levers"] == {"halve": result.before.tokens - result.after.tokens}
    assert read["evidence"] == {"needed": result.needed, "kept": result.kept}
    assert max(read["cost_ratios"].values()) == read["worst_cost_ratio"] < 1


def test_cuts_are_listed_with_what_they_won(result: Replay) -> None:
    cut = CutResult("c", 8, Cut("History", 1, 5000, 3000, 700.0), 650.5)
    outcome = replace(result.outcomes[0], cuts=(cut,))
    (told,) = figures(Replay((outcome,)))["cuts"]  # type: ignore[misc]
    assert (told["expected"], told["won"], told["removed"]) == (700.0, 650.5, 3000)
    assert "1, expected to win 700 tokens, won 650" in printed(Replay((outcome,)), 80)


def test_steps_that_failed_are_told(result: Replay) -> None:
    assert "failed            halve, 3 times" in printed(replace(result, failures={"halve": 3}), 80)


def test_one_line_sums_it_up(result: Replay) -> None:
    assert line(result).startswith("tokens ")
    assert "\N{MINUS SIGN}" in line(result)


def test_what_is_unknown_is_not_written_as_zero() -> None:
    assert dollars(None, 5) == dollars(Decimal(5), 0) == "unknown"
    assert change(None, 1) == change(0, 1) == "unknown"
    assert percent(0, 0) == "unknown"
    assert "unknown" in printed(Replay(()), 80)


def test_numbers_are_written_with_as_many_digits_as_they_need() -> None:
    assert dollars(Decimal("0.0123456"), 1000) == "$0.0123"
    assert dollars(Decimal("43.5"), 1) == "$43,500.00"
    assert change(100, 80) == "\N{MINUS SIGN}20.0 %"
    assert change(100, 120) == "+20.0 %"
    assert percent(1, 3) == "33.3 %"
