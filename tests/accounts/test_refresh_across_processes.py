"""One login and real processes: killed at every step of a refresh, and many at once. No login is lost that can be kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from accounts import quarantine, tokens
from accounts.models import CredentialTokens, OAuthCredential
from floway.providers import registry
from floway.wire.errors import Unavailable
from tests.accounts.authority import Authority
from tests.fakes.factories import make_credential
from tests.fakes.tokens import ALICE, LONG_AGO

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


def soon() -> int:
    """Stale, and good for the length of a test."""
    return int(datetime.now(UTC).timestamp()) + 45


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Where this process and the others refresh."""
    held = Authority()
    held.start()
    options = settings.FLOWAY_PROVIDERS["codex"]["options"]
    monkeypatch.setitem(options, "auth_url", held.url)
    registry.forget()
    yield held
    held.stop()
    registry.forget()
    for credential_id, consumed in quarantine.waiting():
        quarantine.forget(credential_id, consumed)


class Process:
    """Another process on this test's database."""

    def __init__(self, authority: Authority, credential: OAuthCredential, step: str = "") -> None:
        command = [sys.executable, "-m", "tests.accounts.another_process", str(credential.pk), step]
        environment = {**os.environ, "FLOWAY_CODEX_AUTH_URL": authority.url, "DATABASE_URL": database_url()}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.line() == "ready"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def end(self) -> int:
        code = self.process.wait(60)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        return code


def database_url() -> str:
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    return f"postgres://{config['USER']}:{config['PASSWORD']}@{config['HOST']}:{config['PORT']}/{config['NAME']}"


def killed_at(step: str, authority: Authority, credential: OAuthCredential) -> None:
    """A process is killed at `step`; then its lease runs out."""
    doomed = Process(authority, credential, step)
    doomed.go()
    if step in {"sent", "sent, not used up"}:
        assert authority.arrived.wait(30)
        doomed.process.send_signal(signal.SIGKILL)
    assert doomed.end() == -signal.SIGKILL
    authority.gate.set()
    run_out(credential)


def run_out(credential: OAuthCredential) -> None:
    rows = CredentialTokens.objects.filter(pk=credential.pk)
    rows.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))


def wanted(credential: OAuthCredential) -> str:
    """The access token that this process now gets."""
    row = OAuthCredential.objects.select_related("tokens").get(pk=credential.pk)
    return tokens.fresh(row, timezone.now()).account.access_token


def state(credential: OAuthCredential) -> str:
    return OAuthCredential.objects.get(pk=credential.pk).state


@pytest.mark.parametrize("lasting", [False, True], ids=["expired", "lasting"])
@pytest.mark.parametrize("step", ["before_lease", "after_lease", "on_disk", "committed"])
def test_killed_where_everything_is_known_loses_nothing(authority: Authority, step: str, lasting: bool) -> None:
    expires_at = soon() if lasting else LONG_AGO
    credential = make_credential(expires_at=expires_at)
    killed_at(step, authority, credential)
    assert wanted(credential) != ALICE.access_token(expires_at)
    assert authority.exchanges == [ALICE.refresh_token(0)], "sent once, by whoever lives"
    row = tokens.held(OAuthCredential.objects.select_related("tokens").get(pk=credential.pk))
    assert row.refresh_token == ALICE.refresh_token(1)
    assert state(credential) == "active"


@pytest.mark.parametrize("step", ["marked", "sent, not used up"])
def test_killed_before_the_token_was_used_up_keeps_the_login(authority: Authority, step: str) -> None:
    credential = make_credential(expires_at=LONG_AGO)
    authority.close_gate(uses_up_first=False)
    killed_at(step, authority, credential)
    assert wanted(credential) != ALICE.access_token(LONG_AGO)
    assert authority.exchanges == [ALICE.refresh_token(0)]
    assert state(credential) == "active"


@pytest.mark.parametrize("step", ["sent", "answered"])
def test_killed_before_the_answer_was_on_disk_the_access_token_is_used_while_it_lasts(authority: Authority, step: str) -> None:
    expires_at = soon()
    credential = make_credential(expires_at=expires_at)
    if step == "sent":
        authority.close_gate(uses_up_first=True)
    killed_at(step, authority, credential)
    # However long the process took to start.
    CredentialTokens.objects.filter(pk=credential.pk).update(access_expires_at=datetime.fromtimestamp(soon(), UTC))
    assert wanted(credential) == ALICE.access_token(expires_at)
    assert authority.exchanges == [ALICE.refresh_token(0)], "sending it again could end the access token too"
    assert state(credential) == "active"


@pytest.mark.parametrize("step", ["sent", "answered"])
def test_an_answer_that_was_lost_is_asked_for_once_more_when_nothing_is_left_to_lose(authority: Authority, step: str) -> None:
    credential = make_credential(expires_at=LONG_AGO)
    if step == "sent":
        authority.close_gate(uses_up_first=True)
    killed_at(step, authority, credential)
    with pytest.raises(Unavailable):
        wanted(credential)
    assert authority.exchanges == [ALICE.refresh_token(0)] * 2
    dead = OAuthCredential.objects.get(pk=credential.pk)
    assert dead.state == "needs_sign_in"
    assert "refresh_token_reused" in dead.state_reason
    assert "was cut off" in dead.state_reason


def test_a_worker_that_is_told_to_end_finishes_its_exchange_first(authority: Authority) -> None:
    credential = make_credential(expires_at=LONG_AGO)
    worker = Process(authority, credential, "leaves")
    authority.slow.clear()
    worker.go()
    assert authority.arrived.wait(30)
    worker.process.send_signal(signal.SIGINT)
    authority.slow.set()
    assert worker.end() != 0
    row = tokens.held(OAuthCredential.objects.select_related("tokens").get(pk=credential.pk))
    assert row.refresh_token == ALICE.refresh_token(1)
    assert not list(quarantine.waiting())


def test_many_processes_that_want_one_expired_login_make_one_exchange(authority: Authority) -> None:
    credential = make_credential(expires_at=LONG_AGO)
    authority.slow.clear()
    processes = [Process(authority, credential) for _ in range(6)]
    for process in processes:
        process.go()
    assert authority.arrived.wait(30)
    authority.slow.set()
    got = {process.line() for process in processes}
    assert [process.end() for process in processes] == [0] * 6
    assert len(authority.exchanges) == 1
    assert got == {wanted(credential)}
    assert state(credential) == "active"


def test_a_commit_that_the_database_refuses_is_adopted_by_the_next(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:

    credential = make_credential(expires_at=LONG_AGO)
    commit = tokens.commit

    def refuse(*_: object) -> bool:
        raise DatabaseError("disk full")

    monkeypatch.setattr(tokens, "commit", refuse)
    monkeypatch.setattr(tokens, "_COMMIT_PAUSES_SECONDS", ())
    served = wanted(credential)
    assert served != ALICE.access_token(LONG_AGO), "this caller is served all the same"
    assert [pair[0] for pair in quarantine.waiting()] == [credential.pk]
    monkeypatch.setattr(tokens, "commit", commit)
    run_out(credential)
    assert wanted(credential) == served
    assert len(authority.exchanges) == 1
    assert not list(quarantine.waiting())
