import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.breakdown import INPUT, OUTPUT, Opportunity, analyze, components
from trimtab.tokens import count_message, count_request, count_tools, counter_for
from trimtab.types import Message, Part, Request, Response, Tool, ToolCall, Usage, canonical_json

COUNT = counter_for("gpt-4o")
ORDERS = json.dumps(
    [
        {
            "order_id": f"W{i * 7919}",
            "status": "delivered",
            "payment": {"method": "card", "cents": i},
        }
        for i in range(60)
    ],
    indent=2,
)
SEARCH = Tool(
    "find_orders",
    "This tool can be used in order to find all of the orders that a customer has made.",
    {
        "title": "FindOrders",
        "type": "object",
        "properties": {
            "customer": {"title": "Customer", "type": "string", "default": None},
            "limit": {"title": "Limit", "type": "integer", "default": None},
        },
    },
)
SYSTEM = Message("system", "You help customers of a shop. Never refund more than was paid.")
CALL = Message("assistant", "", (ToolCall("call_1", "find_orders", '{"customer": "sara"}'),))
MESSAGES = (
    SYSTEM,
    Message("user", "Hello"),
    Message("assistant", "Hello! What can I do for you?"),
    Message("user", "Where are my orders?"),
    CALL,
    Message("tool", ORDERS, tool_call_id="call_1"),
)
REQUEST = Request("gpt-4o", MESSAGES, (SEARCH,))


def test_each_message_belongs_to_a_component() -> None:
    sizes = components(REQUEST, COUNT)
    assert sizes["system"] == count_message(SYSTEM, COUNT)
    assert sizes["tools"] == count_tools([SEARCH], COUNT)
    assert sizes["tool results"] == count_message(MESSAGES[5], COUNT)
    assert sizes["input"] == count_message(MESSAGES[3], COUNT)
    assert sizes["tool calls"] + 4 == count_message(CALL, COUNT)
    assert sizes["history"] == sum(count_message(m, COUNT) for m in MESSAGES[1:3]) + 4
    assert sizes["context"] == 0


def test_documents_beside_a_question_are_context() -> None:
    document = Part(data=canonical_json({"type": "document", "text": "Bags are free. " * 20}))
    question = Message("user", (Part("Use this: bags cost 5."), document, Part("Are bags free?")))
    sizes = components(Request("gpt-4o", (question,)), COUNT)
    assert sizes["context"] == COUNT("Use this: bags cost 5.\n") + COUNT(document.data)
    assert sizes["input"] == count_message(Message("user", "Are bags free?"), COUNT)
    later = Request("gpt-4o", (question, Message("user", "And now?")))
    assert components(later, COUNT)["context"] == COUNT(document.data)


ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
MESSAGE = st.builds(
    Message,
    ROLES,
    st.text(max_size=20) | st.lists(st.builds(Part, st.text(max_size=9)), max_size=3).map(tuple),
    st.lists(st.builds(ToolCall, st.text(max_size=4), st.just("f"), st.just("{}"))).map(tuple),
)


@given(st.lists(MESSAGE, max_size=5))
def test_the_components_add_up_to_the_request(messages: list[Message]) -> None:
    request = Request("gpt-4o", tuple(messages), (SEARCH,))
    sizes = components(request, COUNT)
    assert tuple(sizes) == INPUT
    assert sum(sizes.values()) == count_request(request, COUNT)
    assert all(size >= 0 for size in sizes.values())


def test_a_breakdown_has_shares_that_add_up() -> None:
    found = analyze(REQUEST)
    assert found.input_tokens == count_request(REQUEST, COUNT)
    assert sum(found.input_shares.values()) == pytest.approx(1)
    assert found.input_shares["tool results"] > 0.5
    assert (found.output, found.output_tokens, found.output_shares) == ({}, 0, {})
    assert found.tools_as_billed is not None and found.tools_as_billed < found.input["tools"]


def test_an_answer_is_reasoning_calls_and_text() -> None:
    thought = Part(data=canonical_json({"type": "thinking", "thinking": "They ask. " * 10}))
    message = replace(CALL, content=(thought, Part("Let me look.")))
    shown = analyze(REQUEST, Response(message)).output
    assert tuple(shown) == OUTPUT
    assert shown["reasoning"] >= 20
    assert shown["answer"] == COUNT("Let me look.")
    assert shown["tool calls"] == count_message(CALL, COUNT) - 4
    reported = analyze(REQUEST, Response(message, Usage(10, 500, reasoning_tokens=400)))
    assert reported.output["reasoning"] == 400


def test_a_counter_of_ones_own_may_be_used() -> None:
    assert analyze(REQUEST, count=len).input["tool results"] > len(ORDERS)


def lever(found: tuple[Opportunity, ...], code: str) -> Opportunity | None:
    return next((o for o in found if code in o.code), None)


def test_opportunities_name_the_lever_its_tokens_and_its_dollars() -> None:
    found = analyze(REQUEST).opportunities()
    lossless, tools = lever(found, "Lossless"), lever(found, "ShortenTools")
    assert lossless is not None and tools is not None
    assert (lossless.component, tools.component) == ("tool results", "tools")
    assert lossless.tokens > 500 and lossless.tokens > tools.tokens > 0
    assert lossless.dollars == lossless.tokens * Decimal("0.0000025")
    assert [o.tokens for o in found] == sorted((o.tokens for o in found), reverse=True)


def test_without_a_price_the_tokens_are_known_and_the_dollars_are_not() -> None:
    found = analyze(replace(REQUEST, model="our-own")).opportunities()
    assert found and all(o.dollars is None for o in found)


def test_a_result_that_stands_twice_is_noticed() -> None:
    log = "\n".join(f"{i} ok {'x' * (i % 7)} {i * i} {i * 31}" for i in range(40))
    again = replace(CALL, tool_calls=(replace(CALL.tool_calls[0], id="call_2"),))
    messages = (
        *MESSAGES[:5],
        Message("tool", log, tool_call_id="call_1"),
        again,
        Message("tool", log, tool_call_id="call_2"),
    )
    repeats = lever(analyze(replace(REQUEST, messages=messages)).opportunities(), "Repeats")
    assert repeats is not None and repeats.tokens > 200


def test_a_long_history_is_an_opportunity_where_a_cut_pays_back() -> None:
    rounds = [
        message
        for i in range(40)
        for message in (
            Message("user", f"What is item {i}?"),
            Message("assistant", f"Item {i} is a lamp. " + "It is made of brass and glass. " * 20),
        )
    ]
    messages = (SYSTEM, *rounds, Message("user", "Thanks. Which one is the cheapest?"))
    history = lever(analyze(replace(REQUEST, messages=messages)).opportunities(), "lean")
    assert history is not None and history.tokens > 1000


def test_a_time_in_the_system_prompt_is_an_opportunity_for_the_prefix_cache() -> None:
    clock = Message("system", "It is 2026-05-01 10:31:07. " + SYSTEM.text + " Be kind. " * 400)
    found = analyze(replace(REQUEST, messages=(clock, *MESSAGES[1:]))).opportunities()
    assert found[0].tokens == 0 and "2026-05-01 10:31" in found[0].reason
    assert found[0].dollars is not None and found[0].dollars > 0


def test_a_time_that_nothing_long_follows_does_no_harm() -> None:
    clock = Message("system", "It is 2026-05-01 10:31:07.")
    assert analyze(Request("gpt-4o", (clock, Message("user", "Hi")))).opportunities() == ()


def test_a_small_request_has_no_opportunities() -> None:
    request = Request("gpt-4o", (Message("user", "What is the capital of France?"),))
    assert analyze(request).opportunities() == ()


def test_an_empty_request_has_no_shares() -> None:
    assert analyze(Request("gpt-4o", ())).input_shares == {}
