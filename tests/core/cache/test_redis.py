"""The store in Redis: outages, servers that can do less, and what is other people's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import servers

import trimtab
from trimtab import Message, Pipeline, Request, Response
from trimtab.cache import ExactCache
from trimtab.cache.store import Near

redis = pytest.importorskip("redis")

from trimtab.cache.redis import RedisStore  # noqa: E402

EXACT, ENGINE, SETS = servers.EXACT, servers.ENGINE, servers.SETS
REQUEST = Request("gpt-4o", (Message("user", "How far is the moon?"),))
NEAR = Near("a", "?", np.ones(4, np.float32) / 2, 1.0)


@pytest.fixture
def store() -> Iterator[Any]:
    with servers.redis_store(EXACT) as store:
        yield store
        store.clear()


@pytest.fixture
def own() -> Iterator[servers.Server]:
    """A server that a test may kill."""
    server = servers.REDIS[EXACT]()
    yield server
    server.kill()


def url(server: servers.Server) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def test_a_cache_misses_while_the_server_is_down_and_hits_again_when_it_is_back(
    own: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(cache=ExactCache(RedisStore(url(own), timeout=5.0)))
    calls = []

    def ask() -> str:
        answer = Response(Message("assistant", "far"), finish_reason="stop")
        return pipeline.run(REQUEST, lambda request: calls.append(1) or answer).message.text

    assert [ask(), ask(), len(calls)] == ["far", "far", 1]
    own.kill()
    assert [ask(), ask(), len(calls)] == ["far", "far", 3]
    own.start()
    monkeypatch.setattr("trimtab.cache.outage.PAUSE", 0.0)
    assert [ask(), ask(), len(calls)] == ["far", "far", 4]


def test_a_server_that_says_nothing_is_given_up_and_then_left_alone(
    own: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(url(own), timeout=0.1)
    store.save("a", "x")
    own.freeze()
    for _ in range(3):
        with pytest.raises(redis.TimeoutError):
            store.load("a")
    with pytest.raises(ConnectionError, match="down a moment ago"):
        store.load("a")
    own.thaw()
    monkeypatch.setattr("trimtab.cache.outage.PAUSE", 0.0)
    assert store.load("a") == "x"


def test_a_server_that_was_restarted_is_connected_to_again(own: servers.Server) -> None:
    store = RedisStore(url(own), timeout=5.0)
    assert store.claim("a", "me", 10)
    own.kill()
    own.start()
    assert store.load("a") is None
    assert store.claim("a", "you", 10) and not store.claim("a", "me", 10)


def test_an_index_that_was_lost_is_made_again() -> None:
    server = servers.REDIS[ENGINE]()
    try:
        store = RedisStore(url(server), timeout=5.0)
        for _ in range(2):
            store.save("a", "x")
            store.place("p", NEAR)
            assert [near.key for near in store.nearest("p", NEAR.vector, 1)] == ["a"]
            server.kill()
            server.start()
            assert store.nearest("p", NEAR.vector, 1) == []
    finally:
        server.kill()


def test_a_server_without_vectors_says_what_is_missing_and_still_keeps_texts(store: Any) -> None:
    if b"vadd" in map(bytes.lower, store.client.command_list()):
        pytest.skip("this server has vector sets")
    store.save("a", "x")
    for _ in range(2):
        with pytest.raises(NotImplementedError, match="Redis 8"):
            store.place("p", NEAR)
        with pytest.raises(NotImplementedError, match="Redis 8"):
            store.nearest("p", NEAR.vector, 1)
    assert store.load("a") == "x"


def test_clearing_leaves_alone_what_is_not_its_own(store: Any) -> None:
    """Also where names start alike, or hold what would be a pattern."""
    link = url(servers.redis(EXACT))
    others = [f"{store.prefix}2", f"{store.prefix}:entry", f"{store.prefix}:", "[ab]*", "a"]
    stores = [store, *(RedisStore(link, prefix=name, timeout=5.0) for name in others)]
    store.client.set("mine", "x")
    for one in stores:
        one.clear()
        one.save("k", one.prefix)
    assert [one.load("k") for one in stores] == [one.prefix for one in stores]
    stores[-2].clear()
    store.clear()
    assert [one.load("k") for one in stores] == [None, *others[:3], None, "a"]
    assert store.client.get("mine") == b"x"
    store.client.delete("mine")


def test_clearing_removes_more_than_one_batch(store: Any) -> None:
    with store.client.pipeline(transaction=False) as pipeline:
        for i in range(2500):
            pipeline.hset(store._name("entry", f"{i}"), "text", "x")
        pipeline.execute()
    store.clear()
    assert not list(store.client.scan_iter(match=f"{store.prefix}*", count=1000))


def test_nothing_is_left_of_what_has_ended() -> None:
    """Members of a vector set have no end of their own."""
    with servers.redis_store(SETS) as store:
        store.save("a", "x", ttl=100)
        store.place("p", NEAR, ttl=100)
        store.save("b", "x", ttl=100)
        store.place("p", Near("b", "?", NEAR.vector, 1.0), ttl=50)
        ends = [store.client.pttl(name) for name in store.client.scan_iter(f"{store.prefix}::*")]
        assert len(ends) == 3 and min(ends) > 0 and max(ends) <= 100_000
        store.save("c", "x")
        store.place("p", Near("c", "?", NEAR.vector, 1.0))
        store.drop("a")
        store.drop("b")
        (members,) = store.client.scan_iter(f"{store.prefix}::near:*")
        assert store.client.pttl(members) == -1
        assert store.client.execute_command("VCARD", members) == 1
        store.drop("c")
        assert not list(store.client.scan_iter(f"{store.prefix}::*"))


def test_a_client_of_the_users_own_may_speak_either_protocol() -> None:
    for protocol in (2, 3):
        for kind in (ENGINE, SETS):
            client = redis.Redis(port=servers.redis(kind).port, protocol=protocol)
            with RedisStore(client, prefix=f"protocol {protocol}") as store:
                store.save("a", "x")
                store.place("p", NEAR)
                assert [near.key for near in store.nearest("p", NEAR.vector, 1)] == ["a"]
                store.clear()


def test_a_client_that_decodes_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses=False"):
        RedisStore(redis.Redis(decode_responses=True))


@pytest.mark.parametrize("settings", [{"prefix": ""}, {"prefix": "a::b"}, {"timeout": 0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RedisStore("redis://127.0.0.1:1/0", **settings)


def test_a_store_can_be_made_while_no_server_is_there() -> None:
    store = RedisStore("redis://127.0.0.1:1/0")
    with pytest.raises(redis.ConnectionError):
        store.load("a")


def test_without_its_package_it_says_how_to_get_it() -> None:
    core = str(Path(trimtab.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {core!r}); sys.modules['redis'] = None\n"
        "import trimtab.cache.redis"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'trimtab[redis]'" in done.stderr
