from dataclasses import replace

from trimtab import Message, Request, Tool, ToolCall
from trimtab.compress import Originals, Reduce
from trimtab.offer import Offer
from trimtab.prices import Outlook

ORIGINALS = Originals()
LOSSY = (Reduce(ORIGINALS, over=300, keep=150),)
LOG = "\n".join(f"line {i}: job {i * 7919 % 1000} took {i} ms on node {i % 7}" for i in range(400))


def offer(calls: int = 30) -> Offer:
    return Offer(ORIGINALS.tool, LOSSY, Outlook(0.1, 1.25, 1024, calls))


def ask(*results: str, extra: tuple[Tool, ...] = (ORIGINALS.tool.tool,)) -> Request:
    messages = [Message("user", "What is slow?")]
    for i, text in enumerate(results):
        wish = ToolCall(f"c{i}", "read_log", "{}")
        messages += [
            Message("assistant", "", tool_calls=(wish,)),
            Message("tool", text, tool_call_id=wish.id),
        ]
    return Request("gpt-4o", tuple(messages), (Tool("read_log"), *extra), session="s")


def names(request: Request) -> list[str]:
    return [tool.name for tool in request.tools]


def test_the_tool_is_left_out_while_nothing_needs_it() -> None:
    assert names(offer()(ask())) == ["read_log"]
    assert names(offer()(ask("short", "short"))) == ["read_log"]


def test_it_is_offered_once_it_pays_and_then_stays() -> None:
    step = offer()

    assert names(step(ask())) == ["read_log"]
    assert names(step(ask(LOG))) == ["read_log", "recall"]
    assert names(step(ask(LOG, "short"))) == ["read_log", "recall"]


def test_it_is_not_offered_where_the_session_is_too_short_to_win_the_prefix_back() -> None:
    start = "ok " * 8000  # a long prefix that was sent before, and that no step shortens

    def later(step: Offer) -> list[str]:
        request = ask("short", LOG)
        return names(step(replace(request, messages=(Message("system", start), *request.messages))))

    assert later(offer(calls=1)) == ["read_log"]
    assert later(offer(calls=1000)) == ["read_log", "recall"]


def test_another_tool_of_the_same_name_is_none_of_ours() -> None:
    theirs = Tool("recall", "Recalls a product from the market.", {"properties": {"product": {}}})
    request = ask(extra=(theirs,))

    assert offer()(request) is request


def test_a_new_process_decides_the_same() -> None:
    step = offer()
    for results in [(), (LOG,), (LOG, "short"), (LOG, "short", LOG)]:
        assert step(ask(*results)).tools == offer()(ask(*results)).tools
