"""Where two questions part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.cache.contrast import FEATURES, features, is_retyped, is_reversed, words_of

KNOWN = frozenset("how do i renew my passport trial trail in austin austen".split())


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


def test_a_typing_error_is_no_other_word_but_two_known_words_are_two() -> None:
    assert is_retyped(
        "How do I renew my passport?", "pls how do i renew my pasport", KNOWN.__contains__
    )
    assert not is_retyped("in Austin", "in Austen", KNOWN.__contains__)
    assert not is_retyped("my trial", "my trail", KNOWN.__contains__)
    assert not is_retyped("", "", KNOWN.__contains__)


@pytest.mark.parametrize(
    ("one", "other", "reversed_"),
    [
        ("Cancel my order", "Don't cancel my order", True),
        ("Is it refundable?", "Is it non-refundable?", True),
        ("Which are included?", "Which are excluded?", True),
        ("How do I enable sync?", "How do I disable sync?", True),
        ("Why can't I log in?", "Why can I not log in?", False),
        ("Cancel my order", "Cancel my booking", False),
        ("How do I enable sync?", "How do I not disable sync?", False),
        ("same", "same", False),
    ],
)
def test_what_parts_them_is_their_meaning(one: str, other: str, reversed_: bool) -> None:
    assert is_reversed(one, other) is is_reversed(other, one) is reversed_
