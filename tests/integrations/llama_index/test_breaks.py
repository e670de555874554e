"""Break points for Anthropic's models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import CacheControl, CachePoint, ChatMessage, TextBlock
from llama_index.core.llms import LLM
from llama_index.core.tools import FunctionTool

from llama_index_trimtab import TrimtabLLM
from trimtab import Pipeline
from trimtab.prefix import BreakPoints

CLAUDE = "claude-sonnet-4-5"
TERMS = "Answer only what the airline's rules allow, and say which rule it was. " * 200


@pytest.fixture
def claude(scripted: Callable[..., Any]) -> Any:
    """A scripted model that its class calls Anthropic's."""
    model = scripted(model=CLAUDE)

    class Anthropic(type(model)):  # type: ignore[misc]
        @classmethod
        def class_name(cls) -> str:
            return "Anthropic_LLM"

    return Anthropic(model=CLAUDE)


def wrapped(llm: LLM) -> TrimtabLLM:
    return TrimtabLLM(inner=llm, pipeline=Pipeline([BreakPoints()]))


def said(*texts: str) -> list[ChatMessage]:
    roles = ("system", "user", "assistant")
    return [ChatMessage(text, role=role) for role, text in zip(roles, texts, strict=False)]


def second() -> list[ChatMessage]:
    """A conversation that goes on."""
    first = said(TERMS, "Where is my order?", "On its way.")
    return [*first, ChatMessage("And the other one?", role="user")]


def points(messages: list[ChatMessage]) -> list[int]:
    return [
        i
        for i, message in enumerate(messages)
        if any(isinstance(block, CachePoint) for block in message.blocks)
    ]


def test_the_last_message_of_the_user_takes_one(claude: Any) -> None:
    talk = second()
    wrapped(claude).chat(talk)
    assert points(claude.sent[0]) == [3]
    assert not points(talk)
    assert claude.sent[0][3].content == "And the other one?"


def test_what_stands_at_a_result_is_set_at_the_question_before_it(claude: Any) -> None:
    talk = [
        *said(TERMS, "Where is my order?", "I look."),
        ChatMessage("On its way.", role="tool", additional_kwargs={"tool_call_id": "1"}),
    ]
    wrapped(claude).chat(talk)
    assert points(claude.sent[0]) == [1]


def test_the_last_tool_takes_one(claude: Any) -> None:
    def orders(city: str) -> str:
        """List orders."""
        return city

    tool = FunctionTool.from_defaults(orders, description="Lists orders. " + TERMS)
    wrapped(claude).chat_with_tools([tool], chat_history=said(TERMS, "Which ones?"))
    assert claude.kwargs[0]["tools"][-1]["cache_control"] == {"type": "ephemeral"}


def test_points_of_the_users_own_are_the_only_ones(claude: Any) -> None:
    point = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))
    talk = [ChatMessage(role="user", blocks=[TextBlock(text=TERMS), point]), *said("", "And?")]
    wrapped(claude).chat(talk)
    assert points(claude.sent[0]) == [0]


def test_other_models_are_sent_none(scripted: Callable[..., Any]) -> None:
    model = scripted(model=CLAUDE)
    wrapped(model).chat(second())
    assert not points(model.sent[0])


def test_what_is_sent_is_what_anthropics_integration_takes(claude: Any) -> None:
    utils = pytest.importorskip("llama_index.llms.anthropic.utils")
    wrapped(claude).chat(second())
    (block,) = utils.blocks_to_anthropic_blocks(claude.sent[0][3].blocks, {})
    assert block["cache_control"]["type"] == "ephemeral"
