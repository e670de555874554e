from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab import Message, Request, Tool, ToolCall
from trimtab.compress.repeats import NOTE, Repeats, Seen, restore

TOOL = Tool("open_file")
VIEW = "\n".join(f"{i}:    value_{i} = compute({i})" for i in range(1, 60))


def shown(*results: str) -> Request:
    messages = [Message("user", "look at the file")]
    for i, text in enumerate(results):
        wish = ToolCall(f"c{i}", TOOL.name, "{}")
        messages += [
            Message("assistant", "", tool_calls=(wish,)),
            Message("tool", text, tool_call_id=wish.id),
        ]
    return Request("gpt-4o", tuple(messages), (TOOL,))


def results(request: Request) -> list[str]:
    return [m.text for m in request.messages if m.role == "tool"]


def test_a_result_that_stands_above_is_said_once() -> None:
    first, second = results(Repeats()(shown(VIEW, VIEW)))

    assert first == VIEW
    assert second.startswith("[the same text as above, starting: 1:    value_1")


def test_of_a_changed_file_only_the_change_is_shown() -> None:
    changed = VIEW.replace("value_30 = compute(30)", "value_30 = 42")

    _, second = results(Repeats()(shown(VIEW, changed)))

    assert second.split("\n") == [
        "1:    value_1 = compute(1)",
        "[... 27 lines as above ...]",
        "29:    value_29 = compute(29)",
        "30:    value_30 = 42",
        "31:    value_31 = compute(31)",
        "[... 27 lines as above ...]",
        "59:    value_59 = compute(59)",
    ]


def test_short_repeats_stay() -> None:
    request = shown("(Open file: a)\n(Directory: b)\n$", "(Open file: a)\n(Directory: b)\n$")

    assert Repeats()(request) is request


def test_a_text_that_looks_like_a_note_is_left_alone() -> None:
    sly = VIEW + "\n[... 3 lines as above ...]\n" + VIEW

    assert results(Repeats()(shown(VIEW, sly)))[1] == sly


def test_what_the_recall_tool_gave_back_is_not_noted_away() -> None:
    wish = ToolCall("r", "recall", '{"handle": "1"}')
    request = Request(
        "gpt-4o",
        (
            *shown(VIEW).messages,
            Message("assistant", "", tool_calls=(wish,)),
            Message("tool", VIEW, tool_call_id="r"),
        ),
        (TOOL,),
    )

    assert results(Repeats()(request)) == [VIEW, VIEW]


def test_messages_of_people_are_never_touched() -> None:
    request = Request(
        "gpt-4o", (Message("user", VIEW), Message("assistant", "ok"), Message("user", VIEW))
    )

    assert Repeats()(request) is request
    observed = Repeats(observations=True)(request)
    assert observed.messages[0].text == VIEW and observed.messages[2].text != VIEW


LINES = st.lists(
    st.sampled_from(["alpha beta gamma", "x = 1", "", "}", "[... 2 lines as above ...]"]),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=6))
def test_every_note_leads_back_to_the_text(texts) -> None:
    request = shown(*("\n".join(lines) for lines in texts))
    noted = Repeats(least=1, count=len)(request)

    seen = Seen()
    for before, after in zip(request.messages, noted.messages, strict=True):
        if after.text != before.text:
            assert len(after.text) < len(before.text)
            assert restore(after.text, seen) == before.text
        seen.add(after.text)
    assert not NOTE.search("no note here")
