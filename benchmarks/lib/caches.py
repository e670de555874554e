"""Response caches before one model that counts its calls, each as its own defaults have it.

All that embed use the same vectors: those of all-MiniLM-L6-v2 from `trimtab.embed`. Those for text
alone are asked with the user's last words, which is what their own adapters and examples do.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from trimtab import Pipeline
from trimtab.cache import ExactCache
from trimtab.cache.semantic import SemanticCache
from trimtab.tenant import tenant

Embed = Callable[[Any], Any]


@dataclass(frozen=True)
class Asked:
    """A question, and what else can change its answer."""

    question: str
    system: str = ""
    before: tuple[str, ...] = ()
    """What the user and the model said before it, in turn."""
    model: str = "model-a"
    temperature: float = 0.0
    tenant: str = ""

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The conversation, the question last."""
        turns = zip(itertools.cycle(("user", "assistant")), (*self.before, self.question))
        return [("system", self.system)] * bool(self.system) + list(turns)


@dataclass
class Model:
    """Answers every call differently, after some seconds."""

    seconds: float = 0.0
    calls: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def answer(self) -> str:
        """Count a call."""
        with self._lock:
            self.calls += 1
            number = self.calls
        time.sleep(self.seconds)
        return f"answer {number}"


class Way(Protocol):
    """A cache before a model."""

    def ask(self, asked: Asked) -> str:
        """Return the answer, from the cache or the model."""

    def keep(self, asked: Asked, answer: str) -> None:
        """Put an answer into the cache."""

    def look(self, asked: Asked) -> Callable[[], object]:
        """Prepare a lookup, so that it can be timed by itself; what it finds is not None."""

    def clear(self) -> None:
        """Forget everything."""


class Chat(BaseChatModel):
    """The model as LangChain's."""

    counted: Any
    model: str = "model-a"
    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "counted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "temperature": self.temperature}

    def _generate(self, messages: Any, stop: Any = None, run: Any = None, **_: Any) -> ChatResult:
        # As every provider does, each answer comes with an id of its own.
        told = {"request_id": uuid.uuid4().hex, "finish_reason": "stop"}
        message = AIMessage(self.counted.answer(), response_metadata=told, id=uuid.uuid4().hex)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: Any, stop: Any = None, run: Any = None, **_: Any
    ) -> Iterator[ChatGenerationChunk]:
        for word in self.counted.answer().split():
            yield ChatGenerationChunk(message=AIMessageChunk(word))


class LangChain:
    """A cache given to a chat model of LangChain."""

    def __init__(self, model: Model, cache: Any) -> None:
        self.model, self.cache = model, cache
        self.clear: Callable[[], None] = cache.clear

    def ask(self, asked: Asked) -> str:
        return self.say(asked, convert_to_messages(asked.messages)).text

    def say(self, asked: Asked, messages: list[BaseMessage]) -> AIMessage:
        """Continue a conversation."""
        with tenant(asked.tenant):
            return self._chat(asked).invoke(messages)

    def stream(self, asked: Asked) -> None:
        """Read a stream to its end."""
        with tenant(asked.tenant):
            list(self._chat(asked).stream(convert_to_messages(asked.messages)))

    def keep(self, asked: Asked, answer: str) -> None:
        self.cache.update(*self._key(asked), [ChatGeneration(message=AIMessage(answer))])

    def look(self, asked: Asked) -> Callable[[], object]:
        key = self._key(asked)
        return lambda: self.cache.lookup(*key)

    def _key(self, asked: Asked) -> tuple[str, str]:
        llm_string = self._chat(asked)._get_llm_string()
        return dumps(convert_to_messages(asked.messages)), llm_string

    def _chat(self, asked: Asked) -> Chat:
        return Chat(
            counted=self.model,
            model=asked.model,
            temperature=asked.temperature,
            cache=self.cache,
        )


class Agent(LangChain):
    """A cache in the middleware of LangChain's agents."""

    def __init__(self, model: Model, cache: ExactCache) -> None:
        from langchain_trimtab import TrimtabMiddleware

        self.model, self.middleware = model, TrimtabMiddleware(Pipeline(cache=cache))
        self.clear = cache.clear

    def say(self, asked: Asked, messages: list[BaseMessage]) -> AIMessage:
        with tenant(asked.tenant):
            said = self._agent(asked).invoke({"messages": messages})["messages"][-1]
        assert isinstance(said, AIMessage)
        return said

    def stream(self, asked: Asked) -> None:
        messages = convert_to_messages(asked.messages)
        with tenant(asked.tenant):
            list(self._agent(asked).stream({"messages": messages}, stream_mode="messages"))

    def _agent(self, asked: Asked) -> Any:
        from langchain.agents import create_agent

        chat = Chat(counted=self.model, model=asked.model, temperature=asked.temperature)
        return create_agent(chat, middleware=[self.middleware])


class Text:
    """A cache for texts: a question in, an answer out."""

    def __init__(
        self,
        model: Model,
        get: Callable[[str], Any],
        put: Callable[[str, str], object],
        clear: Callable[[], None],
    ) -> None:
        self.model, self.get, self.put, self.clear = model, get, put, clear

    def ask(self, asked: Asked) -> str:
        found = self.get(asked.question)
        if found is None:
            found = self.model.answer()
            self.put(asked.question, found)
        return str(found)

    def keep(self, asked: Asked, answer: str) -> None:
        self.put(asked.question, answer)

    def look(self, asked: Asked) -> Callable[[], object]:
        return lambda: self.get(asked.question)


Made = Callable[[Model], Way]


@dataclass(frozen=True)
class Setting:
    """What caches are made with."""

    embed: Embed
    folder: Path
    redis: str | None
    """A server with a query engine."""


def ways(setting: Setting) -> dict[str, Made]:
    """Name the caches. Making one raises ImportError where it is not installed."""
    from langchain_core.caches import InMemoryCache

    from langchain_trimtab import TrimtabCache

    def semantic(max_error: float = 0.01) -> SemanticCache:
        return SemanticCache(setting.embed, max_error=max_error)

    return {
        "LangChain InMemoryCache": lambda model: LangChain(model, InMemoryCache()),
        "LangChain SQLiteCache": lambda model: LangChain(model, _sqlite(setting)),
        "GPTCache, similar": lambda model: _gptcache(model, setting),
        "RedisVL SemanticCache": lambda model: _redisvl(model, setting),
        "langchain-redis RedisSemanticCache": lambda model: LangChain(
            model, _langchain_redis(setting)
        ),
        "trimtab ExactCache": lambda model: LangChain(model, TrimtabCache()),
        "trimtab SemanticCache": lambda model: LangChain(model, TrimtabCache(semantic())),
        "trimtab SemanticCache, max_error 0.05": lambda model: LangChain(
            model, TrimtabCache(semantic(0.05))
        ),
        "trimtab SemanticCache, middleware": lambda model: Agent(model, semantic()),
    }


def versions() -> dict[str, str]:
    """Return what is installed of the packages that are compared."""
    found = {}
    for name in ("langchain-core", "langchain-community", "gptcache", "redisvl", "langchain-redis"):
        try:
            found[name] = version(name)
        except ImportError:
            found[name] = "not installed"
    return found


def _sqlite(setting: Setting) -> Any:
    from langchain_community.cache import SQLiteCache

    return SQLiteCache(str(setting.folder / f"{uuid.uuid4().hex}.db"))


def _gptcache(model: Model, setting: Setting) -> Text:
    from gptcache import Cache
    from gptcache.adapter.api import get, init_similar_cache, put

    class Embedding:
        dimension = 384

        def to_embeddings(self, data: str, **_: Any) -> Any:
            return np.asarray(setting.embed([data])[0])

    cache: Any = None

    def clear() -> None:
        nonlocal cache
        cache = Cache()
        folder = setting.folder / uuid.uuid4().hex
        init_similar_cache(str(folder), cache_obj=cache, embedding=Embedding())

    # It saves at the end of the process into folders that are gone by then.
    logging.getLogger(f"gptcache:{version('gptcache')}").setLevel(logging.CRITICAL)
    clear()
    return Text(
        model,
        lambda question: get(question, cache_obj=cache),
        lambda question, answer: put(question, answer, cache_obj=cache),
        clear,
    )


def _redisvl(model: Model, setting: Setting) -> Text:
    from redisvl.extensions.cache.llm import SemanticCache as Cache
    from redisvl.utils.vectorize import CustomVectorizer

    def embed(text: str, **_: Any) -> list[float]:
        return [float(number) for number in setting.embed([text])[0]]

    cache = Cache(
        f"c{uuid.uuid4().hex}",
        vectorizer=CustomVectorizer(embed=embed),
        redis_url=_server(setting),
    )

    def get(question: str) -> str | None:
        found = cache.check(question)
        return found[0]["response"] if found else None

    return Text(model, get, cache.store, cache.clear)


def _langchain_redis(setting: Setting) -> Any:
    from langchain_core.embeddings import Embeddings
    from langchain_redis import RedisSemanticCache

    class MiniLM(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(number) for number in vector] for vector in setting.embed(texts)]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    name = f"c{uuid.uuid4().hex}"
    return RedisSemanticCache(MiniLM(), redis_url=_server(setting), name=name, prefix=name)


def _server(setting: Setting) -> str:
    if setting.redis is None:
        raise ImportError("no Redis server with a query engine")
    return setting.redis
