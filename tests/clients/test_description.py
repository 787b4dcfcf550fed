"""The description of the callers' API against the gateway: properties of every door, tried by schemathesis."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.test_clients import PYTHON
from tests.fakes.caller import Caller
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.sdk

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"


def test_no_request_that_the_description_allows_or_forbids_is_answered_otherwise(
    served: Served, served_caller: Caller, upstream: FakeUpstream, tmp_path: Path
) -> None:
    upstream.distinct_ids = True  # odd cache keys pass as they are
    command = [
        *(
            str(PYTHON.with_name("schemathesis")),
            "run",
            f"{served_caller.url}/openapi.json",
            "--url",
            f"{served_caller.url}/v1",
        ),
        *("--header", f"Authorization: Bearer {served_caller.key}", "--checks", _CHECKS, "--phases", "coverage,fuzzing"),
        *("--max-examples", "5", "--seed", "6", "--no-color", "--workers", "1", "--generation-database", "none"),
        *("--exclude-operation-id", "connect", "--continue-on-failure", "--warnings", "off"),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [line for line in served.output if "Traceback" in line]
