"""The core's cache as LangChain's."""

from __future__ import annotations

import ast
import json
import logging
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, Generation

from langchain_trimtab.convert import (
    finish_of,
    mark_hit,
    message_to_core,
    model_of,
    unsaid,
    usage_of,
)
from langchain_trimtab.failures import answered, asks, failures
from trimtab.cache import ExactCache
from trimtab.latest import Latest
from trimtab.tenant import current_tenant
from trimtab.types import Cache, Message, Part, Request, Response, digest

log = logging.getLogger("trimtab")


class TrimtabCache(BaseCache):
    """Answers repeated calls: `set_llm_cache(TrimtabCache())`.

    With a `SemanticCache` also such as ask the same in other words. Of many that ask the same at
    once, one calls the model. Knows a conversation by what it says, so that one whose answers came
    from the cache is known at every turn. An answer from here is a new message, without usage, that
    says what it saved. A store that fails is a miss, logged once and counted in `failures`.

    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langchain_trimtab import TrimtabCache
    >>> model = FakeListChatModel(responses=["first", "second"], cache=TrimtabCache())
    >>> model.invoke("Hello!").text, model.invoke("Hello!").text
    ('first', 'first')
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache: Cache = ExactCache() if cache is None else cache
        self.failures = 0
        self._hits: Latest[Request] = Latest()
        if isinstance(self.cache, ExactCache):
            failures().tell(self.cache.flight)

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return the generations remembered for a prompt, if any, or wait for another's."""
        try:
            request = _request(prompt, llm_string)
            return self._found(request, self.cache.get(request, **self._how))
        except Exception as error:
            self._failed(error)
            return None

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Remember generations."""
        try:
            request, response = _request(prompt, llm_string), self._response(return_val)
            if response.keepable:
                self.cache.put(request, response)
            else:
                self._release(request)
        except Exception as error:
            self._failed(error)

    def clear(self, **kwargs: Any) -> None:
        """Forget everything."""
        _method(self.cache, "clear")()

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return the generations remembered for a prompt, awaiting a cache that can be."""
        if (get := getattr(self.cache, "aget", None)) is None:
            return self.lookup(prompt, llm_string)
        try:
            request = _request(prompt, llm_string)
            return self._found(request, await get(request, **self._how))
        except Exception as error:
            self._failed(error)
            return None

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Remember generations, awaiting a cache that can be."""
        if (put := getattr(self.cache, "aput", None)) is None:
            return self.update(prompt, llm_string, return_val)
        try:
            request, response = _request(prompt, llm_string), self._response(return_val)
            if response.keepable:
                await put(request, response)
            else:
                self._release(request)
        except Exception as error:
            self._failed(error)

    async def aclear(self, **kwargs: Any) -> None:
        """Forget everything, awaiting a cache that can be."""
        if (clear := getattr(self.cache, "aclear", None)) is None:
            return self.clear()
        await clear()

    def wrong(self, message: BaseMessage) -> bool:
        """Say that an answer from here was a wrong one; False if it is not known any more.

        The two questions are never again taken for one another, and a `SemanticCache` becomes more
        careful where more are wrong than its error budget allows.
        """
        request = self._hits.pop(message.id or "")
        report: Callable[[Request], bool] | None = getattr(self.cache, "wrong", None)
        return request is not None and report is not None and report(request)

    def _found(self, request: Request, response: Response | None) -> list[Generation] | None:
        if response is None:
            asks()
            return None
        generations = _generations(response)
        for generation in generations:
            if isinstance(generation, ChatGeneration) and generation.message.id:
                self._hits[generation.message.id] = request
        return generations

    @property
    def _how(self) -> dict[str, bool]:
        # LangChain tells a cache nothing of a call that failed.
        return {"bound": True} if isinstance(self.cache, ExactCache) else {}

    def _response(self, generations: RETURN_VAL_TYPE) -> Response:
        answered()
        try:
            return _response(generations)
        except Exception as error:
            self._failed(error)
            return Response(Message("assistant", ""), cacheable=False)

    def _release(self, request: Request) -> None:
        """Let those go who wait for an answer that is not kept."""
        if (release := getattr(self.cache, "release", None)) is not None:
            release(request, retry=False)

    def _failed(self, error: Exception) -> None:
        if not self.failures:
            log.warning("the cache failed, and is left out of this call: %r", error)
        self.failures += 1


def _request(prompt: str, llm_string: str) -> Request:
    """Read what LangChain made a string of."""
    params: dict[str, Any] = {"llm": _settings(llm_string)}
    try:
        messages = _read(prompt)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        # A part with data, because the white space around a text completion matters.
        said: tuple[Message, ...] = (Message("user", (Part(prompt, '{"type":"completion"}'),)),)
    else:
        said = tuple(message_to_core(message) for message in messages)
        params["unsaid"] = unsaid(messages)
    return Request("", said, params=params, tenant=current_tenant())


def _read(prompt: str) -> list[BaseMessage]:
    """Read messages without `load`, which is in beta and wants to know what it may make."""
    found = [{"type": one["kwargs"]["type"], "data": one["kwargs"]} for one in json.loads(prompt)]
    if not found:
        raise ValueError("no messages")
    return messages_from_dict(found)


@lru_cache(maxsize=256)
def _settings(llm_string: str) -> str:
    """Digest a model and its arguments, whatever the order of the keys in a tool's schema."""
    try:
        model, end = json.JSONDecoder().raw_decode(llm_string)
        rest = llm_string[end:].removeprefix("---")
    except ValueError:
        model, rest = None, llm_string
    try:
        return digest([model, ast.literal_eval(rest)])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return digest([model, rest])


def _response(generations: RETURN_VAL_TYPE) -> Response:
    """Put generations into a response: the text of the first, and all of them as JSON."""
    first = getattr(generations[0], "message", None) if generations else None
    text = generations[0].text if generations else ""
    data = json.dumps([_plain(generation) for generation in generations], ensure_ascii=False)
    return Response(
        Message("assistant", (Part(text, data),)),
        usage_of(first) if first else None,
        model=model_of(first) if first else "",
        cacheable=all(map(_keepable, generations)),
    )


def _keepable(generation: Generation) -> bool:
    """Tell whether an answer is whole, not refused, and not empty."""
    info = generation.generation_info or {}
    message = getattr(generation, "message", None)
    if message is None:
        said = Message("assistant", generation.text)
        return Response(said, finish_reason=finish_of(info)).keepable
    if message.additional_kwargs.get("refusal") or getattr(message, "invalid_tool_calls", None):
        return False
    finish_reason = finish_of(message.response_metadata) or finish_of(info)
    return Response(message_to_core(message), finish_reason=finish_reason).keepable


def _plain(generation: Generation) -> dict[str, Any]:
    message = getattr(generation, "message", None)
    return {
        "text": generation.text,
        "generation_info": generation.generation_info,
        "message": message and message_to_dict(message),
    }


def _generations(response: Response) -> list[Generation]:
    """Make generations of a hit: a list, because LangChain takes anything else for a miss."""
    part = response.message.content[0]
    if isinstance(part, str):
        raise ValueError("this is an answer to a request that LangChain did not make")
    return [_generation(one, response) for one in json.loads(part.data)]


def _generation(plain: dict[str, Any], hit: Response) -> Generation:
    info = plain["generation_info"]
    if plain["message"] is None:
        return Generation(text=plain["text"], generation_info=info)
    (message,) = messages_from_dict([plain["message"]])
    marked = mark_hit(message, hit, id=f"trimtab-{uuid.uuid4().hex}")
    return ChatGeneration(message=marked, generation_info=info)


def _method(cache: object, name: str) -> Callable[[], object]:
    method = getattr(cache, name, None)
    if method is None:
        raise NotImplementedError(f"{type(cache).__name__} has no {name}()")
    return method  # type: ignore[no-any-return]
