"""Whose calls these are, where a framework's interface has no place to say it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_tenant: ContextVar[str] = ContextVar("trimtab_tenant", default="")


@contextmanager
def tenant(name: str) -> Iterator[None]:
    """Make every call inside the `with` block, in this thread or task, one of this tenant.

    >>> from trimtab.tenant import current_tenant, tenant
    >>> with tenant("acme"):
    ...     current_tenant()
    'acme'
    """
    token = _tenant.set(name)
    try:
        yield
    finally:
        _tenant.reset(token)


def current_tenant() -> str:
    """Return the tenant of the innermost `with tenant(...)` block, or an empty string."""
    return _tenant.get()
