import json

from trimtab import Message, Request, Tool, ToolCall
from trimtab.compress import Originals, Reduce
from trimtab.compress.names import listed, names_in

ROWS = [
    {
        "order_id": f"ORD-{51000 + i}",
        "status": "paid",
        "placed": f"2026-03-{i % 28 + 1:02}",
        "total": 12.5,
    }
    for i in range(40)
]


def test_records_are_named_by_what_tells_them_apart() -> None:
    assert names_in(json.dumps(ROWS[:3])) == {"order_id": ["ORD-51000", "ORD-51001", "ORD-51002"]}


def test_dates_sums_and_words_are_no_names() -> None:
    assert names_in('{"day": "2026-01-02", "sum": 12.50, "city": "Oslo", "at": "10:30"}') == {}


def test_what_is_known_anyway_is_not_listed_again() -> None:
    assert listed({"id": ["A-1", "A-2"]}, ["json:{id=A-1}"]) == "id: A-2"
    assert listed({"id": ["A-1"]}, ["A-1"]) == ""


def test_a_name_within_a_longer_one_is_not_known() -> None:
    assert listed({"id": ["KB-1", "KB-2"]}, ["json:{id=KB-11 other=XKB-2}"]) == "id: KB-1 KB-2"


def test_every_record_of_a_cut_list_can_still_be_looked_up() -> None:
    originals = Originals()
    wish = ToolCall("1", "list_orders", "{}")
    request = Request(
        "gpt-4o",
        (
            Message("user", "Which order was late?"),
            Message("assistant", "", tool_calls=(wish,)),
            Message("tool", json.dumps(ROWS), tool_call_id="1"),
        ),
        (originals.tool.tool, Tool("get_order")),
    )

    text = Reduce(originals, over=250, keep=150)(request).messages[-1].text

    assert "left out" in text
    assert all(row["order_id"] in text for row in ROWS)


def test_where_there_is_no_room_for_all_names_those_of_one_kind_are_listed() -> None:
    originals = Originals()
    rows = [
        {"order_id": f"#W{i * 7919 % 9999 + 10000}", "item_id": f"{i * 104729}{10**14 + i * 7}"}
        for i in range(1, 31)
    ]
    request = Request(
        "gpt-4o",
        (
            Message("user", "What did I order?"),
            Message("assistant", "", tool_calls=(ToolCall("1", "list_orders", "{}"),)),
            Message("tool", json.dumps(rows), tool_call_id="1"),
        ),
        (originals.tool.tool,),
    )

    text = Reduce(originals, over=250, keep=150)(request).messages[-1].text

    assert all(row["order_id"] in text for row in rows)
