"""The gateway without its real provider: it starts and serves with one that shares no word with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from floway.providers.contract import ResponsesProvider
from tests.fakes.caller import text_of
from tests.fakes.echo import EchoProvider

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["FLOWAY_DATA_DIR"] = str(tmp_path_factory.mktemp("standalone"))
    command = [sys.executable, "-m", "tests.fakes.standalone"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_echo_provider_speaks_the_contract() -> None:
    assert isinstance(EchoProvider("echo"), ResponsesProvider)


def test_it_answers_without_the_real_provider(answers: Any) -> None:
    assert answers["first"]["status"] == "completed"
    assert "in 0 heard 1" in text_of(answers["first"])


def test_it_continues_in_the_providers_own_scope(answers: Any) -> None:
    room = text_of(answers["first"]).split()[0]
    assert text_of(answers["second"]).startswith(f"{room} in 0 heard 3")
    assert answers["told"]["x-floway-dropped-parameters"] == "user"


def test_it_streams_without_the_real_provider(answers: Any) -> None:
    kinds = [event["type"] for event in answers["events"]]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_it_lists_the_providers_models(answers: Any) -> None:
    assert answers["models"] == {
        "object": "list",
        "data": [{"id": "echo", "object": "model", "created": 0, "owned_by": "nobody"}],
    }
