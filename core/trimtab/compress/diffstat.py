"""The bars and sums of `git --stat`, as counts."""

from __future__ import annotations

import re
from dataclasses import dataclass

LEGEND = "+5 -2 = lines added and removed"
ESCAPE = "\\"
"""Stands before a line that looks like one of ours."""
WIDTH = 80
"""Columns that git fills where it does not write to a terminal."""
FILE = re.compile(r" (\S.*?) +\| +(?:(Bin .*)|(\d+)(?: (\+*)(-*))?)")
SUM = re.compile(r" (\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?")
SHORT_FILE = re.compile(
    r" (?!.* \| )(\S.*?)(?: (Bin .*)|(?: \+(\d+))(?: -(\d+))?|(?: -(\d+))| (\d+)(?: (\++)(-+))?)"
)
SHORT_SUM = re.compile(r" (\d+) files?(?: \+(\d+))?(?: -(\d+))?")


@dataclass(frozen=True)
class File:
    """What a line says of a file."""

    name: str
    total: int = 0
    """Lines added and removed."""
    added: int = 0
    """Of the bar, which is shorter than the total where the total is large."""
    removed: int = 0
    binary: str = ""
    """Set in place of counts for a file that has no lines."""

    @property
    def exact(self) -> bool:
        """Whether the bar tells the counts, because it is not shortened or has one sign."""
        return self.added + self.removed == self.total or not (self.added and self.removed)

    @property
    def counts(self) -> tuple[int, int]:
        """Lines added, lines removed, if that is known."""
        if self.added and self.removed:
            return self.added, self.removed
        return (0, self.total) if self.removed else (self.total, 0)

    def short(self) -> str:
        """Write it without padding."""
        if self.binary:
            return f" {self.name} {self.binary}"
        if not self.exact:
            return f" {self.name} {self.total} {'+' * self.added}{'-' * self.removed}"
        return f" {self.name}{_signed(*self.counts) or ' 0'}"


def encode(lines: list[str]) -> tuple[str, list[str]] | None:
    """Write counts in place of bars, and leave out the sum where there is one file."""
    written: list[str] = []
    block: list[str] = []
    for line in lines:
        if FILE.fullmatch(line):
            block.append(line)
            continue
        if block and SUM.fullmatch(line):
            written += _shorten([*block, line])
        else:
            written += [_plain(other) for other in [*block, line]]
        block = []
    return "", written + [_plain(line) for line in block]


def decode(settings: str, lines: list[str]) -> list[str]:
    """Draw the bars again."""
    read: list[str] = []
    block: list[str] = []
    for line in [*lines, ""]:
        if SHORT_SUM.fullmatch(line):
            read += _draw([*block, line])
            block = []
        elif SHORT_FILE.fullmatch(line):
            block.append(line)
        else:
            read += [drawn for other in block for drawn in _draw([other])]
            read.append(line.removeprefix(ESCAPE))
            block = []
    return read[:-1]


def _plain(line: str) -> str:
    ours = line.startswith(ESCAPE) or SHORT_FILE.fullmatch(line) or SHORT_SUM.fullmatch(line)
    return ESCAPE + line if ours else line


def _shorten(block: list[str]) -> list[str]:
    """Shorten some files and their sum, if they can be drawn again."""
    *files, total = block
    found = [_file(line) for line in files]
    short = [file.short() for file in found]
    if len(found) > 1 or not found[0].exact or found[0].binary:
        number, added, removed = SUM.fullmatch(total).groups("0")  # type: ignore[union-attr]
        noun = "file" if number == "1" else "files"
        short.append(f" {number} {noun}{_signed(int(added), int(removed))}")
    return short if decode("", short) == block else [_plain(line) for line in block]


def _signed(added: int, removed: int) -> str:
    return (f" +{added}" if added else "") + (f" -{removed}" if removed else "")


def _file(line: str) -> File:
    """Read a line of git's."""
    name, binary, total, added, removed = FILE.fullmatch(line).groups("")  # type: ignore[union-attr]
    return File(name, int(total or 0), len(added), len(removed), binary)


def _short_file(line: str) -> File:
    """Read a line of ours."""
    match = SHORT_FILE.fullmatch(line)
    name, binary, added, also, removed, total, plus, minus = match.groups("")  # type: ignore[union-attr]
    if total or binary:
        return File(name, int(total or 0), len(plus), len(minus), binary)
    more, less = int(added or 0), int(also or removed or 0)
    return File(name, more + less, more, less)


def _draw(block: list[str]) -> list[str]:
    """Write the lines of files, and their sum, as git does."""
    summed = SHORT_SUM.fullmatch(block[-1])
    files = [_short_file(line) for line in (block[:-1] if summed else block)]
    if summed:
        number, added, removed = (int(count) for count in summed.groups("0"))
    else:
        number, (added, removed) = 1, files[0].counts
    names, digits, bars = _widths(files)
    most = max(file.total for file in files)
    drawn = [_line(file, names, digits, _bar(file, most, bars)) for file in files]
    return [*drawn, _sum(number, added, removed)]


def _widths(files: list[File]) -> tuple[int, int, int]:
    """Share a line among names, counts and bars as git does."""
    most = max(file.total for file in files)
    digits = max([len(str(most)), *(3 for file in files if file.binary)])
    # Git counts "Bin XXX -> YYY bytes" as a bar that starts four columns early.
    wide = max((len(file.binary) for file in files), default=0)
    bars = most if most + 4 > wide else wide - 4
    names = max(len(file.name) for file in files)
    if names + digits + 6 + bars > WIDTH:
        bars = min(bars, max(WIDTH * 3 // 8 - digits - 6, 6))
        cut = any(file.name.startswith("...") for file in files)
        if cut or names > WIDTH - digits - 6 - bars:
            names = WIDTH - digits - 6 - bars
        else:
            bars = WIDTH - digits - 6 - names
    return names, digits, bars


def _line(file: File, names: int, digits: int, bar: tuple[int, int]) -> str:
    start = f" {file.name.ljust(names)} | "
    if file.binary:
        return start + "Bin".rjust(digits) + file.binary.removeprefix("Bin")
    signs = "+" * bar[0] + "-" * bar[1]
    return start + str(file.total).rjust(digits) + (f" {signs}" if file.total else "")


def _bar(file: File, most: int, room: int) -> tuple[int, int]:
    """Return the lengths of the two parts of a bar, shortened as git does."""
    if most < room or (file.added + file.removed != file.total):
        return file.added, file.removed
    small = min(file.counts)
    whole = max(_scale(file.total, most, room), 2 if small else 0)
    part = _scale(small, most, room)
    return (part, whole - part) if file.added == small else (whole - part, part)


def _scale(count: int, most: int, room: int) -> int:
    return 1 + count * (room - 1) // most if count else 0


def _sum(number: int, added: int, removed: int) -> str:
    text = f" {number} file{'s' * (number != 1)} changed"
    if added or not removed:
        text += f", {added} insertion{'s' * (added != 1)}(+)"
    if removed or not added:
        text += f", {removed} deletion{'s' * (removed != 1)}(-)"
    return text
