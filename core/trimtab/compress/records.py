"""JSON as tables and short records.

    json:{user_id=mia_li city="New York" flights=[(number date price)
    HAT069 2024-05-20 100;HAT083 2024-05-21 87]}

An object is `{key=value ...}`, a list `[value ...]`. A list of objects that share their keys is a
table: the names of its columns in parentheses, then a row an object. A name followed by columns in
parentheses is an object in each row, by columns in brackets a list of them; `name=value` says that
every row has that value, `name==other` that it repeats another column, `name?` that a row gives it
as `name=value` if at all, `name:str` that its values are strings though they look like numbers. A
table in braces is an object of objects, its first column (`*`) the key. Strings go bare wherever
that is not ambiguous. A string that itself holds JSON is written as `json:` and its content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from trimtab.compress.layout import (
    Layout,
    Number,
    Value,
    json_at,
    lay_out,
    layout_of,
    parse,
    parse_broken,
)
from trimtab.compress.room import Room
from trimtab.types import Counter

HEADER = "json"
LOOKS = r"json[\w']*(?:\+\d+-\d+)?(?:~\d+)?[,|]?:"
SEPARATORS = (" ", ",", "|")
MAX_CHARACTERS = 2_000_000
"""Longer texts are left alone: reading them would take seconds."""
EMBEDDED = 40
"""Shorter strings are not searched for JSON."""
LITERAL = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
NESTED = re.compile(r"json([^\s:;,|~]*)(?:~(\d+)(\"(?:[^\"\\]|\\.)*\"))?:")
WHOLE_SHARE = 0.6
"""Share of a text that breaks off which must be whole elements."""
END_OF_ROW = ";\n"
"""Which of them, the writer chose."""
NAME = re.compile(r"[^\s\"=(){}\[\];:,|?*]+")


def encode(text: str, count: Counter) -> str | None:
    """Write JSON, a Python literal or JSON lines as records. None for any other text."""
    if len(text) > MAX_CHARACTERS or (found := _find(text)) is None:
        return None
    start, end, value, layout, added = found
    frame = f"+{start}-{len(text) - end}" if start or end < len(text) else ""
    frame += f"~{added}" if added else ""
    bodies = (
        f"{layout.code}{frame}{sep.strip()}:{text[:start]}{_Writer(sep).top(value)}{text[end:]}"
        for sep in SEPARATORS
    )
    return min(bodies, key=count)


def decode(body: str) -> str:
    """Write the records out as they were."""
    head = re.match(r"([\w']*)(?:\+(\d+)-(\d+))?(?:~(\d+))?([,|]?):", body)
    if head is None:
        raise ValueError("a layout and a colon were expected")
    code, lead, trail, added, sep = head.groups()
    start, end = head.end() + int(lead or 0), len(body) - int(trail or 0)
    room = Room()
    value = _Reader(body[start:end], sep or " ", room).whole()
    text = lay_out(value, layout_of(code), room)
    return body[head.end() : start] + text[: len(text) - int(added or 0)] + body[end:]


def _find(text: str) -> tuple[int, int, Value, Layout, int] | None:
    """Find the JSON that makes up most of a text: where it starts and ends, and what it is.

    The last number says how many brackets had to be added at its end, where it breaks off.
    """
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and (found := parse(stripped)):
        start = text.index(stripped)
        return start, start + len(stripped), *found, 0
    for opening in _openings(text):
        try:
            end = json_at(text, opening)
        except (ValueError, RecursionError):
            continue
        if 2 * (end - opening) > len(text) and (found := parse(text[opening:end])):
            return opening, end, *found, 0
    return _find_broken(text) if stripped[:1] in ("{", "[") else None


def _find_broken(text: str) -> tuple[int, int, Value, Layout, int] | None:
    start = len(text) - len(text.lstrip())
    broken = parse_broken(text[start:])
    if broken is None or broken[2] < WHOLE_SHARE * len(text):
        return None
    value, layout, end, added = broken
    return start, start + end, value, layout, added


def _openings(text: str, most: int = 4) -> Iterator[int]:
    """Yield the first places where JSON might start in a longer text."""
    places = re.finditer(r"[\[{](?=[\s\"\[{])", text[: len(text) // 2])
    for _, place in zip(range(most), places):  # noqa: B905
        yield place.start()


@dataclass(frozen=True)
class _Column:
    """A column of a table, as its header names it."""

    name: str
    optional: bool = False
    strings: bool = False
    """Whether every scalar in it is a string, so that a bare one is never a number."""
    constant: tuple[Value, ...] = ()
    """The value that every row has, if there is one."""
    other: str = ""
    """The column that it repeats."""
    kind: str = ""
    """The bracket of a nested table: ( for an object a row, [ for a list, { for a mapping."""
    columns: tuple[_Column, ...] = ()

    @property
    def in_rows(self) -> bool:
        """Whether each row has a cell for it, at its place."""
        return not (self.optional or self.constant or self.other)


CLOSING = {"(": ")", "[": "]", "{": "}"}
KEY = "*"
"""The name of the column that holds the key of an object in a table in braces."""


class _Writer:
    """Writes values, with one character between neighbours."""

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self.bare = re.compile(
            rf"(?![\s\"\[{{(]|json\S*:)[^\n\r;\]}}{re.escape(separator)}]+(?<!\s)"
            if separator != " "
            else r"(?![\"\[{(]|json\S*:)[^\s;\]}]+"
        )

    def top(self, value: Value) -> str:
        """Write a whole value, the rows of an outermost table on lines of their own."""
        return self.value(value, "\n")

    def value(self, value: Value, end_of_row: str = ";", strings: bool = False) -> str:
        if isinstance(value, dict):
            return self.mapping(value, end_of_row, strings)
        if isinstance(value, list):
            return self.list(value, end_of_row, strings)
        if isinstance(value, Number):
            return str(value)
        if isinstance(value, str):
            return self.string(value, strings)
        return {None: "null", True: "true", False: "false"}[value]

    def string(self, text: str, strings: bool) -> str:
        """Write a string bare if it can be; as its content if it holds JSON; else in quotes."""
        if self.bare.fullmatch(text) and (strings or not LITERAL.fullmatch(text)):
            return text
        if len(text) >= EMBEDDED and text[0] in "{[" and (inner := self.embedded(text)):
            return inner
        return json.dumps(text, ensure_ascii=False)

    def embedded(self, text: str) -> str:
        """Write the content of a string that holds JSON, be it cut off; empty if it holds none."""
        found = parse(text)
        if found is not None and isinstance(found[0], (dict, list)):
            return f"json{found[1].code}:{self.value(found[0])}"
        broken = parse_broken(text)
        if broken is None or broken[2] < WHOLE_SHARE * len(text):
            return ""
        value, layout, end, added = broken
        rest = json.dumps(text[end:], ensure_ascii=False)
        return f"json{layout.code}~{added}{rest}:{self.value(value)}"

    def list(self, values: Sequence[Value], end_of_row: str, strings: bool) -> str:
        rows = _objects(values)
        columns = self.columns(rows) if rows else None
        if columns and not strings:
            return f"[{self.table(columns, rows, end_of_row)}]"
        return f"[{self.separator.join(self.value(v, ';', strings) for v in values)}]"

    def mapping(self, value: dict[str, Value], end_of_row: str, strings: bool) -> str:
        rows = _keyed(value)
        columns = self.columns(rows) if rows else None
        if columns and not strings:
            return f"{{{self.table(columns, rows, end_of_row)}}}"
        pairs = (
            f"{self.name(key)}={self.value(inner, end_of_row, strings)}"
            for key, inner in value.items()
        )
        return f"{{{self.separator.join(pairs)}}}"

    def name(self, name: str) -> str:
        return name if NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)

    def table(
        self, columns: Sequence[_Column], rows: Sequence[dict[str, Value]], end_of_row: str
    ) -> str:
        lines = end_of_row.join(self.row(columns, row) for row in rows)
        return f"({self.header(columns)}){end_of_row if end_of_row != ';' else ''}{lines}"

    def header(self, columns: Sequence[_Column]) -> str:
        return self.separator.join(self.column(column) for column in columns)

    def column(self, column: _Column) -> str:
        name = KEY if column.name == KEY else self.name(column.name)
        name += ":str" if column.strings else ""
        name += "?" if column.optional else ""
        if column.constant:
            return f"{name}={self.constant(column.constant[0], column.strings)}"
        if column.other:
            return f"{name}=={KEY if column.other == KEY else self.name(column.other)}"
        if column.kind:
            return f"{name}{column.kind}{self.header(column.columns)}{CLOSING[column.kind]}"
        return name

    def constant(self, value: Value, strings: bool) -> str:
        """Write a value into a header, where a bare closing parenthesis would end it."""
        if isinstance(value, str) and ")" in value:
            return json.dumps(value, ensure_ascii=False)
        return self.value(value, ";", strings)

    def row(self, columns: Sequence[_Column], row: dict[str, Value]) -> str:
        cells = [self.cell(c, row[c.name]) for c in columns if c.in_rows]
        cells += [
            f"{self.name(c.name)}={self.cell(c, row[c.name])}"
            for c in columns
            if c.optional and c.name in row
        ]
        return self.separator.join(cell for cell in cells if cell)

    def cell(self, column: _Column, value: Value) -> str:
        if column.kind == "(" and isinstance(value, dict):
            return self.row(column.columns, value)
        if column.kind == "[" and isinstance(value, list):
            return f"[{';'.join(self.row(column.columns, row) for row in _objects(value))}]"
        if column.kind == "{" and isinstance(value, dict):
            return f"{{{';'.join(self.row(column.columns, row) for row in _keyed(value))}}}"
        return self.value(value, ";", column.strings)

    def columns(self, rows: Sequence[dict[str, Value]]) -> tuple[_Column, ...] | None:
        """Plan the columns of a table, or None where its rows are better written as objects."""
        names = _merge(rows)
        if names is None:
            return None
        every = [name for name in names if all(name in row for row in rows)]
        won = (len(rows) - 1) * sum(len(name) + 1 for name in every)
        if won <= 2 + sum(len(name) + 2 for name in names if name not in every):
            return None
        columns: list[_Column] = []
        seen: dict[tuple[str, ...], str] = {}
        for name in names:
            cells = [row[name] for row in rows if name in row]
            columns.append(self.plan(name, cells, len(cells) < len(rows), seen))
        return tuple(columns) if any(c.in_rows for c in columns) else None

    def plan(
        self, name: str, cells: Sequence[Value], optional: bool, seen: dict[tuple[str, ...], str]
    ) -> _Column:
        """Plan one column."""
        column = _Column(name, optional, strings=_look_like_numbers(cells))
        if optional:
            return column
        texts = tuple(self.value(cell) for cell in cells)
        if name != KEY and len(texts) > 1 and len(set(texts)) == 1 and _is_plain(cells[0]):
            return replace(column, constant=(cells[0],))
        if (other := seen.setdefault(texts, name)) != name:
            return replace(column, other=other, strings=False)
        return self.nest(column, cells)

    def nest(self, column: _Column, cells: Sequence[Value]) -> _Column:
        """Give a column whose cells share their keys a header of its own."""
        inner: list[dict[str, Value]]
        if all(isinstance(cell, dict) and cell for cell in cells):
            objects = [cell for cell in cells if isinstance(cell, dict)]
            columns = self.columns(objects) if len(objects) > 1 else None
            if columns and not any(_any_optional(c) for c in columns):
                return replace(column, kind="(", columns=columns, strings=False)
            keyed = [_keyed(cell) for cell in objects]
            inner = [row for rows in keyed for row in rows]
            kind = "{" if all(keyed) else ""
        else:
            lists = [cell for cell in cells if isinstance(cell, list)]
            inner = [row for cell in lists for row in _objects(cell)]
            whole = len(inner) == sum(map(len, lists)) and not any(
                isinstance(cell, dict) for cell in cells
            )
            kind = "[" if whole else ""
        columns = self.columns(inner) if kind and len(inner) > 1 else None
        return replace(column, kind=kind, columns=columns, strings=False) if columns else column


def _is_plain(value: Value) -> bool:
    return not value or not isinstance(value, (dict, list))


def _any_optional(column: _Column) -> bool:
    return column.optional or (
        column.kind == "(" and any(_any_optional(inner) for inner in column.columns)
    )


def _objects(values: Sequence[Value]) -> list[dict[str, Value]]:
    """Return the elements of a list of objects, or nothing where one of them is something else."""
    rows = [value for value in values if isinstance(value, dict) and value and KEY not in value]
    return rows if len(rows) == len(values) else []


def _keyed(value: dict[str, Value]) -> list[dict[str, Value]]:
    """Return the values of an object of objects, each with its key, or nothing where one is not."""
    rows = _objects(list(value.values()))
    return [{KEY: key, **row} for key, row in zip(value, rows)] if rows else []  # noqa: B905


def _merge(rows: Sequence[dict[str, Value]]) -> list[str] | None:
    """Return all keys in an order that every row keeps to, or None where there is none."""
    names: list[str] = []
    place: dict[str, int] = {}
    for row in rows:
        last = -1
        for name in row:
            if name not in place:
                names.insert(last + 1, name)
                place = {name: i for i, name in enumerate(names)}
            if place[name] <= last:
                return None
            last = place[name]
    return names


def _look_like_numbers(cells: Sequence[Value]) -> bool:
    """Whether all scalars are strings, and some could be taken for a number."""
    scalars = list(_scalars(cells))
    return all(isinstance(s, str) and not isinstance(s, Number) for s in scalars) and any(
        LITERAL.fullmatch(s) for s in scalars if isinstance(s, str)
    )


def _scalars(values: Sequence[Value]) -> Iterator[Value]:
    for value in values:
        if isinstance(value, list):
            yield from _scalars(value)
        elif isinstance(value, dict):
            yield None  # an object in a cell keeps its own types
        else:
            yield value


class _Reader:
    """Reads what `_Writer` wrote."""

    def __init__(self, text: str, separator: str, room: Room) -> None:
        self.text = text
        self.separator = separator
        self.room = room
        self.at = 0
        self.bare = re.compile(
            r"[^\s;\]}]+" if separator == " " else rf"[^\n\r;\]}}{re.escape(separator)}]+"
        )
        self.in_header = re.compile(self.bare.pattern.replace("[^", "[^)"))

    def whole(self) -> Value:
        """Read a value that fills the text."""
        value = self.value()
        if self.at != len(self.text):
            raise ValueError(f"the value ends at {self.at}, the text at {len(self.text)}")
        return value

    def value(self, strings: bool = False, bare: re.Pattern[str] | None = None) -> Value:
        start = self.text[self.at]
        if start == "{":
            return self.mapping()
        if start == "[":
            return self.list(strings)
        if start == '"':
            return self.quoted()
        if nested := NESTED.match(self.text, self.at):
            self.at = nested.end()
            text = lay_out(self.value(), layout_of(nested[1]), self.room)
            return text[: len(text) - int(nested[2])] + json.loads(nested[3]) if nested[2] else text
        word = self.match(bare or self.bare)
        if strings or not LITERAL.fullmatch(word):
            return word
        literals: dict[str, Value] = {"null": None, "true": True, "false": False}
        return literals[word] if word in literals else Number(word)

    def list(self, strings: bool) -> Value:
        self.expect("[")
        if self.peek("("):
            rows: list[Value] = [*self.table("]")]
            return rows
        values: list[Value] = []
        while not self.peek("]"):
            self.part(bool(values))
            values.append(self.value(strings))
        self.expect("]")
        return values

    def mapping(self) -> Value:
        self.expect("{")
        if self.peek("("):
            return {str(row.pop(KEY)): row for row in self.table("}")}
        found: dict[str, Value] = {}
        while not self.peek("}"):
            self.part(bool(found))
            name = self.name()
            self.expect("=")
            found[name] = self.value()
        self.expect("}")
        return found

    def table(self, closing: str) -> Iterator[dict[str, Value]]:
        """Read a header and its rows, up to the bracket that closes the table."""
        self.expect("(")
        columns = self.header(")")
        if self.peek("\n"):
            self.expect("\n")
        yield from self.rows(columns, closing)

    def rows(self, columns: Sequence[_Column], closing: str) -> Iterator[dict[str, Value]]:
        if self.peek(closing):
            self.expect(closing)
            return
        while True:
            self.room.take(len(columns))
            yield _Row(self).read(columns)
            if self.skip(closing):
                return
            if self.text[self.at] not in END_OF_ROW:
                raise ValueError(f"a row was expected to end at {self.at}")
            self.at += 1

    def header(self, closing: str) -> tuple[_Column, ...]:
        columns: list[_Column] = []
        while not self.peek(closing):
            self.part(bool(columns))
            columns.append(self.column())
        self.expect(closing)
        return tuple(columns)

    def column(self) -> _Column:
        name = self.name()
        strings, optional = self.skip(":str"), self.skip("?")
        column = _Column(name, optional, strings)
        if self.skip("=="):
            return replace(column, other=self.name())
        if self.skip("="):
            return replace(column, constant=(self.value(strings, self.in_header),))
        kind = self.text[self.at]
        if kind in CLOSING:
            self.at += 1
            return replace(column, kind=kind, columns=self.header(CLOSING[kind]))
        return column

    def name(self) -> str:
        if self.skip(KEY):
            return KEY
        return str(self.quoted()) if self.peek('"') else self.match(NAME)

    def quoted(self) -> str:
        value, self.at = json.JSONDecoder().raw_decode(self.text, self.at)
        return str(value)

    def part(self, wanted: bool) -> None:
        """Step over the character between neighbours."""
        if wanted:
            self.expect(self.separator)

    def peek(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def skip(self, mark: str) -> bool:
        if not self.peek(mark):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        if not self.skip(mark):
            raise ValueError(f"{mark!r} was expected at {self.at}")

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"nothing to read at {self.at}")
        self.at = found.end()
        return found.group()


@dataclass
class _Row:
    """Reads one row of a table."""

    reader: _Reader
    started: bool = field(default=False)

    def read(self, columns: Sequence[_Column]) -> dict[str, Value]:
        """Read the cells, and put them in the order of the columns."""
        cells = self.cells(columns)
        optional = {column.name: column for column in columns if column.optional}
        while optional and not self.ends():
            self.next()
            name = self.reader.name()
            self.reader.expect("=")
            cells[name] = self.reader.value(optional[name].strings)
        for column in columns:
            if column.other:
                cells[column.name] = cells[column.other]
        return {column.name: cells[column.name] for column in columns if column.name in cells}

    def cells(self, columns: Sequence[_Column]) -> dict[str, Value]:
        cells: dict[str, Value] = {}
        for column in columns:
            if column.constant:
                cells[column.name] = column.constant[0]
            elif column.in_rows:
                cells[column.name] = self.cell(column)
        return cells

    def cell(self, column: _Column) -> Value:
        reader = self.reader
        if column.kind == "(":
            return self.read(column.columns)
        self.next()
        if column.kind == "[" and reader.skip("["):
            rows: list[Value] = [*reader.rows(column.columns, "]")]
            return rows
        if column.kind == "{" and reader.skip("{"):
            return {str(row.pop(KEY)): row for row in reader.rows(column.columns, "}")}
        return reader.value(column.strings)

    def next(self) -> None:
        """Step to the next cell of the row."""
        self.reader.part(self.started)
        self.started = True

    def ends(self) -> bool:
        reader = self.reader
        return reader.at >= len(reader.text) or reader.text[reader.at] in ";\n]}"
