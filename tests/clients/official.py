"""The official command line client, configured in each way in which it may speak to a gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.caller import Caller
from tests.fakes.tokens import document

_ALWAYS = """
model = "{model}"
sandbox_mode = "danger-full-access"
approval_policy = "never"
check_for_update_on_startup = false
{more}
[analytics]
enabled = false
"""
_PROVIDER = """
model_provider = "floway"
chatgpt_base_url = "{url}/backend-api"
{top}
[model_providers.floway]
name = "{name}"
base_url = "{url}{path}"
wire_api = "responses"
{more}
"""


def provider(more: str, *, name: str = "Floway", path: str = "/v1", top: str = "") -> str:
    """A provider entry of the client's configuration, `{url}` still open."""
    return _PROVIDER.replace("{more}", more).replace("{name}", name).replace("{path}", path).replace("{top}", top)


def logged_in_with_key(key: str) -> Any:
    """What `codex login --with-api-key` leaves."""
    return {"OPENAI_API_KEY": key}


def signed_in(key: str) -> Any:
    """A sign-in whose access token is the gateway's key."""
    login = json.loads(document())
    return {**login, "tokens": {**login["tokens"], "access_token": key}}


@dataclass(frozen=True)
class Setup:
    """One way of configuring the client.

    :param login: what stands in its auth.json, by the gateway's key. :param socket: it opens a WebSocket.
    """

    config: str
    login: Callable[[str], Any] | None = None
    socket: bool = False


ENV_KEY = 'env_key = "FLOWAY_KEY"'
SOCKETS = "supports_websockets = true"
AUTH = "requires_openai_auth = true"

SETUPS = {
    "env_key": Setup(provider(ENV_KEY)),
    "supports_websockets": Setup(provider(f"{ENV_KEY}\n{SOCKETS}"), socket=True),
    "requires_openai_auth, key": Setup(provider(AUTH), logged_in_with_key),
    "requires_openai_auth, signed in": Setup(provider(AUTH), signed_in),
    "named OpenAI": Setup(provider(f"{AUTH}\n{SOCKETS}", name="OpenAI"), signed_in, socket=True),
    "named OpenAI, HTTP": Setup(provider(AUTH, name="OpenAI"), signed_in),
    "openai_base_url": Setup('openai_base_url = "{url}/v1"', logged_in_with_key, socket=True),
    "as if signed in": Setup('openai_base_url = "{url}/v1"\nchatgpt_base_url = "{url}/backend-api"', signed_in, socket=True),
    "backend-api": Setup(provider(f"{AUTH}\n{SOCKETS}", path="/backend-api/codex"), signed_in, socket=True),
}


class Client:
    """The client with a home and a project of its own."""

    def __init__(
        self, executable: str, caller: Caller, home: Path, setup: Setup, *, model: str = "gpt-5.5", top: str = ""
    ) -> None:
        self._executable = executable
        self._home, self.project = home / "home", home / "project"
        self._home.mkdir(parents=True)
        self.project.mkdir()
        config = _ALWAYS.replace("{model}", model).replace("{more}", top + setup.config).replace("{url}", caller.url)
        (self._home / "config.toml").write_text(config)
        if setup.login is not None:
            (self._home / "auth.json").write_text(json.dumps(setup.login(caller.key)))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CODEX_HOME": str(self._home),
            "FLOWAY_KEY": caller.key,
            "NO_PROXY": "*",
        }

    def run(self, *arguments: str) -> list[Any]:
        """Run it; what it printed as JSON lines."""
        command = [self._executable, "exec", *arguments, "--json", "--skip-git-repo-check"]
        where: Any = {"cwd": self.project, "env": self.environment, "stdin": subprocess.DEVNULL}
        done = subprocess.run(command, **where, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def said(events: list[Any]) -> str:
    """What the client showed."""
    return "\n".join(event["item"].get("text", "") for event in events if event["type"] == "item.completed")


def thread_of(events: list[Any]) -> str:
    """The thread that a run was."""
    return next(str(event["thread_id"]) for event in events if event["type"] == "thread.started")
