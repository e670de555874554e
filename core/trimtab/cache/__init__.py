"""Caches remember answers."""

from trimtab.cache.exact import ExactCache
from trimtab.cache.memory import MemoryStore
from trimtab.cache.sqlite import SqliteStore
from trimtab.cache.stats import Stats
from trimtab.cache.tags import tagged

__all__ = ["ExactCache", "MemoryStore", "SqliteStore", "Stats", "tagged"]
