"""Examples that repeat one another."""

from __future__ import annotations

import pytest

from trimtab.examples import without_repeats
from trimtab.prompt import Prompt

SERIES = """Classify the mail. Never guess.

Example 1:
Mail: I want my money back for order 17, which never came.
Label: refund

Example 2:
Mail: I want my money back for order 18, which never came.
Label: refund

Example 3:
Mail: I want my money back for order 19, which never came.
Label: complaint

Example 4:
Mail: Where is my parcel?
Label: refund

Mail: {mail}
Label:"""


def test_an_example_that_another_one_shows_already_is_left_out() -> None:
    found = without_repeats(SERIES)
    assert [n for n in range(1, 5) if f"Example {n}:" in found] == [1, 3, 4]
    assert found.startswith("Classify the mail. Never guess.\n\nExample 1:")
    assert found.endswith("Mail: {mail}\nLabel:")
    assert without_repeats(found) == found


def test_a_compiled_prompt_says_what_that_saved_and_may_keep_them() -> None:
    made = Prompt.compile(SERIES)
    assert made.changes[0].startswith("repeated examples: ")
    assert made.render(mail="Hello") and made.variables == ("mail",)
    assert "Example 2:" in Prompt.compile(SERIES, examples=False).text
    assert "Example 2:" in Prompt.compile(SERIES, check=lambda before, after: False).text


@pytest.mark.parametrize(
    "text",
    [
        "Name: Ann\nAge: 7\n\nName: Ann\nAge: 7",  # two are no series
        "Rule: be kind.\n\nRule: be kind.\n\nRule: be kind.",  # nor is what has no answer
        "```\na -> b\na -> b\na -> b\n```",
        "{a} -> b\n{a} -> b\n{a} -> b",
        "Do this. Example!\n\nDo this.\n\nDo this.",
        "\n\n".join(f"Fare: {kind} fares to Rome by train and bus\nBags: 2" for kind in "abc"),
        "",
    ],
)
def test_what_is_no_series_of_examples_stays(text: str) -> None:
    assert without_repeats(text) == text


def test_lines_with_an_arrow_are_examples() -> None:
    lines = ["Examples:", "the red cat -> le chat rouge", "a dog -> un chien"]
    text = "\n".join([*lines, "The red cat! -> Le chat rouge"])
    assert without_repeats(text) == "\n".join(lines)
