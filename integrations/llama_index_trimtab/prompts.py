"""LlamaIndex's prompt templates, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
from llama_index.core.prompts import (
    BasePromptTemplate,
    ChatPromptTemplate,
    PromptTemplate,
    RichPromptTemplate,
)

from trimtab.prompt import Prompt, Syntax

Template = TypeVar("Template", bound=BasePromptTemplate)
Compiled = Callable[[str, Syntax], str]
INSTRUCTING = (MessageRole.SYSTEM, MessageRole.DEVELOPER, MessageRole.USER)


def compile_prompt(template: Template, **settings: Any) -> tuple[Template, tuple[Prompt, ...]]:
    """Compile a prompt template: the texts of its system and user messages.

    Variables, partial ones, mappings and the output parser stay as they are.

    Args:
        template: A `PromptTemplate`, `ChatPromptTemplate` or `RichPromptTemplate`.
        settings: What `trimtab.prompt.Prompt.compile` takes.

    Returns:
        A copy of the template, and what was done to each of its texts.

    Raises:
        TypeError: It is another kind of template.

    >>> from llama_index.core import PromptTemplate
    >>> from llama_index_trimtab import compile_prompt
    >>> template = PromptTemplate("Make sure to greet {name} in order to be polite.")
    >>> short, done = compile_prompt(template)
    >>> short.format(name="Ada"), done[0].saved
    ('Greet Ada to be polite.', 4)
    """
    done: list[Prompt] = []

    def compiled(text: str, syntax: Syntax) -> str:
        done.append(Prompt.compile(text, syntax=syntax, **settings))
        return done[-1].text

    return template.model_copy(update=_update(template, compiled)), tuple(done)


def _update(template: BasePromptTemplate, compiled: Compiled) -> dict[str, Any]:
    if isinstance(template, PromptTemplate):
        return {"template": compiled(template.template, "f-string")}
    if isinstance(template, RichPromptTemplate):
        return {"template_str": compiled(template.template_str, "jinja2")}
    if isinstance(template, ChatPromptTemplate):
        messages = [_message(message, compiled) for message in template.message_templates]
        return {"message_templates": messages}
    raise TypeError(
        "a PromptTemplate, ChatPromptTemplate or RichPromptTemplate can be compiled,"
        f" not a {type(template).__name__}"
    )


def _message(message: ChatMessage, compiled: Compiled) -> ChatMessage:
    if message.role not in INSTRUCTING:
        return message
    blocks = [
        block.model_copy(update={"text": compiled(block.text, "f-string")})
        if isinstance(block, TextBlock)
        else block
        for block in message.blocks
    ]
    return message.model_copy(update={"blocks": blocks})
