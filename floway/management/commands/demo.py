"""`manage.py demo`: the gateway in front of a simulated upstream, a sample login, a key and some traffic."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts import keys
from accounts.importing import import_credential
from accounts.models import ApiKey, OAuthCredential
from floway.management.sample import SampleBackend, SampleCaller
from floway.providers.codex.simulated.http import Server
from floway.providers.codex.simulated.logins import Login
from responses_app.models import Exchange

_KEY_NAME = "demo"
_SAMPLE_KEY_NAMES = ("shop assistant", "weekly planner")
_OPERATOR = "demo"
_LOGIN_SECONDS = 30 * 24 * 3600
_PAUSE_SECONDS = 0.03
_START_SECONDS = 60
_STOP_SECONDS = 30


class Command(BaseCommand):
    """See the module."""

    help = "Run the gateway in front of a simulated upstream, without any subscription. Give it a data directory of its own."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, start both, print a line that works, and wait for Ctrl-C."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the gateway too
        call_command("migrate", interactive=False, verbosity=0)
        key, password = self._prepare(), self._password()
        listener = socket.create_server(("127.0.0.1", 0))
        pace = _Pace()
        upstream = Server(listener, SampleBackend(pause=pace.wait).handle)
        upstream.start()
        gateway = subprocess.Popen([sys.executable, "manage.py", "serve"], env=_environment(upstream.url))
        try:
            _wait_for(gateway)
            self._fill()
            pace.seconds = _PAUSE_SECONDS
            self._greet(key, password)
            gateway.wait()
        except KeyboardInterrupt:
            self.stdout.write("The demo ends.")
        finally:
            gateway.send_signal(signal.SIGINT)  # at once, without waiting for streams
            gateway.wait(_STOP_SECONDS)
            upstream.stop()

    def _prepare(self) -> str:
        login = Login()
        if OAuthCredential.objects.exclude(account_id=login.account_id).exists():
            raise CommandError(
                f"{settings.FLOWAY_DATA_DIR} is in real use: it holds other logins than the sample. "
                "The demo needs a data directory of its own "
                "(FLOWAY_DATA_DIR=data/demo, or any that is empty), and no DATABASE_URL."
            )
        import_credential(json.dumps(login.document(int(time.time()) + _LOGIN_SECONDS)))
        ApiKey.objects.filter(name=_KEY_NAME).update(enabled=False)
        return keys.issue(_KEY_NAME).secret

    def _fill(self) -> None:
        """Sample traffic, the first time."""
        if Exchange.objects.exists():
            return
        callers = [SampleCaller(_url(), keys.issue(name).secret) for name in _SAMPLE_KEY_NAMES]
        callers[0].converse()
        callers[1].resend()
        callers[1].fail()

    def _password(self) -> str:
        """The demo operator's, new at every start."""
        password = secrets.token_urlsafe(9)
        operator, _ = User.objects.get_or_create(username=_OPERATOR, defaults={"is_staff": True, "is_superuser": True})
        operator.set_password(password)
        operator.save(update_fields=["password"])
        return password

    def _greet(self, key: str, password: str) -> None:
        body = json.dumps({"model": "gpt-5.5", "input": "Hello!", "stream": True})
        curl = f"curl -N {_url()}/v1/responses -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
        self.stdout.write(
            "\nThis is a demo: the upstream is simulated on this machine, no model is asked and no subscription is used.\n"
            f"In another terminal:\n\n    {curl}\n\nThe admin: {_url()}/admin/, user {_OPERATOR}, password {password}\n\n"
            "Ctrl-C ends it.\n"
        )


class _Pace:
    """How fast the simulated upstream writes: at once while the sample is made, then as one likes to watch it."""

    seconds = 0.0

    def wait(self) -> None:
        """Between two events."""
        if self.seconds:
            time.sleep(self.seconds)


def _environment(upstream: str) -> dict[str, str]:
    return {
        **os.environ,
        "FLOWAY_DATA_DIR": str(settings.FLOWAY_DATA_DIR),
        "FLOWAY_CODEX_BASE_URL": f"{upstream}/backend-api",
        "FLOWAY_CODEX_AUTH_URL": upstream,
    }


def _url() -> str:
    return f"http://{settings.FLOWAY_BIND}"


def _wait_for(gateway: subprocess.Popen[bytes]) -> None:
    host, _, port = settings.FLOWAY_BIND.rpartition(":")
    give_up_at = time.monotonic() + _START_SECONDS
    while gateway.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise CommandError("The gateway did not start; what it said stands above.")
