"""Tool definitions take the same arguments in fewer words."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import validator_for

from trimtab.tools import ShortenTools, shorten
from trimtab.types import Request, Tool

LEVELS = [1.0, 0.6, 0.4]
NAMES = [
    "city",
    "title",
    "description",
    "default",
    "examples",
    "properties",
    "items",
    "$comment",
    "when",
]
TEXTS = [
    "",
    "The name of the city.",
    "An array of objects containing details about each city.",
    "The date in the format 'YYYY-MM-DD', such as '2024-05-01'.",
    "Must not be empty. Only used when the city is known.",
    "  A  text\n\n\n with space  ",
]
DIALECTS = [
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2020-12/schema",
    "http://json-schema.org/draft-04/schema#",
]

scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "city", "2024"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)


def annotated(schema: dict[str, Any], notes: dict[str, Any]) -> dict[str, Any]:
    return {**notes, **schema}


annotations = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["City", "Title", "Something Else"]),
        "description": st.sampled_from(TEXTS),
        "default": scalars,
        "examples": st.lists(scalars, max_size=2),
        "$comment": st.just("for us"),
        "x-vendor": st.just({"description": "", "default": None}),
    },
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        },
        optional={
            "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "unevaluatedProperties": st.booleans(),
            "patternProperties": st.dictionaries(st.sampled_from(["^d", "e$"]), inner, max_size=1),
            "minProperties": st.integers(0, 2),
        },
    )


def compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        objects(inner),
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 2)}
        ),
        *(
            st.fixed_dictionaries({word: st.lists(inner, min_size=1, max_size=2)})
            for word in ("anyOf", "allOf", "oneOf")
        ),
        st.fixed_dictionaries({"not": inner}),
    )


leaves = st.one_of(
    st.sampled_from(["string", "integer", "boolean", "null", "number"]).map(lambda t: {"type": t}),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"pattern": st.just("^a"), "maxLength": st.just(2)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("integer")},
        optional={"minimum": st.just(0), "exclusiveMaximum": st.just(3)},
    ),
    st.fixed_dictionaries({"enum": st.lists(values, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": values}),
    st.just({"$ref": "#/$defs/description"}),
    st.just({}),
)
parts = st.recursive(
    st.builds(annotated, leaves, annotations),
    lambda inner: st.builds(annotated, compounds(inner), annotations),
    max_leaves=8,
)
schemas = st.builds(
    lambda root, notes, definition, dialect: {
        **dialect,
        **notes,
        **root,
        "$defs": {"description": definition},
    },
    objects(parts),
    annotations,
    st.builds(annotated, leaves.filter(lambda leaf: "$ref" not in leaf), annotations),
    st.just({}) | st.sampled_from(DIALECTS).map(lambda name: {"$schema": name}),
)


@st.composite
def fitting(draw: st.DrawFn, schema: Any, root: Any) -> Any:
    """A value that is valid more often than not."""
    if not isinstance(schema, dict) or draw(st.integers(0, 5)) == 0:
        return draw(values)
    if "$ref" in schema:
        return draw(fitting(root["$defs"]["description"], root))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    for word in ("anyOf", "allOf", "oneOf"):
        if word in schema:
            return draw(fitting(schema[word][0], root))
    return draw(filled(schema, root))


@st.composite
def filled(draw: st.DrawFn, schema: dict[str, Any], root: Any) -> Any:
    if schema.get("type") == "object":
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3))
        chosen = {*names, *schema.get("required", [])}
        inside = schema["properties"]
        return {name: draw(fitting(inside.get(name, {}), root)) for name in sorted(chosen)}
    if schema.get("type") == "array":
        return draw(st.lists(fitting(schema["items"], root), max_size=3))
    return draw(values)


@settings(max_examples=150, deadline=None)
@given(schema=schemas, data=st.data())
def test_the_same_arguments_are_valid_before_and_after(
    schema: dict[str, Any], data: st.DataObject
) -> None:
    tool = Tool("find_city", "Find a city of the given name.", schema)
    for words in LEVELS:
        after = shorten(tool, words).parameters
        before_says, after_says = (validator_for(s)(s) for s in (schema, after))
        for _ in range(4):
            arguments = data.draw(fitting(schema, schema))
            assert before_says.is_valid(arguments) == after_says.is_valid(arguments)


@settings(max_examples=100, deadline=None)
@given(schema=schemas)
def test_shortening_settles_and_never_grows(schema: dict[str, Any]) -> None:
    tool = Tool("find_city", "Find a city of the given name, in the form of a list.", schema)
    for words in LEVELS:
        once = shorten(tool, words)
        assert len(json.dumps(once.parameters)) <= len(json.dumps(schema))
    assert shorten(tool, 1.0) == shorten(shorten(tool, 1.0), 1.0)


BOOK = Tool(
    "book_table",
    "Use this tool to book a table at a restaurant. It cannot be undone.",
    {
        "type": "object",
        "title": "BookTableArgs",
        "properties": {
            "guest_id": {
                "type": "string",
                "description": "The ID of the guest, such as 'g_0417' or 'g_0981'.",
            },
            "day": {
                "type": "string",
                "description": "The day of it in the format 'YYYY-MM-DD', such as '2024-05-01'.",
            },
            "seats": {
                "title": "Seats",
                "type": "integer",
                "description": "The number of seats at the table, at most 8.",
            },
            "notes": {
                "type": "string",
                "default": None,
                "description": "Any wishes that the guest has expressed about the evening.",
            },
            "title": {"type": "string", "description": "The title of the guest."},
        },
        "required": ["guest_id", "day"],
        "additionalProperties": True,
    },
)


def described(tool: Tool, name: str) -> str | None:
    text = tool.parameters["properties"][name].get("description")
    return None if text is None else str(text)


def test_at_one_only_what_says_nothing_goes() -> None:
    after = shorten(BOOK, 1.0)
    assert after.description == BOOK.description
    assert set(after.parameters) == {"type", "properties", "required"}
    assert set(after.parameters["properties"]["seats"]) == {"type", "description"}
    assert set(after.parameters["properties"]["notes"]) == {"type", "description"}
    assert described(after, "guest_id") == described(BOOK, "guest_id")


@pytest.mark.parametrize("words", [0.6, 0.4, 0.0])
def test_formats_numbers_warnings_and_an_example_stay(words: float) -> None:
    after = shorten(BOOK, words)
    assert "cannot be undone" in after.description
    assert described(after, "guest_id") == "like 'g_0417'"
    assert described(after, "day") == "format 'YYYY-MM-DD'"
    assert "at most 8" in str(described(after, "seats"))
    assert described(after, "title") is None


@pytest.mark.parametrize(
    "sentence",
    [
        "Speed of the wind in meters per second.",
        "The colour, one of red, green and blue.",
        "Never send a password here.",
        "Used only if the guest has paid.",
        "The pressure, kPa.",
        "A list of up to 4 services.",
        "0 for any, 1 for normal, 2 for high skill.",
        "The status code (ISO 3166) of the land.",
        "The level, en|de|fr.",
        "Ranges from three to nine.",
    ],
)
def test_what_binds_is_kept_at_every_level(sentence: str) -> None:
    tool = Tool(
        "do_it",
        "Do it.",
        {"type": "object", "properties": {"x": {"type": "string", "description": sentence}}},
    )
    kept = described(shorten(tool, 0.0), "x") or ""
    binding = {
        "meters",
        "per",
        "second",
        "one",
        "red",
        "green",
        "blue",
        "Never",
        "only",
        "if",
        "kPa",
        "up",
        "4",
    }
    binding |= {
        "0",
        "1",
        "2",
        "normal",
        "high",
        "ISO",
        "3166",
        "en|de|fr",
        "three",
        "nine",
        "password",
    }
    words = {word.strip(".,()") for word in sentence.split()}
    assert {word for word in words & binding if word not in kept} == set()


def test_values_that_the_schema_lists_need_no_words() -> None:
    unit = {
        "type": "string",
        "enum": ["metric", "imperial"],
        "description": "The unit. Options are 'metric' and 'imperial'.",
    }
    tool = Tool(
        "get_weather",
        "Get the weather of a place by its name.",
        {"type": "object", "properties": {"unit": unit}},
    )
    assert described(shorten(tool, 0.0), "unit") is None


def test_a_tool_never_loses_all_of_its_description() -> None:
    assert shorten(Tool("search", "Search for the thing that was lost, quickly."), 0.0).description


def test_the_share_of_words_is_kept() -> None:
    text = "Compares hotels and cabins along quiet rivers through valleys near famous vineyards."
    tool = Tool("look", text, {"type": "object", "properties": {}})
    kept = [
        len(set(shorten(tool, share).description.split()) & set(text.split()))
        for share in (0.9, 0.6, 0.2)
    ]
    assert kept[0] >= kept[1] >= kept[2]


def test_other_languages_are_left_alone() -> None:
    text = "Busca los vuelos de la ciudad que el usuario pide."
    assert (
        shorten(Tool("buscar", text, {"type": "object", "properties": {}}), 0.0).description == text
    )


def test_a_tool_that_cannot_be_shortened_is_the_same_object() -> None:
    tool = Tool("ping", "Ping", {"type": "object", "properties": {}})
    assert shorten(tool) is tool


def test_a_pinned_tool_is_left_alone() -> None:
    pinned = Tool(BOOK.name, BOOK.description, BOOK.parameters, pinned=True)
    assert shorten(pinned) is pinned
    request = Request("gpt-4o", (), (pinned, pinned))
    assert ShortenTools(0.4, once=True)(request) is request


def test_the_source_of_a_tool_travels_along() -> None:
    source = object()
    assert (
        shorten(Tool(BOOK.name, BOOK.description, BOOK.parameters, source=source)).source is source
    )


def test_the_input_is_untouched() -> None:
    before = json.dumps(BOOK.parameters)
    shorten(BOOK, 0.0)
    assert json.dumps(BOOK.parameters) == before


@pytest.mark.parametrize("words", [-0.1, 1.1])
def test_a_share_outside_its_range_is_refused(words: float) -> None:
    with pytest.raises(ValueError, match="share"):
        ShortenTools(words)
    with pytest.raises(ValueError, match="share"):
        shorten(BOOK, words)


def test_a_dialect_that_changes_the_meaning_is_kept() -> None:
    pair = {"type": "array", "items": [{"type": "string"}], "additionalItems": False}
    old = {"$schema": DIALECTS[0], "type": "object", "properties": {"pair": pair}}
    assert "$schema" in shorten(Tool("put", "Put the pair of the things.", old), 1.0).parameters


def boilerplate(name: str, text: str) -> Tool:
    return Tool(
        name,
        f'This is the function of the tool "{name}", use it. Its description is: "{text}"',
        {"type": "object", "properties": {}},
    )


def test_what_most_tools_say_alike_goes_before_all_else() -> None:
    tools = (
        boilerplate("find_city", "Finds a city by its name"),
        boilerplate("find_lake", "Finds a lake by its depth"),
    )
    finish = Tool("finish", "Give the final answer.", {"type": "object", "properties": {}})
    after = ShortenTools(0.9)(Request("gpt-4o", (), (*tools, finish))).tools
    assert [tool.description for tool in after] == [
        "Finds city by its name",
        "Finds lake by its depth",
        "Give final answer",
    ]


def test_a_warning_that_all_tools_share_stays() -> None:
    tools = tuple(
        Tool(
            f"do_{name}",
            f"Does the {name}. You must ask the user for a yes before.",
            {"type": "object", "properties": {}},
        )
        for name in ("washing", "cooking", "shopping", "painting")
    )
    after = ShortenTools(0.0)(Request("gpt-4o", (), tools)).tools
    assert all("must ask user for yes before" in tool.description for tool in after)


def test_an_argument_that_several_tools_share_is_described_once_if_asked() -> None:
    guest = {
        "guest_id": {"type": "string", "description": "The ID of the guest, such as 'g_0417'."}
    }
    tools = tuple(
        Tool(f"{verb}_guest", f"{verb} a guest.", {"type": "object", "properties": guest})
        for verb in ("add", "drop")
    )
    request = Request("gpt-4o", (), tools)
    assert [described(t, "guest_id") for t in ShortenTools(0.4)(request).tools] == [
        "like 'g_0417'"
    ] * 2
    assert [described(t, "guest_id") for t in ShortenTools(0.4, once=True)(request).tools] == [
        "like 'g_0417'",
        None,
    ]


def test_the_same_tools_give_the_same_definitions() -> None:
    step, request = (
        ShortenTools(0.4, once=True),
        Request("gpt-4o", (), (BOOK, boilerplate("find_city", "Finds a city"))),
    )
    assert step(request).tools is step(request).tools
    assert step(request).tools == ShortenTools(0.4, once=True)(request).tools


def test_another_process_shortens_alike() -> None:
    code = (
        "import json, sys; from trimtab.tools import shorten; from trimtab.types import Tool;"
        "tool = Tool(*json.load(sys.stdin));"
        "print(json.dumps([vars(shorten(tool, words)) for words in (0.6, 0.4)]))"
    )
    sent = json.dumps([BOOK.name, BOOK.description, BOOK.parameters])
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=sent,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
