import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.compress.lines import LONG, lines_of

LONG_TEXTS = st.builds(lambda text: text * 300, st.text(min_size=1))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), LONG_TEXTS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)
LAYOUTS = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":"), "ensure_ascii": False}])
RECORD = {"id": 1, "name": "x" * 100, "tags": ["a", "b"]}


@given(st.text())
def test_the_lines_of_a_text_are_the_text(text: str) -> None:
    assert "".join(lines_of(text).lines) == text


@given(VALUES, LAYOUTS, st.sampled_from(["", " ", "\n"]))
def test_the_lines_of_json_are_the_text(value: object, layout: dict, edge: str) -> None:
    text = edge + json.dumps(value, **layout) + edge
    assert "".join(lines_of(text).lines) == text


@given(st.lists(st.dictionaries(st.text(max_size=3), SCALARS)))
def test_no_line_is_much_longer_than_the_limit(value: object) -> None:
    for line in lines_of(json.dumps(value)).lines:
        assert len(line) <= LONG + 50


@pytest.mark.parametrize("layout", [{}, {"indent": 4}])
def test_a_row_of_json_is_a_line_however_it_is_laid_out(layout: dict) -> None:
    text = json.dumps([RECORD] * 20, **layout)
    assert len(lines_of(text).lines) == 20


def test_the_rows_are_those_of_the_largest_list() -> None:
    text = json.dumps({"ok": True, "data": {"items": [RECORD] * 20}})
    assert len(lines_of(text).rows()) == 20


def test_a_long_string_of_json_is_cut_at_its_own_lines() -> None:
    output = "".join(f"line {i}\n" for i in range(100))
    lines = lines_of(json.dumps({"stdout": output, "code": 0})).lines
    assert lines[50].endswith("line 50\\n")


def test_an_escape_is_never_cut() -> None:
    text = json.dumps(['é\\"' * 2_000])
    for line in lines_of(text).lines[1:-1]:
        json.loads(f'"{line}"')


def test_json_too_deep_to_read_is_plain_text() -> None:
    assert lines_of("[" * 5_000 + "]" * 5_000).root is None
    assert lines_of("[" * 100 + "1," * 300 + "1" + "]" * 100).root is None


def test_what_only_starts_like_json_is_plain_text() -> None:
    assert lines_of('{"a": 1} and more\nlines').lines == ('{"a": 1} and more\n', "lines")
