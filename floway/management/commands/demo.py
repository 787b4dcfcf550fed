"""`manage.py demo`: the gateway in front of a simulated upstream, with a sample login and a key, to see it run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts import keys
from accounts.importing import import_credential
from accounts.models import ApiKey, OAuthCredential
from floway.providers.codex.simulated.backend import Backend
from floway.providers.codex.simulated.http import Server
from floway.providers.codex.simulated.logins import Login

_KEY_NAME = "demo"
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
        key = self._prepare()
        listener = socket.create_server(("127.0.0.1", 0))
        upstream = Server(listener, Backend(pause=lambda: time.sleep(_PAUSE_SECONDS)).handle)
        upstream.start()
        gateway = subprocess.Popen([sys.executable, "manage.py", "serve"], env=_environment(upstream.url))
        try:
            _wait_for(gateway)
            self._greet(key)
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
                "Give the demo a data directory of its own, as `make demo` does: FLOWAY_DATA_DIR=data/demo."
            )
        import_credential(json.dumps(login.document(int(time.time()) + _LOGIN_SECONDS)))
        ApiKey.objects.filter(name=_KEY_NAME).update(enabled=False)
        return keys.issue(_KEY_NAME).secret

    def _greet(self, key: str) -> None:
        body = json.dumps({"model": "gpt-5.5", "input": "Hello!", "stream": True})
        curl = f"curl -N {_url()}/v1/responses -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
        self.stdout.write(
            "\nThis is a demo: the upstream is simulated on this machine, no model is asked and no subscription is used.\n"
            f"In another terminal:\n\n    {curl}\n\nCtrl-C ends it.\n"
        )


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
