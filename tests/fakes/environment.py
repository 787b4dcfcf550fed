"""The environment that the tests run the gateway in: set before Django reads it, and pointing at loopback alone.

`DATABASE_URL` may come from outside, so that the same tests run on PostgreSQL.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile

UPSTREAM_LISTENER = socket.create_server(("127.0.0.1", 0))
"""Bound before the settings are read, because they hold its port; the session's fake upstream listens on it."""

UPSTREAM_ROOT = f"http://127.0.0.1:{UPSTREAM_LISTENER.getsockname()[1]}"


def upstream_variables(root: str) -> dict[str, str]:
    """What points a gateway at a fake upstream under `root`."""
    return {"FLOWAY_CODEX_BASE_URL": f"{root}/backend-api", "FLOWAY_CODEX_AUTH_URL": root}


def prepare() -> None:
    """Set what the settings read; a data directory of our own goes when the tests end."""
    for name in [name for name in os.environ if name.startswith("FLOWAY_") and not name.startswith("FLOWAY_TEST_")]:
        del os.environ[name]
    data = tempfile.mkdtemp(prefix="floway-tests-")
    atexit.register(shutil.rmtree, data, ignore_errors=True)
    atexit.register(UPSTREAM_LISTENER.close)
    os.environ.update(upstream_variables(UPSTREAM_ROOT))
    os.environ["FLOWAY_DATA_DIR"] = data
    os.environ["FLOWAY_LOG_LEVEL"] = "DEBUG"
    os.environ["DJANGO_SETTINGS_MODULE"] = "floway.settings"
