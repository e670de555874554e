import gzip
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trimtab import Ledger, Message, Request, Response, Usage, cli
from trimtab.cache import ExactCache, SqliteStore
from trimtab.cache.store import Near

Run = Callable[..., tuple[int, str, str]]
DAY = 86400
PAIRS = [
    {"a": "Where is the moon?", "b": "where is the moon", "same": True, "category": "repeat"},
    {"question": "Where is it?", "cached": "Where is it ?", "same": False, "category": "trap"},
    {"question": "Dogs eat cheese", "cached": "A completely other matter", "same": 0},
    {"a": "Why?", "b": "What does all of this mean to anybody?", "same": True, "category": None},
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trimtab", "cache", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        out, err = capsys.readouterr()
        return done.value.code or 0, out, err

    return call


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Make a cache with a fresh answer, found twice, and an old one that is no answer."""
    path = tmp_path / "cache.db"
    request = Request("gpt-4o", (Message("user", "How far is the moon?"),))
    answer = Response(Message("assistant", "384,400 km"), Usage(1000, 100), "gpt-4o")
    with SqliteStore(path) as store:
        cache = ExactCache(store, ttl=3 * DAY)
        cache.put(request, answer)
        vector = np.ones(4, np.float32) / 2
        store.place("p", Near(request.key, "How far is the moon?", vector, 1.0))
        assert cache.get(request) == cache.get(request) == answer
    with SqliteStore(path, clock=lambda: time.time() - 10 * DAY) as store:
        store.save("old", "no answer")
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)))
    return path


def files(path: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in path.parent.iterdir()}


def test_stats_tells_what_a_cache_holds_and_what_it_saved(run: Run, kept: Path) -> None:
    code, out, err = run("stats", kept)
    assert (code, err) == (0, "")
    for told in (
        "answers          1, 1 to end",
        "other texts      1 that no cache wrote",
        "saved            10 days to ",
        "by meaning       1 questions in 1 partitions",
        "found again      2 times",
        "their tokens     1,000 input, 100 output",
        "their cost       $0.003500",
        "saved so far     $0.007000",
    ):
        assert told in out


def test_stats_writes_figures_with_exact_dollars(run: Run, kept: Path) -> None:
    json_ = kept.with_name("out.json")
    assert run("stats", kept, "--json", json_)[0] == 0
    figures = json.loads(json_.read_text())
    assert figures["questions"] == figures["partitions"] == figures["unread"] == 1
    assert figures["total"]["saved"] == "0.0070"
    assert figures["models"] == {"gpt-4o": figures["total"]}
    assert figures["newest"] - figures["oldest"] > 9 * DAY


def test_what_is_not_known_is_not_told_as_zero(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    with SqliteStore(path) as store:
        for name in ("gpt-4o", "ours"):
            request = Request(name, (Message("user", "hi"),))
            usage = Usage(10, 5) if name == "gpt-4o" else None
            ExactCache(store).put(request, Response(Message("assistant", "yes"), usage))
    out = run("stats", path)[1]
    assert "10 input, 5 output; 1 answers do not tell" in out
    assert "; 1 not known" in out


def test_models_are_told_apart(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    with SqliteStore(path) as store:
        for name in ("gpt-4o", "ours"):
            request = Request(name, (Message("user", "hi"),))
            ExactCache(store).put(request, Response(Message("assistant", "yes"), model=name))
    out = run("stats", path)[1]
    assert "By model" in out and "ours" in out
    assert "their cost       not known" in out


def test_show_tells_what_was_asked_and_answered(run: Run, kept: Path) -> None:
    code, out, err = run("show", kept)
    assert (code, err) == (0, "")
    for told in (
        "ends             in 2 days",
        "found again      2 times",
        "model            gpt-4o",
        "question         How far is the moon?",
        "answer           384,400 km",
        "text             no answer: no answer",
        "ends             never",
    ):
        assert told in out
    assert out.index("384,400") < out.index("no answer")  # the newest first


def test_show_finds_questions_by_what_is_in_them(run: Run, kept: Path) -> None:
    out = run("show", kept, "--question", "MOON")[1]
    assert "384,400 km" in out
    assert "no answer" not in out
    assert run("show", kept, "--question", "sun")[1] == "no question has 'sun' in it\n"


def test_show_shows_no_more_than_it_is_asked_to(run: Run, kept: Path) -> None:
    out = run("show", kept, "--limit", 1)[1]
    assert out.count("saved ") == 1
    assert run("show", kept, "--limit", 0)[0] == 2


def test_what_was_answered_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    evil = "\x1b[2J[red]bad[/red]\r\n" + "x" * 1000
    with SqliteStore(path) as store:
        request = Request("m", (Message("user", "hi"),))
        ExactCache(store).put(request, Response(Message("assistant", evil)))
    out = run("show", path)[1]
    assert "\x1b" not in out and "\r" not in out
    assert "[red]bad[/red]" in out
    assert len(out) < 500


@pytest.mark.parametrize("command", ["stats", "show"])
def test_looking_changes_nothing_on_the_disk(run: Run, kept: Path, command: str) -> None:
    before = files(kept)
    assert run(command, kept)[0] == 0
    assert files(kept) == before


def test_a_cache_in_use_is_read_as_it_is_now(run: Run, kept: Path) -> None:
    with SqliteStore(kept) as store:
        store.save("new", "just now")
        assert "just now" in run("show", kept)[1]
        assert store.load("new") == "just now"


@pytest.mark.parametrize("command", ["stats", "show", "clear"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no file of a cache at"),
        (b"", "is empty, and no cache"),
        (b"nothing that SQLite wrote " * 50, "file is not a database"),
    ],
)
def test_what_is_no_cache_is_named_and_left_alone(
    run: Run, tmp_path: Path, command: str, content: bytes | None, told: str
) -> None:
    path = tmp_path / "other file"
    if content is not None:
        path.write_bytes(content)
    code, out, err = run(command, path)
    assert (code, out) == (2, "")
    assert told in err and "other file" in err and err.count("\n") == 1
    assert (path.read_bytes() if path.exists() else None) == content
    assert len(list(tmp_path.iterdir())) == (content is not None)


@pytest.mark.parametrize("command", ["stats", "show", "clear"])
def test_another_database_is_named_and_left_alone(run: Run, tmp_path: Path, command: str) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    before = path.read_bytes()
    code, _, err = run(command, path)
    assert code == 2 and "is a database of something else" in err
    assert path.read_bytes() == before


def test_a_damaged_cache_is_one_line_and_code_2(run: Run, kept: Path) -> None:
    connection = sqlite3.connect(kept)
    connection.execute("DROP TABLE vectors")
    connection.close()
    code, _, err = run("stats", kept)
    assert code == 2 and "no such table" in err and err.count("\n") == 1


def left(path: Path) -> int:
    with SqliteStore(path, read_only=True) as store:
        return sum(1 for _ in store.entries())


def test_clear_asks_first(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for answer in (False, True):
        monkeypatch.setattr(
            "typer.confirm", lambda text, answer=answer: asked.append(text) or answer
        )
        code, out, _ = run("clear", kept)
        assert (code, left(kept)) == ((0, 0) if answer else (1, 2))
    assert asked == [f"Forget 2 answers in {kept} (all)?"] * 2
    assert out.startswith("cleared 2 answers")


def test_scripts_are_not_asked(run: Run, kept: Path) -> None:
    assert run("clear", kept, "--yes")[0] == 0
    assert left(kept) == 0


def test_only_what_is_old_can_be_cleared(run: Run, kept: Path) -> None:
    out = run("clear", kept, "--yes", "--older-than", 5)[1]
    assert out == f"cleared 1 answers in {kept} (older than 5 days)\n"
    with SqliteStore(kept) as store:
        assert store.load("old") is None
        assert len(store) == 1


def test_check_counts_wrong_answers_and_names_the_worst(run: Run, pairs: Path) -> None:
    code, out, err = run("check", pairs, "--threshold", 0.8)
    assert (code, err) == (0, "")
    for told in (
        "pairs            4, 2 of them repeats of a question",
        "served from      0.800",
        "repeats served   1 of 2, 50.0 %",
        "right if served  1 of 2, 50.0 %",
        "wrong if served  1 of 2, 50.0 % (95 %: 9.5 % to 90.5 %): more than the 1.0 %",
        "With other limits",
        "By category",
        "was asked        Where is it?\n  was answered     Where is it ?\n",
        "cache.calibrate(",
    ):
        assert told in out


def test_check_writes_its_figures(run: Run, pairs: Path) -> None:
    json_ = pairs.with_name("out.json")
    assert run("check", pairs, "--threshold", 0.8, "--json", json_)[0] == 0
    figures = json.loads(json_.read_text())
    assert (figures["pairs"], figures["limit"], figures["max_error"]) == ("pairs.jsonl", 0.8, 0.01)
    assert figures["error"] == {
        "part": 1,
        "whole": 2,
        "share": 0.5,
        "interval": pytest.approx([0.0945, 0.9055], abs=1e-4),
    }
    assert set(figures["categories"]) == {"repeat", "trap"}
    assert [wrong["question"] for wrong in figures["wrong_hits"]] == ["Where is it?"]


def test_no_hits_are_no_proof_of_safety(run: Run, pairs: Path) -> None:
    pairs.write_text(json.dumps(PAIRS[2]))
    out = run("check", pairs, "--threshold", 1)[1]
    assert "wrong if served  none of none: too few served to tell" in out


def test_gzipped_pairs_are_read_too(run: Run, pairs: Path) -> None:
    zipped = pairs.with_name("pairs.gz")
    zipped.write_bytes(gzip.compress(pairs.read_bytes()))
    assert run("check", zipped, "--threshold", 0.8) == run("check", pairs, "--threshold", 0.8)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "pairs: it is empty; expected one JSON object a line"),
        (b'{"a": "x", "b": "y", "same": true}\nnonsense', "pairs, line 2: this is not JSON"),
        (b"[1]", "line 1: this is no object but [1]"),
        (b'{"a": "x", "same": true}', "line 1: 'b' is no text but null"),
        (b'{"question": "x", "cached": " ", "same": true}', "line 1: 'cached' is no text but"),
        (b'\n{"a": "x", "b": "y", "same": "no"}', "line 2: 'same' is neither true nor false"),
        (b'{"a": "\xff"}', "line 1: this is not text in UTF-8"),
        (gzip.compress(b"x" * 99)[:-9], "the gzip data is damaged or cut short"),
    ],
)
def test_bad_pairs_are_one_line_and_code_2(
    run: Run, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "pairs"
    path.write_bytes(content)
    code, out, err = run("check", path)
    assert (code, out) == (2, "")
    assert told in err and err.startswith("trimtab: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "no-such-file"], "no-such-file: No such file or directory"),
        (["check"], "Missing argument"),
        (["check", "x", "--max-error", "2"], "--max-error"),
        (["clean"], "No such command 'clean'"),
        (["stats", "redis://localhost"], "servers cannot be looked into from here"),
    ],
)
def test_a_wrong_argument_is_one_line_and_code_2(run: Run, arguments: list[str], told: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert told in err and err.count("\n") == 1


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    for name in ("stats", "show", "clear", "check"):
        assert name in out
