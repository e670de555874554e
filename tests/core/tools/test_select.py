"""Offering a session the tools that it will need."""

import json
from dataclasses import replace

import pytest

from trimtab import Message, Pipeline, Request, Response, Tool, ToolCall, recipes
from trimtab.prices import Outlook
from trimtab.static import Static
from trimtab.tools import Select, learn_follows
from trimtab.tools.search import CALL, SEARCH

SUBJECTS = (
    "weather flight hotel music mail circle stock recipe movie train bank calendar garden map "
    "translation doctor museum lottery"
).split()
TOOLS = tuple(
    Tool(
        f"{verb}_{subject}",
        f"{verb.title()} a {subject} by its number, which is checked before anything is done.",
        {"type": "object", "properties": {"number": {"type": "string", "description": subject}}},
    )
    for subject in SUBJECTS
    for verb in ("find", "cancel")
)
OURS = (SEARCH, CALL)
SYSTEM = Message("system", "You help.")
ASKED = Message("user", "Please find a hotel for me")


def request(*messages: Message, tools: tuple[Tool, ...] = TOOLS + OURS) -> Request:
    return Request("gpt-4o", (SYSTEM, *messages), tools)


def select(**settings: object) -> Select:
    return Select(**{"embed": Static(), **settings})  # type: ignore[arg-type]


def offered(step: Select, *messages: Message) -> list[str]:
    return [t.name for t in step(request(*messages)).tools if t not in OURS]


def called(name: str, number: int = 0) -> tuple[Message, Message]:
    call = ToolCall(f"c{number}", name, "{}")
    return Message("assistant", "", (call,)), Message("tool", "done", tool_call_id=call.id)


def test_the_tools_that_the_first_question_needs_are_offered() -> None:
    assert "find_hotel" in offered(select(k=4), ASKED)
    assert len(offered(select(k=4), ASKED)) == 4


def test_the_number_varies_where_none_is_given() -> None:
    found = offered(select(), ASKED)
    assert "find_hotel" in found
    assert len(found) < len(TOOLS) // 2


def test_tools_keep_their_order_and_are_the_same_objects() -> None:
    after = select(k=6)(request(ASKED)).tools
    places = [next(i for i, t in enumerate(TOOLS + OURS) if t is one) for one in after]
    assert places == sorted(places)


def test_it_names_what_goes_by_call_tool_all_through_a_session() -> None:
    step = select(k=4)
    hidden = step.hidden(request(ASKED))
    assert hidden == {tool.name for tool in TOOLS} - {*offered(step, ASKED)}
    name = sorted(hidden)[0]
    assert step.hidden(request(ASKED, *called(name))) == hidden
    assert select(k=500).hidden(request(ASKED)) == frozenset()


def test_a_budget_is_never_exceeded() -> None:
    step = select(budget=120, count=len)
    after = step(request(ASKED)).tools
    assert after == OURS  # each definition is longer than that
    words = select(budget=120, count=lambda text: len(text.split()))
    assert 1 < len(words(request(ASKED)).tools) - 2 < len(TOOLS)


def test_a_session_keeps_its_tools_whatever_is_asked_later() -> None:
    step = select(k=3)
    later = (ASKED, Message("assistant", "Done."), Message("user", "Now cancel my flight"))
    assert offered(step, *later) == offered(step, ASKED)


def test_another_process_chooses_the_same() -> None:
    later = (ASKED, Message("assistant", "Done."), Message("user", "Now cancel my flight"))
    assert offered(select(k=3), *later) == offered(select(k=3), ASKED)


def test_a_named_session_keeps_its_tools_though_its_opening_was_cut() -> None:
    step = select(k=3)
    first = replace(request(ASKED), session="s")
    cut = replace(request(Message("user", "Now cancel my flight")), session="s")
    assert step(cut) != step(first)
    step = select(k=3)
    assert step(first).tools == step(cut).tools


def test_called_pinned_and_named_tools_are_kept() -> None:
    pinned = replace(TOOLS[-1], pinned=True)
    tools = (*TOOLS[:-1], pinned, *OURS)
    step = select(k=4, always_include=("cancel_bank",))
    opening = request(*called("cancel_museum"), ASKED, tools=tools)
    found = [t.name for t in step(opening).tools]
    assert {"cancel_bank", "cancel_museum", pinned.name, "find_hotel"} <= set(found)
    assert len(found) == 4 + 2


def test_a_tool_that_is_called_though_it_was_not_offered_stays() -> None:
    step = select(k=3)
    assert "cancel_museum" not in offered(step, ASKED)
    assert "cancel_museum" in offered(step, ASKED, *called("cancel_museum"))


def test_a_call_through_the_dispatcher_changes_nothing() -> None:
    step = select(k=3)
    said = json.dumps({"name": "cancel_museum", "arguments": {}})
    through = Message("assistant", "", (ToolCall("c", CALL.name, said),))
    after = offered(step, ASKED, through, Message("tool", "done", tool_call_id="c"))
    assert after == offered(step, ASKED)


def test_the_tool_that_gives_back_what_was_cut_is_never_left_out() -> None:
    recall = Tool("recall", "Give back what was cut")
    asked = request(ASKED, tools=(*TOOLS, recall, *OURS))
    step = select(k=4)
    sent = step(asked)
    assert recall in sent.tools
    assert len(sent.tools) == 4 + len((recall, *OURS))
    assert "recall" not in step.hidden(asked)
    without = [tool for tool in sent.tools if tool != recall]
    assert list(step(request(ASKED)).tools) == without


def test_what_it_names_as_hidden_is_what_a_recipe_leaves_out() -> None:
    step = select(k=4)
    pipeline = recipes.lean("gpt-4o").with_steps(step)
    rules = Message("system", "In the event that a hotel is full, you should say why.")
    asked = pipeline.bind(Request("gpt-4o", (rules, ASKED), TOOLS))
    sent = {tool.name for tool in pipeline.plan(asked).request.tools}
    assert step.hidden(asked) == {tool.name for tool in TOOLS} - sent


def test_few_tools_are_all_offered_and_ours_are_not() -> None:
    few = TOOLS[:3]
    assert select(k=2)(request(ASKED, tools=few + OURS)).tools == few


def test_nothing_is_left_out_where_it_could_not_be_reached() -> None:
    plain = request(ASKED, tools=TOOLS)
    assert select(k=2)(plain) is plain


def test_nothing_is_left_out_where_that_would_not_pay() -> None:
    short = Outlook(read=0.0, write=0.0, calls=10)
    assert select(k=4, outlook=short)(request(ASKED)).tools == TOOLS


def test_what_usually_follows_is_offered_too() -> None:
    sessions = [
        [Message("user", "?"), *called("find_hotel"), *called("cancel_lottery", 1)],
        [Message("user", "?"), *called("find_hotel"), *called("cancel_lottery", 1)],
        [Message("user", "?"), *called("find_map")],
    ]
    follows = learn_follows(sessions)
    assert follows["find_hotel"] == {"cancel_lottery": pytest.approx(2 / 3)}
    assert follows[""]["find_map"] == pytest.approx(1 / 4)
    assert "cancel_lottery" not in offered(select(k=4), ASKED)
    assert "cancel_lottery" in offered(select(k=4, follows=follows), ASKED)


def test_a_call_through_the_dispatcher_is_learned_by_its_real_name() -> None:
    said = json.dumps({"name": "find_map", "arguments": {}})
    through = Message("assistant", "", (ToolCall("c", CALL.name, said),))
    broken = Message("assistant", "", (ToolCall("d", CALL.name, "{"),))
    assert learn_follows([[through, broken]])[""].keys() == {"find_map", CALL.name}


def test_a_pipeline_binds_the_two_tools_and_sends_what_was_chosen() -> None:
    pipeline = Pipeline([select(k=4)])
    bound = pipeline.bind(request(ASKED, tools=TOOLS))
    sent: list[Request] = []

    def call(asked: Request) -> Response:
        sent.append(asked)
        return Response(Message("assistant", "hi"))

    pipeline.run(bound, call)
    assert not pipeline.failures
    assert [t.name for t in sent[0].tools[-2:]] == ["search_tools", "call_tool"]
    assert len(sent[0].tools) == 6


def test_a_session_can_search_its_own_tools_alone() -> None:
    search, _ = select(k=3).runnables(TOOLS + OURS)
    found = json.loads(search.run({"query": "museum"}))
    assert found[0]["name"] in ("find_museum", "cancel_museum")
    assert not {t["name"] for t in found} & {SEARCH.name, CALL.name}


@pytest.mark.parametrize(
    "settings", [{"k": 0}, {"budget": 0}, {"recall": 1}, {"always_include": "one"}]
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        select(**settings)


def test_a_session_without_a_question_is_served() -> None:
    assert select(k=3)(Request("gpt-4o", (SYSTEM,), TOOLS + OURS)).tools
