"""LangChain's prompt templates in fewer tokens."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotPromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
)

from langchain_trimtab import compile_prompt

WORDY = "Please make sure to help {name} in order to be able to pay."


def test_the_texts_of_a_chat_are_compiled_and_it_renders_as_before() -> None:
    chat = ChatPromptTemplate.from_messages(
        [
            ("system", WORDY),
            MessagesPlaceholder("history", optional=True),
            ("human", "In order to know: {question}"),
            ("ai", "Please note that {answer}"),
        ]
    )
    made, done = compile_prompt(chat)
    assert sum(prompt.saved for prompt in done) > 5
    values = {"name": "Ann {x}", "question": "why?", "answer": "so"}
    texts = [message.text for message in made.invoke(values).to_messages()]
    assert "Ann {x}" in texts[0] and len(texts[0]) < len(WORDY)
    assert texts[1:] == ["To know: why?", "Please note that so"]
    assert made.input_variables == chat.input_variables
    assert chat.messages[0].prompt.template == WORDY  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("syntax", "template"), [("f-string", WORDY), ("mustache", WORDY.replace("{name}", "{{name}}"))]
)
def test_a_text_template_keeps_its_syntax_and_partial_values(syntax: Any, template: str) -> None:
    prompt = PromptTemplate.from_template(template, template_format=syntax)
    made, (done,) = compile_prompt(prompt.partial(name="Bob"))
    assert done.saved > 0
    assert "Bob" in made.format()
    assert made.template_format == syntax


def test_a_piped_chain_takes_it() -> None:
    made, _ = compile_prompt(ChatPromptTemplate.from_template(WORDY))
    chain = made | (lambda value: value.to_string())
    assert "Ann" in chain.invoke({"name": "Ann"})


def test_other_templates_are_refused() -> None:
    other = FewShotPromptTemplate(
        examples=[], example_prompt=PromptTemplate.from_template("x"), suffix="y"
    )
    with pytest.raises(TypeError, match="FewShotPromptTemplate"):
        compile_prompt(other)
