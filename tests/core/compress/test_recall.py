import json
from collections.abc import Iterator, MutableMapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.compress.recall import TOOL, Originals, Recent, offered
from trimtab.tokens import counter_for
from trimtab.types import Tool, canonical_json

TEXT = "".join(f"line {i}\n" for i in range(1, 101))


class Broken(MutableMapping[str, str]):
    """A store that may refuse, or forget what it is given."""

    def __init__(self, refuses: bool) -> None:
        self.refuses = refuses

    def __getitem__(self, key: str) -> str:
        raise KeyError(key)

    def __setitem__(self, key: str, text: str) -> None:
        if self.refuses:
            raise ConnectionError("the store is down")

    def __delitem__(self, key: str) -> None:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def kept(text: str = TEXT) -> tuple[Originals, str]:
    originals = Originals()
    handle = originals.keep(text)
    assert handle is not None
    return originals, handle


@given(st.text())
def test_what_is_kept_comes_back(text: str) -> None:
    originals, handle = kept(text)
    assert originals.get(handle) == text
    assert originals.recall({"handle": handle}) == text


def test_a_handle_depends_on_the_text_alone() -> None:
    assert kept()[1] == kept()[1] != kept("another")[1]


def test_a_handle_costs_few_tokens() -> None:
    assert counter_for("gpt-4o")(kept()[1]) <= 3


def test_texts_that_share_a_handle_get_longer_ones() -> None:
    store: dict[str, str] = {}
    first = Originals(store).keep(TEXT)
    assert first is not None
    store[first] = "another text"
    second = Originals(store).keep(TEXT)
    assert second is not None and second.startswith(first) and len(second) > len(first)
    assert store[second] == TEXT and store[first] == "another text"


@pytest.mark.parametrize("refuses", [True, False])
def test_no_handle_is_given_out_for_a_text_that_is_not_in_the_store(refuses: bool) -> None:
    originals = Originals(Broken(refuses))
    assert originals.keep(TEXT) is None


def test_a_store_that_comes_back_changes_nothing_that_was_decided() -> None:
    originals = Originals(Broken(refuses=True))
    originals.keep(TEXT)
    originals.store = {}
    assert originals.keep(TEXT) is None
    assert originals.keep("a new text") is not None


def test_a_store_that_goes_down_changes_nothing_that_was_decided() -> None:
    originals, handle = kept()
    originals.store = Broken(refuses=True)
    assert originals.keep(TEXT) == handle


def test_a_text_that_a_conversation_still_holds_is_put_back() -> None:
    originals, handle = kept()
    originals.store.clear()
    originals.keep(TEXT)
    assert originals.get(handle) == TEXT


def test_the_least_recently_used_text_goes_first() -> None:
    store = Recent(characters=10)
    store["a"], store["b"] = "12345", "12345"
    assert store["a"]
    store["c"] = "12345"
    assert list(store) == ["a", "c"]


def test_a_text_larger_than_the_store_is_not_kept() -> None:
    assert Originals(Recent(characters=10)).keep(TEXT) is None


def test_writing_a_text_again_does_not_count_it_twice() -> None:
    store = Recent(characters=10)
    for _ in range(5):
        store["a"] = "12345"
    store["b"] = "12345"
    assert sorted(store) == ["a", "b"]


def test_an_old_text_is_forgotten() -> None:
    store = Recent(age=1e-9)
    store["a"] = "text"
    assert store.get("a") is None
    assert len(store) == 0


@pytest.mark.parametrize("limits", [{"characters": 0}, {"age": 0.0}])
def test_a_store_without_room_is_an_error(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Recent(**limits)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("12-14", [12, 13, 14]),
        ("12 to 14", [12, 13, 14]),
        ("7", [7]),
        (7, [7]),
        ("99-", [99, 100]),
        ("99-500", [99, 100]),
        ("3-4,9", [3, 4, 9]),
    ],
)
def test_lines_are_answered_as_they_were(wanted: object, numbers: list[int]) -> None:
    originals, handle = kept()
    answer = originals.recall({"handle": handle, "lines": wanted})
    assert answer == "".join(f"line {i}\n" for i in numbers)


def test_a_query_is_answered_with_the_lines_that_match_and_those_around() -> None:
    text = "".join(f"step {i}\n" for i in range(50)) + "disk FULL on web-3\n" + "later\n" * 50
    originals, handle = kept(text)
    answer = originals.recall({"handle": handle, "query": "which disk is full?"})
    assert answer == "lines 49-53:\nstep 48\nstep 49\ndisk FULL on web-3\nlater\nlater"


def test_a_query_in_json_is_answered_with_whole_records() -> None:
    rows = [{"id": f"order-{i}", "note": "n" * 450, "total": i} for i in range(20)]
    originals, handle = kept(json.dumps(rows))
    answer = originals.recall({"handle": handle, "query": "order-7"})
    assert json.dumps(rows[7]) in answer
    assert "order-8" not in answer


def test_a_query_that_matches_everything_is_answered_in_part() -> None:
    originals, handle = kept(TEXT * 100)
    assert len(originals.recall({"handle": handle, "query": "line"})) < 10_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "Call the tool that first returned it again"),
        ({"handle": "000"}, "Call the tool that first returned it again"),
        ({"handle": None, "lines": "1-2"}, "Call the tool"),
        ({"lines": "soon"}, 'must be like "12-49"'),
        ({"lines": "500-600"}, "the text has 100"),
        ({"lines": "9-3"}, "the text has 100"),
        ({"lines": "9" * 5000}, "the text has 100"),
        ({"query": "zebra"}, "No line has any of these words"),
        ({"query": ["line", "x"], "lines": {"a": 1}}, "line 1"),
    ],
)
def test_wrong_arguments_are_explained(arguments: dict[str, object], says: str) -> None:
    originals, handle = kept()
    known = {} if "handle" in arguments or not arguments else {"handle": handle}
    assert says in originals.recall({**known, **arguments})


def test_an_expired_handle_is_explained() -> None:
    originals, handle = kept()
    originals.store.clear()
    assert "no longer kept" in originals.recall({"handle": handle})


def test_a_store_that_fails_is_explained() -> None:
    assert "no longer kept" in Originals(Broken(refuses=True)).recall({"handle": "123"})


@pytest.mark.parametrize("shape", ['"{}"', " {} ", 'recall("{}")', "[{}]"])
def test_a_handle_may_be_wrapped(shape: str) -> None:
    originals, handle = kept()
    if shape.startswith("recall"):
        assert "no longer kept" in originals.recall({"handle": shape.format(handle)})
    else:
        assert originals.recall({"handle": shape.format(handle)}) == TEXT


def test_a_handle_may_be_a_number() -> None:
    originals, handle = kept()
    assert originals.recall({"handle": int(handle)}) == TEXT


def test_the_tool_costs_few_tokens() -> None:
    definition = canonical_json([TOOL.name, TOOL.description, TOOL.parameters])
    assert counter_for("gpt-4o")(definition) < 70


def test_another_tool_of_the_same_name_is_not_ours() -> None:
    assert offered([TOOL])
    assert not offered([Tool("recall", "Searches memories.", {"properties": {"topic": {}}})])
