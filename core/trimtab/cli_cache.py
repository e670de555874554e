"""`trimtab cache`: what a response cache holds, and whether it would answer wrongly."""

from __future__ import annotations

import heapq
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from trimtab.cache import Calibration, SemanticCache, SqliteStore
    from trimtab.cache.inventory import Inventory, Sums
    from trimtab.cache.sqlite import Entry
    from trimtab.cache.trial import Pair, Share, Trial

    Fact = tuple[str, str]

LIMITS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
"""What a trial says of other limits than the cache's own."""
SHOWN = 100
"""Characters of a question and of an answer that are shown of each."""
LEARNED = ("limit", "served", "wrong", "pairs")
"""What is written of a calibration."""
WORST = 5
"""Wrong answers that are shown of a trial; its JSON has all."""
NOT_KNOWN = "not known"
URL = re.compile(r"(redis|rediss|unix|valkey|postgres|postgresql):/")
Units = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))

app = typer.Typer(rich_markup_mode=None)
File = Annotated[Path, typer.Argument(help="A file that an SqliteStore keeps.")]


@app.callback(invoke_without_command=True)
def _top(context: typer.Context) -> None:
    """Look into a response cache, clear it, and test it for wrong answers."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def stats(
    path: File,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Say how much a cache holds, what that cost, and what it saved."""
    from trimtab.cache.inventory import Inventory

    found = Inventory()
    with _opened(path) as store:
        for entry in store.entries():
            found.add(entry)
    if json_:
        json_.write_text(json.dumps(_inventory(found), indent=2), encoding="utf-8")
    console = _console()
    for name, value in _facts(found, path.stat().st_size):
        _line(console, name, value)
    if len(found.models) > 1:
        console.print(_by_model(found))


@app.command()
def show(
    path: File,
    question: Annotated[
        str | None, typer.Option(help="Only answers to questions that have this in them.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many; the newest come first.")] = 20,
) -> None:
    """Show what a cache holds: how old, how often found, what was asked and answered.

    An answer that is found by the very same request alone does not tell what was asked.
    """
    with _opened(path) as store:
        wanted = (entry for entry in store.entries() if _asks(entry, question))
        newest = heapq.nlargest(limit, wanted, key=lambda entry: entry.saved)
    if not newest:
        typer.echo("nothing is kept" if question is None else f"no question has {question!r} in it")
    console, now = _console(), time.time()
    for entry in newest:
        console.print(f"\n{_short(entry.key)}", style="bold", highlight=False, markup=False)
        for name, value in _told(entry, now):
            _line(console, name, value)


@app.command()
def clear(
    path: File,
    *,
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Only what was saved before then.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget the answers of a cache. The file keeps its size, and fills up again."""
    before = None if older_than is None else time.time() - older_than * 86400
    with _opened(path, write=True) as store:
        keys = [e.key for e in store.entries() if before is None or e.saved < before]
        which = "all" if older_than is None else f"older than {older_than:g} days"
        told = f"{len(keys):,} answers in {path} ({which})"
        if keys and not (yes or typer.confirm(f"Forget {told}?")):
            typer.echo("nothing was cleared")
            raise typer.Exit(1)
        if before is None:
            store.clear()
        for key in keys if before is not None else ():
            store.drop(key)
    typer.echo(f"cleared {told}")


@app.command()
def check(
    pairs: Annotated[
        Path, typer.Argument(help='{"question", "cached", "same"} or {"b", "a", "same"}, a line.')
    ],
    *,
    max_error: Annotated[
        float, typer.Option(min=0, max=1, help="How many of the answers served may be wrong.")
    ] = 0.01,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Serve from this probability on instead.")
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Test a semantic cache for wrong answers, on your own labelled pairs of questions.

    One question of each pair is answered, and then the other one is asked, in a partition of its
    own. No model is called.
    """
    from trimtab.cache.semantic import SemanticCache
    from trimtab.cache.trial import read_pairs, try_pairs

    try:
        read = read_pairs(pairs)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    cache = SemanticCache(max_error=max_error, threshold=threshold, max_entries=2 * len(read))
    with _progress(read) as watched:
        trial = try_pairs(cache, watched)
    limit, learned = cache.limit, _learned(cache, read)
    if json_:
        about = {"pairs": pairs.name, "max_error": max_error, "limit": limit}
        written = {**about, "reader": cache.reader.fingerprint, **_trial(trial)}
        written["calibrated"] = learned and {name: getattr(learned, name) for name in LEARNED}
        json_.write_text(json.dumps(written, indent=2, ensure_ascii=False), encoding="utf-8")
    _show(trial, limit, learned, max_error)


def _learned(cache: SemanticCache, pairs: list[Pair]) -> Calibration | None:
    """Calibrate with the pairs, if there are enough of both kinds."""
    try:
        return cache.calibrate((pair.question, pair.cached, pair.same) for pair in pairs)
    except ValueError:
        return None


@contextmanager
def _opened(path: Path, *, write: bool = False) -> Iterator[SqliteStore]:
    """Open a file that is there and a cache. Without `write` it stays as it is."""
    from trimtab.cache import SqliteStore

    if not path.is_file():
        why = ", and servers cannot be looked into from here" if URL.match(str(path)) else ""
        raise typer.BadParameter(f"there is no file of a cache at {path}{why}")
    try:
        with SqliteStore(path, read_only=True) as store:
            if not write:
                yield store
        if write:
            with SqliteStore(path) as store:
                yield store
    except (ValueError, sqlite3.Error) as error:
        raise typer.BadParameter(str(error)) from error


def _facts(found: Inventory, size: int) -> Iterator[Fact]:
    total, now = found.total, time.time()
    yield "answers", f"{total.entries:,}" + (f", {found.ending:,} to end" if found.ending else "")
    if found.unread:
        yield "other texts", f"{found.unread:,} that no cache wrote"
    yield "size", f"{_bytes(found.bytes)} of texts, in a file of {_bytes(size)}"
    if found.oldest is not None and found.newest is not None:
        yield "saved", f"{_span(now - found.oldest)} to {_span(now - found.newest)} ago"
    yield "by meaning", f"{found.questions:,} questions in {found.partitions:,} partitions"
    yield "found again", f"{total.hits:,} times, as far as that was written down"
    yield "their tokens", _tokens(total)
    yield "their cost", _cost(total, total.dollars)
    yield "saved so far", _cost(total, total.saved)


def _told(entry: Entry, now: float) -> Iterator[Fact]:
    from trimtab.cache.answers import unpack

    yield "saved", f"{_span(now - entry.saved)} ago"
    yield "ends", "never" if entry.ends is None else f"in {_span(entry.ends - now)}"
    yield "found again", f"{entry.hits - 1:,} times"
    try:
        kept = unpack(entry.text)
    except ValueError:
        yield "text", f"no answer: {_short(entry.text)}"
        return
    yield "model", kept.answer.model or NOT_KNOWN
    yield "cost", NOT_KNOWN if kept.worth is None else _dollars(kept.worth)
    if kept.epochs:
        yield "tags", ", ".join(kept.epochs)
    yield "question", NOT_KNOWN if entry.question is None else _short(entry.question)
    names = [call.name for call in kept.answer.message.tool_calls]
    said = _short(kept.answer.message.text)
    yield "answer", said if not names else f"{said} [calls {', '.join(names)}]".strip()


def _by_model(found: Inventory) -> Table:
    table = _table("By model", "answers", "found again", "tokens", "cost", "saved")
    for model, sums in sorted(found.models.items(), key=lambda item: -item[1].entries):
        table.add_row(
            model or NOT_KNOWN,
            f"{sums.entries:,}",
            f"{sums.hits:,}",
            f"{sums.input_tokens + sums.output_tokens:,}",
            _dollars(sums.dollars),
            _dollars(sums.saved),
        )
    return table


def _show(trial: Trial, limit: float, learned: Calibration | None, max_error: float) -> None:
    console = _console()
    for name, value in _outcome(trial, limit, max_error):
        _line(console, name, value)
    for name, value in _hopes(trial, learned, max_error):
        _line(console, name, value)
    if categories := trial.categories:
        console.print(_by_category(categories))
    console.print(_by_limit(trial, limit))
    for one in trial.worst(WORST):
        console.print(f"[bold]wrongly served[/bold], {_probability(one.probability)}")
        _line(console, "was asked", _short(one.pair.question))
        _line(console, "was answered", _short(one.pair.cached))
    typer.echo(_ADVICE)


_ADVICE = """
A limit chosen by this table would be fitted to these pairs. To have one chosen
whose bound holds for others like them, calibrate your cache with such pairs:

    from trimtab.cache.trial import read_pairs
    pairs = read_pairs("pairs.jsonl")
    cache.calibrate((pair.question, pair.cached, pair.same) for pair in pairs)
"""


def _outcome(trial: Trial, limit: float, max_error: float) -> Iterator[Fact]:
    served, wrong = trial.served, trial.error
    yield "pairs", f"{len(trial.tried):,}, {served.whole:,} of them repeats of a question"
    never = f"never by meaning: no limit is sure to keep {_percent(max_error)}"
    yield "served from", _probability(limit) if limit <= 1 else never
    yield "repeats served", _share(served)
    yield "traps served", _share(trial.traps)
    yield "right if served", _share(trial.precision)
    yield "wrong if served", f"{_share(wrong)}: {_verdict(wrong, max_error)}"


def _hopes(trial: Trial, learned: Calibration | None, max_error: float) -> Iterator[Fact]:
    from trimtab.cache.trial import Share

    if learned is None or not learned.served:
        told = f"nothing served: too few pairs to be sure of {_percent(max_error)}"
        yield "if calibrated", told
        return
    repeats = Share(learned.served - learned.wrong, trial.served.whole)
    yield "if calibrated", f"repeats served {_share(repeats)},"
    wrong = Share(learned.wrong, learned.served)
    yield "", f"wrong if served {_share(wrong)}"
    yield "", "each pair judged by what was learned from others"


def _verdict(wrong: Share, max_error: float) -> str:
    low, high = wrong.interval
    bound = f"the {_percent(max_error)} that may be"
    if low > max_error:
        return f"more than {bound}"
    return f"within {bound}" if high <= max_error else f"too few served to tell it from {bound}"


def _by_category(categories: dict[str, Trial]) -> Table:
    table = _table("By category", "repeats served", "traps served", "95 % of these")
    for name, trial in categories.items():
        cells = [f"{share.part:,} of {share.whole:,}" for share in (trial.served, trial.traps)]
        either = trial.traps if trial.traps.whole else trial.served
        table.add_row(name, *cells, _interval(either))
    return table


def _by_limit(trial: Trial, own: float) -> Table:
    table = _table("With other limits", "repeats served", "traps served", "wrong if served", "95 %")
    for limit in sorted({*LIMITS, min(own, 1.0)}):
        other = trial.at(limit)
        shares = [other.served, other.traps, other.error]
        table.add_row(
            f"{'*' if limit == own else ' '} {_probability(limit)}",
            *(_percent(share.value) for share in shares),
            _interval(other.error),
            style="bold" if limit == own else None,
        )
    return table


def _inventory(found: Inventory) -> dict[str, object]:
    return {
        "bytes": found.bytes,
        "oldest": found.oldest,
        "newest": found.newest,
        "ending": found.ending,
        "questions": found.questions,
        "partitions": found.partitions,
        "unread": found.unread,
        "total": _plain(found.total),
        "models": {model: _plain(sums) for model, sums in found.models.items()},
    }


def _trial(trial: Trial) -> dict[str, object]:
    return {
        **_figures(trial),
        "categories": {name: _figures(one) for name, one in trial.categories.items()},
        "limits": [{"limit": limit, **_figures(trial.at(limit))} for limit in LIMITS],
        "wrong_hits": [
            {**asdict(one.pair), "probability": one.probability}
            for one in trial.worst(len(trial.tried))
        ],
    }


def _figures(trial: Trial) -> dict[str, object]:
    shares = {
        "repeats_served": trial.served,
        "traps_served": trial.traps,
        "precision": trial.precision,
        "error": trial.error,
    }
    return {
        name: {"part": s.part, "whole": s.whole, "share": s.value, "interval": s.interval}
        for name, s in shares.items()
    }


def _plain(sums: Sums) -> dict[str, Any]:
    """Write dollars as exact decimals in text."""
    return {k: str(v) if isinstance(v, Decimal) else v for k, v in vars(sums).items()}


@contextmanager
def _progress(pairs: list[Pair]) -> Iterator[Iterator[Pair]]:
    """Show a bar on standard error, if a person is watching."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        yield iter(bar.track(pairs, description="pairs"))


def _console() -> Console:
    from rich.console import Console

    return Console()


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _line(console: Console, name: str, value: str) -> None:
    from rich.text import Text

    console.print(Text.assemble((f"  {name:<17}", "dim"), value), soft_wrap=True)


def _asks(entry: Entry, text: str | None) -> bool:
    return text is None or text.casefold() in (entry.question or "").casefold()


def _tokens(sums: Sums) -> str:
    told = f"{sums.input_tokens:,} input, {sums.output_tokens:,} output"
    return told + (f"; {sums.untold:,} answers do not tell" if sums.untold else "")


def _cost(sums: Sums, dollars: Decimal) -> str:
    if sums.unpriced == sums.entries:
        return NOT_KNOWN
    return _dollars(dollars) + (f"; {sums.unpriced:,} not known" if sums.unpriced else "")


def _dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.6f}"


def _short(text: str) -> str:
    """Write the beginning of a text in one line, without what would steer a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text[: 4 * SHOWN])
    line = " ".join(line.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."


def _span(seconds: float) -> str:
    for name, length in Units:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count:,} {name}{'s' if count > 1 else ''}"
    return "less than a second"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,} bytes"


def _share(share: Share) -> str:
    if share.value is None:
        return "none of none"
    told = f"{share.part:,} of {share.whole:,}, {_percent(share.value)}"
    return f"{told} (95 %: {_interval(share)})"


def _interval(share: Share) -> str:
    low, high = share.interval
    return f"{_percent(low)} to {_percent(high)}" if share.whole else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _probability(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:.3f}"
