"""Where two questions part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.cache.contrast import FEATURES, features, words_of
from trimtab.cache.settled import is_retyped, is_reversed


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_compare_and_their_order_hardly_matters(one: str, other: str) -> None:
    there, back = features(one, other), features(other, one)

    assert len(there) == len(back) == len(FEATURES)
    for name in ("left_min", "left_max", "jaccard", "number_changed", "letters"):
        assert there[FEATURES.index(name)] == pytest.approx(back[FEATURES.index(name)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can't I?", "can not i"),
        ("at 3 pm", "at 15:00"),
        ("two days", "2 day"),
        ("5 kilograms", "5 kg"),
        ("What\u2019s new", "what's NEW!"),
    ],
)
def test_other_spellings_are_the_same_words(one: str, other: str) -> None:
    assert [w.form for w in words_of(one)] == [w.form for w in words_of(other)]


SOME = (
    "need needs how do I my what's the not don't can't unable order orders odrer 5 five kg kilos "
    "7pm 19:00 Paris Rome Austin trial trail before after \u65e5\u672c \U0001f469 $ % \ud83d"
).split()
QUESTIONS = st.one_of(
    st.text(st.characters(), max_size=60), st.lists(st.sampled_from(SOME), max_size=9).map(" ".join)
)


def measured(one: str, other: str) -> dict[str, float]:
    return dict(zip(FEATURES, features(one, other), strict=True))


@given(QUESTIONS, QUESTIONS)
def test_what_is_told_of_two_texts_is_finite_and_the_rules_know_no_order(
    one: str, other: str
) -> None:
    assert all(0 <= value < 1000 for value in features(one, other))
    assert is_reversed(one, other) is is_reversed(other, one)
    assert is_retyped(one, other, str.isupper) is is_retyped(other, one, str.isupper)


@given(QUESTIONS)
def test_a_text_parts_from_itself_in_nothing(text: str) -> None:
    found = measured(text, text)
    assert found["equal"] == 1
    assert not any(value for name, value in found.items() if "changed" in name or "sided" in name)
    assert found["left_max"] == found["inversions"] == found["substituted"] == 0


@pytest.mark.parametrize(
    ("one", "other", "signs"),
    [
        ("send 5 letters", "send 7 letters", {"number_changed": 1}),
        ("send letters", "send 7 letters", {"number_one_sided": 1}),
        ("come on Monday", "come on Friday", {"date_changed": 1}),
        ("5 kg of rice", "5 pounds of rice", {"unit_changed": 1, "number_changed": 0}),
        ("a hotel in Paris", "a hotel in Rome", {"name_changed": 1}),
        ("a daily report", "a weekly report", {"scope_changed": 1}),
        ("Is it safe?", "Is it not safe?", {"negation_changed": 1}),
        ("open an account", "close an account", {"opposite": 1}),
        ("is it available", "is it unavailable", {"opposite": 1}),
        ("why renew it", "when renew it", {"asks_changed": 1, "asks_first_shared": 0}),
        ("a train to Rome from Bern", "a train to Bern from Rome", {"inversions": 1}),
        ("my recieved parcel", "my received parcel", {"left_max": 0}),
        ("my adress", "my address", {"left_max": 0}),
        ("1,000 letters", "1000 letters", {"number_changed": 0, "equal": 1}),
        ("What does \u27b0 mean?", "What does \u2195 mean?", {"left_max": 1, "equal": 0}),
        ("What does it cost?", "What does this cost?", {"points_min": 0, "points_max": 1}),
        ("the sights this year", "the sights these days", {"points_max": 0}),
        ("Who won? Does this happen often?", "Who won?", {"points_max": 0, "parts_changed": 1}),
        ("What is it and how does it work?", "What is it?", {"parts_changed": 1}),
        ("tea and milk", "tea", {"joins_one_sided": 1}),
        ("What does it mean to you?", "What does it mean?", {"yours_changed": 1}),
        ("my plan", "a plan", {"mine_changed": 1}),
    ],
)
def test_each_kind_of_difference_is_seen(one: str, other: str, signs: dict[str, int]) -> None:
    found = measured(one, other)
    assert {name: found[name] for name in signs} == signs
