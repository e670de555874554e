"""Compressors shorten a text; `Compress` applies one to the messages of a request."""

from trimtab.compress.lossless import Lossless, restore
from trimtab.compress.repeats import Repeats
from trimtab.compress.step import Compress

__all__ = ["Compress", "Lossless", "Repeats", "restore"]
