"""Caches remember answers."""

from trimtab.cache.exact import ExactCache, Stats

__all__ = ["ExactCache", "Stats"]
