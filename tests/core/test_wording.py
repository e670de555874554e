"""Fewer words, the same rules."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.wording import binds, drop_articles, is_english, shield, tidy_space, tighten, unshield

ANY = st.text(
    alphabet=st.sampled_from("theaTA nIf'\"`{}<>$.,:-\n 07*#\U000f0000"), max_size=60
) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("Please note that you must sign in order to pay.", "You must sign to pay."),
        ("It is important to read the manual.", "Read manual."),
        ("Make sure that the door is shut.", "Ensure door is shut."),
        ("- Remember to call the user.", "- Call user."),
        (
            "Due to the fact that it rains, all of the games stop.",
            "Because it rains, all games stop.",
        ),
        ("The agent can only help the user.", "Agent can only help user."),
        ("the {name} of the {{user}}", "{name} of {{user}}"),
    ],
)
def test_long_ways_of_saying_something_become_short(long: str, short: str) -> None:
    assert tighten(long) == short


@pytest.mark.parametrize(
    "text",
    [
        "Take a few of them, a little salt, a number of eggs.",
        "Twice a day, $5 a night, 3 times a week.",
        "Meet in The Hague.",
        "Choose option A or plan B.",
        "While a is less than b, add a to b.",
        "If he is a minor, stop.",
        "Write 'the end' and \"in order to\" and `for the purpose of`.",
        "Call ${the user} at https://a.example/the/in order",
        "```\nthe code of the user\n```",
        "Such a case, half an hour, one of the three.",
        "PLEASE DO NOT DO THAT",
        "Envía un mensaje a los usuarios de la ciudad.",
        "the_id of in_order_to",
    ],
)
def test_what_only_looks_like_filler_stays(text: str) -> None:
    assert tighten(text) == text


def test_contractions_and_bold_print_go_only_if_asked() -> None:
    text = "**Note:** users that are blocked do not get mail."
    assert tighten(text) == text
    assert tighten(text, terse=True) == "Note: users blocked don't get mail."


def test_white_space_that_shows_nothing_goes() -> None:
    text = "  Rules:   \n\n\n\n- be  kind \n    - indented\n`a  b`\n"
    assert tidy_space(text) == "Rules:\n\n- be kind\n    - indented\n`a  b`"


def test_hidden_text_comes_back() -> None:
    text = 'Say "the end" to {user} in `code` or <tag> at https://a.example/x.'
    masked, hidden = shield(text)
    assert len(hidden) == 5 and "end" not in masked
    assert unshield(masked, hidden) == text


def test_small_words_tell_the_language() -> None:
    assert is_english("Find the city") and is_english("ping")
    assert not is_english("Renvoie tous les transitaires et une adresse")


def test_rules_bind_and_descriptions_do_not() -> None:
    assert binds("Use it only once.") and binds("It doesn't matter.") and not binds("Finds a city.")


@given(ANY)
def test_any_text_keeps_what_binds_and_settles(text: str) -> None:
    for terse in (False, True):
        once = tighten(text, terse=terse)
        assert len(once) <= len(text)
        assert sorted(re.findall(r"\d+", once)) == sorted(re.findall(r"\d+", text))
        assert unshield(*shield(text)) == text


@given(
    st.lists(
        st.sampled_from(["if", "the user", "a", "not", "must", "in order to", "please", "5", "do"])
    )
)
def test_no_condition_number_or_negation_is_lost(said: list[str]) -> None:
    text = " ".join(said)

    def bound(said: str) -> Counter[str]:
        return Counter(
            w for w in re.findall(r"\w+", said.lower()) if w in {"if", "not", "must", "5"}
        )

    assert bound(tighten(text)) == bound(text)
    assert drop_articles(text).count("user") == text.count("user")


@pytest.mark.parametrize("text", ["It does NOT fly.", "PLEASE note: it is. IT IS."])
def test_what_is_shouted_stays(text: str) -> None:
    assert tighten(text, terse=True).count("NOT") == text.count("NOT")
    assert tighten(text, terse=True).count("IT IS") == text.count("IT IS")
