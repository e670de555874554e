from trimtab.compress import groups

MODES = ["-rw-r--r--", "-rwxr-xr-x"]
LISTING = [
    f"{MODES[n % 2]} root {n * 37 % 100} 2024-01-{n % 3 + 10} file-{n:02}" for n in range(30)
]


def test_sorted_rows_are_brought_together_and_sorted_again() -> None:
    written = groups.encode(LISTING)
    assert written is not None
    settings, lines = written
    assert settings == "5 fields, in the original sorted by 5"
    assert lines[:3] == ["x5 -rw-r--r-- root _ 2024-01-10 _", "0 file-00", "22 file-06"]
    assert groups.decode(*written) == LISTING


def test_rows_of_a_log_stay_in_their_order() -> None:
    lines = [f"10:00:{n:02} {MODES[n % 2]} opened by someone-{n % 2}" for n in range(30)]
    written = groups.encode(lines)
    assert written is not None
    assert "sorted" not in written[0]
    assert groups.decode(*written) == lines


def test_equal_rows_are_counted() -> None:
    lines = [*["could not connect to server"] * 9, "connected to server at last"]
    written = groups.encode(lines)
    assert written is not None
    assert written[1][0] == "x9 could not connect to server"
    assert groups.decode(*written) == lines


def test_a_heading_names_only_what_changed_since_the_one_before() -> None:
    lines = [f"backup of host-{n // 5} to tape number {n}" for n in range(20)]
    written = groups.encode(lines)
    assert written is not None
    assert groups.decode(*written) == lines


def test_titles_of_columns_do_not_stand_in_the_way_of_sorting() -> None:
    lines = ["id,city,state", *(f"{n},{'Oslo' if n % 3 else 'Bergen'},open" for n in range(8, 30))]
    written = groups.encode(lines)
    assert written is not None
    assert written[0] == "3 columns at ,, in the original sorted by 1 as numbers"
    assert written[1][0] == "\\id,city,state"
    assert groups.decode(*written) == lines


def test_rows_with_our_signs_are_not_grouped() -> None:
    lines = [*LISTING[:10], "x3 _ is not ours", "_ root 5 2024-01-11 file-10", *LISTING[11:]]
    written = groups.encode(lines)
    assert written is not None
    assert "\\x3 _ is not ours" in written[1]
    assert groups.decode(*written) == lines
