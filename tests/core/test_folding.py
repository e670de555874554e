from dataclasses import replace

from trimtab import Message, Request
from trimtab.folding import Transcripts, is_observation, query_before


def numbered(seen: list[int], request: Request, place: int) -> Message:
    seen.append(place)
    return replace(request.messages[place], content=f"{place}: {request.messages[place].text}")


def ask(*texts: str, **rest) -> Request:
    return Request(
        "gpt-4o", tuple(Message("user", text, source=object()) for text in texts), **rest
    )


def test_a_grown_transcript_costs_its_growth() -> None:
    places: list[int] = []
    transcripts = Transcripts(lambda: places)

    transcripts.map(ask("a", "b"), numbered)
    grown = transcripts.map(ask("a", "b", "c"), numbered)

    assert places == [0, 1, 2]
    assert [m.text for m in grown.messages] == ["0: a", "1: b", "2: c"]


def test_a_rewritten_transcript_is_read_again() -> None:
    places: list[int] = []
    transcripts = Transcripts(lambda: places)

    transcripts.map(ask("a", "b", session="s"), numbered)
    transcripts.map(ask("a", "x", "c", session="s"), numbered)

    assert places == [0, 1, 0, 1, 2]


def test_each_call_gets_its_own_objects_back() -> None:
    transcripts = Transcripts(lambda: None)
    keeps_odd = lambda _, request, place: (  # noqa: E731
        request.messages[place] if place % 2 else replace(request.messages[place], content="edited")
    )
    first, second = ask("a", "b"), ask("a", "b")

    transcripts.map(first, keeps_odd)
    made = transcripts.map(second, keeps_odd)

    assert made.messages[1] is second.messages[1]
    assert made.messages[0].source is second.messages[0].source


def test_a_step_that_changes_nothing_returns_the_very_same_request() -> None:
    request = ask("a", "b")

    assert Transcripts(lambda: None).map(request, lambda _, r, place: r.messages[place]) is request


def test_observations_are_long_texts_after_an_answer_in_a_talk_without_tools() -> None:
    lines = "\n".join(map(str, range(20)))
    messages = (Message("user", lines), Message("assistant", "ls"), Message("user", lines))
    request = Request("gpt-4o", (*messages, Message("assistant", "?"), Message("user", "yes")))

    assert [is_observation(request, i) for i in range(5)] == [False, False, True, False, False]
    assert query_before(request, 2) == lines and query_before(request, 0) == ""
