"""The exact cache."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import Pipeline
from trimtab.cache import ExactCache
from trimtab.cache.exact import decode, encode
from trimtab.types import Message, Part, Request, Response, ToolCall, Usage

REQUEST = Request("gpt-4o", (Message("user", "hi"),))
ANSWER = Response(
    Message(
        "assistant",
        (Part("Hëllo", '{"citations":[1]}'), Part(None, '{"type":"thinking"}')),
        tool_calls=(ToolCall("call_1", "look_up", '{"id": 7}'),),
        name="clerk",
    ),
    Usage(100, 20, 60, None, 5),
    model="gpt-4o-2024-11-20",
    finish_reason="tool_calls",
    logprobs=(-0.5, -0.25),
)

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


@given(responses)
def test_an_answer_comes_back_equal(response: Response) -> None:
    assert decode(encode(response)) == response


def test_an_answer_comes_back_without_the_id_and_the_framework_object_of_the_one_paid_for() -> None:
    cache = ExactCache()
    cache.put(REQUEST, replace(ANSWER, id="m1", message=replace(ANSWER.message, source=object())))
    found = cache.get(REQUEST)
    assert found == ANSWER
    assert found is not None and found.message.source is None


def test_another_request_is_a_miss() -> None:
    cache = ExactCache()
    cache.put(REQUEST, ANSWER)
    assert cache.get(replace(REQUEST, model="gpt-4o-mini")) is None
    assert cache.get(replace(REQUEST, tenant="acme")) is None
    assert cache.get(replace(REQUEST, params={"temperature": 1})) is None


def test_an_answer_that_cannot_be_rebuilt_is_not_kept() -> None:
    cache = ExactCache()
    cache.put(REQUEST, replace(ANSWER, cacheable=False))
    assert cache.get(REQUEST) is None


def test_statistics_count_hits_misses_and_the_tokens_saved() -> None:
    cache = ExactCache()
    assert cache.stats().hit_rate is None
    cache.get(REQUEST)
    cache.put(REQUEST, replace(ANSWER, usage=Usage(10, 2, 0, 0, 0)))
    cache.get(REQUEST)
    cache.get(REQUEST)
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (2, 1)
    assert stats.hit_rate == pytest.approx(2 / 3)
    assert stats.saved == Usage(20, 4, 0, 0, 0)


def test_an_answer_of_unknown_usage_makes_the_sum_unknown() -> None:
    cache = ExactCache()
    cache.put(REQUEST, replace(ANSWER, usage=None))
    cache.get(REQUEST)
    assert cache.stats().saved == Usage()


def test_answers_are_json_in_the_callers_own_mapping() -> None:
    store: dict[str, str] = {}
    ExactCache(store).put(REQUEST, ANSWER)
    assert list(store) == [REQUEST.key]
    assert ExactCache(store).get(REQUEST) == ANSWER


def test_an_empty_mapping_of_the_caller_is_used_all_the_same() -> None:
    store: dict[str, str] = {}
    assert ExactCache(store).store is store


def test_clearing_forgets_all_answers() -> None:
    cache = ExactCache()
    cache.put(REQUEST, ANSWER)
    cache.clear()
    assert cache.get(REQUEST) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"message": {}}', '{"message": 3, "usage": 1}'])
def test_a_text_of_someone_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not an answer that this cache wrote"):
        decode(text)


def test_a_store_with_foreign_texts_does_not_stop_the_call() -> None:
    pipeline = Pipeline(cache=ExactCache())
    asked = pipeline.plan(REQUEST).asked
    assert isinstance(pipeline.cache, ExactCache)
    pipeline.cache.store[asked.key] = "???"
    assert pipeline.run(REQUEST, lambda _: ANSWER) == ANSWER
    assert pipeline.failures["cache"] == 1
    assert pipeline.run(REQUEST, lambda _: pytest.fail("called")) == ANSWER
