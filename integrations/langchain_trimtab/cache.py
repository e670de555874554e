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

from langchain_trimtab.convert import mark_hit, message_to_core, model_of, unsaid, usage_of
from trimtab.cache import ExactCache
from trimtab.tenant import current_tenant
from trimtab.types import Cache, Message, Part, Request, Response, Usage, digest

log = logging.getLogger("trimtab")


class TrimtabCache(BaseCache):
    """Answers repeated calls: `set_llm_cache(TrimtabCache())`.

    Knows a conversation by what it says, so that one whose answers came from the cache is known
    at every turn. An answer from here is a new message, without usage, that says what it saved.
    A store that fails is a miss, logged once and counted in `failures`.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache: Cache = ExactCache() if cache is None else cache
        self.failures = 0

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return the generations remembered for a prompt, if any."""
        try:
            return self._found(self.cache.get(_request(prompt, llm_string)))
        except Exception as error:
            self._failed(error)
            return None

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Remember generations."""
        try:
            self.cache.put(_request(prompt, llm_string), _response(return_val))
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
            return self._found(await get(_request(prompt, llm_string)))
        except Exception as error:
            self._failed(error)
            return None

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Remember generations, awaiting a cache that can be."""
        if (put := getattr(self.cache, "aput", None)) is None:
            return self.update(prompt, llm_string, return_val)
        try:
            await put(_request(prompt, llm_string), _response(return_val))
        except Exception as error:
            self._failed(error)

    async def aclear(self, **kwargs: Any) -> None:
        """Forget everything, awaiting a cache that can be."""
        if (clear := getattr(self.cache, "aclear", None)) is None:
            return self.clear()
        await clear()

    def _found(self, response: Response | None) -> list[Generation] | None:
        if response is None:
            return None
        # A list, because LangChain takes anything else for a miss.
        return _generations(response, kind_of(self.cache))

    def _failed(self, error: Exception) -> None:
        if not self.failures:
            log.warning("the cache failed, and is left out of this call: %r", error)
        self.failures += 1


def kind_of(cache: object) -> str:
    """Name a cache in the metadata of its answers: exact, semantic."""
    return type(cache).__name__.removesuffix("Cache").lower()


def _request(prompt: str, llm_string: str) -> Request:
    """Read what LangChain made a string of."""
    params: dict[str, Any] = {"llm": _settings(llm_string)}
    try:
        messages = _read(prompt)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        # As a part, because the white space around a text completion matters.
        said: tuple[Message, ...] = (Message("user", (Part(prompt),)),)
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
    )


def _plain(generation: Generation) -> dict[str, Any]:
    message = getattr(generation, "message", None)
    return {
        "text": generation.text,
        "generation_info": generation.generation_info,
        "message": message and message_to_dict(message),
    }


def _generations(response: Response, kind: str) -> list[Generation]:
    part = response.message.content[0]
    if isinstance(part, str):
        raise ValueError("this is an answer to a request that LangChain did not make")
    return [_generation(one, kind, response.usage) for one in json.loads(part.data)]


def _generation(plain: dict[str, Any], kind: str, saved: Usage | None) -> Generation:
    info = plain["generation_info"]
    if plain["message"] is None:
        return Generation(text=plain["text"], generation_info=info)
    (message,) = messages_from_dict([plain["message"]])
    hit = mark_hit(message, kind=kind, saved=saved, id=f"trimtab-{uuid.uuid4().hex}")
    return ChatGeneration(message=hit, generation_info=info)


def _method(cache: object, name: str) -> Callable[[], object]:
    method = getattr(cache, name, None)
    if method is None:
        raise NotImplementedError(f"{type(cache).__name__} has no {name}()")
    return method  # type: ignore[no-any-return]
