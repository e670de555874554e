import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.compress.lines import lines_of
from trimtab.compress.lossless import Lossless, restore
from trimtab.compress.recall import TOOL, Originals
from trimtab.compress.reduce import Reduce
from trimtab.pipeline import Pipeline
from trimtab.tokens import counter_for
from trimtab.types import Message, Part, Request, Tool, ToolCall

COUNT = counter_for("gpt-4o")
LOG = "".join(
    f"10:{i // 60:02}:{i % 60:02} INFO job {i * 37} took {i * 7 % 90} ms\n" for i in range(300)
)
TRACE = """Traceback (most recent call last):
  File "jobs.py", line 12, in run
    charge(order)
  File "pay.py", line 80, in charge
    raise CardDeclined(order.id)
pay.CardDeclined: order 4711
"""
ROWS = [
    {"id": f"ORD-{i:04}", "city": ["Oslo", "Rome", "Kyiv"][i % 3], "total": i * 31 % 977}
    for i in range(200)
]
SAID = ["ERROR disk full", "", "  deep", "@@ -1 +1 @@", "x" * 900, "job 7 took 12 ms"]
PLAIN_LINES = st.lists(
    st.one_of(st.text(max_size=40), st.sampled_from(SAID)), min_size=30, max_size=60
).map("\n".join)
VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=80), st.none()),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
JSONS = st.builds(
    lambda rows, indent: json.dumps(rows, indent=indent),
    st.lists(VALUES, min_size=10, max_size=30),
    st.sampled_from([None, 2]),
)


def request(text: str, question: str = "What happened?", arguments: str = "{}") -> Request:
    messages = (
        Message("user", question),
        Message("assistant", "", (ToolCall("c1", "fetch", arguments),)),
        Message("tool", text, tool_call_id="c1"),
    )
    return Request("gpt-4o", messages, (TOOL,))


def cut(text: str, question: str = "What happened?", step: Reduce | None = None) -> str:
    return (step or Reduce(over=300, keep=200))(request(text, question)).messages[-1].text


def parted(reduced: str) -> tuple[str, str]:
    """Part the JSON that was kept from the note behind it. Names of what is gone may follow."""
    body, _, note = re.sub(r"\n\[left out: [^\n]*\]\Z", "", reduced).rpartition("\n")
    return body, note


def gaps(reduced: str, handle: str) -> list[tuple[int, int]]:
    """Read the lines that are left out from the notes of a reduced text."""
    start = reduced.index(f'recall("{handle}"')
    notes = re.findall(r'recall\("\d+", lines="([\d,-]+)"\)\]', reduced[start:])[:1]
    notes += re.findall(r"\[lines? ([\d-]+)(?:, \d+ with errors,)? left out\]", reduced)
    spans = [tuple(map(int, span.split("-"))) for note in notes for span in note.split(",")]
    return [(span[0], span[-1]) for span in spans]


@settings(deadline=None, max_examples=60)
@given(PLAIN_LINES, st.text(max_size=30))
def test_kept_lines_and_lines_left_out_are_the_whole_text(text: str, question: str) -> None:
    originals = Originals()
    step = Reduce(originals, over=100, keep=80)
    reduced = cut(text, question, step)
    if reduced == text:
        return
    handle = originals.keep(text)
    assert handle is not None
    lines = lines_of(text).lines
    rest, place = reduced, 0
    for first, last in gaps(reduced, handle):
        shown = "".join(lines[place : first - 1])
        assert rest.startswith(shown)
        note = re.match(r"\[[^\n]* left out[^\n]*\]\n?", rest[len(shown) :])
        assert note is not None
        rest, place = rest[len(shown) + note.end() :], last
        found = originals.recall({"handle": handle, "lines": f"{first}-{last}"})
        assert found == "".join(lines[first - 1 : last])
    assert rest == "".join(lines[place:])
    assert originals.recall({"handle": handle}) == text


@settings(deadline=None, max_examples=60)
@given(JSONS, st.text(max_size=30))
def test_json_stays_json_and_the_rest_comes_back(text: str, question: str) -> None:
    originals = Originals()
    reduced = cut(text, question, Reduce(originals, over=100, keep=80))
    assert COUNT(reduced) <= max(80, COUNT(text)) and len(reduced) <= len(text)
    if reduced == text:
        return
    handle = originals.keep(text)
    assert handle is not None and originals.get(handle) == text
    body, note = parted(reduced)
    for first, last in gaps(note, handle):
        found = originals.recall({"handle": handle, "lines": f"{first}-{last}"})
        assert found == lines_of(text).between(first, last) != ""
    if body:
        json.loads(restore(body))


@settings(deadline=None, max_examples=60)
@given(st.one_of(PLAIN_LINES, JSONS), st.text(max_size=40))
def test_no_result_is_longer_than_asked_for_or_than_it_was(text: str, question: str) -> None:
    reduced = cut(text, question, Reduce(over=120, keep=90))
    assert reduced == text or COUNT(reduced) <= 90 < COUNT(text)


def test_a_reduced_text_settles() -> None:
    step = Reduce(over=300, keep=200)
    once = step(request(LOG))
    assert step(once) is once


def test_what_is_encoded_is_stored_as_it_was_and_reduced_from_that() -> None:
    text = json.dumps(ROWS, indent=2)
    encoded = Lossless()(text)
    message = replace(request(text).messages[-1], content=encoded, encoded=True)
    asked = replace(request(text), messages=(*request(text).messages[:-1], message))
    step = Reduce(over=300, keep=200)
    reduced = step(asked).messages[-1].text
    handle = step.originals.keep(text)
    assert handle is not None and f'recall("{handle}"' in reduced
    assert step.originals.get(handle) == text
    assert json.loads(restore(parted(reduced)[0]))[0] == ROWS[0]


def test_a_text_that_the_encoding_brought_below_the_limit_is_left_alone() -> None:
    text = json.dumps(ROWS[:40], indent=2)
    encoded = Lossless()(text)
    limit = COUNT(encoded)
    assert limit < COUNT(text)
    asked = request(text)
    message = replace(asked.messages[-1], content=encoded, encoded=True)
    asked = replace(asked, messages=(*asked.messages[:-1], message))
    assert Reduce(over=limit, keep=100)(asked) is asked


def test_without_the_recall_tool_nothing_changes() -> None:
    asked = replace(request(LOG), tools=(Tool("fetch"),))
    assert Reduce(over=300, keep=200)(asked) is asked


def test_the_pipeline_binds_the_tool_and_answers_its_calls() -> None:
    step = Reduce(over=300, keep=200)
    pipeline = Pipeline([step])
    asked = pipeline.bind(replace(request(LOG), tools=(Tool("fetch"),)))
    reduced = pipeline.plan(asked).request.messages[-1].text
    handle = step.originals.keep(LOG)
    (first, last), *_ = gaps(reduced, handle or "")
    (tool,) = pipeline.tools
    answer = tool.run({"handle": handle, "lines": f"{first}-{last}"})
    assert answer == "".join(LOG.splitlines(keepends=True)[first - 1 : last])


@pytest.mark.parametrize("named", [True, False])
def test_what_was_recalled_is_not_reduced_again(named: bool) -> None:
    calls = () if named else (ToolCall("c1", "recall", '{"handle": "1"}'),)
    messages = (
        Message("user", "What happened?"),
        Message("assistant", "", calls),
        Message("tool", LOG, tool_call_id="c1", name="recall" if named else None),
    )
    asked = Request("gpt-4o", messages, (TOOL,))
    assert Reduce(over=300, keep=200)(asked) is asked


def test_only_results_of_tools_are_reduced_and_no_pinned_ones() -> None:
    messages = (Message("user", LOG), Message("tool", LOG, tool_call_id="c", pinned=True))
    asked = Request("gpt-4o", messages, (TOOL,))
    assert Reduce(over=300, keep=200)(asked) is asked


def test_blocks_that_are_no_text_travel_untouched() -> None:
    image = Part(data='{"type": "image"}')
    asked = request("")
    message = replace(asked.messages[-1], content=(Part(LOG), image, Part("short")))
    asked = replace(asked, messages=(*asked.messages[:-1], message))
    text, *rest = Reduce(over=300, keep=200)(asked).messages[-1].content
    assert isinstance(text, Part) and COUNT(text.text or "") <= 200
    assert rest == [image, Part("short")]


def test_old_messages_stay_as_they_were_sent() -> None:
    step = Reduce(over=300, keep=200)
    transcript: tuple[Message, ...] = ()
    sent: tuple[Message, ...] = ()
    for i in range(6):
        transcript += (
            Message("user", f"What of job {i * 37}?"),
            Message("assistant", "", (ToolCall(f"c{i}", "fetch", f'{{"id": {i}}}'),)),
            Message("tool", LOG + str(i), tool_call_id=f"c{i}"),
        )
        now = step(Request("gpt-4o", transcript, (TOOL,))).messages
        assert now[: len(sent)] == sent
        sent = now


def test_an_original_that_the_store_forgot_is_put_back_while_the_conversation_goes_on() -> None:
    store: dict[str, str] = {}
    step = Reduce(Originals(store), over=300, keep=200)
    asked = request(LOG)
    step(asked)
    assert list(store.values()) == [LOG]
    store.clear()
    step(replace(asked, messages=(*asked.messages, Message("assistant", "It went well."))))
    assert list(store.values()) == [LOG]


def test_however_many_conversations_go_on_what_was_cut_is_not_cut_again() -> None:
    encoded: list[str] = []

    def encode(text: str, query: str) -> str:
        encoded.append(text)
        return text

    step = Reduce(over=60, keep=50, encode=encode)
    wish = ToolCall("c", "fetch", "{}")
    asked = [
        Request(
            "gpt-4o",
            tuple(
                message
                for turn in range(20)
                for message in (
                    Message("user", "And?"),
                    Message("assistant", "", (wish,)),
                    Message(
                        "tool", json.dumps([{"id": f"{i}-{turn}"}, *ROWS[:9]]), tool_call_id="c"
                    ),
                )
            ),
            (TOOL,),
            session=str(i),
        )
        for i in range(50)
    ]
    for one in asked:
        step(one)
    assert encoded
    encoded.clear()
    for one in asked:
        step(replace(one, messages=(*one.messages, Message("assistant", "Done."))))
    assert not encoded


def test_a_store_that_fails_once_leaves_the_message_as_it_was_sent() -> None:
    class Full(dict[str, str]):
        def __setitem__(self, key: str, text: str) -> None:
            raise MemoryError("full")

    step = Reduce(Originals(Full()), over=300, keep=200)
    assert cut(LOG, step=step) == LOG
    step.originals.store = {}
    assert cut(LOG, step=step) == LOG


def test_an_encoder_that_fails_leaves_the_text_alone() -> None:
    def broken(text: str, query: str) -> str:
        raise RuntimeError(text[:10])

    text = json.dumps(ROWS)
    assert cut(text, step=Reduce(over=300, keep=200, encode=broken)) == text


def test_a_traceback_stays_whole() -> None:
    assert TRACE in cut(LOG + TRACE + LOG, step=Reduce(over=400, keep=300))


@pytest.mark.parametrize(
    "line",
    [
        "10:09:11 ERROR could not reach db-7",
        "E   AssertionError: 3 != 4",
        "error: linker `cc` not found",
        "FAILED tests/test_pay.py::test_refund - KeyError: 'id'",
        "fatal: not a git repository",
        "java.lang.IllegalStateException: closed",
    ],
)
def test_an_error_stays(line: str) -> None:
    assert line in cut(f"{LOG}{line}\n{LOG}")


def test_an_error_in_a_log_stays_where_there_is_room_for_little_else() -> None:
    lines = [
        f"2026-03-02 05:{i // 60:02}:{i % 60:02}.311 INFO [worker-{i % 8}] GET /api/items/{i} 200"
        for i in range(400)
    ]
    lines[311] = (
        "2026-03-02 05:05:11.311 ERROR [worker-3] disk /dev/sdb1 is read-only: remount required"
    )
    step = Reduce(over=250, keep=100)
    assert lines[311] in cut("\n".join(lines), "The server is down.", step)


def test_a_record_that_failed_stays() -> None:
    rows = [{**row, "status": "ok", "error": None} for row in ROWS]
    rows[111] |= {"status": "failed", "error": "card declined"}
    reduced = cut(json.dumps(rows))
    assert "card declined" in reduced and "ORD-0111" in reduced


def test_where_all_are_errors_the_first_stay_and_the_rest_are_counted() -> None:
    text = "".join(f"ERROR job {i} failed\n" for i in range(500))
    reduced = cut(text)
    assert COUNT(reduced) <= 200
    assert reduced.startswith("ERROR job 0 failed\nERROR job 1 failed\n")
    counts = re.findall(r"(\d+) with errors", reduced)
    assert sum(map(int, counts)) == 500 - reduced.count("ERROR job")


def test_each_kind_of_error_comes_before_the_repeats_of_another() -> None:
    text = "ERROR disk full\n" * 300 + "ERROR network down\n" + "ERROR disk full\n" * 300
    assert "network down" in cut(text)


@pytest.mark.parametrize("question", ["What did job 5550 do?", "job 5550"])
def test_the_line_that_was_asked_for_stays(question: str) -> None:
    assert "job 5550 took" in cut(LOG, question)


def test_the_record_that_was_asked_for_stays_with_its_columns() -> None:
    reduced = cut(json.dumps(ROWS), "What is the total of ORD-0123?")
    (row,) = [r for r in json.loads(restore(parted(reduced)[0])) if r["id"] == "ORD-0123"]
    assert row == ROWS[123]


def test_what_the_call_asked_for_stays() -> None:
    step = Reduce(over=300, keep=200)
    asked = request(LOG, "Go on.", '{"job": 5550}')
    assert "job 5550 took" in step(asked).messages[-1].text


def test_a_question_for_the_largest_is_answered() -> None:
    listing = "total 9\n" + "".join(f"-rw-r--r-- root {i * 7919 % 1009} f{i}\n" for i in range(300))
    largest = max(range(300), key=lambda i: i * 7919 % 1009)
    assert f" f{largest}\n" in cut(listing, "How big is the largest file?")


def test_a_question_for_when_finds_the_date_of_the_entry() -> None:
    entries = "".join(
        f"tool ({i}.0) stable\n\n  * Fix CVE-{9000 + i}\n\n -- Ann  {1 + i % 28} Mar 2023\n\n"
        for i in range(60)
    )
    reduced = cut(entries, "When was CVE-9033 fixed?")
    assert "tool (33.0) stable" in reduced and "6 Mar 2023" in reduced


def test_head_and_tail_stay() -> None:
    lines = LOG.splitlines()
    kept = cut(LOG).splitlines()
    assert kept[0] == lines[0] and kept[-1] == lines[-1]


def test_a_line_is_kept_with_the_heading_it_stands_under() -> None:
    text = "".join(
        f"service-{i}:\n" + "".join(f"  option_{k}: {i * k}\n" for k in range(9)) for i in range(60)
    )
    reduced = cut(text.replace("option_5: 85", "timeout: 85"), "What is the timeout?")
    assert "service-17:" in reduced and "timeout: 85" in reduced


def test_a_long_string_in_json_is_cut_inside() -> None:
    text = json.dumps({"exit_code": 1, "stdout": LOG + TRACE})
    reduced = cut(text, step=Reduce(over=400, keep=300))
    body = json.loads(restore(parted(reduced)[0]))
    assert body["exit_code"] == 1
    assert "[...]" in body["stdout"] and "CardDeclined: order 4711" in body["stdout"]


def test_a_giant_of_one_line_is_cut() -> None:
    text = " ".join(f"word{i}" for i in range(5_000))
    assert COUNT(cut(text)) <= 200


def test_the_same_text_is_cut_the_same_way_in_every_process() -> None:
    code = (
        "import json, sys\n"
        "from trimtab.compress import Reduce\n"
        "from trimtab.compress.recall import TOOL\n"
        "from trimtab.types import Message, Request\n"
        "texts = json.load(sys.stdin)\n"
        "step = Reduce(over=300, keep=200)\n"
        "for text in texts:\n"
        "    messages = (Message('user', 'job 5550 and ORD-0123 in Rome'),"
        " Message('tool', text, tool_call_id='c'))\n"
        "    print(step(Request('m', messages, (TOOL,))).messages[-1].text)\n"
    )
    texts = json.dumps([LOG, json.dumps(ROWS), LOG + TRACE])
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            input=texts,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] != ""


@pytest.mark.parametrize(("over", "keep"), [(100, 200), (100, 10)])
def test_limits_that_cannot_hold_are_an_error(over: int, keep: int) -> None:
    with pytest.raises(ValueError, match="keep <= over"):
        Reduce(over=over, keep=keep)
