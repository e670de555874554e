import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

import trimtab
from trimtab import Event, Ledger, Usage, cli
from trimtab.demo import TRAFFIC

TRACE = {
    "id": 7,
    "model": "gpt-4o",
    "tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}],
    "messages": [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "Here."},
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "Any time."},
    ],
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trimtab", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        out, err = capsys.readouterr()
        return done.value.code or 0, out, err

    return call


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(TRACE) + "\n")
    return path


def test_replay_prints_tokens_and_dollars(run, recorded: Path) -> None:
    code, out, err = run("replay", recorded, "--recipe", "lossless")
    assert (code, err) == (0, "")
    assert "would be sent" in out
    assert "with prefix cache" in out


def test_a_dump_holds_each_request_as_it_would_have_been_sent(run, recorded: Path) -> None:
    dump = recorded.with_name("dump.jsonl")
    assert run("replay", recorded, "--recipe", "lossless", "--dump", dump)[0] == 0
    lines = [json.loads(line) for line in dump.read_text().splitlines()]
    messages, tools = TRACE["messages"], TRACE["tools"]
    assert lines == [
        {"id": 7, "step": step, "messages": messages[:step], "tools": tools} for step in (1, 3)
    ]


def test_requests_of_anthropics_are_replayed_and_dumped(run, tmp_path: Path) -> None:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "system": "Be kind. " * 99}
    body["messages"] = [{"role": "user", "content": "Where?"}]
    answer = {"type": "message", "content": [{"type": "text", "text": "Here."}]}
    log, dump, json_ = (tmp_path / name for name in ("log", "dump", "figures"))
    log.write_text(json.dumps({"request": body, "response": answer}) + "\n")
    assert run("replay", log, "--recipe", "lossless", "--dump", dump, "--json", json_)[0] == 0
    sent = [{"role": "system", "content": body["system"]}, *body["messages"]]
    assert json.loads(dump.read_text()) == {"id": "1", "step": 2, "messages": sent, "tools": []}
    assert json.loads(json_.read_text())["calls"] == 1


def test_a_dump_can_be_gzipped(run, recorded: Path) -> None:
    dump = recorded.with_name("dump.jsonl.gz")
    assert run("replay", recorded, "--dump", dump)[0] == 0
    assert len(gzip.decompress(dump.read_bytes()).splitlines()) == 2


def test_figures_and_a_page_are_written(run, recorded: Path) -> None:
    json_, html = recorded.with_name("out.json"), recorded.with_name("out.html")
    code, out, _ = run("replay", recorded, "--model", "gpt-5", "--json", json_, "--html", html)
    assert code == 0
    figures = json.loads(json_.read_text())
    assert (figures["recipe"], figures["models"], figures["calls"]) == ("balanced", ["gpt-5"], 2)
    assert html.read_text().startswith("<!doctype html>")
    assert str(html) in out


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["nonsense"], "bad.jsonl, line 1: this is not JSON"),
        ([json.dumps(TRACE), '{"messages": 1}'], "bad.jsonl, line 2: expected a list"),
        ([""], "bad.jsonl: it is empty"),
        ([json.dumps({**TRACE, "messages": []})], "no conversation in it has an answer"),
        ([json.dumps({**TRACE, "model": None})], "conversation 7 names no model"),
    ],
)
def test_a_bad_trace_is_one_line_and_code_2(run, tmp_path: Path, lines, told: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines))
    code, out, err = run("replay", path)
    assert (code, out) == (2, "")
    assert told in err
    assert err.startswith("trimtab: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay"], "Missing argument"),
        (["replay", "no-such-file"], "no-such-file: No such file or directory"),
        (["replay", "."], ".: Is a directory"),
        (["replay", "x", "--recipe", "best"], "'best' is not one of"),
        (["replay", "x", "--fast"], "No such option"),
        (["repaly"], "No such command 'repaly'"),
        (["report", "no-such-file"], "there is no ledger at no-such-file"),
    ],
)
def test_a_wrong_argument_is_one_line_and_code_2(run, arguments: list[str], told: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_analyze_takes_a_text_a_file_or_standard_input(run, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "text.txt"
    path.write_text("The cat sat on the mat.")
    monkeypatch.setattr(sys, "stdin", path.open())
    answers = [run("analyze", given) for given in (path.read_text(), path, "-")]
    assert answers[0] == answers[1] == answers[2]
    code, out, _ = answers[0]
    assert code == 0
    assert "characters          23" in out


def test_analyze_says_which_counter_it_used(run) -> None:
    assert "exact" in run("analyze", "hello", "--model", "gpt-4o")[1]
    assert "the nearest known" in run("analyze", "hello", "--model", "claude-opus-5")[1]
    assert run("analyze", "x" * 5000)[0] == 0
    assert run("analyze", "")[0] == 0


def test_analyze_refuses_a_file_that_is_no_text(run, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"\xff\xfe\x00")
    code, _, err = run("analyze", path)
    assert code == 2
    assert "is not a text in UTF-8" in err


def test_report_reads_a_ledger(run, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.record(Event("one", 1.0, "gpt-4o", Usage(1000, 10, 0, 0, 0)))
    code, out, _ = run("report", path, "--all")
    assert code == 0
    assert out.strip() == Ledger(path).report(None)


def test_report_writes_a_page(run, tmp_path: Path) -> None:
    path, html = tmp_path / "usage.db", tmp_path / "page.html"
    Ledger(path).record(Event("a", 1.0, "gpt-4o", Usage(100, 10)))
    code, out, _ = run("report", path, "--all", "--html", html)
    assert code == 0
    assert f"written to {html}" in " ".join(out.split())
    assert "usage.db" in html.read_text(encoding="utf-8")


def test_report_refuses_what_no_ledger_wrote(run) -> None:
    code, _, err = run("report", TRAFFIC)
    assert code == 2
    assert "cannot be used as a ledger" in err


def test_the_demo_replays_all_recipes_and_writes_a_page(run, tmp_path: Path) -> None:
    code, out, err = run("demo", "--html", tmp_path / "demo.html")
    assert (code, err) == (0, "")
    for name in ("lossless", "balanced", "lean", "demo.html"):
        assert name in out
    assert "</html>" in (tmp_path / "demo.html").read_text()


def test_without_a_command_the_help_is_shown(run) -> None:
    assert run() == run("--help")
    assert "analyze" in run()[1]


def test_the_version_is_told(run) -> None:
    assert run("--version")[1] == f"trimtab {trimtab.__version__}\n"


def test_help_runs_as_a_module_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']; import runpy\n"
        "try: runpy.run_module('trimtab', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = ('numpy', 'tiktoken', 'genai_prices', 'trimtab.replay')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "analyze" in done.stdout
    assert done.stdout.endswith("[]\n")
