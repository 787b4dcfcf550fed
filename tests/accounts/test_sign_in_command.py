"""`manage.py sign_in`: the listener takes one callback on the loopback; the code is waited for."""

from __future__ import annotations

import http.client
import io
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.importing import import_credential
from accounts.models import OAuthCredential
from floway.loopback import Listener, PortTaken, Reply
from floway.providers.codex import authorization
from tests.fakes import person
from tests.fakes.tokens import ALICE, BOB, document
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.django_db(transaction=True)


class Screen(io.StringIO):
    """What a command says to its person, who waits for an address."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if "http" in text:
            self.shown.set()
        return written

    def address(self) -> str:
        assert self.shown.wait(10)
        found = re.search(r"http\S+", self.getvalue())
        assert found
        return found[0]


@pytest.fixture
def port(upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A free port in the redirect's place, so that no client of this machine is disturbed; Alice is at the browser."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = int(free.getsockname()[1])
    redirect = f"http://localhost:{number}/auth/callback"
    monkeypatch.setattr("floway.providers.codex.simulated.authority.REDIRECTS", {redirect})
    monkeypatch.setattr(authorization, "METHODS", (replace(authorization.BROWSER, redirect_uri=redirect), authorization.DEVICE))
    upstream.authority.login = ALICE
    yield number


class Run:
    """The command in a thread of its own."""

    def __init__(self, *arguments: str) -> None:
        self.screen, self.out = Screen(), io.StringIO()
        self.error: CommandError | None = None
        self._thread = threading.Thread(target=self._run, args=arguments)
        self._thread.start()

    def _run(self, *arguments: str) -> None:
        try:
            call_command("sign_in", *arguments, stdout=self.out, stderr=self.screen)
        except CommandError as error:
            self.error = error
        finally:
            connection.close()

    def end(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def visit(callback: str) -> tuple[int, str]:
    """A browser's request at the callback, under the name that it was sent to."""
    parts = urlsplit(callback)
    http_connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=10)
    http_connection.request("GET", f"{parts.path}?{parts.query}", headers={"host": parts.netloc})
    answer = http_connection.getresponse()
    text = answer.read().decode()
    http_connection.close()
    return answer.status, text


def test_the_listener_finishes_the_sign_in(port: int) -> None:
    run = Run()
    callback = person.signs_in(run.screen.address())
    assert visit(callback) == (200, "Signed in. You may close this page.\n")
    run.end()
    assert run.error is None
    credential = OAuthCredential.objects.get()
    assert (credential.email, run.out.getvalue().strip()) == (ALICE.email, str(credential.pk))


def test_strangers_at_the_listener_are_turned_away_and_it_goes_on(port: int, upstream: FakeUpstream) -> None:
    run = Run()
    callback = person.signs_in(run.screen.address())
    assert visit(f"http://localhost:{port}/other?x=1")[0] == 404
    assert person.ask("GET", callback.replace("localhost", "127.0.0.1"))[0] == 404
    status, text = visit(f"http://localhost:{port}/auth/callback?code=a&state=wrong")
    assert (status, "belongs to another sign-in" in text) == (400, True)
    assert upstream.authority.exchanged == []
    assert visit(callback)[0] == 200
    run.end()
    assert OAuthCredential.objects.count() == 1


def test_a_person_who_cancels_ends_the_command(port: int) -> None:
    run = Run()
    status, text = visit(person.signs_in(run.screen.address(), "no"))
    assert (status, "The person pressed cancel." in text) == (400, True)
    run.end()
    assert "The person pressed cancel." in str(run.error)


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(CommandError, match=f"Port {port} .*--device"):
        call_command("sign_in", stdout=io.StringIO(), stderr=io.StringIO())


def test_another_accounts_login_renews_nothing(port: int, upstream: FakeUpstream) -> None:
    credential = import_credential(document(ALICE)).credential
    upstream.authority.login = BOB
    run = Run("--credential", str(credential.pk))
    status, text = visit(person.signs_in(run.screen.address()))
    assert (status, "another account" in text) == (400, True)
    run.end()
    assert "You signed in as bob@example.com" in str(run.error)
    assert OAuthCredential.objects.get().email == ALICE.email


def test_a_code_that_is_typed_in_signs_in(port: int, upstream: FakeUpstream) -> None:
    upstream.authority.consenting = True
    run = Run("--device")
    run.end()
    assert run.error is None
    assert run.screen.address().endswith("/codex/device")
    assert OAuthCredential.objects.get().email == ALICE.email


def test_a_credential_that_is_not_there_is_named(port: int) -> None:
    with pytest.raises(CommandError, match="There is no credential 7"):
        call_command("sign_in", "--credential", "7", stdout=io.StringIO(), stderr=io.StringIO())


def test_nobody_coming_ends_the_listening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    with Listener(f"http://localhost:{number}/back") as listener:
        assert not listener.serve(lambda url: Reply(200, "", done=True), seconds=0.01)
        with pytest.raises(PortTaken), Listener(f"http://localhost:{number}/back"):
            pass
