"""Caches remember answers."""
