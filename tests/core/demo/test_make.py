import gzip
import json
from pathlib import Path

from trimtab import trace
from trimtab.demo import TRAFFIC, make
from trimtab.demo.desk import TOOLS, run
from trimtab.demo.shop import build


def test_the_traffic_is_what_the_script_makes(tmp_path: Path) -> None:
    make.main(str(tmp_path / "again.jsonl.gz"))
    # Unpacked, because other builds of zlib pack the same bytes in another way.
    again = gzip.decompress((tmp_path / "again.jsonl.gz").read_bytes())
    assert again == gzip.decompress(TRAFFIC.read_bytes())


def test_the_traffic_is_small_and_long_enough_to_convince() -> None:
    conversations = list(trace.read(TRAFFIC))
    assert TRAFFIC.stat().st_size < 300_000
    assert len({c.id for c in conversations}) == len(conversations) >= 12
    assert all(len(c.tools) >= 15 for c in conversations)
    calls = [sum(len(m.tool_calls) for m in c.messages) for c in conversations]
    assert min(calls) >= 8


def test_every_tool_is_used_and_answers() -> None:
    conversations = list(trace.read(TRAFFIC))
    used = {call.name for c in conversations for m in c.messages for call in m.tool_calls}
    assert used == set(TOOLS)
    for conversation in conversations:
        asked = [call.id for m in conversation.messages for call in m.tool_calls]
        assert asked == [m.tool_call_id for m in conversation.messages if m.role == "tool"]


def test_the_shop_refuses_what_its_rules_forbid() -> None:
    shop = build()
    asked = {"order_id": "ORD-0", "sku": "x", "quantity": 1, "reason": "too small"}
    refused = json.loads(run(shop, "create_return", asked))
    assert refused["error"]["message"] == "nothing in orders has the id 'ORD-0'"


def test_the_database_is_the_same_each_time() -> None:
    one, other = ("\n".join(build().iterdump()) for _ in range(2))
    assert one == other
