from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from trimtab.adapt import described, function_of, messages_back
from trimtab.types import Message, Tool


@dataclass(eq=False)
class Theirs:
    """A message of some framework."""

    text: str
    note: str = ""


def convert(source: Theirs) -> Message:
    return Message("user", source.text, source=source)


def back(planned: list[Message], asked: list[Message]) -> list[Theirs]:
    return list(
        messages_back(
            planned,
            asked,
            convert=convert,
            edit=lambda source, message: Theirs(message.text, source.note),
            write=lambda message: Theirs(message.text, "written"),
        )
    )


def test_what_was_not_edited_is_the_very_object_that_was_asked_with() -> None:
    sources = [Theirs(text) for text in "abca"]
    asked = [convert(source) for source in sources]
    assert all(one is other for one, other in zip(back(asked, asked), sources, strict=True))
    new, *kept = back([Message("user", "summary"), *asked[2:]], asked)
    assert (new.text, new.note) == ("summary", "written")
    assert kept[0] is sources[2] and kept[1] is sources[3]


def test_a_message_of_an_earlier_call_stands_for_the_equal_one_of_this_call() -> None:
    earlier, today = convert(Theirs("a", "old")), Theirs("a", "new")
    (edited,) = back([replace(earlier, content="A")], [convert(today)])
    assert (edited.text, edited.note) == ("A", "new")


def test_a_message_of_an_earlier_call_that_is_gone_keeps_what_it_was() -> None:
    (edited,) = back([convert(Theirs("a", "old"))], [convert(Theirs("b"))])
    assert (edited.text, edited.note) == ("a", "old")


OPENAI = {
    "type": "function",
    "function": {"name": "f", "description": "Finds it.", "parameters": {"a": 1}, "strict": True},
}
ANTHROPIC = {"name": "f", "input_schema": {"a": 1}, "cache_control": {}}


@pytest.mark.parametrize(("spec", "key"), [(OPENAI, "parameters"), (ANTHROPIC, "input_schema")])
def test_a_providers_tool_is_described_anew_and_keeps_all_else(spec: dict, key: str) -> None:
    edited = described(spec, Tool("f", "Finds.", {"a": 2}))
    function, where = function_of(edited) or ({}, "")
    assert where == key
    assert (function["description"], function[key]) == ("Finds.", {"a": 2})
    assert function.get("strict") == spec.get("function", {}).get("strict")
    assert edited.get("cache_control") == spec.get("cache_control")
    assert function_of(spec) != function_of(edited)


def test_what_has_no_description_gets_none_that_is_empty() -> None:
    assert "description" not in described(ANTHROPIC, Tool("f", "", {"a": 2}))


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "web_search"},
        {"type": "function", "function": {"name": "f"}},
        {"name": "f", "parameters": "none"},
        {"function": "f"},
        "f",
    ],
)
def test_what_describes_no_function_is_left_alone(spec: object) -> None:
    assert function_of(spec) is None
