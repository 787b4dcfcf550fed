"""The official client signs in at the simulated auth server, and the gateway after it: they send the same."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from floway.providers import registry
from floway.providers.contract import Grant
from tests.fakes.tokens import ALICE
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.cli


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and no browser."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CODEX_HOME": str(tmp_path), "BROWSER": "true", "NO_PROXY": "*"}


def sent(upstream: FakeUpstream) -> list[Any]:
    """Method, path, header lines and body of each request, with what is made up per sign-in taken out."""
    found = []
    for request in upstream.requests:
        body = re.sub(r'(code|code_verifier)=[^&"]+', r"\1=…", request.body.decode())
        body = re.sub(r"deviceauth_[0-9a-f]+|[0-9A-F]{4}-[0-9A-F]{6}", "…", body)
        lines = [(name.lower(), value) for name, value in request.headers if name.lower() != "content-length"]
        found.append((request.method, request.target, lines, body))
    upstream.requests.clear()
    return found


def test_a_sign_in_with_a_code_sends_what_the_official_client_sends(
    executable: str, environment: dict[str, str], upstream: FakeUpstream
) -> None:
    upstream.authority.login, upstream.authority.consenting = ALICE, True
    command = [executable, "login", "--device-auth", "--experimental_issuer", upstream.url]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = sent(upstream)
    provider = registry.get("codex")
    start = provider.begin_sign_in("device", None, os.urandom)
    grant = provider.finish_sign_in("device", start.state, None)
    assert isinstance(grant, Grant)
    assert grant.email == ALICE.email
    assert sent(upstream) == theirs
    assert len(theirs) == 3


def test_the_link_is_the_official_clients_but_for_what_is_meant(executable: str, environment: dict[str, str]) -> None:
    output: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([executable, "login"], env=environment, stdin=subprocess.DEVNULL, **output) as process:
        assert process.stdout is not None
        link = next(line.strip() for line in process.stdout if "/oauth/authorize?" in line)
        process.terminate()
    theirs = parse_qsl(urlsplit(link).query)
    provider = registry.get("codex")
    method = provider.sign_in_methods()[0]
    ours = parse_qsl(urlsplit(provider.begin_sign_in(method.slug, method.redirect_uri, os.urandom).url).query)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    different = {name for (name, ours_value), (_, value) in zip(ours, theirs, strict=True) if ours_value != value}
    assert different == {"code_challenge", "state", "scope"}
    assert {len(value) for name, value in [*ours, *theirs] if name in {"code_challenge", "state"}} == {43}
    assert set(dict(ours)["scope"].split()) < set(dict(theirs)["scope"].split())
