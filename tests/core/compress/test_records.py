import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.compress import Lossless, restore
from trimtab.compress.records import decode, encode
from trimtab.tokens import counter_for

COUNT = counter_for("gpt-4o")

WORDS = st.sampled_from(
    [
        "",
        " ",
        "a",
        "a b",
        "1",
        "-2.50",
        "1e5",
        "true",
        "null",
        "*",
        "x=1",
        "(y)",
        "z)",
        "{",
        "]",
        ";",
        '"',
        "\\",
        "\n",
        "\t",
        "é",
        "日本",
        "\u2028",
        "json:1",
        "json:",
        "a,b",
        "a|b",
        " a",
        "a ",
        "/",
        '{"k": [1, 2, {"deep": "value that is long enough"}]}',
        "{'k': 1, 'note': 'a python repr, long enough'}",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    WORDS,
    st.text(max_size=12),
)
KEYS = st.one_of(
    st.sampled_from(["id", "name", "a b", "*", "k:str", "k?", "=", "(", "1"]), st.text(max_size=5)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": SCALARS, "kind": st.sampled_from(["x", "y"])},
        optional={"zip": st.sampled_from(["10083", "7"]), "more": st.lists(SCALARS, max_size=3)},
    ),
    max_size=5,
)
VALUES = st.recursive(
    st.one_of(SCALARS, ROWS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.lists(st.fixed_dictionaries({"p": inner, "q": SCALARS}), max_size=4),
    ),
    max_leaves=25,
)
LAYOUTS = [
    {},
    {"separators": (",", ":")},
    {"indent": 2},
    {"indent": 4, "ensure_ascii": False},
    {"ensure_ascii": False},
    {"indent": "\t"},
    {"indent": 0},
    {"separators": (",", ": ")},
]


def count(text: str) -> int:
    return len(text)


@settings(max_examples=400, deadline=None)
@given(
    VALUES, st.sampled_from(LAYOUTS), st.sampled_from(["", "\n", "  "]), st.sampled_from(["", "\n"])
)
def test_whatever_json_is_encoded_comes_back_byte_for_byte(value, layout, lead, trail) -> None:
    text = lead + json.dumps(value, **layout) + trail

    body = encode(text, count)

    assert body is None or decode(body) == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=6), SCALARS, min_size=1), min_size=2, max_size=5))
def test_json_in_the_usual_layouts_is_always_encoded(value) -> None:
    for layout in ({}, {"separators": (",", ":")}, {"indent": 2}):
        assert encode(json.dumps(value, **layout), count) is not None


def test_a_backslash_before_a_slash_is_no_escaped_slash() -> None:
    for text in (r'[{"path": "C:\\/tmp"}, {"path": "x"}]', r'[{"path": "C:\/tmp"}, {"path": "x"}]'):
        body = encode(text, count)
        assert body is not None and decode(body) == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), min_size=2, max_size=4))
def test_json_lines_and_python_reprs_come_back(value) -> None:
    for text in ("\n".join(map(json.dumps, value)), repr(value)):
        body = encode(text, count)
        assert body is None or decode(body) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"user": "mia", "zip": "10083", "age": 3}, 'json:{user=mia zip="10083" age=3}'),
        ([{"n": 1, "m": "x"}, {"n": 2, "m": "y"}], "json:[(n m)\n1 x\n2 y]"),
        ([{"n": 1, "m": "x"}, {"n": 2, "m": "x"}], "json:[(n m=x)\n1\n2]"),
        ({"a": {"id": "a", "v": 1}, "b": {"id": "b", "v": 2}}, "json:{(* id==* v)\na 1\nb 2}"),
        (
            [{"no": 1, "cell": {"x": 1, "y": 2}}, {"no": 2, "cell": {"x": 3, "y": 4}}],
            "json:[(no cell(x y))\n1 1 2\n2 3 4]",
        ),
        (
            [{"no": 1, "all": [{"x": 1, "y": 2}]}, {"no": 2, "all": [{"x": 3, "y": 4}]}],
            "json:[(no all[x y])\n1 [1 2]\n2 [3 4]]",
        ),
        (
            [{"number": 1, "m": "x"}, {"number": 2}, {"number": 3}],
            "json:[(number m?)\n1 m=x\n2\n3]",
        ),
    ],
)
def test_the_notation_reads_as_documented(value, written) -> None:
    assert f"json{encode(json.dumps(value), count)}" == written


def test_json_inside_a_string_is_written_as_its_content() -> None:
    text = json.dumps(
        {"error": "", "response": json.dumps([{"id": i, "name": f"n{i}"} for i in range(3)])}
    )

    body = encode(text, count)

    assert body == ':{error="" response=json:[(id name)0 n0;1 n1;2 n2]}'
    assert decode(body) == text


def test_words_around_the_json_stay_where_they_are() -> None:
    text = f"Found 2 rows:\n{json.dumps([{'n': 1, 'm': 'x'}, {'n': 2, 'm': 'y'}] * 5)}\nDone."

    body = encode(text, count)

    assert body is not None and "Found 2 rows:\n[(n m)" in body and body.endswith("\nDone.")
    assert decode(body) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "{",
        "[1, 2",
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        "[1,2 , 3]",
        "{1: 2}",
        "3",
        "{'a': (1, 2)}",
    ],
)
def test_what_could_not_be_written_back_is_refused(text) -> None:
    assert encode(text, count) is None


@pytest.mark.parametrize(
    "body", ["", "x", ":", ":{a=1", ":[(a b)\n1]", "9z:{}", ":{a=1}}", "l:{a=1}"]
)
def test_a_damaged_text_is_an_error(body) -> None:
    with pytest.raises((ValueError, IndexError, KeyError)):
        decode(body)


CUT = [{"id": f"A-{i}", "note": f"one, [two] {{3}} '{i}'", "tags": ["x", "y"]} for i in range(12)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_that_breaks_off_is_written_up_to_there(layout) -> None:
    text = json.dumps({"rows": CUT}, **layout)

    for end in (len(text) - 3, len(text) - 20, len(text) - 60):
        body = encode(text[:end], COUNT)
        assert body is not None and "~" in body.split(":")[0]
        assert decode(body) == text[:end]
        assert COUNT(body) < COUNT(text[:end])


def test_a_string_of_json_that_breaks_off_is_written_up_to_there() -> None:
    for whole in (json.dumps(CUT), repr(CUT)):
        text = json.dumps({"error": "", "response": whole[:-40] + "..."})
        body = encode(text, COUNT)
        assert body is not None and "A-7" in body and decode(body) == text
        assert COUNT(body) < 0.8 * COUNT(text)


def test_json_that_breaks_off_inside_a_string_of_json_is_written_too() -> None:
    text = json.dumps({"error": "", "response": json.dumps(CUT)})[:-80] + "..."

    assert restore(Lossless()(text)) == text
    assert COUNT(Lossless()(text)) < 0.8 * COUNT(text)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(1, 60))
def test_whatever_breaks_off_comes_back(value, cut) -> None:
    for whole in (json.dumps([value, value, 1]), repr([value, value])):
        for text in (whole[:-cut], json.dumps({"a": whole[:-cut]})):
            body = encode(text, count)
            assert body is None or decode(body) == text
