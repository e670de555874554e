"""Keeping what production shows of two models, for the next fit."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trimtab.route.rows import Row, read_rows


@dataclass(frozen=True)
class Outcomes:
    """A file of rows, a line of JSON each, which `trimtab calibrate` reads.

    It holds prompts and answers in the clear. Threads and processes may add to one file.

    >>> from trimtab.route import Outcomes, Row
    >>> outcomes = Outcomes("rows.jsonl")
    >>> outcomes(Row("How much is 17 * 3?", weak_ok=0, strong_ok=1))
    >>> [row.gain for row in outcomes]
    [1.0]
    """

    path: str | Path
    _lock: threading.Lock = field(
        init=False, repr=False, compare=False, default_factory=threading.Lock
    )

    def __call__(self, row: Row) -> None:
        """Add a row."""
        known = {name: value for name, value in asdict(row).items() if value not in (None, "")}
        line = json.dumps(known, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        # One write in append mode, so that lines of several processes do not mix.
        with self._lock, Path(self.path).open("ab", buffering=0) as file:
            file.write(line)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows; a last line that was cut off by a crash is left out."""
        if not Path(self.path).exists():
            return
        with Path(self.path).open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield from read_rows([json.loads(line.decode("utf-8", "surrogatepass"))])
