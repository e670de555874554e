import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.compress import Lossless, restore
from trimtab.compress.lossless import AS_IS, CODECS
from trimtab.errors import NotOurs
from trimtab.tokens import counter_for

ROWS = json.dumps([{"id": f"#W{i}", "status": "paid", "total": i / 4} for i in range(40)], indent=2)
COUNT = counter_for("gpt-4o")


def test_json_gets_shorter_and_comes_back() -> None:
    short = Lossless()(ROWS)

    assert COUNT(short) < 0.4 * COUNT(ROWS)
    assert restore(short) == ROWS


def test_what_nothing_shortens_stays_as_it_is() -> None:
    assert Lossless()("Your order has shipped.") == "Your order has shipped."
    assert Lossless()("") == "" == restore("")


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.header.strip())
def test_a_text_that_looks_like_ours_is_escaped(codec) -> None:
    sly = f"{codec.header}:{{not=ours" if codec.looks else f"{codec.header}not ours"

    assert restore(Lossless()(sly)) == sly
    assert Lossless()(AS_IS + sly) == AS_IS + AS_IS + sly


def test_what_was_written_by_us_comes_back_even_when_written_twice() -> None:
    once = Lossless()(ROWS)
    twice = Lossless()(once)

    assert restore(restore(twice)) == ROWS


def test_a_damaged_text_is_an_error_that_says_so() -> None:
    with pytest.raises(NotOurs, match="cannot be read"):
        restore(Lossless()(ROWS)[:-3])


PIECES = st.sampled_from(
    [
        "json:",
        "json2:{a=1}",
        "[as is]\n",
        "[(a b)\n",
        "1 2\n",
        "- ",
        "\t",
        "2026-01-01 ",
        "10:00:01 ",
        "INFO x\n",
        "src/a.py:12: if x:\n",
        "    return 1\n",
        "\r\n",
        "é",
        "@@ -1,2 +1,2 @@\n",
        "{}",
        "\n\n",
        *(c.header for c in CODECS),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_text_comes_back_and_grows_by_no_more_than_the_escape(text) -> None:
    short = Lossless()(text)

    assert restore(short) == text
    assert COUNT(short) <= COUNT(text) + COUNT(AS_IS)


def test_another_process_writes_the_same() -> None:
    code = (
        f"from trimtab.compress import Lossless; import sys; sys.stdout.write(Lossless()({ROWS!r}))"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1] == Lossless()(ROWS)


AGAIN = '[lines: "5 = 5 lines, as they followed the last line that was like the one above]\n'
DITTO = '[lines: " = as in the last line that began alike]\n'
ITEMS = "[lines: ^ = as in the last item that began alike]\n"
GROUPS = '[lines: x3 = the next 3 rows fill _, " = as in the row before, 2 fields]\n'


@pytest.mark.parametrize(
    "text",
    [
        AGAIN + "waiting\nwaiting\n" + '"999999999999',
        "[lines: columns padded to 999999999999]\na b",
        "[lines: columns padded to 9999999]\n" + "a b\n" * 9999,
        GROUPS + "x999999999999 a b",
        DITTO + "a b c " + "word " * 1000 + "\n" + 'a b c "\n' * 9999,
        ITEMS + "a " + "x" * 99999 + ", b, c\n" + "a ^, " * 9999,
        "[lines: said only where it changes: 9]\n" + "1" * 9999 + " x\n" + "y\n" * 9999,
        "[lines: " + "; ".join([AGAIN[8:-2]] * 9) + "]\nx",
        f'json:[(a="{"x" * 9999}" b)\n' + "1\n" * 9999 + "1]",
        f'json\':[(a="{"x" * 9999}" b)\n' + "1\n" * 9999 + "1]",
        "json:" + "json:{a=" * 99 + "1" + "}" * 99,
        "json:" + "[" * 99999,
        "json:[(a=1)\n",
        "json':{a=007}",
    ],
)
def test_a_text_that_someone_else_made_up_cannot_blow_up(text) -> None:
    with pytest.raises(NotOurs):
        restore(text)
