"""Templates optimised once, before any variable has a value."""

from __future__ import annotations

import re
import string
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from trimtab.abbreviate import abbreviate
from trimtab.examples import without_repeats
from trimtab.tokens import counter_for
from trimtab.types import Counter
from trimtab.wording import keeps_what_binds, tidy_space, tighten

Syntax = Literal["f-string", "mustache", "jinja2"]
Keeps = Callable[[str, str, Syntax], bool]
_HOLES: dict[str, re.Pattern[str]] = {
    # A brace that stands for itself, or a variable with its conversion and format.
    "f-string": re.compile(
        r"\{\{|\}\}|\{([A-Za-z_]\w*)(?:[.\[][^{}!:]*)?(?:![rsa])?(?::[^{}]*)?\}"
    ),
    "mustache": re.compile(r"\{\{\{\s*([\w.]+)\s*\}\}\}|\{\{\s*([&#/^>!]?)\s*([\w.]*)[^{}]*\}\}"),
    "jinja2": re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL),
}
_JINJA_NAME = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)")
_PLAIN = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)\s*-?\}\}\Z")


@dataclass(frozen=True)
class Prompt:
    """A template in fewer tokens: `Prompt.compile(template)`.

    >>> from trimtab.prompt import Prompt
    >>> prompt = Prompt.compile("Please make sure to answer {name} in order to help.")
    >>> prompt.text, prompt.saved
    ('Answer {name} to help.', 6)
    >>> prompt.render(name="{Ada}")
    'Answer {Ada} to help.'
    """

    text: str
    """The template, in the syntax that it was written in, each variable as it was."""
    syntax: Syntax
    variables: tuple[str, ...]
    before: int
    """Tokens of the template as it was given."""
    after: int
    changes: tuple[str, ...]
    """What was done, and how many tokens it saved."""

    @classmethod
    def compile(  # noqa: PLR0913 - each is the user's to say, and few say any
        cls,
        template: str,
        *,
        syntax: Syntax | None = None,
        rewrite: Callable[[str], str] | None = None,
        check: Callable[[str, str], bool] | None = None,
        examples: bool = True,
        count: Counter | None = None,
    ) -> Prompt:
        """Optimise a template: white space, phrases, articles, names by their initials.

        Args:
            template: With variables as in `{name}`, or `{{name}}`; nothing of them changes.
            syntax: Told by the template where it is not given.
            rewrite: Also rewrites it, as by the user's own LLM. What comes of that is kept only if
                it is shorter, holds each variable as often, and each number, negation, demand and
                condition.
            check: And if this accepts it, given the template before and after.
            examples: Whether to leave out those that show nearly what another one shows.
            count: What to save on; o200k_base tokens if it is not given.
        """
        count = count or counter_for("gpt-4o")
        syntax = syntax or syntax_of(template)
        text, changes = template, []
        for name, way, keeps in _ways(count, examples, rewrite):
            shorter = way(text)
            saved = count(text) - count(shorter)
            if saved > 0 and keeps(text, shorter, syntax) and _accepts(check, template, shorter):
                changes.append(f"{name}: {saved} tokens")
                text = shorter
        names = tuple(dict.fromkeys(_names(text, syntax)))
        return cls(text, syntax, names, count(template), count(text), tuple(changes))

    @property
    def saved(self) -> int:
        """Tokens that it saves each time it is sent."""
        return self.before - self.after

    def render(self, **values: object) -> str:
        """Put values in the place of the variables; braces in them, or around nothing, stay.

        Raises:
            KeyError: A variable has no value.
            ValueError: The template has sections or statements, which its own engine renders.
        """
        missing = [name for name in self.variables if name not in values]
        if missing:
            raise KeyError(f"no value for {', '.join(missing)}")
        if self.syntax == "f-string":
            return _rendered(self.text, values)
        return _HOLES[self.syntax].sub(lambda match: _value(match[0], values), self.text)


def syntax_of(template: str) -> Syntax:
    """Tell how a template marks its variables.

    >>> from trimtab.prompt import syntax_of
    >>> syntax_of("Dear {name}"), syntax_of("Dear {{name}}"), syntax_of("Dear {{ name | title }}")
    ('f-string', 'mustache', 'jinja2')
    """
    if re.search(
        r"\{%.*?%\}|\{#.*?#\}|\{\{-?\s*[A-Za-z_][\w.]*\s*[|(\[][^{}]*\}\}", template, re.DOTALL
    ):
        return "jinja2"
    single = re.search(r"(?<!\{)\{[A-Za-z_]\w*(?:![rsa])?(?::[^{}]*)?\}(?!\})", template)
    double = re.search(r"\{\{\s*[#/^>&!]?\s*[A-Za-z_][\w.]*\s*\}\}", template)
    return "mustache" if double and not single else "f-string"


def _names(text: str, syntax: Syntax) -> list[str]:
    found: list[str] = []
    for match in _HOLES[syntax].finditer(text):
        if syntax == "jinja2":
            named = _JINJA_NAME.match(match[0])
            found += [named[1]] if named else []
        elif syntax == "f-string":
            found += [match[1]] if match[1] else []
        elif match[1] or (match[3] and match[2] not in ("/", ">", "!")):
            found.append(match[1] or match[3])
    return found


def _ways(
    count: Counter, examples: bool, rewrite: Callable[[str], str] | None
) -> Iterator[tuple[str, Callable[[str], str], Keeps]]:
    """Name what can be done, in order, with what must hold of its result."""
    if examples:  # which bind nobody
        yield "repeated examples", without_repeats, _holes_stay
    yield "white space", tidy_space, _keeps
    yield "phrases and articles", tighten, _keeps
    yield "emphasis and contractions", partial(tighten, terse=True), _keeps
    yield "names by their initials", partial(abbreviate, count=count), _keeps
    if rewrite is not None:
        yield "rewritten", rewrite, _keeps


def _keeps(before: str, after: str, syntax: Syntax) -> bool:
    """Whether each hole still stands as often, in any order, and whatever binds a reader."""
    return _holes_stay(before, after, syntax) and keeps_what_binds(before, after)


def _holes_stay(before: str, after: str, syntax: Syntax) -> bool:
    holes = _HOLES[syntax]
    return Tally(m[0] for m in holes.finditer(before)) == Tally(m[0] for m in holes.finditer(after))


def _accepts(check: Callable[[str, str], bool] | None, before: str, after: str) -> bool:
    return check is None or check(before, after)


def _rendered(text: str, values: dict[str, object]) -> str:
    """Render an f-string. Where its braces do not match, doubled ones stand for themselves."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        strict = all(re.match(r"[A-Za-z_]\w*", name) for name in fields)
    except ValueError:
        strict = False

    def put(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0] if strict else match[0]
        return string.Formatter().vformat(match[0], (), values)

    return _HOLES["f-string"].sub(put, text)


def _value(hole: str, values: dict[str, object]) -> str:
    found = _PLAIN.match(hole.replace("{{{", "{{").replace("}}}", "}}"))
    if not found:
        raise ValueError(f"{hole!r} is for the template's own engine: render `text` with that")
    return str(values[found[1]])
