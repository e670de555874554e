"""The cache that LangChain's models ask: the standard suites, and each trap of its contract."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import BaseCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite
from langgraph.cache.base import BaseCache as NodeCache
from langgraph.checkpoint.memory import InMemorySaver

from langchain_trimtab import TrimtabCache, tenant
from trimtab.cache import ExactCache, SemanticCache
from trimtab.embed import Hashed
from trimtab.types import Request, Response


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self) -> BaseCache:
        return TrimtabCache()


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self) -> AsyncIterator[BaseCache]:
        yield TrimtabCache()


class Awaited:
    """A cache that only async code may ask."""

    def __init__(self) -> None:
        self.inner = ExactCache()

    def get(self, request: Request) -> Response | None:
        raise AssertionError("blocks the event loop")

    def put(self, request: Request, response: Response) -> None:
        raise AssertionError("blocks the event loop")

    async def aget(self, request: Request) -> Response | None:
        return self.inner.get(request)

    async def aput(self, request: Request, response: Response) -> None:
        self.inner.put(request, response)

    async def aclear(self) -> None:
        self.inner.clear()


class TestAwaited(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self) -> AsyncIterator[BaseCache]:
        yield TrimtabCache(Awaited())


class Broken(dict[str, str]):
    """A store whose server is down."""

    def get(self, *_: Any) -> Any:
        raise ConnectionError("no server")

    def __setitem__(self, *_: Any) -> None:
        raise ConnectionError("no server")


@pytest.fixture
def global_cache() -> Iterator[TrimtabCache]:
    cache = TrimtabCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


def replay(model: Any) -> int:
    """Hold a conversation of three turns; return how many calls it took."""
    before, history = model.calls, []
    for question in "abc":
        history.append(HumanMessage(question))
        history.append(model.invoke(history))
    return int(model.calls - before)


def test_a_conversation_that_is_replayed_costs_nothing(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    assert [replay(model) for _ in range(4)] == [3, 0, 0, 0]


async def test_a_conversation_that_is_replayed_costs_nothing_in_async_code(scripted: Any) -> None:
    model, counts = scripted(cache=TrimtabCache()), []
    for _ in range(3):
        before, history = model.calls, list[BaseMessage]()
        for question in "abc":
            history.append(HumanMessage(question))
            history.append(await model.ainvoke(history))
        counts.append(model.calls - before)
    assert counts == [3, 0, 0]


def test_tool_calls_are_known_by_what_they_say_and_not_by_their_ids(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache(ExactCache(keep_tool_answers=True)))

    def ask(id: str) -> None:
        call = {"name": "f", "args": {"a": 1, "b": 2}, "id": id}
        answer = AIMessage("", tool_calls=[call], response_metadata={"id": id})
        model.invoke([HumanMessage("q"), answer, ToolMessage("3", tool_call_id=id)])

    ask("call_1")
    ask("call_2")
    assert model.calls == 1


def test_a_failed_result_of_a_tool_is_another_prompt(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache(ExactCache(keep_tool_answers=True)))
    for status in ("success", "error"):
        call = {"name": "f", "args": {}, "id": "c"}
        result = ToolMessage("3", tool_call_id="c", status=status)
        model.invoke([HumanMessage("q"), AIMessage("", tool_calls=[call]), result])
    assert model.calls == 2


def test_a_hit_is_a_list_because_anything_else_is_a_miss() -> None:
    cache = TrimtabCache()
    cache.update("p", "m", (Generation(text="x"),))
    assert type(cache.lookup("p", "m")) is list


def test_a_hit_cost_nothing_and_says_what_it_saved(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    paid, hit = model.invoke("q"), model.invoke("q")
    assert hit.content == paid.content
    used = hit.usage_metadata
    assert (used["input_tokens"], used["output_tokens"], used["total_tokens"]) == (0, 0, 0)
    assert hit.response_metadata["model_name"] == "gpt-4o-mini"
    assert hit.response_metadata["trimtab"] == {
        "cache": "hit",
        "kind": "exact",
        "saved": {
            "input_tokens": 11,
            "output_tokens": 5,
            "cache_read_tokens": 8,
            "cache_write_tokens": None,
            "reasoning_tokens": None,
        },
    }


def test_a_hit_does_not_repeat_the_raw_usage_of_the_provider() -> None:
    cache = TrimtabCache()
    said = {"token_usage": {"total_tokens": 7}, "model_name": "gpt-4o"}
    cache.update("p", "m", [ChatGeneration(message=AIMessage("x", response_metadata=said))])
    (hit,) = cache.lookup("p", "m") or ()
    assert isinstance(hit, ChatGeneration)
    assert "token_usage" not in hit.message.response_metadata


def test_each_hit_is_another_message(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    answers = [model.invoke("q") for _ in range(3)]
    assert len({answer.id for answer in answers}) == 3
    assert all(answer.id for answer in answers)


def test_two_hits_in_one_thread_are_two_messages(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    agent = create_agent(model, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    model.invoke("hi")
    for _ in range(2):
        agent.update_state(config, {"messages": [HumanMessage("hi"), model.invoke("hi")]})
    assert model.calls == 1
    assert len(agent.get_state(config).values["messages"]) == 4


def test_what_the_application_does_to_an_answer_stays_out_of_the_cache(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    paid = model.invoke("q")
    paid.content = "edited"
    first = model.invoke("q")
    first.content = "edited"
    first.response_metadata["trimtab"]["saved"]["input_tokens"] = 0
    assert model.invoke("q").content == "read 1 messages"
    assert model.invoke("q").response_metadata["trimtab"]["saved"]["input_tokens"] == 11


def test_an_agents_name_on_an_answer_stays_out_of_the_cache(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    for name in ("one", "two"):
        agent = create_agent(model, name=name)
        answer = agent.invoke({"messages": [HumanMessage("q")]})["messages"][-1]
        assert answer.name == name
    assert model.calls == 1


def test_an_agent_that_streams_asks_the_cache_and_a_plain_stream_does_not(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    agent = create_agent(model)
    for _ in range(2):
        parts = list(agent.stream({"messages": [HumanMessage("q")]}, stream_mode="values"))
        assert parts[-1]["messages"][-1].content.strip() == "read 1 messages"
    assert model.calls == 1
    list(model.stream("q"))
    assert model.calls == 2


def test_a_store_that_is_down_costs_a_call_and_nothing_else(
    scripted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = TrimtabCache(ExactCache(Broken()))
    model = scripted(cache=cache)
    with caplog.at_level(logging.WARNING, logger="trimtab"):
        assert model.invoke("q").content == model.invoke("q").content
    assert model.calls == 2
    assert cache.failures == 4
    assert len(caplog.records) == 1


async def test_an_awaited_store_that_is_down_costs_a_call_and_nothing_else(scripted: Any) -> None:
    class Down(Awaited):
        async def aget(self, request: Request) -> Response | None:
            raise ConnectionError

        async def aput(self, request: Request, response: Response) -> None:
            raise ConnectionError

    cache = TrimtabCache(Down())
    await scripted(cache=cache).ainvoke("q")
    assert cache.failures == 2


def test_an_answer_that_json_cannot_hold_is_not_kept(scripted: Any) -> None:
    cache = TrimtabCache()
    message = AIMessage("x", additional_kwargs={"parsed": object()})
    cache.update("p", "m", [ChatGeneration(message=message)])
    assert cache.lookup("p", "m") is None
    assert cache.failures == 1


def test_models_and_their_arguments_are_told_apart(scripted: Any) -> None:
    cache = TrimtabCache()
    one, other = (scripted(cache=cache, model_name=name) for name in ("gpt-4o", "gpt-4o-mini"))
    one.invoke("q")
    other.invoke("q")
    one.invoke("q", temperature=1)
    one.bind_tools([HumanMessage]).invoke("q")
    assert (one.calls, other.calls) == (3, 1)


LLM = '{"id": ["langchain", "ChatOpenAI"], "kwargs": {"model_name": "gpt-4o"}}---'


@pytest.mark.parametrize("model", [LLM, ""], ids=["serializable", "other"])
def test_the_order_of_keys_in_a_tool_makes_no_difference(model: str) -> None:
    cache = TrimtabCache()
    tool = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    turned = dict(reversed(tool.items()))
    cache.update("p", f"{model}{[('stop', None), ('tools', [tool])]}", [Generation(text="x")])
    assert cache.lookup("p", f"{model}{[('stop', None), ('tools', [turned])]}")
    assert not cache.lookup("p", f"{model}{[('stop', ['.']), ('tools', [tool])]}")
    assert not cache.lookup("p", f"{model.upper()}-{[('stop', None), ('tools', [tool])]}")


def test_white_space_in_a_text_prompt_makes_a_difference() -> None:
    cache = TrimtabCache()
    cache.update("Once upon", "m", [Generation(text="x")])
    assert cache.lookup("Once upon ", "m") is None


@pytest.mark.parametrize("prompt", ["[]", "[1]", "{}", "null", '[{"kwargs": {}}]', '"text"', "[["])
def test_a_text_prompt_that_is_json_is_a_text(prompt: str) -> None:
    cache = TrimtabCache()
    cache.update(prompt, "m", [Generation(text="x")])
    assert cache.lookup(prompt, "m") == [Generation(text="x")]
    assert cache.lookup(prompt + " ", "m") is None
    assert cache.failures == 0


def test_text_models_use_it(global_cache: TrimtabCache) -> None:
    model = FakeListLLM(responses=["one", "two"])
    assert get_llm_cache() is global_cache
    assert [model.invoke("q"), model.invoke("q")] == ["one", "one"]
    model.generate(["q", "r"])
    assert isinstance(global_cache.cache, ExactCache)
    assert global_cache.cache.stats().hits == 2


def test_many_generations_come_back_equal_but_for_what_a_hit_changes() -> None:
    cache = TrimtabCache()
    call = {"name": "f", "args": {"größe": "XL"}, "id": "c"}
    messages = [AIMessage("a", tool_calls=[call]), AIMessage([{"type": "text", "text": "b"}])]
    paid = [ChatGeneration(message=m, generation_info={"logprobs": [0.5]}) for m in messages]
    cache.update("p", "m", paid)
    found = cache.lookup("p", "m") or ()
    assert [g.generation_info for g in found] == [{"logprobs": [0.5]}] * 2
    assert [g.message.content for g in found] == [m.content for m in messages]  # type: ignore
    assert found[0].message.tool_calls == messages[0].tool_calls  # type: ignore[attr-defined]
    assert type(found[0].message) is AIMessage  # type: ignore[attr-defined]


def test_no_generations_come_back_as_none_of_them() -> None:
    cache = TrimtabCache()
    cache.update("p", "m", [])
    assert cache.lookup("p", "m") == []


def test_tenants_do_not_share_answers(scripted: Any) -> None:
    model = scripted(cache=TrimtabCache())
    with tenant("acme"):
        model.invoke("q")
    with tenant("globex"):
        model.invoke("q")
    with tenant("acme"):
        model.invoke("q")
    assert model.calls == 2


def test_answers_are_kept_as_json_without_a_warning(scripted: Any) -> None:
    store: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = scripted(cache=TrimtabCache(ExactCache(store)))
        model.invoke("q")
        model.invoke("q")
    (text,) = store.values()
    assert json.loads(text)["usage"]["input_tokens"] == 11
    assert model.calls == 1


def test_langchains_own_counter_counts_a_hit_as_nothing(scripted: Any) -> None:
    model, counter = scripted(cache=TrimtabCache()), UsageMetadataCallbackHandler()
    for _ in range(3):
        model.invoke("q", {"callbacks": [counter]})
    assert counter.usage_metadata["gpt-4o-mini"]["total_tokens"] == 16


def test_it_is_not_the_cache_of_a_graphs_nodes() -> None:
    assert not isinstance(TrimtabCache(), NodeCache)


def test_a_cache_that_cannot_be_cleared_says_so() -> None:
    class Sealed:
        def get(self, request: Request) -> None: ...

        def put(self, request: Request, response: Response) -> None: ...

    with pytest.raises(NotImplementedError, match="Sealed has no clear"):
        TrimtabCache(Sealed()).clear()


def test_an_answer_that_was_wrong_is_not_given_again(scripted: Any) -> None:
    cache = TrimtabCache()
    model = scripted(cache=cache)
    first, hit = model.invoke("q"), model.invoke("q")
    assert not cache.wrong(first)  # it is the model's own
    assert cache.wrong(hit)
    assert not cache.wrong(hit)
    model.invoke("q")
    assert model.calls == 2


def test_two_questions_are_not_taken_for_one_another_again(scripted: Any) -> None:
    cache = TrimtabCache(SemanticCache(threshold=0.0, embed=Hashed()))
    model = scripted(cache=cache)
    model.invoke("How do I change the name on my ticket?")
    other = "How do I change the name on my ticket please?"
    hit = model.invoke(other)
    assert hit.response_metadata["trimtab"]["kind"] == "semantic"
    assert cache.wrong(hit)
    model.invoke(other)
    assert model.calls == 2
