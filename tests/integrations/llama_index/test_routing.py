"""Several LLMs behind one wrapper: whom a call reaches, and in whose words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from llama_index.core import MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms.mock import MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llama_index_trimtab import TrimtabLLM
from trimtab import Ledger, Pipeline
from trimtab.cache import ExactCache
from trimtab.route import Rule, Tier, Tiers
from trimtab.types import Request

Make = Callable[..., Any]
FAST, POWERFUL = "gpt-4o-mini", "gpt-4o"
RULES = (
    Rule("powerful", lambda request: "hard" in request.query),
    Rule("fast", lambda request: True),
)
EASY, HARD = "an easy question", "a hard question"


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


def tiers(**settings: Any) -> Tiers:
    return Tiers({"fast": FAST, "powerful": POWERFUL}, **{"rules": RULES, **settings})


def routed(fast: Any, powerful: Any, *steps: Any, cache: bool = False, **fields: Any) -> TrimtabLLM:
    pipeline = Pipeline(
        (*steps, tiers()),
        cache=ExactCache(keep_tool_answers=True) if cache else None,
        ledger=Ledger(),
    )
    return TrimtabLLM(pipeline=pipeline, models={"fast": fast, "powerful": powerful}, **fields)


@pytest.fixture
def foreign(scripted: Make) -> Make:
    """Make an LLM of another provider, which renders tools, and writes calls of them, its way."""

    class Foreign(type(scripted())):  # type: ignore[misc]
        @classmethod
        def class_name(cls) -> str:
            return "Foreign"

        def _prepare_chat_with_tools(self, tools: Any, **options: Any) -> Any:
            prepared = super()._prepare_chat_with_tools(tools, **options)
            prepared.pop("tool_choice", None)
            specs = [
                {
                    "name": tool.metadata.name,
                    "description": tool.metadata.description,
                    "input_schema": tool.metadata.get_parameters_dict(),
                }
                for tool in tools
            ]
            parallel = prepared.pop("allow_parallel_tool_calls", False)
            choice = {"type": "auto", "disable_parallel_tool_use": not parallel}
            return {**prepared, "tools": specs, "tool_choice": choice}

        def _chunks(self, messages: Any, kwargs: dict[str, Any]) -> Any:
            for chunk in super()._chunks(messages, kwargs):
                calls = [
                    {"id": call["id"], "name": call["function"]["name"], "type": "tool_use"}
                    | {"input": json.loads(call["function"]["arguments"])}
                    for call in chunk.message.additional_kwargs.get("tool_calls", ())
                ]
                said = {"tool_calls": calls} if calls else {}
                blocks = [b for b in chunk.message.blocks if not isinstance(b, ToolCallBlock)]
                message = ChatMessage(role="assistant", blocks=blocks, additional_kwargs=said)
                yield ChatResponse(message=message, delta=chunk.delta, raw=chunk.raw)

        def get_tool_calls_from_response(
            self, response: Any, error_on_no_tool_call: bool = True, **kwargs: Any
        ) -> Any:
            calls = response.message.additional_kwargs.get("tool_calls", [])
            block = [
                ToolCallBlock(tool_call_id=c["id"], tool_name=c["name"], tool_kwargs=c["input"])
                for c in calls
            ]
            message = ChatMessage(role="assistant", blocks=block)
            return super().get_tool_calls_from_response(
                ChatResponse(message=message), error_on_no_tool_call=error_on_no_tool_call
            )

    return lambda *script, **fields: Foreign(script=list(script), **fields)


def ways() -> list[tuple[str, Callable[[Any, str], Any]]]:
    """All ways to ask an LLM for a text; the async ones return coroutines."""

    def user(text: str) -> list[ChatMessage]:
        return [ChatMessage(role="user", content=text)]

    async def chunks(stream: Any) -> str:
        return "".join([chunk.delta or "" async for chunk in await stream])

    async def text(answer: Any) -> str:
        found = await answer
        return found.text if hasattr(found, "text") else found.message.content

    return [
        ("chat", lambda llm, q: llm.chat(user(q)).message.content),
        ("achat", lambda llm, q: text(llm.achat(user(q)))),
        ("stream_chat", lambda llm, q: "".join(c.delta or "" for c in llm.stream_chat(user(q)))),
        ("astream_chat", lambda llm, q: chunks(llm.astream_chat(user(q)))),
        ("complete", lambda llm, q: llm.complete(q).text),
        ("acomplete", lambda llm, q: text(llm.acomplete(q))),
        ("stream_complete", lambda llm, q: "".join(c.delta for c in llm.stream_complete(q))),
        ("astream_complete", lambda llm, q: chunks(llm.astream_complete(q))),
    ]


def ask(way: Callable[[Any, str], Any], llm: Any, question: str) -> Any:
    found = way(llm, question)
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


each_way = pytest.mark.parametrize("way", [w for _, w in ways()], ids=[n for n, _ in ways()])


@each_way
def test_a_request_reaches_the_model_of_its_tier_and_no_other(way: Any, scripted: Make) -> None:
    fast, powerful = scripted("quick one"), scripted("deep one", model=POWERFUL)
    llm = routed(fast, powerful)
    assert ask(way, llm, EASY) == "quick one"
    assert (len(fast.sent), len(powerful.sent)) == (1, 0)
    assert ask(way, llm, HARD) == "deep one"
    assert (len(fast.sent), len(powerful.sent)) == (1, 1)
    assert "model" not in fast.kwargs[0]
    assert [event.model for event in llm.pipeline.ledger.events] == [FAST, POWERFUL]
    assert [event.usage for event in llm.pipeline.ledger.events] == [*fast.spent, *powerful.spent]


@each_way
def test_the_model_that_is_asked_tells_its_events_once(
    way: Any, scripted: Make, events: Any
) -> None:
    ask(way, scripted("one two"), EASY)
    alone = list(events.names)
    events.names.clear()
    ask(way, routed(scripted("one two"), scripted(model=POWERFUL)), EASY)
    assert events.names == alone
    assert sum(name.endswith("EndEvent") for name in alone) == 1


@each_way
def test_the_settings_callback_manager_hears_the_model_that_is_asked(
    way: Any, scripted: Make
) -> None:
    counter = TokenCountingHandler()
    Settings.callback_manager = CallbackManager([counter])
    Settings.llm = routed(scripted("one two"), scripted("three", model=POWERFUL))
    ask(way, Settings.llm, EASY)
    ask(way, Settings.llm, HARD)
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (200, 2)


@each_way
def test_another_tier_answers_where_a_provider_fails(way: Any, scripted: Make) -> None:
    fast, powerful = scripted(RuntimeError("overloaded")), scripted("here", model=POWERFUL)
    llm = routed(fast, powerful)
    assert ask(way, llm, EASY) == "here"
    (event,) = llm.pipeline.ledger.events
    assert (event.model, event.usage, event.error) == (POWERFUL, powerful.spent[0], "")
    assert llm.pipeline.failures["llama_index"] == 1


@each_way
def test_the_first_error_is_raised_where_every_provider_fails(way: Any, scripted: Make) -> None:
    fast = scripted(RuntimeError("first"))
    powerful = scripted(RuntimeError("second"), model=POWERFUL)
    llm = routed(fast, powerful)
    with pytest.raises(RuntimeError, match="first"):
        ask(way, llm, EASY)
    assert (len(fast.sent), len(powerful.sent)) == (1, 1)
    assert ["first" in event.error for event in llm.pipeline.ledger.events] == [True]


@each_way
def test_an_error_that_another_model_would_not_mend_is_raised(way: Any, scripted: Make) -> None:
    llm = routed(scripted(TypeError("wrong call")), scripted(model=POWERFUL))
    with pytest.raises(TypeError, match="wrong call"):
        ask(way, llm, EASY)


@each_way
def test_an_answer_is_remembered_whichever_model_gave_it(way: Any, scripted: Make) -> None:
    fast, powerful = scripted("one", "two"), scripted(model=POWERFUL)
    llm = routed(fast, powerful, cache=True)
    assert [ask(way, llm, EASY) for _ in range(2)] == ["one", "one"]
    assert len(fast.sent) == 1
    assert [(e.hit, e.model) for e in llm.pipeline.ledger.events] == [(False, FAST), (True, FAST)]


def test_no_other_model_goes_on_in_the_midst_of_a_stream(scripted: Make) -> None:
    class Breaking(type(scripted())):  # type: ignore[misc]
        def _chunks(self, messages: Any, kwargs: dict[str, Any]) -> Any:
            yield next(iter(super()._chunks(messages, kwargs)))
            raise ConnectionError("cut off")

    powerful = scripted(model=POWERFUL)
    llm = routed(Breaking(script=["one two three"]), powerful)
    heard = []
    with pytest.raises(ConnectionError):
        heard += [chunk.delta for chunk in llm.stream_chat([ChatMessage(content=EASY)])]
    assert powerful.sent == []
    assert "cut off" in llm.pipeline.ledger.events[0].error


def test_a_tier_brings_its_parameters_and_takes_them_along(scripted: Make) -> None:
    fast, powerful = scripted(RuntimeError("busy"), "ok"), scripted(model=POWERFUL)
    steps = Tiers(
        {
            "fast": Tier(FAST, {"service_tier": "flex", "temperature": 1}),
            "powerful": Tier(POWERFUL, {"reasoning_effort": "high"}),
        },
        rules=RULES,
    )
    llm = TrimtabLLM(pipeline=Pipeline([steps]), models={"fast": fast, "powerful": powerful})
    llm.complete(EASY, temperature=0)
    assert fast.kwargs == [{"service_tier": "flex", "temperature": 1}]
    assert powerful.kwargs == [{"reasoning_effort": "high", "temperature": 0}]


def test_a_tier_without_an_llm_is_the_inner_one_told_which_model_to_be(scripted: Make) -> None:
    steps = Tiers(
        {"low": Tier(FAST, {"effort": "low"}), "high": Tier(FAST, {"effort": "high"}), "big": "o3"},
        rules=[
            Rule("big", lambda request: "huge" in request.query),
            Rule("high", lambda request: "hard" in request.query),
            Rule("low", lambda request: True),
        ],
    )
    llm = TrimtabLLM(scripted("", "", RuntimeError("busy")), Pipeline([steps]))
    for question in (EASY, HARD, "a huge question"):
        llm.complete(question)
    assert llm.inner.kwargs == [
        {"effort": "low"},
        {"effort": "high"},
        {"model": "o3"},
        {"effort": "high"},
    ]


@pytest.mark.parametrize(
    "known",
    [
        {"fast": FAST, "powerful": FAST},
        {"fast": FAST, "powerful": Tier(FAST, {"effort": "high"})},
        {"fast": Tier(FAST, {"effort": "low"}), "powerful": FAST},
    ],
)
def test_tiers_of_one_model_may_be_llms_that_are_set_differently(
    known: Any, scripted: Make
) -> None:
    low, high = scripted("quick", temperature=0.1), scripted("deep", temperature=0.9)
    pipeline = Pipeline([Tiers(known, rules=RULES)])
    llm = TrimtabLLM(pipeline=pipeline, models={"fast": low, "powerful": high})
    assert [llm.complete(question).text for question in (HARD, EASY)] == ["deep", "quick"]


def test_what_a_router_saved_is_in_the_ledger(scripted: Make) -> None:
    llm = routed(scripted("one"), scripted(model=POWERFUL))
    llm.complete(EASY)
    (event,) = llm.pipeline.ledger.events
    assert event.saved_cost is not None
    assert event.saved_cost > Decimal(0)


async def tooled(llm: Any, way: str, question: str) -> Any:
    """Ask with a tool in one of the ways there are."""
    history = [ChatMessage(role="system", content="be brief")]
    settings = {"user_msg": question, "chat_history": history}
    if way == "chat":
        found = llm.chat_with_tools([ADD], **settings)
    elif way == "achat":
        found = await llm.achat_with_tools([ADD], **settings)
    elif way == "stream":
        *_, found = llm.stream_chat_with_tools([ADD], **settings)
    else:
        chunks = [c async for c in await llm.astream_chat_with_tools([ADD], **settings)]
        found = chunks[-1]
    return found


each_tooled_way = pytest.mark.parametrize("way", ["chat", "achat", "stream", "astream"])
SUM = ("add", {"a": 1, "b": 2})


@each_tooled_way
async def test_tools_are_rendered_as_the_chosen_models_own_provider_does(
    way: str, scripted: Make, foreign: Make
) -> None:
    def terse(request: Request) -> Request:
        return replace(request, tools=tuple(replace(t, description="sum") for t in request.tools))

    fast, powerful = foreign(SUM, model=FAST), scripted(SUM, model=POWERFUL)
    for steps in ((), (terse,)):
        fast.script[:], powerful.script[:] = [SUM], [SUM]
        llm = routed(fast, powerful, *steps)
        said = ADD.metadata.description if not steps else "sum"
        for question, asked in ((EASY, fast), (HARD, powerful)):
            answer = await tooled(llm, way, question)
            (call,) = llm.get_tool_calls_from_response(answer)
            assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 1, "b": 2})
            assert [m.content for m in asked.sent[-1]] == ["be brief", question]
        (spec,) = fast.kwargs[-1]["tools"]
        assert spec == {
            "name": "add",
            "description": said,
            "input_schema": ADD.metadata.get_parameters_dict(),
        }
        assert fast.kwargs[-1]["tool_choice"]["type"] == "auto"
        (spec,) = powerful.kwargs[-1]["tools"]
        assert (spec["type"], spec["function"]["description"]) == ("function", said)
        assert "tool_choice" not in powerful.kwargs[-1]


@each_tooled_way
async def test_a_stand_in_renders_the_tools_again(way: str, scripted: Make, foreign: Make) -> None:
    fast = foreign(RuntimeError("busy"), model=FAST)
    powerful = scripted(SUM, RuntimeError("busy"), model=POWERFUL)
    llm = routed(fast, powerful)
    assert llm.get_tool_calls_from_response(await tooled(llm, way, EASY))
    assert "function" in powerful.kwargs[0]["tools"][0]
    assert [m.content for m in powerful.sent[0]] == ["be brief", EASY]
    fast.script.append(SUM)
    assert llm.get_tool_calls_from_response(await tooled(llm, way, HARD))
    assert "input_schema" in fast.kwargs[-1]["tools"][0]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("question", [EASY, HARD])
async def test_function_agents_work_over_models_of_two_providers(
    scripted: Make, foreign: Make, question: str, streaming: bool
) -> None:
    fast, powerful = foreign(SUM, "3", model=FAST), scripted(SUM, "3", model=POWERFUL)
    llm = routed(fast, powerful)
    agent = FunctionAgent(tools=[ADD], llm=llm, streaming=streaming)
    result = await agent.run(question)
    assert str(result) == "3"
    assert [call.tool_output.content for call in result.tool_calls] == ["3"]
    asked, other = (fast, powerful) if question == EASY else (powerful, fast)
    assert (len(asked.sent), len(other.sent)) == (2, 0)
    assert [event.usage for event in llm.pipeline.ledger.events] == asked.spent


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agents_transcript_is_understood_by_a_stand_in(
    scripted: Make, foreign: Make, streaming: bool
) -> None:
    fast = foreign(SUM, RuntimeError("busy"), model=FAST)
    powerful = scripted("3", model=POWERFUL)
    agent = FunctionAgent(tools=[ADD], llm=routed(fast, powerful), streaming=streaming)
    assert str(await agent.run(EASY)) == "3"
    _, called, result = powerful.sent[0]
    (block,) = (b for b in called.blocks if isinstance(b, ToolCallBlock))
    assert (block.tool_name, block.tool_kwargs) == ("add", {"a": 1, "b": 2})
    assert "tool_calls" not in called.additional_kwargs
    assert result.additional_kwargs["tool_call_id"] == block.tool_call_id


async def test_tools_are_called_by_predict_and_call(scripted: Make, foreign: Make) -> None:
    llm = routed(foreign(SUM, SUM, model=FAST), scripted(SUM, model=POWERFUL))
    assert llm.predict_and_call([ADD], user_msg=EASY).response == "3"
    assert (await llm.apredict_and_call([ADD], user_msg=EASY)).response == "3"
    assert llm.predict_and_call([ADD], user_msg=HARD).response == "3"
    assert [e.model for e in llm.pipeline.ledger.events] == [FAST, FAST, POWERFUL]


async def test_structures_are_predicted_by_whichever_provider_is_chosen(
    scripted: Make, foreign: Make
) -> None:
    prompt = PromptTemplate("a {kind} question about a city")
    oslo = ("City", {"name": "Oslo"})
    llm = routed(foreign(*[oslo] * 4, model=FAST), scripted(*[oslo] * 5, model=POWERFUL))
    for kind in ("easy", "hard"):
        assert llm.structured_predict(City, prompt, kind=kind) == City(name="Oslo")
        assert await llm.astructured_predict(City, prompt, kind=kind) == City(name="Oslo")
        assert list(llm.stream_structured_predict(City, prompt, kind=kind))[-1].name == "Oslo"
        stream = await llm.astream_structured_predict(City, prompt, kind=kind)
        assert [found async for found in stream][-1].name == "Oslo"
    found = llm.as_structured_llm(City).chat([ChatMessage(role="user", content=HARD)])
    assert found.raw == City(name="Oslo")
    assert [e.model for e in llm.pipeline.ledger.events] == [FAST] * 4 + [POWERFUL] * 5


def test_models_of_one_provider_predict_structures_its_own_way(scripted: Make) -> None:
    class Native(type(scripted())):  # type: ignore[misc]
        def structured_predict(self, output_cls: Any, prompt: Any, **kwargs: Any) -> Any:
            messages = prompt.format_messages(**kwargs)
            answer = self.chat(messages, response_format="json")
            return output_cls.model_validate_json(answer.message.content)

    script = ['{"name": "Oslo"}']
    fast, powerful = Native(script=list(script)), Native(script=list(script), model=POWERFUL)
    llm = routed(fast, powerful)
    for question in (EASY, HARD):
        assert llm.structured_predict(City, PromptTemplate(question)) == City(name="Oslo")
    assert fast.kwargs == powerful.kwargs == [{"response_format": "json"}]


async def test_query_and_chat_engines_work(scripted: Make) -> None:
    fast, powerful = scripted("a", "b c", "d", "e"), scripted("f", model=POWERFUL)
    llm = routed(fast, powerful)
    index = VectorStoreIndex.from_documents(
        [Document(text="cats meow")], embed_model=MockEmbedding(embed_dim=4)
    )
    assert str(index.as_query_engine(llm=llm).query(EASY)) == "a"
    streamed = index.as_query_engine(llm=llm, streaming=True).query(EASY)
    assert "".join(streamed.response_gen) == "b c"
    assert str(await index.as_query_engine(llm=llm).aquery(EASY)) == "d"
    assert str(index.as_chat_engine(chat_mode="context", llm=llm).chat(EASY)) == "e"
    assert str(index.as_chat_engine(chat_mode="context", llm=llm).chat(HARD)) == "f"
    assert len(llm.pipeline.ledger.events) == 5


def test_its_metadata_is_what_is_true_of_all_models(scripted: Make) -> None:
    class Small(type(scripted())):  # type: ignore[misc]
        @property
        def metadata(self) -> Any:
            return super().metadata.model_copy(update={"context_window": 500, "num_output": 7})

    known = routed(Small(tooled=False), scripted(model=POWERFUL)).metadata
    assert (known.context_window, known.num_output) == (500, 7)
    assert not known.is_function_calling_model
    assert known.is_chat_model
    assert FAST in known.model_name
    assert POWERFUL in known.model_name


def test_models_alone_are_tiers_in_their_order(scripted: Make) -> None:
    fast, powerful = scripted(), scripted(model=POWERFUL)
    plain = Pipeline(ledger=Ledger(), cache=ExactCache())
    llm = TrimtabLLM(pipeline=plain, models={"fast": fast, "powerful": powerful})
    (step,) = llm.pipeline.steps
    assert isinstance(step, Tiers)
    assert (step.names, step.tier("fast").window) == (("fast", "powerful"), 9000)
    assert (llm.pipeline.ledger, llm.pipeline.cache) == (plain.ledger, plain.cache)
    assert llm.inner is powerful
    balanced = TrimtabLLM(models={"fast": fast, "powerful": powerful})
    assert any(isinstance(step, Tiers) for step in balanced.pipeline.steps)


def test_wrong_models_are_refused(scripted: Make) -> None:
    with pytest.raises(TypeError, match="or models"):
        TrimtabLLM()
    with pytest.raises(TypeError, match="got str"):
        TrimtabLLM(scripted(), models={"fast": "gpt-4o-mini"})  # type: ignore[dict-item]


def test_calls_are_checked_by_the_model_that_made_them_remembered_ones_too(scripted: Make) -> None:
    class Single(type(scripted())):  # type: ignore[misc]
        def _validate_chat_with_tools_response(
            self, response: Any, tools: Any, allow_parallel_tool_calls: bool = False, **_: Any
        ) -> Any:
            first = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)][:1]
            response.message.blocks = first if not allow_parallel_tool_calls else [*first, *first]
            return response

    llm = routed(Single(script=[[SUM, SUM]]), Single(model=POWERFUL), cache=True)
    for _ in range(2):
        answer = llm.chat_with_tools([ADD], user_msg=EASY, chat_history=[])
        assert len(llm.get_tool_calls_from_response(answer)) == 1
    assert [event.hit for event in llm.pipeline.ledger.events] == [False, True]


async def test_tools_need_models_that_can_call_them(scripted: Make) -> None:
    llm = routed(MockLLM(max_tokens=1), scripted(SUM, model=POWERFUL))
    assert not llm.metadata.is_function_calling_model
    with pytest.raises(NotImplementedError, match="MockLLM cannot call tools"):
        llm.chat_with_tools([ADD], user_msg=EASY)
    assert llm.complete(EASY).text == "text"


def test_no_secret_is_in_its_repr_or_its_json(scripted: Make) -> None:
    llm = routed(scripted(), scripted(model=POWERFUL))
    for text in (repr(llm), str(llm), llm.to_json(), json.dumps(llm.to_dict())):
        assert "sk-secret" not in text
    assert FAST in repr(llm)
