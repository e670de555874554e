from trimtab.compress import diffstat

SMALL = [
    " .github/workflows/ci.yaml |  10 +++++-----",
    " assets/logo.png           | Bin 801876 -> 0 bytes",
    " 2 files changed, 5 insertions(+), 5 deletions(-)",
]
LARGE = [
    " model2vec/model.py       |   2 +-",
    " model2vec/tokenizer.py   | 382 +++++++++++++++++++++++++++++++++++++++",
    " tests/test_tokenizer.py  |   1 -",
    " 3 files changed, 383 insertions(+), 2 deletions(-)",
]


def _written(lines: list[str]) -> list[str]:
    written = diffstat.encode(lines)
    assert written is not None
    assert diffstat.decode(*written) == lines
    return written[1]


def test_bars_become_counts() -> None:
    assert _written(SMALL) == [
        " .github/workflows/ci.yaml +5 -5",
        " assets/logo.png Bin 801876 -> 0 bytes",
        " 2 files +5 -5",
    ]


def test_the_sum_over_one_file_is_left_out() -> None:
    assert _written([" a.py | 2 +-", " 1 file changed, 1 insertion(+), 1 deletion(-)", ""]) == [
        " a.py +1 -1",
        "",
    ]


def test_bars_that_git_shortens_are_drawn_again() -> None:
    drawn = [" src/main.py | 900 " + "+" * 60, " 1 file changed, 900 insertions(+)"]
    assert _written(drawn) == [" src/main.py +900"]


def test_bars_that_git_would_draw_otherwise_stay() -> None:
    assert _written(LARGE) == LARGE


def test_lines_that_look_like_ours_are_marked() -> None:
    lines = [" a.py +1 -1", " 2 files", "\\", " a.py | 3 +++"]
    assert _written(lines) == ["\\ a.py +1 -1", "\\ 2 files", "\\\\", " a.py | 3 +++"]
