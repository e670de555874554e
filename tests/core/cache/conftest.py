from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import servers


@pytest.fixture(scope="session", autouse=True)
def servers_end() -> Iterator[None]:
    """Stop the servers that tests have started."""
    yield
    servers.stop_all()
