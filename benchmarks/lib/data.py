"""Reading the data, and writing what was measured."""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results"
TRACES = ("tau-airline-dev", "swe-agent-dev", "toolbench-dev")


def folder(about: str | None) -> Path:
    """Return the folder given by --data or TRIMTAB_DATA."""
    parser = argparse.ArgumentParser(description=about)
    usual = os.environ.get("TRIMTAB_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(usual), help=f"default: {usual}")
    found: Path = parser.parse_args().data
    if not found.is_dir():
        parser.error(f"no folder {found}; give --data, or set TRIMTAB_DATA")
    return found


def rows(path: Path) -> list[dict[str, Any]]:
    """Read gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def save(name: str, result: object) -> None:
    """Write a result beside the others."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2, sort_keys=True) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def show(title: str, head: Sequence[str], body: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = [list(head), *map(list, body)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    print(f"\n{title}")
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
