"""The command line: analyse a text, replay recorded traffic, report on usage, fit a router."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, NoReturn

import typer

from trimtab import cli_cache, cli_calibrate
from trimtab.errors import TraceError, TrimtabError

if TYPE_CHECKING:
    from rich.console import Console

    from trimtab.ledger import Ledger
    from trimtab.pipeline import Pipeline
    from trimtab.replay import Replay, Sent
    from trimtab.tokens import TextAnalysis
    from trimtab.trace import Conversation

    Track = Callable[[Iterable[Conversation]], Iterable[Conversation]]

MODEL = "gpt-4o"
SHOWN = 60
"""How many tokens of a text are shown."""
app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.add_typer(cli_cache.app, name="cache")
app.command()(cli_calibrate.calibrate)


class Recipe(str, Enum):
    """The ready-made pipelines, by name."""

    lossless = "lossless"
    balanced = "balanced"
    lean = "lean"

    def pipeline(self, model: str) -> Pipeline:
        """Make the pipeline for a model."""
        from trimtab import recipes

        made: Pipeline = getattr(recipes, self.value)(model)
        return made


def main() -> None:
    """Run the command line. What the user got wrong is one line on standard error, and code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # a pager was closed, and Python would complain of that on its way out
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except TrimtabError as error:
        _fail(str(error))
    except Exception as error:
        # A wrong argument. The class is click's, of which newer releases of typer have a copy.
        told = getattr(error, "format_message", None)
        if told is None:
            raise
        _fail(told())


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Spend fewer tokens on the same answers, and see in dollars what that saves."""
    if version:
        from trimtab import __version__

        typer.echo(f"trimtab {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def analyze(
    text: Annotated[str, typer.Argument(help="A text, a file, or - for standard input.")] = "-",
    model: Annotated[str, typer.Option(help="The model whose tokenizer counts.")] = MODEL,
) -> None:
    """Say how many tokens a text has, and how well it suits the tokenizer."""
    from trimtab.tokens import analyze_text

    for line in _analysis(analyze_text(_text(text), model), model):
        typer.echo(line)


@app.command()
def replay(  # noqa: PLR0913 - each parameter is an option of the command
    trace: Annotated[
        Path,
        typer.Argument(help="A log: OpenAI, Anthropic, LangSmith, OpenTelemetry, ATIF; or .gz."),
    ],
    *,
    recipe: Annotated[Recipe, typer.Option(help="What to do to the requests.")] = Recipe.balanced,
    model: Annotated[
        str | None, typer.Option(help="Price and count for this model, not the recorded one.")
    ] = None,
    dump: Annotated[
        Path | None, typer.Option(help="Write each request as it would be sent.")
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to send to your boss.")] = None,
) -> None:
    """Replay recorded traffic: what each call would have sent, and what that would have cost."""
    from trimtab.report import figures, show

    with _dumper(dump) as write:
        result = _replay(trace, recipe, model, write)
    if json_:
        about = {"trace": trace.name, "recipe": recipe.value}
        json_.write_text(json.dumps({**about, **figures(result)}, indent=2), encoding="utf-8")
    if html:
        _write_page(html, result, recipe, trace.name)
    show(result, _console())
    for path in filter(None, (dump, json_, html)):
        typer.echo(f"  written to         {path}")


@app.command()
def report(
    ledger: Annotated[Path, typer.Argument(help="A file that a Ledger wrote.")],
    hours: Annotated[float, typer.Option(help="How far to look back.")] = 24,
    always: Annotated[bool, typer.Option("--all", help="Look at everything.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots over time.")] = None,
) -> None:
    """Report on recorded usage: what was spent, what was saved, and what would save more."""
    from trimtab.ledger import Ledger

    if not ledger.is_file():  # or else it would be made
        raise typer.BadParameter(f"there is no ledger at {ledger}")
    try:
        kept, period = Ledger(ledger), None if always else hours
        typer.echo(kept.report(period))
        if html is not None:
            _write_report(html, kept, period, ledger.name)
            typer.echo(f"\nwritten to {html}")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def demo(
    html: Annotated[Path, typer.Option(help="Where to write the page.")] = Path(
        "trimtab-demo.html"
    ),
) -> None:
    """Replay the traffic that comes with trimtab: a shop's service desk."""
    from trimtab.demo import TRAFFIC
    from trimtab.report import line, show

    console = _console()
    console.print(_DEMO, highlight=False)
    results = {recipe: _replay(TRAFFIC, recipe, None) for recipe in Recipe}
    show(results[Recipe.balanced], console)
    console.print("\n[bold]All recipes[/bold]")
    for recipe, result in results.items():
        console.print(f"  {recipe.value:<10}{line(result)}", highlight=False)
    _write_page(html, results[Recipe.balanced], Recipe.balanced, "the demo's traffic")
    console.print(f"\nThe page for your boss: [bold]{html}[/bold]", highlight=False)
    console.print("Your own traffic: [bold]trimtab replay TRACE --html OUT.html[/bold]")


_DEMO = """[bold]A shop's service desk[/bold]
An agent with 22 tools over an SQLite database: orders, stock, parcels, invoices, incidents.
16 recorded conversations are planned anew, call by call, as the [bold]balanced[/bold] recipe
would have sent them. No model is called.
"""


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"trimtab: {' '.join(message.split())}\n")
    sys.exit(2)


def _text(argument: str) -> str:
    """Take the argument as standard input, a file or a text, in this order."""
    if argument == "-":
        return sys.stdin.read()
    try:
        found = Path(argument).is_file()
    except OSError:  # too long for a name
        found = False
    if not found:
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{argument} is not a text in UTF-8") from error


def _analysis(found: TextAnalysis, model: str) -> Iterator[str]:
    exact = "exact" if found.counter.exact else "the nearest known"
    yield f"model               {model} ({found.counter.name}, {exact})"
    yield f"characters          {found.characters:,}"
    yield f"tokens              {found.tokens:,}"
    if found.characters_per_token is not None:
        yield f"characters a token  {found.characters_per_token:.2f}"
    if found.inefficient is not None:
        yield f"inefficient tokens  {found.inefficient:.1%} (of one or two characters)"
    if found.efficiency is not None:
        yield f"efficiency          {found.efficiency:.1%} (of four characters a token)"
    if found.texts:
        more = " ..." if len(found.texts) > SHOWN else ""
        shown = "|".join(text.replace("\n", "\\n") for text in found.texts[:SHOWN])
        yield f"as tokens           {shown}{more}"


def _replay(
    path: Path,
    recipe: Recipe,
    model: str | None,
    write: Callable[[Sent], None] = lambda sent: None,
) -> Replay:
    from trimtab import trace
    from trimtab.replay import replay as run

    with _progress(recipe.value, trace.count(path)) as advance:
        result = run(advance(trace.read(path)), recipe.pipeline, model=model, watch=write)
    if not result.turns:
        raise TraceError(f"{path}: no conversation in it has an answer of the assistant to replay")
    return result


@contextmanager
def _progress(title: str, total: int) -> Iterator[Track]:
    """Show a bar on standard error while conversations are read, if a person is watching."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        yield lambda work: bar.track(work, total=total, description=title)


@contextmanager
def _dumper(path: Path | None) -> Iterator[Callable[[Sent], None]]:
    """Open the dump, if there is one to write."""
    if path is None:
        yield lambda sent: None
        return
    file: IO[str]
    with gzip.open(path, "wt") if path.suffix == ".gz" else open(path, "w") as file:

        def write(sent: Sent) -> None:
            file.write(json.dumps(_sent(sent)) + "\n")

        yield write


def _console() -> Console:
    from rich.console import Console

    return Console()


def _write_report(path: Path, ledger: Ledger, hours: float | None, source: str) -> None:
    from datetime import date

    from trimtab import __version__
    from trimtab.ledger_page import page

    made = f"Made on {date.today():%d %B %Y} with trimtab {__version__}."
    found, course = ledger.analytics(hours), ledger.over_time(hours)
    path.write_text(page(found, course, ledger.alerts, source, made), encoding="utf-8")


def _write_page(path: Path, result: Replay, recipe: Recipe, source: str) -> None:
    from datetime import date
    from importlib.metadata import version

    from trimtab import __version__
    from trimtab.page import page

    made = (
        f"Made on {date.today():%d %B %Y} with trimtab {__version__}; prices of that day, from"
        f" genai-prices {version('genai-prices')}."
    )
    path.write_text(page(result, recipe.value, source, made), encoding="utf-8")


def _sent(sent: Sent) -> dict[str, object]:
    from trimtab.trace import message_dict, tool_dict

    return {
        "id": sent.conversation.source.get("id", sent.conversation.id),
        "step": sent.step,
        "messages": [message_dict(message) for message in sent.plan.request.messages],
        "tools": [tool_dict(tool) for tool in sent.plan.request.tools],
    }
