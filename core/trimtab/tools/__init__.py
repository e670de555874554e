"""What a model is told about its tools."""

from trimtab.tools.schema import ShortenTools, shorten

__all__ = ["ShortenTools", "shorten"]
