"""Pruners drop what need not be sent any more."""

from trimtab.prune.history import History

__all__ = ["History"]
