"""LangChain's own suites over every store, with both tiers. A new store adds a line to STORES."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_trimtab import TrimtabCache
from trimtab.cache import ExactCache, MemoryStore, SqliteStore
from trimtab.cache.semantic import SemanticCache
from trimtab.embed import Hashed

sys.path.insert(0, str(Path(__file__).parents[2] / "core" / "cache"))

from servers import ENGINE, EXACT, SETS, postgres_store, redis_store, stop_all

STORES: dict[str, Callable[[Path], Any]] = {
    "memory": lambda path: MemoryStore(),
    "a dict": lambda path: {},
    "sqlite": lambda path: SqliteStore(path / "cache.db"),
    EXACT: lambda path: redis_store(EXACT),
    ENGINE: lambda path: redis_store(ENGINE),
    SETS: lambda path: redis_store(SETS),
    "postgres": lambda path: postgres_store(),
}
TIERS: dict[str, Callable[[Any], ExactCache]] = {
    "exact": ExactCache,
    "semantic": lambda store: SemanticCache(Hashed(), store=store),
}
COMBINATIONS = [
    (store, tier) for tier in TIERS for store in STORES if (store, tier) != (EXACT, "semantic")
]


@pytest.fixture(scope="session", autouse=True)
def servers_end() -> Iterator[None]:
    """Stop the servers that tests have started."""
    yield
    stop_all()


@pytest.fixture(params=COMBINATIONS, ids=lambda pair: f"{pair[1]} over {pair[0]}")
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCache]:
    kind, tier = request.param
    store = STORES[kind](tmp_path)
    yield TrimtabCache(TIERS[tier](store))
    store.clear()
    if hasattr(store, "close"):
        store.close()


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, stored: BaseCache) -> BaseCache:
        return stored


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, stored: BaseCache) -> AsyncIterator[BaseCache]:
        yield stored


def test_no_store_failed_silently(stored: TrimtabCache) -> None:
    """A store that is down is a miss, which some tests of the suites take for a success."""
    first = TestSync()
    first.test_update_cache(stored)
    first.test_clear_cache(stored)
    assert stored.failures == 0
    assert getattr(stored.cache, "failures", 0) == 0
