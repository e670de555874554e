"""LlamaIndex's prompt templates in fewer tokens."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, RichPromptTemplate
from llama_index.core.prompts.base import SelectorPromptTemplate

from llama_index_trimtab import compile_prompt

WORDY = "Please make sure to help {name} in order to be able to pay."


def test_a_template_is_compiled_and_formats_as_before() -> None:
    template = PromptTemplate(WORDY, template_var_mappings={"who": "name"})
    made, (done,) = compile_prompt(template)
    assert done.saved > 5
    text = made.format(who="Ann {x}")
    assert "Ann {x}" in text and len(text) < len(WORDY)
    assert template.template == WORDY


def test_the_messages_of_a_chat_are_compiled_but_for_those_of_the_assistant() -> None:
    chat = ChatPromptTemplate(
        [
            ChatMessage(role="system", content=WORDY),
            ChatMessage(role="assistant", content="Please note {x}"),
        ]
    )
    made, done = compile_prompt(chat)
    assert len(done) == 1
    system, assistant = made.format_messages(name="Ann", x="y")
    assert "Ann" in str(system.content) and len(str(system.content)) < len(WORDY)
    assert assistant.content == "Please note y"


def test_a_rich_template_keeps_its_statements() -> None:
    text = (
        "{% chat role='system' %}Please make sure to help {{ name }} in order to pay.{% endchat %}"
    )
    made, (done,) = compile_prompt(RichPromptTemplate(text))
    assert done.saved > 0
    (message,) = made.format_messages(name="Ann")
    assert "Ann" in str(message.content)


def test_other_templates_are_refused() -> None:
    with pytest.raises(TypeError, match="SelectorPromptTemplate"):
        compile_prompt(SelectorPromptTemplate(default_template=PromptTemplate("x")))
