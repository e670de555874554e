"""JSON texts taken apart into a value and a layout, and put together again byte for byte."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, Union

from trimtab.compress.room import Room


class Number(str):
    """A number exactly as it was written."""

    __slots__ = ()


Value = Union[str, Number, bool, None, "list[Value]", "dict[str, Value]"]


@dataclass(frozen=True)
class Layout:
    """How a text was laid out."""

    indent: str | None = None
    comma: str = ", "
    colon: str = ": "
    ascii: bool = True
    slash: bool = False
    r"""Whether slashes are escaped, as `\/`."""
    python: bool = False
    """Whether it is the `repr` of a Python value rather than JSON."""
    lines: bool = False
    """Whether each element of the list stands on a line of its own, with no list around them."""

    @property
    def code(self) -> str:
        """A short name; empty for what Python's json writes by default."""
        if self.python:
            return "'"
        code = "" if self.indent is None else str(len(self.indent))
        code += "t" if self.indent and "\t" in self.indent else ""
        if (self.comma, self.colon) != _gaps(self.indent):
            code += "c" + ("m" if self.colon == ": " else "")
        flags = {"u": not self.ascii, "s": self.slash, "l": self.lines}
        return code + "".join(flag for flag, there in flags.items() if there)


def layout_of(code: str) -> Layout:
    """Return the layout that has a code.

    Raises:
        ValueError: No layout has this code.
    """
    if code == "'":
        return Layout(python=True)
    found = re.fullmatch(r"(?:(\d)(t?))?(cm?)?(u?)(s?)(l?)", code)
    if found is None:
        raise ValueError(f"no layout is called {code!r}")
    width, tab, gaps, unicode, slash, lines = found.groups()
    indent = None if width is None else ("\t" if tab else " ") * int(width)
    comma, colon = (",", ": " if "m" in gaps else ":") if gaps else _gaps(indent)
    return Layout(indent, comma, colon, not unicode, bool(slash), lines=bool(lines))


def parse(text: str) -> tuple[Value, Layout] | None:
    """Read JSON, a Python literal or JSON lines; None where `lay_out` would not give it back."""
    for read in (_parse_json, _parse_lines, _parse_python):
        try:
            value, layouts = read(text)
            for layout in layouts:
                if lay_out(value, layout) == text:
                    return value, layout
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def parse_broken(text: str) -> tuple[Value, Layout, int, int] | None:
    """Read what breaks off in the middle, as tools that limit their output leave it.

    Returns the value up to the last element that is whole, or to the end of a long string; its
    layout; where in the text that is; and how many characters had to be added to close it.
    """
    found = _break(text)
    if found is None:
        return None
    end, brackets, quote = found
    closing = quote + _closing(text, brackets)
    if quote and re.search(r"\\(?![\\\"'/bfnrtuxU])", text[-8:]):
        end = text.rindex("\\")  # it breaks off within an escape
    whole = parse(text[:end] + closing)
    return None if whole is None else (*whole, end, len(closing))


def lay_out(value: Value, layout: Layout, room: Room | None = None) -> str:
    """Write a value out in a layout.

    Raises:
        ValueError: The layout does not suit the value, or it does not fit the room.
    """
    if layout.python:
        if room:
            room.take(sum(map(len, Room().hold(_pieces(value, layout, encode_basestring, "\n")))))
        return repr(_python(value))
    if layout.lines:
        if not isinstance(value, list):
            raise ValueError("only a list can be laid out as lines")
        layout = replace(layout, lines=False)
        return "\n".join(lay_out(element, layout, room) for element in value)
    quote = encode_basestring_ascii if layout.ascii else encode_basestring
    if layout.slash:
        pieces = _pieces(value, layout, lambda s: quote(s).replace("/", "\\/"), "\n")
    else:
        pieces = _pieces(value, layout, quote, "\n")
    return "".join(room.hold(pieces) if room else pieces)


def _break(text: str) -> tuple[int, str, str] | None:
    """Find where to close a text, the brackets that are open there, and the quotation mark.

    That is at the last comma between elements of a list, or at the end where a long string is open.
    """
    brackets = ""
    found = None
    for sign in _SIGN.finditer(text):
        if sign[0] in "[{":
            brackets += "]" if sign[0] == "[" else "}"
        elif sign[0] in "]}":
            if not brackets.endswith(sign[0]):
                return None
            brackets = brackets[:-1]
        elif sign[0] == "," and brackets.endswith("]"):
            found = sign.start(), brackets, ""
        elif sign[0] in "\"'":
            long = 2 * sign.start() < len(text)
            return (len(text), brackets, sign[0]) if long else found
    return found if brackets else None


def _closing(text: str, brackets: str) -> str:
    """Write closing brackets, each on a line of its own where the text is laid out so."""
    start = re.match(r"[\[{]\n([ \t]*)", text)
    if start is None:
        return brackets[::-1]
    depths = range(len(brackets) - 1, -1, -1)
    return "".join("\n" + start.group(1) * depth + brackets[depth] for depth in depths)


_SIGN = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[\[\]{},"']""", re.DOTALL)


def parse_json(text: str) -> Value:
    """Read JSON, its numbers as written.

    Raises:
        ValueError: The text is not JSON, or not such that it could be written back.
    """
    value: Value = _DECODER.decode(text)
    return value


def json_at(text: str, start: int) -> int:
    """Return where the JSON value that starts at a place ends.

    Raises:
        ValueError: None starts there.
    """
    return int(_DECODER.raw_decode(text, start)[1])


def _gaps(indent: str | None) -> tuple[str, str]:
    return (", ", ": ") if indent is None else (",", ": ")


def _parse_json(text: str) -> tuple[Value, list[Layout]]:
    return parse_json(text), _layouts(text)


def _parse_lines(text: str) -> tuple[Value, list[Layout]]:
    lines = text.split("\n")
    if len(lines) < 2:
        raise ValueError("one line is no list of lines")
    layouts = (replace(layout, ascii=text.isascii(), lines=True) for layout in _layouts(lines[0]))
    return [parse_json(line) for line in lines], [*layouts]


def _parse_python(text: str) -> tuple[Value, list[Layout]]:
    if not any(sign in text for sign in ("'", "True", "False", "None")):
        raise ValueError("this is JSON, or nothing")
    if "\\" in _ESCAPE.sub("", text):  # `repr` writes no other escapes, and Python warns of them
        raise ValueError("this is no repr")
    return _from_python(ast.literal_eval(text)), [Layout(python=True)]


_ESCAPE = re.compile(r"\\[\\'nrtxuU]")


def _layouts(text: str) -> list[Layout]:
    """Tell the layouts that a text may have, the likeliest first."""
    start = re.match(r"[\[{]\n([ \t]*)", text)
    if start:
        gaps = [(",", ": "), (",", ":")]
    elif ", " in text:
        gaps = [(", ", ": "), (",", ": "), (",", ":")]
    else:
        gaps = [(",", ":"), (",", ": "), (", ", ": ")]
    indent = start.group(1) if start else None
    # What looks like an escaped slash may be an escaped backslash before a plain one.
    slashes = (True, False) if "\\/" in text else (False,)
    return [Layout(indent, *gap, text.isascii(), slash) for slash in slashes for gap in gaps]


def _pieces(
    value: Value, layout: Layout, quote: Callable[[str], str], newline: str
) -> Iterator[str]:
    """Yield the text of a value piece by piece."""
    if isinstance(value, (dict, list)):
        yield from _container(value, layout, quote, newline)
    elif isinstance(value, Number):
        yield str(value)
    elif isinstance(value, str):
        yield quote(value)
    else:
        yield {None: "null", True: "true", False: "false"}[value]


def _container(
    value: list[Value] | dict[str, Value],
    layout: Layout,
    quote: Callable[[str], str],
    newline: str,
) -> Iterator[str]:
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if not value:
        yield opening + closing
        return
    inner = newline if layout.indent is None else newline + layout.indent
    before, between = ("", layout.comma) if layout.indent is None else (inner, layout.comma + inner)
    yield opening + before
    for i, key in enumerate(value):
        if i:
            yield between
        if isinstance(value, dict):
            yield quote(str(key)) + layout.colon
            yield from _pieces(value[str(key)], layout, quote, inner)
        else:
            yield from _pieces(key, layout, quote, inner)
    yield closing if layout.indent is None else newline + closing


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_no_constant,
)


def _from_python(value: Any) -> Value:
    """Take what `ast.literal_eval` read; complex numbers, bytes, sets and tuples are refused."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _from_python(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_from_python(inner) for inner in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return Number(repr(value))
    raise ValueError(f"{type(value).__name__} has no place in JSON")


def _python(value: Value) -> Any:
    if isinstance(value, dict):
        return {key: _python(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_python(inner) for inner in value]
    return ast.literal_eval(value) if isinstance(value, Number) else value
