"""The wrapper around LlamaIndex's OpenAI integration, down to what goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from trimtab.types import Request, Usage

openai = pytest.importorskip("llama_index.llms.openai", reason="llama-index-llms-openai is missing")
httpx = pytest.importorskip("httpx")

HELLO = [ChatMessage(role="user", content="hello")]
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
SPENT = Usage(100, 20, 60, None, 5)
Make = Callable[..., Any]


class City(BaseModel):
    """A city."""

    name: str


def said(text: str | None = None, *calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": text,
        "tool_calls": [
            {
                "index": i,
                "id": f"call_{name}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for i, (name, arguments) in enumerate(calls)
        ]
        or None,
    }


class Wire:
    """Answers as OpenAI's servers would, and remembers what it was sent."""

    def __init__(self, *script: dict[str, Any]) -> None:
        self.script = list(script)
        self.sent: list[dict[str, Any]] = []
        transport = httpx.MockTransport(self.answer)
        self.llm = openai.OpenAI(
            model="gpt-4o-mini",
            api_key="sk-secret",
            http_client=httpx.Client(transport=transport),
            async_http_client=httpx.AsyncClient(transport=transport),
            additional_kwargs={"stream_options": {"include_usage": True}},
            max_retries=0,
        )

    def answer(self, request: Any) -> Any:
        self.sent.append(json.loads(request.content))
        message, number = self.script.pop(0), len(self.sent)
        whole = {"id": f"chatcmpl-{number}", "created": 0, "model": "gpt-4o-mini-2024-07-18"}
        if not self.sent[-1].get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return httpx.Response(
                200, json={**whole, "object": "x", "choices": [choice], "usage": USAGE}
            )
        delta = {"index": 0, "delta": message, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks = [{"choices": [delta]}, {"choices": [end]}, {"choices": [], "usage": USAGE}]
        lines = [f"data: {json.dumps({**whole, 'object': 'x', **chunk})}\n\n" for chunk in chunks]
        text = "".join([*lines, "data: [DONE]\n\n"])
        return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agents_run_is_compressed_recorded_and_remembered(
    wrap: Make, rows: str, streaming: bool
) -> None:
    def orders(customer: str) -> str:
        """List a customer's orders."""
        return rows

    wire = Wire(said(None, ("orders", {"customer": "ann"})), said("all delivered"))
    llm = wrap(wire.llm, cache=True)
    for _ in range(2):
        tools = [FunctionTool.from_defaults(orders)]
        agent = FunctionAgent(tools=tools, llm=llm, streaming=streaming)
        assert str(await agent.run("what did ann order?")) == "all delivered"
    assert len(wire.sent) == 2
    result = wire.sent[1]["messages"][-1]
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_orders")
    assert json.loads(result["content"]) == json.loads(rows)
    assert len(result["content"]) < len(rows)
    recorded = llm.pipeline.ledger.events
    assert [event.hit for event in recorded] == [False, False, True, True]
    assert [event.usage for event in recorded[:2]] == [SPENT, SPENT]
    assert recorded[0].model == "gpt-4o-mini-2024-07-18"


def test_tools_are_described_in_the_words_that_steps_chose(wrap: Make) -> None:
    def terse(request: Request) -> Request:
        return replace(request, tools=tuple(replace(t, description="+") for t in request.tools))

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    wire = Wire(said(None, ("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})))
    llm = wrap(wire.llm, terse)
    answer = llm.chat_with_tools([FunctionTool.from_defaults(add)], user_msg="1 + 2?")
    function = wire.sent[0]["tools"][0]["function"]
    assert function["description"] == "+"
    assert function["parameters"]["properties"]["a"]["type"] == "integer"
    # OpenAI's own validation has left one call, because parallel ones were not allowed.
    assert len(llm.get_tool_calls_from_response(answer)) == 1


async def test_structures_are_predicted_in_openais_own_way(wrap: Make, events: Any) -> None:
    oslo = said('{"name": "Oslo"}')
    wire = Wire(oslo, oslo, oslo, oslo)
    llm, prompt, city = wrap(wire.llm), PromptTemplate("a city"), City(name="Oslo")
    assert llm.structured_predict(City, prompt) == city
    assert await llm.astructured_predict(City, prompt) == city
    assert list(llm.stream_structured_predict(City, prompt))[-1] == city
    stream = await llm.astream_structured_predict(City, prompt)
    assert [found async for found in stream][-1].name == "Oslo"
    assert all(sent["response_format"]["type"] == "json_schema" for sent in wire.sent)
    assert [event.usage for event in llm.pipeline.ledger.events] == [SPENT] * 4
    assert events.names.count("LLMChatEndEvent") == 4


def test_no_secret_leaves_the_wrapper(wrap: Make) -> None:
    llm = wrap(Wire().llm)
    for text in (repr(llm), str(llm), llm.to_json()):
        assert "sk-secret" not in text


def test_an_answer_that_was_cut_short_is_not_remembered(wrap: Make) -> None:
    class Short(Wire):
        def answer(self, request: Any) -> Any:
            found = super().answer(request)
            return httpx.Response(200, text=found.text.replace('"stop"', '"length"'))

    wire = Short(said("one"), said("one two"))
    llm = wrap(wire.llm, cache=True)
    assert [llm.chat(HELLO).message.content for _ in range(2)] == ["one", "one two"]
