"""What the words of two questions settle."""

from __future__ import annotations

import pytest

from trimtab.cache.settled import is_retyped, is_reversed, is_swapped

KNOWN = frozenset("how do i renew my passport trial trail in austin austen".split())


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


@pytest.mark.parametrize(
    ("one", "other", "swapped"),
    [
        ("Flights from Paris to Rome", "flights from Rome to Paris?", True),
        ("Flights from Paris to Rome", "Flights from Paris to Rome", False),
        ("Trains from Paris on Monday to Rome", "Trains to Rome on Monday from Paris", False),
        ("What do cats think of dogs?", "What dogs think of cats?", True),
        ("Why is the old plan better than the new plan?", "Is new plan better than old plan", True),
        ("Move it from old to new and back", "Move it from new to old and back", True),
        ("Should I take tea or coffee?", "Should I take coffee or tea?", False),
        ("the difference between tea and coffee", "the difference of coffee and tea", False),
        ("How big would the sun look from here?", "How would the sun look big from here?", False),
        ("renew passport online", "online passport renew", False),
        ("Who pays, the seller?", "The buyer pays who?", False),
    ],
)
def test_there_and_back_are_two_questions(one: str, other: str, swapped: bool) -> None:
    assert is_swapped(one, other) is is_swapped(other, one) is swapped
