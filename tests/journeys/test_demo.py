"""The demo as a newcomer sees it: one command, and the line that it prints works."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from floway.providers.codex.simulated.answers import LABEL
from tests.fakes.caller import Caller, text_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def printed(tmp_path: Path) -> Iterator[list[str]]:
    """The words of the line that the running demo prints."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_") and name != "DATABASE_URL"}
    environment = {**kept, "FLOWAY_DATA_DIR": str(tmp_path), "FLOWAY_BIND": f"127.0.0.1:{port}", "FLOWAY_WORKERS": "1"}
    command = [sys.executable, "manage.py", "demo"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        line = next((line for line in running.stdout if line.strip().startswith("curl ")), "")
        yield shlex.split(line)
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
        assert running.wait(30) == 0


def test_the_line_that_the_demo_prints_works_and_says_that_it_is_simulated(printed: list[str]) -> None:
    url, body = printed[2], printed[printed.index("-d") + 1]
    headers = dict(word.split(": ", 1) for word in printed if ": " in word and word != body)
    base, path = url[: url.index("/v1")], url[url.index("/v1") :]
    reply = Caller(base).send("POST", path, body.encode(), headers)
    assert reply.status == 200
    assert reply.events[-1]["type"] == "response.completed"
    assert LABEL in text_of(reply.events[-1]["response"])
