from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.compress import log
from trimtab.tokens import counter_for

COUNT = counter_for("gpt-4o")
# What means something in one of the notations, or breaks lines and words in odd places.
SIGNS = [
    *('"', "_", "x3", "x2 ", "\\", "^", "^,", "-> +.1", "->", '"5', '"2', "*", "+3", "-2", "+"),
    *("a", "a.1", "foo", "foo,", "2024-01-02", "10:00:01", "|", ",", "\t", "\r", "é", "١", "1"),
    *("[lines: ", "]", "; ", "- ", "Bin 1 -> 2 bytes", " 1 file changed, 3 insertions(+)"),
    *(" file | 3 +++", "key: a, b c, b c", "", "  "),
]
LINE = st.lists(st.sampled_from(SIGNS), max_size=7).map(" ".join)
ROW = st.tuples(st.integers(0, 99), st.sampled_from("ab"), st.sampled_from("cd"), LINE)
LINES = st.one_of(
    st.lists(LINE, max_size=25),
    st.lists(st.sampled_from(["a", "b b", '"', "", "c  c"]), max_size=40),
    st.text(alphabet='a" \\_^x3\n,|-+>1', max_size=200).map(lambda text: text.split("\n")),
    st.lists(ROW, max_size=30).map(lambda rows: ["{:5} {:<4} {:<3} {}".format(*r) for r in rows]),
    st.lists(ROW, max_size=30, unique_by=lambda row: row[0]).map(
        lambda rows: ["{} {} {} {}".format(*row) for row in sorted(rows)]
    ),
    st.lists(LINE, max_size=30).map(
        lambda lines: [f"2024-01-02 10:00:0{n // 9} {line}" for n, line in enumerate(lines)]
    ),
)


@settings(deadline=None, max_examples=300)
@given(LINES)
def test_what_each_notation_writes_it_reads_back(lines: list[str]) -> None:
    for notation in log.NOTATIONS:
        written = notation.encode(lines)
        assert written is None or notation.decode(*written) == lines


@settings(deadline=None)
@given(st.one_of(st.text(), LINES.map("\n".join)), st.integers(1, 3))
def test_a_text_comes_back_from_all_notations_together(text: str, times: int) -> None:
    body = log.encode("\n".join([text] * times), COUNT)
    assert body is None or log.decode(body) == "\n".join([text] * times)


def test_notations_are_combined_where_that_is_shorter() -> None:
    lines = [
        f"2024-01-02 10:00:{n // 5:02} status {state} package-{n // 3}:amd64 1.{n // 3}-2"
        for n, state in enumerate(["unpacked", "half-configured", "installed"] * 10)
    ]
    body = log.encode("\n".join(lines), COUNT)
    assert body is not None
    assert log.decode(body) == "\n".join(lines)
    assert COUNT(body) < 0.5 * COUNT("\n".join(lines))
    assert body.count("2024-01-02") == 1


def test_every_word_still_stands_in_the_text() -> None:
    lines = [f"{n % 7} worker-{n % 3} took request-{n}/part.{n} from queue-{n}" for n in range(50)]
    body = log.encode("\n".join(lines), COUNT) or "\n".join(lines)
    assert all(word in body for line in lines for word in line.split(" "))


def test_carriage_returns_and_a_missing_last_line_break_come_back() -> None:
    for end in ("", "\r", "\r\n", "\n", "\n\n"):
        text = "\r\n".join(f"2024-01-02 10:00:00 event-{n} happened" for n in range(20)) + end
        body = log.encode(text, COUNT)
        assert body is not None
        assert log.decode(body) == text


def test_words_of_code_all_stay() -> None:
    code = "\n".join(f"class A{n}:\n        def run(self, first, second):" for n in range(20))
    assert log.encode(code, COUNT) is None


def test_a_text_that_would_hardly_get_shorter_is_refused() -> None:
    assert log.encode("one\ntwo\nthree\nfour\nfive", COUNT) is None


def test_a_large_text_is_written_in_what_suits_its_start() -> None:
    lines = [f"2024-01-02 10:{n // 600:02}:{n // 10 % 60:02} event-{n}" for n in range(5000)]
    body = log.encode("\n".join(lines), COUNT)
    assert body is not None
    assert log.decode(body) == "\n".join(lines)
