"""The official command line client, where it may run: in a network namespace with loopback alone, because it calls home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def executable() -> str:
    """Its path, from FLOWAY_TEST_CODEX_BIN."""
    named = os.environ.get("FLOWAY_TEST_CODEX_BIN")
    assert named, "set FLOWAY_TEST_CODEX_BIN to the official client's executable"
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    assert not routes, "this test runs in a network namespace with loopback alone: `make test-cli`"
    return named
