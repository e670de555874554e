import pytest

from trimtab.compress import ditto


def test_one_mark_stands_for_all_that_is_missing() -> None:
    lines = [
        "Author: Ann Lee <ann@example.com>",
        "Date: today",
        "Author: Ann Lee <ann@example.com>",
    ]
    assert ditto.encode(lines) == (
        "",
        ["Author: Ann Lee <ann@example.com>", "Date: today", 'Author: "'],
    )


def test_words_before_the_mark_say_which_line_is_meant() -> None:
    lines = [
        "GET /users took 31 milliseconds altogether",
        "PUT /users took 47 milliseconds altogether",
        "GET /users took 52 milliseconds altogether",
    ]
    written = ditto.encode(lines)
    assert written is not None
    assert written[1][1:] == [lines[1], 'GET /users took 52 "']
    assert ditto.decode(*written) == lines


def test_several_marks_stand_for_one_word_each() -> None:
    lines = ["from alpha-one to beta-one by hand-one", "from alpha-one to beta-two by hand-one"]
    written = ditto.encode(lines)
    assert written is not None
    assert ditto.decode(*written) == lines


def test_a_mark_in_the_text_is_not_taken_for_one_of_ours() -> None:
    lines = ['size 5 " wide', 'size 6 " wide', '\\size 5 " wide']
    written = ditto.encode(lines)
    assert written is not None
    assert written[1][0] == '\\size 5 " wide'
    assert ditto.decode(*written) == lines


def test_indented_lines_stay_as_they_are() -> None:
    lines = ["    return the same value"] * 3
    assert ditto.encode(lines) == ("", lines)


def test_a_mark_that_points_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a line"):
        ditto.decode("", ['never seen "'])
