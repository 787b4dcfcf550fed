"""The command line tool `llm`, with a model of its `extra-openai-models.yaml`."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from seeing import CALL_ADD, KEY, MODEL, URL, sees, tell

_home = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(_home)
_ABLE = ("supports_tools", "supports_schema", "can_stream", "responses")
_models = [
    {"model_id": name, "model_name": name, "api_base": URL, "api_key_name": "floway", **dict.fromkeys(_ABLE, True)}
    for name in (MODEL, "gpt-none")
]
(_home / "extra-openai-models.yaml").write_text(json.dumps(_models))  # JSON is YAML
(_home / "keys.json").write_text(json.dumps({"floway": KEY}))

import llm  # noqa: E402 - it reads the above
from click.testing import CliRunner  # noqa: E402 - likewise
from llm.cli import cli  # noqa: E402 - likewise


def said(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["prompt", *arguments], catch_exceptions=False)


@sees("create")
def create() -> None:
    assert "Hello" in said("-m", MODEL, "--no-stream", "Hello").output


@sees("stream")
def stream() -> None:
    assert len(list(llm.get_model(MODEL).prompt("Hello"))) > 3
    assert "Hello" in said("-m", MODEL, "Hello").output


@sees("structured")
def structured() -> None:
    assert json.loads(said("-m", MODEL, "--schema", "name, population int", "Paris").output) == {
        "name": "Paris",
        "population": 3,
    }


@sees("tools")
def tools() -> None:
    adding = 'def add(a: int, b: int) -> int:\n    "Add."\n    return a + b'
    assert "The tool answered: 5" in said("-m", MODEL, "--functions", adding, CALL_ADD).output


@sees("continue")
def go_on() -> None:
    said("-m", MODEL, "My name is Ada.")
    assert "My name is Ada." in said("-c", "And now?").output


@sees("errors")
def errors() -> None:
    refused = said("-m", "gpt-none", "x")
    assert refused.exit_code == 1
    assert "gpt-none" in refused.output


tell("llm")
