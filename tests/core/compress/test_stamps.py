from trimtab.compress import stamps

LOG = [
    "2024-01-02 10:00:00 web-1 started",
    *(f"2024-01-02 10:00:0{n // 4} web-1 request {n}" for n in range(8)),
    "2024-01-03 10:00:01 web-1 stopped",
]


def test_a_time_stamp_is_written_only_where_it_changes() -> None:
    written = stamps.encode(LOG)
    assert written is not None
    settings, lines = written
    assert settings == "9999-99-99 99:99:99 web-9"
    assert lines[:2] == [LOG[0], "request 0"]
    assert lines[5] == "10:00:01 request 4"
    assert lines[-1] == "2024-01-03 stopped"
    assert stamps.decode(*written) == LOG


def test_lines_that_continue_a_record_stay_as_they_are() -> None:
    traceback = ["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'a'", ""]
    lines = [*LOG, *traceback]
    written = stamps.encode(lines)
    assert written is not None
    assert written[1][-3:] == ['  File "a.py", line 1', "\\KeyError: 'a'", ""]
    assert stamps.decode(*written) == lines


def test_words_before_a_time_stamp_always_stand() -> None:
    lines = [f"{['web', 'db', 'cron'][n % 3]} | 2024-01-02 10:00:00 {n} done" for n in range(12)]
    written = stamps.encode(lines)
    assert written is not None
    assert written[1][1] == "db 1 done"
    assert stamps.decode(*written) == lines


def test_a_message_that_looks_like_a_time_stamp_gets_its_own_in_front() -> None:
    lines = [*LOG, "2024-01-03 10:00:01 web-1 10:00:07 is when it ended"]
    written = stamps.encode(lines)
    assert written is not None
    assert stamps.decode(*written) == lines


def test_lines_without_figures_in_front_have_no_time_stamps() -> None:
    assert stamps.encode(["same words here"] * 20) is None
