"""What `import llama_index_trimtab` gives, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import llama_index_trimtab

MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in {names!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run_without(*names: str, code: str) -> str:
    program = MISSING.format(names=names) + code
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    return found.stderr if found.returncode else ""


def test_the_public_names() -> None:
    assert llama_index_trimtab.__all__ == [
        "TrimtabLLM",
        "TrimtabMemory",
        "TrimtabMemoryBlock",
        "TrimtabPostprocessor",
        "UsageHandler",
        "compile_prompt",
        "summarizer",
    ]
    assert all(hasattr(llama_index_trimtab, name) for name in llama_index_trimtab.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        llama_index_trimtab.nothing  # noqa: B018


def test_what_is_not_used_is_not_loaded() -> None:
    code = "import sys, llama_index_trimtab as t; t.UsageHandler; "
    assert not run_without(code=code + "assert 'llama_index_trimtab.memory' not in sys.modules")


def test_its_types_are_public() -> None:
    assert (Path(llama_index_trimtab.__file__).parent / "py.typed").exists()


def test_llama_index_core_is_enough() -> None:
    code = """
from llama_index.core.llms import MockLLM
from llama_index_trimtab import *
TrimtabLLM(MockLLM()).complete("hello"), UsageHandler(), summarizer(MockLLM())
TrimtabMemory.from_defaults(), TrimtabMemoryBlock(), TrimtabPostprocessor()
"""
    others = ("llama_index.llms", "openai", "langchain_core", "langchain", "langgraph")
    assert not run_without(*others, code=code)


@pytest.mark.parametrize(
    ("package", "missing", "extra"),
    [
        ("llama_index_trimtab", "llama_index", "llama-index"),
        ("langchain_trimtab", "langchain_core", "langchain"),
    ],
)
def test_without_its_framework_an_import_says_how_to_get_it(
    package: str, missing: str, extra: str
) -> None:
    found = run_without(missing, code=f"import {package}")
    assert f"pip install 'trimtab[{extra}]'" in found
