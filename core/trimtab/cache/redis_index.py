"""The two ways in which a Redis server finds vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redis import ResponseError

EFFORT = 100
"""How many candidates a search in a graph keeps; one in a partition smaller than that is exact."""
QUERY = "(@partition:{{{tag}}})=>[KNN $count @vector{size} $vector EF_RUNTIME $effort]"
ADD = """
local fresh = redis.call('EXISTS', KEYS[1]) == 0
redis.call('VADD', KEYS[1], 'FP32', ARGV[1], ARGV[2])
if ARGV[3] == '' then
    redis.call('PERSIST', KEYS[1])
elseif fresh then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
    redis.call('PEXPIRE', KEYS[1], ARGV[3], 'GT')
end"""
"""A set ends with the last of its members, which would otherwise stay where nobody looks."""

Name = Callable[[str, "str | bytes"], bytes]
"""Makes the server's key out of its kind and a key of ours."""


class Index(Protocol):
    """Finds keys by vectors in a partition; some of those found may be gone."""

    def prepare(self, size: int) -> None:
        """Make it ready for vectors of so many numbers."""

    def place(self, tag: str, key: bytes, vector: bytes, ends: int | str) -> None:
        """Add a key whose entry was just written."""

    def find(self, tag: str, vector: bytes, count: int) -> list[bytes]:
        """Return the nearest keys of a partition. Fewer than asked for means that these are all."""

    def forget(self, tag: str, keys: Sequence[bytes]) -> None:
        """Remove keys whose entries are gone."""


def detect(client: Any, name: Name) -> Index:
    """Choose by what the server has.

    Raises:
        NotImplementedError: It has neither.
    """
    if _knows(client, "FT._LIST"):
        return QueryEngine(client, name)
    if _knows(client, "VCARD", name("near", "")):
        return VectorSets(client, name)
    raise NotImplementedError(
        "this server cannot find vectors: a semantic cache needs Redis 8 or newer, Redis Stack,"
        " or Valkey with its search module; an exact one does not"
    )


class QueryEngine:
    """One index for each size of vectors. Hashes come and go in it by themselves."""

    def __init__(self, client: Any, name: Name) -> None:
        self.client = client
        self.name = name
        self._ready: set[int] = set()

    def prepare(self, size: int) -> None:
        """Create the index, unless this process knows that it is there."""
        if size not in self._ready:
            self._create(size)
            self._ready.add(size)

    def place(self, tag: str, key: bytes, vector: bytes, ends: int | str) -> None:
        """Leave it to the server, which saw the hash."""

    def find(self, tag: str, vector: bytes, count: int) -> list[bytes]:
        """Search inside the partition."""
        try:
            return self._find(tag, vector, count)
        except ResponseError:
            # A server that lost its data lost the index, too.
            if not self._create(len(vector) // 4):
                raise
            return self._find(tag, vector, count)

    def forget(self, tag: str, keys: Sequence[bytes]) -> None:
        """Leave it to the server, which saw the hash go."""

    def _find(self, tag: str, vector: bytes, count: int) -> list[bytes]:
        size = len(vector) // 4
        query = QUERY.format(tag=tag, size=size)
        values = ("count", count, "vector", vector, "effort", max(EFFORT, count))
        reply = self.client.execute_command(
            *("FT.SEARCH", self._index(size), query, "NOCONTENT", "LIMIT", 0, count),
            *("PARAMS", len(values), *values, "DIALECT", 2),
        )
        skipped = len(self.name("entry", ""))
        return [name[skipped:] for name in _names(reply)]

    def _create(self, size: int) -> bool:
        """Create the index; False if it is there already."""
        settings = ("TYPE", "FLOAT32", "DIM", size, "DISTANCE_METRIC", "COSINE")
        try:
            self.client.execute_command(
                *("FT.CREATE", self._index(size), "ON", "HASH", "PREFIX", 1),
                *(self.name("entry", ""), "SCHEMA", "partition", "TAG"),
                *(f"vector{size}", "VECTOR", "HNSW", len(settings), *settings),
            )
        except ResponseError as error:
            if "exists" not in str(error):
                raise
            return False
        return True

    def _index(self, size: int) -> bytes:
        return self.name("index", f"{size}")


class VectorSets:
    """One set of vectors for each partition."""

    def __init__(self, client: Any, name: Name) -> None:
        self.client = client
        self.name = name
        self._add = client.register_script(ADD)

    def prepare(self, size: int) -> None:
        """Do nothing: sets are created when they are filled."""

    def place(self, tag: str, key: bytes, vector: bytes, ends: int | str) -> None:
        """Add a key to the set."""
        self._add(keys=[self.name("near", tag)], args=[vector, key, ends])

    def find(self, tag: str, vector: bytes, count: int) -> list[bytes]:
        """Search in the set."""
        settings = ("COUNT", count, "EF", max(EFFORT, count))
        command = ("VSIM", self.name("near", tag), "FP32", vector, *settings)
        return list(self.client.execute_command(*command))

    def forget(self, tag: str, keys: Sequence[bytes]) -> None:
        """Remove keys from the set."""
        with self.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.execute_command("VREM", self.name("near", tag), key)
            pipeline.execute()


def _knows(client: Any, *command: str | bytes) -> bool:
    try:
        client.execute_command(*command)
    except ResponseError as error:
        if "unknown command" not in str(error):
            raise
        return False
    return True


def _names(reply: Any) -> list[bytes]:
    """Read the names out of a reply, whose shape depends on the version of the protocol."""
    if isinstance(reply, dict):
        return [result[b"id"] for result in reply[b"results"]]
    return list(reply[1:])
