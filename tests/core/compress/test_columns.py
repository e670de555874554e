import pytest

from trimtab.compress import columns

TABLE = [
    "USER         PID  %CPU COMMAND",
    "root           1   0.1 /sbin/init splash",
    "postgres   31337  12.5 postgres: writer",
    "root          22   0.0 [kthreadd]",
    "ann         4711   3.0 vim  notes.txt",
    "ann          815   0.0 -bash",
]


def test_padding_between_columns_is_left_out() -> None:
    written = columns.encode(TABLE)
    assert written is not None
    assert written[1][2] == "postgres 31337 12.5 postgres: writer"
    assert columns.decode(*written) == TABLE


def test_spaces_behind_the_last_column_stay() -> None:
    written = columns.encode(TABLE)
    assert written is not None
    assert written[1][4] == "ann 4711 3.0 vim  notes.txt"


def test_a_line_that_is_not_in_columns_is_marked() -> None:
    lines = [*TABLE, "this line  is not a row of the table"]
    written = columns.encode(lines)
    assert written is not None
    assert written[1][-1] == "\\this line  is not a row of the table"
    assert columns.decode(*written) == lines


def test_each_table_of_a_listing_has_its_own_widths() -> None:
    small = [f"-rw-r--r-- 1 root root {n:>3} file-{n}" for n in (5, 7, 17, 204)]
    large = [f"-rw-r--r-- 1 root postgres {n:>7} file-{n}" for n in (5, 7, 17, 2048000)]
    lines = ["here:", *small, "", "there:", *large]
    written = columns.encode(lines)
    assert written is not None
    assert written[1][1] == "-rw-r--r-- 1 root root 5 file-5"
    assert columns.decode(*written) == lines


def test_text_without_padding_is_refused() -> None:
    assert columns.encode(["one two three"] * 20) is None


def test_settings_that_are_no_widths_are_an_error() -> None:
    with pytest.raises(ValueError, match="width"):
        columns.decode("ten", ["a b"])
