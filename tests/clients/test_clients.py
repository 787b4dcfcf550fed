"""Clients and frameworks that people use, against a served gateway: what they are seen to do is the table in the docs.

A program runs its checks in order and tells their outcome as one line of JSON. The first request of each meets a rate limit, so
that a client that does not try again fails its first check.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import faults
from tests.fakes.caller import Caller
from tests.fakes.served import ROOT, Served
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.sdk

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-clients/bin/python"
PROGRAMS = {
    "openai-node": ["node", "js/openai_node.mjs"],
    "OpenAI Agents SDK (JS)": ["node", "js/agents_sdk.mjs"],
    "Vercel AI SDK": ["node", "js/vercel.mjs"],
    "OpenAI Agents SDK (Python)": [os.environ.get("FLOWAY_TEST_CLIENTS_PYTHON", str(PYTHON)), "python/agents_sdk.py"],
    "LangChain ChatOpenAI": [os.environ.get("FLOWAY_TEST_CLIENTS_PYTHON", str(PYTHON)), "python/langchain_client.py"],
    "pydantic-ai": [os.environ.get("FLOWAY_TEST_CLIENTS_PYTHON", str(PYTHON)), "python/pydantic_ai_client.py"],
    "llm": [os.environ.get("FLOWAY_TEST_CLIENTS_PYTHON", str(PYTHON)), "python/llm_client.py"],
}


def documented(client: str) -> tuple[str, list[str]]:
    """The version and the columns of a client's row in the compatibility table that say yes."""
    lines = (ROOT / "docs/clients.md").read_text().splitlines()
    table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if re.match(r"\| (client|[^|]+) \| ", line)]
    columns = next(row for row in table if row[:2] == ["client", "version"])
    row = next(row for row in table if row[0] == client)
    return row[1], [column for column, cell in zip(columns[2:], row[2:], strict=True) if cell == "yes"]


@pytest.mark.parametrize("client", PROGRAMS)
def test_a_client_does_what_the_table_says_of_it(
    client: str, served: Served, served_caller: Caller, upstream: FakeUpstream, tmp_path: Path
) -> None:
    upstream.script(faults.rate_limited(1))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "FLOWAY_URL": served_caller.url,
        "FLOWAY_KEY": served_caller.key,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "*",
    }
    done = subprocess.run(PROGRAMS[client], cwd=HERE, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    told: Any = json.loads(done.stdout.splitlines()[-1])
    assert told["failed"] == {}, "\n".join(told["failed"].values())
    assert (told["version"], told["did"]) == documented(client)
    assert not [line for line in served.output if "Traceback" in line]
