"""LangChain's prompt templates, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate, PromptTemplate

from trimtab.prompt import Prompt, Syntax

Template = TypeVar("Template", bound=BasePromptTemplate[Any])
Compiled = Callable[[str, Syntax], Prompt]
INSTRUCTING = ("SystemMessagePromptTemplate", "HumanMessagePromptTemplate")
"""Whose texts tell a model what to do; those of an assistant are examples of how it answers."""


def compile_prompt(template: Template, **settings: Any) -> tuple[Template, tuple[Prompt, ...]]:
    """Compile a prompt template: the texts of its system and user messages.

    Variables, partial ones, placeholders and examples stay as they are.

    Args:
        template: A `PromptTemplate` or a `ChatPromptTemplate`.
        settings: What `trimtab.prompt.Prompt.compile` takes.

    Returns:
        A copy of the template, and what was done to each of its texts.

    Raises:
        TypeError: It is another kind of template.

    >>> from langchain_core.prompts import PromptTemplate
    >>> from langchain_trimtab import compile_prompt
    >>> template = PromptTemplate.from_template("Make sure to greet {name} in order to be polite.")
    >>> short, done = compile_prompt(template)
    >>> short.format(name="Ada"), done[0].saved
    ('Greet Ada to be polite.', 4)
    """
    done: list[Prompt] = []

    def compiled(text: str, syntax: Syntax) -> Prompt:
        done.append(Prompt.compile(text, syntax=syntax, **settings))
        return done[-1]

    if isinstance(template, PromptTemplate):
        made: Any = _text(template, compiled)
    elif isinstance(template, ChatPromptTemplate):
        messages = [_message(message, compiled) for message in template.messages]
        made = template.model_copy(update={"messages": messages})
    else:
        raise TypeError(
            "a PromptTemplate or a ChatPromptTemplate can be compiled,"
            f" not a {type(template).__name__}"
        )
    return cast(Template, made), tuple(done)


def _message(message: Any, compiled: Compiled) -> Any:
    if isinstance(message, (SystemMessage, HumanMessage)):
        # No template: its braces are its own.
        return message
    prompt = getattr(message, "prompt", None)
    if type(message).__name__ not in INSTRUCTING:
        return message
    if isinstance(prompt, PromptTemplate):
        return message.model_copy(update={"prompt": _text(prompt, compiled)})
    if isinstance(prompt, list):
        parts = [_text(p, compiled) if isinstance(p, PromptTemplate) else p for p in prompt]
        return message.model_copy(update={"prompt": parts})
    return message


def _text(prompt: PromptTemplate, compiled: Compiled) -> PromptTemplate:
    text = compiled(prompt.template, prompt.template_format).text
    return prompt.model_copy(update={"template": text})
