"""A store in a Redis server, for many machines."""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

try:
    from redis import BlockingConnectionPool, ConnectionError, Redis, TimeoutError
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImportError("a RedisStore needs redis-py: pip install 'trimtab[redis]'") from error

from trimtab.cache.outage import Outage
from trimtab.cache.redis_index import Index, detect
from trimtab.cache.store import Near

if TYPE_CHECKING:
    from trimtab.types import Vector

CONNECTIONS = 32
"""How many of them a process opens at most."""
QUEUE = 5.0
"""Seconds that a thread waits for one of them to be free."""
RETRIES = 2
"""How often a call is tried again whose connection broke, as all do when the server restarts."""
HEALTH = 30.0
"""Seconds after which an idle connection is tried before it is used."""
KINDS = ("entry", "lease", "near")
"""What the keys of a store are named after."""
BATCH = 1000
SPARE = 8
"""How many more than wanted are looked up, because some may have ended, and ranks are rough."""

CLAIM = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
PLACE = """
if redis.call('HEXISTS', KEYS[1], 'text') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'partition', ARGV[1], 'question', ARGV[2], 'note', ARGV[3],
    ARGV[4], ARGV[5])
local left = redis.call('PTTL', KEYS[1])
if ARGV[6] ~= '' and (left < 0 or left > tonumber(ARGV[6])) then
    redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
return 1"""


class RedisStore:
    """Keeps texts in Redis, Valkey, or what speaks like them, for processes on many machines.

    A text and all that goes with it are one hash, so that they end together. The server limits
    the room: set its `maxmemory` and a `maxmemory-policy` of the `allkeys` family. It evicts by
    its own rules, and what a text is worth is of no use to it.

    Questions are found by meaning with the server's query engine (Redis 8, Redis Stack), or else
    with its vector sets (Redis 8). A server that has neither still keeps texts.

    Args:
        client: A URL such as `redis://localhost:6379/0`, or a client of redis-py, which brings
            its own timeouts and retries, and must leave bytes alone (`decode_responses=False`).
        prefix: How all keys start. Stores with different prefixes do not see each other.
        timeout: Seconds that the server may take to answer.

    >>> from trimtab.cache import ExactCache, RedisStore
    >>> cache = ExactCache(RedisStore("redis://localhost:6379/0", prefix="answers"), ttl=3600)
    """

    def __init__(
        self,
        client: Redis | str = "redis://localhost:6379/0",
        *,
        prefix: str = "trimtab",
        timeout: float = 0.25,
    ) -> None:
        if timeout <= 0:
            raise ValueError(f"timeout must be positive, got {timeout}")
        if not prefix or "::" in prefix:
            raise ValueError(f"prefix must be a name without '::', got {prefix!r}")
        self.client: Any = _connected(client, timeout) if isinstance(client, str) else client
        if self.client.get_encoder().decode_responses:
            raise ValueError("texts are kept as bytes: give a client with decode_responses=False")
        self.prefix = prefix
        self._outage = Outage(ConnectionError, TimeoutError)
        self._claim = self.client.register_script(CLAIM)
        self._release = self.client.register_script(RELEASE)
        self._place = self.client.register_script(PLACE)
        self._detecting = threading.Lock()
        self._index: Index | None = None

    def load(self, key: str) -> str | None:
        """Return a text that has not ended."""
        with self._outage.watch():
            data = self.client.hget(self._name("entry", key), "text")
        return None if data is None else _text(data)

    def save(self, key: str, text: str, *, ttl: float | None = None, worth: float = 0.0) -> None:
        """Keep a text. Its vector, if it has one, stays."""
        name = self._name("entry", key)
        with self._outage.watch(), self.client.pipeline(transaction=True) as pipeline:
            pipeline.hset(name, "text", _bytes(text))
            if ttl is None:
                pipeline.persist(name)
            else:
                pipeline.pexpire(name, _milliseconds(ttl))
            pipeline.execute()

    def drop(self, key: str) -> None:
        """Forget a key and its vector."""
        name = self._name("entry", key)
        with self._outage.watch(), self.client.pipeline(transaction=True) as pipeline:
            pipeline.hget(name, "partition")
            pipeline.delete(name)
            tag = pipeline.execute()[0]
            if tag is not None:
                self._vectors().forget(tag.decode(), [_bytes(key)])

    def clear(self) -> None:
        """Forget everything under the prefix, and nothing else."""
        for kind in KINDS:
            pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", self._name(kind, "")) + b"*"
            with self._outage.watch():
                for names in _batches(self.client.scan_iter(match=pattern, count=BATCH)):
                    with self.client.pipeline(transaction=False) as pipeline:
                        for name in names:
                            pipeline.unlink(name)
                        pipeline.execute()

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Take a lease for all processes that use the server, by the server's clock."""
        with self._outage.watch():
            args: list[Any] = [owner, _milliseconds(seconds)]
            return bool(self._claim(keys=[self._name("lease", key)], args=args))

    def release(self, key: str, owner: str) -> None:
        """Give a lease back."""
        with self._outage.watch():
            self._release(keys=[self._name("lease", key)], args=[owner])

    def place(self, partition: str, near: Near, *, ttl: float | None = None) -> None:
        """Make a text that is kept findable. The text ends with it, if it would not end before."""
        index, tag, data = self._vectors(), _tag(partition, near.vector), _packed(near.vector)
        name, field = self._name("entry", near.key), _field(near.vector)
        ends: int | str = "" if ttl is None else _milliseconds(ttl)
        with self._outage.watch():
            index.prepare(len(near.vector))
            args: list[Any] = [tag, _bytes(near.question), near.note, field, data, ends]
            if self._place(keys=[name], args=args):
                index.place(tag, _bytes(near.key), data, ends)

    def nearest(self, partition: str, vector: Vector, count: int) -> list[Near]:
        """Return up to so many questions of a partition, the nearest first."""
        index, tag, asked = self._vectors(), _tag(partition, vector), count + SPARE
        while True:
            with self._outage.watch():
                keys = index.find(tag, _packed(vector), asked)
                found = self._fetch(tag, vector, keys)
                if gone := [key for key in keys if key not in found]:
                    index.forget(tag, gone)
            if len(found) >= count or len(keys) < asked:
                nears = sorted(found.values(), key=lambda near: -near.similarity)
                return nears[:count]
            asked *= 2

    def close(self) -> None:
        """Close all connections. The next call opens new ones."""
        self.client.close()

    def __enter__(self) -> RedisStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _name(self, kind: str, key: str | bytes) -> bytes:
        data = key if isinstance(key, bytes) else _bytes(key)
        return _bytes(f"{self.prefix}::{kind}:") + data

    def _vectors(self) -> Index:
        """Find out what the server has, once it is needed, and when it is there."""
        with self._detecting, self._outage.watch():
            if self._index is None:
                self._index = detect(self.client, self._name)
            return self._index

    def _fetch(self, tag: str, vector: Vector, keys: list[bytes]) -> dict[bytes, Near]:
        """Read what is still there, and still in its partition."""
        if not keys:
            return {}
        with self.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                fields = ["partition", "question", "note", _field(vector)]
                pipeline.hmget(self._name("entry", key), fields)
            rows = pipeline.execute()
        return {
            key: _near(key, row[1:], vector)
            for key, row in zip(keys, rows, strict=True)
            if row[0] == tag.encode() and row[3] is not None
        }


def _connected(url: str, timeout: float) -> Redis:
    # Not for timeouts, because who waited once for nothing has waited enough.
    retry = Retry(ExponentialBackoff(cap=0.05, base=0.01), RETRIES, (ConnectionError,))
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=QUEUE,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=HEALTH,
        retry=retry,
    )
    return Redis(connection_pool=pool)


def _near(key: bytes, row: list[bytes], vector: Vector) -> Near:
    import numpy as np

    question, note, data = row
    kept = np.frombuffer(data, dtype="<f4")
    return Near(_text(key), _text(question), kept, float(kept @ vector), note)


def _tag(partition: str, vector: Vector) -> str:
    """Name a partition so that nothing needs to be escaped, and only like vectors are compared."""
    return hashlib.blake2b(_bytes(f"{len(vector)} {partition}"), digest_size=20).hexdigest()


def _field(vector: Vector) -> str:
    return f"vector{len(vector)}"


def _packed(vector: Vector) -> bytes:
    return vector.astype("<f4").tobytes()


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))


def _batches(names: Iterable[bytes]) -> Iterable[list[bytes]]:
    batch: list[bytes] = []
    for name in names:
        batch.append(name)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _bytes(text: str) -> bytes:
    # Texts cut in the middle of an emoji hold half of a pair, which UTF-8 proper refuses.
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
