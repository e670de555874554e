"""Where a request's tokens go."""

from __future__ import annotations

from collections.abc import Mapping

from trimtab.types import Counter, Request


def components(request: Request, count: Counter) -> Mapping[str, int]:
    """Count tokens by component."""
    return {}
