"""The examples in docstrings run as printed, and no public name is without one."""

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in (ROOT / "core", ROOT / "integrations")
    for path in sorted(folder.rglob("*.py"))
}
WITH_EXAMPLES = [name for name, path in SOURCES.items() if ">>> " in path.read_text("utf-8")]
PACKAGES = (
    "trimtab trimtab.cache trimtab.compress trimtab.ledger trimtab.prune trimtab.route"
    " trimtab.tools langchain_trimtab llama_index_trimtab"
).split()
"""Their public names are those in `__all__`."""
MODULES = (
    "abbreviate archive breakdown budget embed errors export lint page prefix prices prompt recipes"
    " relevance replay report respond shares static tenant tiered tokens trace types wording"
).split()
"""Of the core: their public names are all classes and functions that they define."""
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run_as_printed(name: str, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    # Without the module's own names, so that an example imports what it uses, as a reader must.
    found = doctest.DocTestFinder(exclude_empty=True).find(_module(name), name, globs={})
    assert found
    wrong = [said for test in found if (said := _run(test))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [*PACKAGES, *(f"trimtab.{module}" for module in MODULES)])
def test_every_public_name_is_used_in_an_example(name: str) -> None:
    module = _module(name)
    missing = [public for public in _public(module) if not _is_shown(module, public)]
    assert not missing, f"{name} has no example of {', '.join(missing)}"


def _run(test: doctest.DocTest) -> str:
    """Run the examples of one docstring; return what went wrong. Missing extras do not count."""
    try:
        doctest.DebugRunner(optionflags=OPTIONS).run(test)
    except doctest.DocTestFailure as failure:
        wanted, line = failure.example.want, failure.example.source
        return f"{test.name}: {line}printed {failure.got}instead of {wanted}"
    except doctest.UnexpectedException as failure:
        error = failure.exc_info[1]
        if not isinstance(error, ImportError) or "trimtab" in (error.name or ""):
            return f"{test.name}: {failure.example.source}raised {error!r}"
    return ""


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        pytest.skip(str(error))


def _public(module: ModuleType) -> list[str]:
    if module.__name__ in PACKAGES:
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and value.__module__ == module.__name__
    ]


def _is_shown(module: ModuleType, name: str) -> bool:
    """An example imports it, takes it from its module, or prints one."""
    try:
        value = getattr(module, name)
    except ImportError:
        return True  # it needs an extra that is not here
    if getattr(value, "_is_protocol", False):
        return True  # the shape of what others write: there is nothing to call
    used, printed = _shown()
    return id(value) in used or (inspect.isclass(value) and name in printed)


@cache
def _shown() -> tuple[dict[int, Any], frozenset[str]]:
    """Return what examples use, by identity, and the words that they print."""
    sources, printed = re.findall(r"```python\n(.*?)```", README, re.DOTALL), []
    for name in WITH_EXAMPLES:
        for text in _docstrings(SOURCES[name].read_text(encoding="utf-8")):
            examples = doctest.DocTestParser().get_examples(text)
            sources.append("".join(example.source for example in examples))
            printed += [example.want for example in examples]
    words = frozenset(re.findall(r"\w+", "".join(printed)))
    return {id(value): value for source in sources for value in _used(source)}, words


def _docstrings(text: str) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds):
            yield ast.get_docstring(node) or ""


def _used(source: str) -> Iterator[Any]:
    known: dict[str, Any] = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and "trimtab" in (node.module or ""):
            for one in node.names:
                with suppress(ImportError):  # an extra that is not here
                    known[one.asname or one.name] = getattr(import_module(node.module), one.name)
    yield from known.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield getattr(known.get(node.value.id), node.attr, None)
