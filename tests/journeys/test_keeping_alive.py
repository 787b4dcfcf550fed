"""Through the shipped server: a login is kept alive without a call, and wrong keys stop the start."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import pytest

from floway.providers.codex.simulated.http import Exchange
from tests.conftest import _database_of_its_own
from tests.fakes.caller import Caller
from tests.fakes.served import ROOT, Served
from tests.fakes.tokens import ALICE, document
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import until


@pytest.fixture
def alone(upstream: FakeUpstream, tmp_path: Path) -> Iterator[Served]:
    """A served gateway with a login that ends in a minute."""
    variables = {"FLOWAY_MAINTENANCE_SECONDS": "1", "FLOWAY_WORKERS": "2", **_database_of_its_own("alone")}
    running = Served(tmp_path, upstream.url, **variables)
    running.start()
    yield running
    running.stop()


def wait_for(running: Served, expression: str, value: str) -> None:
    until(lambda: running.ask(expression) == value)


def test_the_server_keeps_a_login_alive_without_a_call(alone: Served, upstream: FakeUpstream) -> None:
    soon = int(datetime.now(UTC).timestamp()) + 50
    alone.manage("import_credential", "-", stdin=document(expires_at=soon))
    far = "CredentialTokens.objects.filter(access_expires_at__gt=timezone.now() + timedelta(days=1), lease_until=None).count()"
    wait_for(alone, far, "1")
    wait_for(alone, "Upkeep.objects.exclude(ran_at=None).count()", "1")
    assert upstream.exchanges == [ALICE.refresh_token(0)]
    caller = Caller(alone.url, alone.manage("issue_key", "k").splitlines()[-1])
    assert caller.say("hello").status == 200
    assert upstream.exchanges == [ALICE.refresh_token(0)]


def test_a_server_with_a_wrong_key_does_not_start(alone: Served) -> None:
    for name, value in (
        ("FLOWAY_ENCRYPTION_KEYS", "k1:" + base64.b64encode(os.urandom(32)).decode()),
        ("FLOWAY_LOOKUP_KEY", base64.b64encode(os.urandom(32)).decode()),
    ):
        command = [sys.executable, "manage.py", "serve", "--migrate"]
        environment = {**alone.environment, name: value}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, text=True)
        assert done.returncode != 0
        assert name in done.stderr
        assert "Restore the secrets" in done.stderr


def test_a_server_that_is_told_to_end_finishes_an_exchange_that_is_under_way(
    upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C cuts the caller's request off, and not the exchange that it had begun."""
    arrived, go_on = threading.Event(), threading.Event()
    answer = upstream._token

    def slowly(exchange: Exchange) -> None:
        arrived.set()
        assert go_on.wait(60)
        answer(exchange)

    monkeypatch.setattr(upstream, "_token", slowly)
    variables = {"FLOWAY_MAINTENANCE": "false", **_database_of_its_own("alone")}
    running = Served(tmp_path, upstream.url, **variables)
    running.start()
    running.manage("import_credential", "-", stdin=document(expires_at=1_000_000_000))
    key = running.manage("issue_key", "k").splitlines()[-1]
    calling = threading.Thread(target=say_in_vain, args=(Caller(running.url, key),))
    calling.start()
    assert arrived.wait(30)
    running.interrupt()
    until(lambda: any("Handling signal: int" in line for line in running.output))
    go_on.set()
    assert running.ends_by_itself(20)
    running.stop()
    calling.join(20)
    assert running.ask("CredentialTokens.objects.filter(access_expires_at__year__gt=2020, lease_until=None).count()") == "1"
    assert not list((tmp_path / "rotated").iterdir())


def say_in_vain(caller: Caller) -> None:
    with contextlib.suppress(OSError, HTTPException):
        caller.say("hello")
