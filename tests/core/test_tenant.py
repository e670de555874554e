"""The context variable that names a tenant."""

from __future__ import annotations

import asyncio

import pytest

from trimtab.tenant import current_tenant, tenant


def test_calls_belong_to_the_innermost_tenant() -> None:
    assert current_tenant() == ""
    with tenant("acme"):
        with tenant("acme-labs"):
            assert current_tenant() == "acme-labs"
        assert current_tenant() == "acme"
    assert current_tenant() == ""


def test_an_error_leaves_the_tenant_behind() -> None:
    with pytest.raises(RuntimeError), tenant("acme"):
        raise RuntimeError
    assert current_tenant() == ""


async def test_tasks_do_not_see_each_others_tenants() -> None:
    async def work(name: str) -> str:
        with tenant(name):
            await asyncio.sleep(0)
            return current_tenant()

    assert await asyncio.gather(work("one"), work("two")) == ["one", "two"]
