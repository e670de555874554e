from trimtab.compress import again

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/srv/app/billing.py", line 88, in charge',
    "    response = client.charge(invoice.amount)",
    "CardError: declined",
]


def test_lines_that_follow_the_same_line_again_are_left_out() -> None:
    lines = [*TRACEBACK, "retry", *TRACEBACK, "gave up"]
    written = again.encode(lines)
    assert written == ("", [*TRACEBACK, "retry", TRACEBACK[0], '"3', "gave up"])
    assert again.decode(*written) == lines


def test_a_run_of_equal_lines_is_one_note() -> None:
    lines = ["waiting for the database"] * 100
    written = again.encode(lines)
    assert written == ("", [lines[0], lines[0], '"98'])
    assert again.decode(*written) == lines


def test_short_repetitions_stay() -> None:
    lines = ["a", "b", "c"] * 3
    assert again.encode(lines) == ("", lines)


def test_many_blank_lines_are_one_note_because_to_compare_them_all_takes_minutes() -> None:
    lines = [""] * 50_000
    written = again.encode(lines)
    assert written == ("", ["", "", '"49998'])
    assert again.decode(*written) == lines


def test_a_line_that_looks_like_a_note_is_marked() -> None:
    lines = ['"3', "\\", *TRACEBACK, *TRACEBACK]
    written = again.encode(lines)
    assert written is not None
    assert written[1][:2] == ['\\"3', "\\\\"]
    assert again.decode(*written) == lines
