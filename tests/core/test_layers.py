"""Imports point one way, and importing the library loads next to nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trimtab

ROOT = Path(trimtab.__file__).parent
LAYERS = [
    ["errors"],
    ["types"],
    [
        "adapt",
        "called",
        "forks",
        "tenant",
        "estimate",
        "examples",
        "latest",
        "rank_files",
        "typescript",
        "validate",
        "wording",
    ],
    ["file", "traces", "fronts"],
    ["tokens", "prices", "archive", "spending"],
    ["abbreviate", "lint"],
    ["encoder", "static"],
    ["folding", "relevance", "sentences", "embed"],
    ["compress", "prune", "tools", "cache", "route", "respond", "budget"],
    ["breakdown", "ledger", "offer"],
    ["shares"],
    ["pipeline", "export"],
    ["recipes", "trace", "prompt", "prefix", "tiered"],
    ["replay"],
    ["report", "page", "demo"],
    ["route_page", "ledger_page"],
    ["cli_cache", "cli_calibrate"],
    ["cli"],
    ["__main__"],
]
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
FRAMEWORKS = {
    "langchain",
    "langchain_core",
    "langgraph",
    "llama_index",
    "langchain_trimtab",
    "llama_index_trimtab",
}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def modules() -> list[tuple[Path, str]]:
    paths = [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]
    return [(path, path.relative_to(ROOT).with_suffix("").parts[0]) for path in paths]


def test_every_module_has_a_layer() -> None:
    assert {own for _, own in modules()} <= set(DEPTH)


def test_imports_point_down() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, own in modules()
        for name in imported(path)
        if name.startswith("trimtab.")
        and (other := name.split(".")[1]) != own
        and DEPTH[other] >= DEPTH[own]
        and not (DEPTH[other] == DEPTH[own] and own not in LAYERS[5])
    ]
    assert not wrong


def test_the_core_imports_no_framework() -> None:
    wrong = [
        (path, name)
        for path, _ in modules()
        for name in imported(path)
        if name.split(".")[0] in FRAMEWORKS
    ]
    assert not wrong


def test_importing_the_library_loads_nothing_heavy() -> None:
    heavy = ["numpy", "tiktoken", "genai_prices", "pydantic", "rich", "typer", "sqlite3", "asyncio"]
    code = f"import sys, trimtab; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_are_found_as_attributes_and_others_are_not() -> None:
    assert trimtab.recipes.balanced is not None
    assert "Pipeline" in dir(trimtab)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        trimtab.nothing  # noqa: B018
