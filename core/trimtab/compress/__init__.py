"""Compressors shorten a text."""

from trimtab.compress.lossless import Lossless, restore

__all__ = ["Lossless", "restore"]
