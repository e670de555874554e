"""What `import langchain_trimtab` gives, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import langchain_trimtab

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("langchain", "langchain_classic", "langgraph"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import langchain_trimtab
langchain_trimtab.TrimtabCache(), langchain_trimtab.UsageCallback()
langchain_trimtab.TrimtabChatMessageHistory("s"), langchain_trimtab.TrimtabDocumentCompressor
langchain_trimtab.ChatRouter
for name, extra in ("TrimtabMiddleware", "agents"), ("TrimtabMemory", "classic"):
    try:
        getattr(langchain_trimtab, name)
    except ImportError as error:
        assert f"pip install 'trimtab[{extra}]'" in str(error), error
    else:
        raise SystemExit(f"{name} needed nothing")
"""


def test_the_public_names() -> None:
    assert langchain_trimtab.__all__ == [
        "ChatRouter",
        "TrimtabCache",
        "TrimtabChatMessageHistory",
        "TrimtabDecisions",
        "TrimtabDocumentCompressor",
        "TrimtabMemory",
        "TrimtabMiddleware",
        "UsageCallback",
        "compile_prompt",
        "monitor",
        "summarizer",
        "tenant",
    ]
    assert all(hasattr(langchain_trimtab, name) for name in langchain_trimtab.__all__)


def test_its_types_are_public() -> None:
    assert (Path(langchain_trimtab.__file__).parent / "py.typed").exists()


def test_another_name_is_an_error_like_any_other() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trim'"):
        langchain_trimtab.Trim  # noqa: B018


def test_langchain_core_is_enough_for_all_but_two() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, timeout=60)
