"""The official command line client against a served gateway, in a network namespace with loopback alone: it calls home.

`FLOWAY_TEST_CODEX_BIN` names the client's executable.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.caller import Caller
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.cli

CONFIG = """
model = "gpt-5.5"
model_provider = "floway"
sandbox_mode = "{sandbox}"
approval_policy = "never"
check_for_update_on_startup = false

[model_providers.floway]
name = "Floway"
base_url = "{url}/v1"
env_key = "FLOWAY_KEY"
wire_api = "responses"

[analytics]
enabled = false
"""


class Client:
    """The client with a home and a project of its own."""

    def __init__(self, executable: str, caller: Caller, home: Path) -> None:
        self._executable = executable
        self._home = home / "home"
        self._project = home / "project"
        self._home.mkdir()
        self._project.mkdir()
        (self._home / "config.toml").write_text(CONFIG.format(url=caller.url, sandbox="danger-full-access"))
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CODEX_HOME": str(self._home),
            "FLOWAY_KEY": caller.key,
            "NO_PROXY": "*",
        }

    def run(self, *arguments: str) -> list[Any]:
        """Run it; what it printed as JSON lines."""
        command = [self._executable, "exec", *arguments]
        where: Any = {"cwd": self._project, "env": self._environment, "stdin": subprocess.DEVNULL}
        done = subprocess.run(command, **where, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def client(executable: str, served_caller: Caller, tmp_path: Path) -> Client:
    return Client(executable, served_caller, tmp_path)


def said(events: list[Any]) -> str:
    return "\n".join(event["item"].get("text", "") for event in events if event["type"] == "item.completed")


def test_two_turns_with_a_tool_between_hold_one_conversation(client: Client, served: Served, upstream: FakeUpstream) -> None:
    command = json.dumps({"cmd": "echo canary-$((40 + 2))"})
    first = client.run("--json", "--skip-git-repo-check", f"call exec_command with {command}")
    assert "The tool answered:" in said(first)
    assert "canary-42" in json.dumps(upstream.bodies[1]["input"][-1])
    second = client.run("resume", "--last", "--json", "--skip-git-repo-check", "What did I ask before?")
    assert "call exec_command" in said(second)
    turns = upstream.turns
    assert len(turns) == 3
    assert len({request.header("session-id") for request in turns}) == 1
    assert {request.header("x-codex-window-id") for request in turns} == {f"{turns[0].header('session-id')}:0"}
    turn_ids = [body["client_metadata"]["turn_id"] for body in upstream.bodies]
    assert turn_ids[0] == turn_ids[1] != turn_ids[2]
    rows = served.ask("list(Exchange.objects.order_by('-pk').values_list('status', 'conversation_id')[:3])")
    assert rows.count("completed") == 3


def test_what_the_client_says_of_itself_leaves_the_gateway_unchanged(client: Client, upstream: FakeUpstream) -> None:
    client.run("--json", "--skip-git-repo-check", "hello")
    request = upstream.turns[0]
    assert request.header("originator") == "codex_exec"
    assert (request.header("user-agent") or "").startswith(f"codex_exec/{request.header('version')} (")
    metadata = json.loads(request.header("x-codex-turn-metadata") or "")
    assert (metadata["turn_trigger"], metadata["history_initialization"]) == ("exec", "new")
    assert request.header("x-codex-beta-features") == "remote_compaction_v2"


def test_a_spent_budget_ends_the_client_at_once_and_says_until_when(
    client: Client, served: Served, upstream: FakeUpstream
) -> None:
    client._environment["FLOWAY_KEY"] = served.manage("issue_key", "spent", "--requests", "1/month").splitlines()[-1]
    client.run("--json", "--skip-git-repo-check", "hello")
    with pytest.raises(AssertionError, match=r"usage limit\. Try again at .* 12:00"):
        client.run("--json", "--skip-git-repo-check", "hello")
    assert len(upstream.turns) == 1


def test_a_refused_key_ends_the_client_at_once(client: Client, upstream: FakeUpstream) -> None:
    client._environment["FLOWAY_KEY"] = "fw_unknown"
    with pytest.raises(AssertionError, match="API key is not valid"):
        client.run("--json", "--skip-git-repo-check", "hello")
    assert upstream.turns == []
