"""What the README prints runs as printed, with scripted models in place of the providers'."""

import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


class Scripted(BaseChatModel):
    """Says hello, and what that cost."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
        named = {"model_name": "gpt-5.4-mini"}
        answer = AIMessage("Hello!", usage_metadata=usage, response_metadata=named)
        return ChatResult(generations=[ChatGeneration(message=answer)])


def test_there_is_a_snippet_for_each_use() -> None:
    assert len(SNIPPETS) == 10


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.split("\n")[0])
def test_a_snippet_runs_as_printed(snippet: str, monkeypatch, tmp_path) -> None:
    import langchain.chat_models
    import llama_index.llms.openai
    from llama_index.core import Settings
    from llama_index.core.llms import MockLLM

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(langchain.chat_models, "init_chat_model", lambda name: Scripted())
    monkeypatch.setattr(llama_index.llms.openai, "OpenAI", lambda name: MockLLM())
    before = Settings._llm
    try:
        exec(snippet, {})
    finally:
        set_llm_cache(None)
        Settings._llm = before


def test_what_is_kept_of_the_documents_answers_the_question(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(next(snippet for snippet in SNIPPETS if "Extractive" in snippet), {})
    assert "thirty dollars" in capsys.readouterr().out


def test_the_makefile_has_the_commands_that_the_readme_names() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
