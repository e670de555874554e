"""Caches remember answers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimtab.cache.exact import ExactCache
from trimtab.cache.memory import MemoryStore
from trimtab.cache.sqlite import SqliteStore
from trimtab.cache.stats import Stats
from trimtab.cache.tags import tagged

if TYPE_CHECKING:
    from trimtab.cache.calibrate import Calibration
    from trimtab.cache.postgres import PostgresStore
    from trimtab.cache.redis import RedisStore
    from trimtab.cache.semantic import SemanticCache
    from trimtab.cache.verify import same_answer

__all__ = [
    "Calibration",
    "ExactCache",
    "MemoryStore",
    "PostgresStore",
    "RedisStore",
    "SemanticCache",
    "SqliteStore",
    "Stats",
    "same_answer",
    "tagged",
]
_HOMES = {
    "Calibration": "calibrate",
    "PostgresStore": "postgres",
    "RedisStore": "redis",
    "SemanticCache": "semantic",
    "same_answer": "verify",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: they need numpy, or the driver of a database.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
