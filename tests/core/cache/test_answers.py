"""Answers as text."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.cache.answers import Kept, decode, encode, pack, unpack
from trimtab.types import Message, Part, Response, ToolCall, Usage

texts = st.text(max_size=8)
optional_texts = st.none() | texts
counts = st.none() | st.integers(0, 10**9)
messages = st.builds(
    Message,
    texts,
    texts | st.lists(st.builds(Part, optional_texts, texts), max_size=3).map(tuple),
    st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2).map(tuple),
    optional_texts,
    optional_texts,
    st.booleans(),
    st.booleans(),
)
responses = st.builds(
    Response,
    messages,
    st.none() | st.builds(Usage, counts, counts, counts, counts, counts),
    texts,
    optional_texts,
    st.none() | st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
)
worths = st.none() | st.decimals(0, 1000, places=9)


@given(responses, worths, st.dictionaries(texts, texts, max_size=2))
def test_an_answer_comes_back_equal_with_what_is_noted_of_it(
    response: Response, worth: Decimal | None, epochs: dict[str, str]
) -> None:
    kept = Kept(response, worth, epochs)
    assert unpack(pack(kept)) == kept
    assert decode(encode(response)) == response


def test_half_of_an_emoji_comes_back_too() -> None:
    answer = Response(Message("assistant", "a\ud83d"))
    assert decode(encode(answer)) == answer


def test_an_answer_is_plain_json() -> None:
    fields = json.loads(
        pack(Kept(Response(Message("assistant", "hë")), Decimal("0.5"), {"a": "1"}))
    )
    assert fields["message"]["content"] == "hë"
    assert (fields["worth"], fields["epochs"]) == ("0.5", {"a": "1"})


WHOLE = encode(Response(Message("assistant", "hi")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"message": {}}',
        '{"message": 3, "usage": 1}',
        WHOLE[:-1] + ',"worth":"much"}',
        WHOLE.replace('"content":"hi"', '"content":7'),
        WHOLE[:-5],
        "[" * 100_000,
    ],
)
def test_a_text_of_someone_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not an answer that this cache wrote"):
        decode(text)
