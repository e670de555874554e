import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.estimate import estimate
from trimtab.tokens import counter_for

PROSE = (
    "The committee met on Tuesday to discuss the new library. Its members had read three"
    " proposals, and most of them preferred the second, because it kept the old reading room and"
    " needed no change to the roof. A vote was put off until the architect could answer questions"
    " about the cost of heating, which nobody in the room was able to estimate with confidence. "
)
CODE = '''def total(rows: list[dict[str, float]], *, key: str = "amount") -> float:
    """Add up one column, leaving out rows that do not have it."""
    found = [row[key] for row in rows if key in row]
    if not found:
        raise ValueError(f"no row has {key!r}")
    return sum(found) / len(found) if len(found) > 1 else found[0]
'''
LOG = "\n".join(
    f"2026-03-0{i % 9 + 1}T10:{i:02d}:07Z INFO worker-{i % 4} job={1000 + i * 37} took {i * 13} ms"
    for i in range(20)
)
JSON = json.dumps(
    [
        {"id": f"#W{i * 7919}", "status": "shipped", "items": [{"sku": i * 31, "price": i * 4.5}]}
        for i in range(20)
    ],
    indent=2,
)
CHINESE = (
    "上个月我们全家去了海边的小城旅行。那里的空气很新鲜，街上有许多卖海鲜的小店。孩子们第一次看见灯塔，"
    "高兴得跑来跑去。晚上我们坐在阳台上听海浪的声音，讨论第二天的计划。老板告诉我们，最好的日出要在山上看，"
    "所以第二天早上四点我们就出发了。虽然很累，但是看到太阳慢慢升起来的时候，大家都觉得非常值得。"
)


@pytest.mark.parametrize(
    ("text", "error"),
    [(PROSE, 0.08), (CODE, 0.12), (LOG, 0.12), (JSON, 0.08), (CHINESE, 0.2)],
    ids=["prose", "code", "log", "json", "chinese"],
)
def test_the_estimate_is_near_the_tokenizer(text: str, error: float) -> None:
    exact = counter_for("gpt-4o")(text)
    assert abs(estimate(text) - exact) <= error * exact


def test_nothing_has_no_tokens_and_anything_has_one() -> None:
    assert estimate("") == 0
    assert estimate("\x00") >= 1


@given(st.text(), st.text())
def test_a_longer_text_never_has_noticeably_fewer_tokens(one: str, other: str) -> None:
    assert estimate(one + other) >= estimate(one) - 2
