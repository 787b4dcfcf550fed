"""The processes of a benchmark, on loopback and with directories of their own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.kernel import family

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60
_STOP_SECONDS = 10
RESPONSES = "/backend-api/codex/responses"


class DidNotStart(RuntimeError):
    """A process ended, or said nothing, before it served; `str` holds what it wrote."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Process:
    """A child whose output is kept, and shown if it fails. :param user: whom it runs as, if not as us."""

    stop_signal = signal.SIGTERM

    def __init__(self, command: list[str], environment: dict[str, str], user: str | None = None) -> None:
        self._output: list[str] = []
        self._child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, user=user
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._output.append(line)

    @property
    def pid(self) -> int:
        """The child's."""
        return self._child.pid

    @property
    def output(self) -> str:
        """All it wrote by now."""
        return "".join(self._output)

    def wait_until_it_says(self, pattern: str) -> re.Match[str]:
        """The first match in its output. :raises DidNotStart: it ended or stayed silent."""
        give_up_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up_at and self._child.poll() is None:
            if found := re.search(pattern, self.output):
                return found
            time.sleep(0.005)
        raise DidNotStart(self.output)

    def wait_until_it_answers(self, url: str) -> None:
        """Until `url` gives 200. :raises DidNotStart: it ended or never did."""
        give_up_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up_at and self._child.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    answer.read()
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)
        raise DidNotStart(self.output)

    def stop(self) -> None:
        """End it, by force if it won't."""
        self._child.send_signal(self.stop_signal)
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in family(self.pid):
                os.kill(pid, 9)
            self._child.wait(_STOP_SECONDS)
        self._reader.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Upstream(Process):
    """The simulated upstream of `bench.upstream`."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-m", "bench.upstream"], dict(os.environ))
        port = self.wait_until_it_says(r"listening on (\d+)")[1]
        self.url = f"http://127.0.0.1:{port}"

    @property
    def target(self) -> str:
        """Where a load goes that goes straight to it."""
        return self.url + RESPONSES


class Site:
    """What a gateway runs on: a data directory and, if it isn't SQLite there, an empty database; made ready on demand.

    :param database_url: SQLite in the data directory where there is none.
    """

    def __init__(self, upstream: str, database_url: str | None = None) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="floway-bench-"))
        ours = {"FLOWAY_DATA_DIR": str(self.data), "DJANGO_SETTINGS_MODULE": "floway.settings"}
        theirs = {"FLOWAY_CODEX_BASE_URL": f"{upstream}/backend-api", "FLOWAY_CODEX_AUTH_URL": upstream}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_") and name != "DATABASE_URL"}
        kept |= {name: os.environ[name] for name in ("FLOWAY_WORKERS", "FLOWAY_LOG_LEVEL") if name in os.environ}
        self.environment = {**kept, **ours, **theirs, **({"DATABASE_URL": database_url} if database_url else {})}
        self.key = ""

    def prepare(self, snapshots: int = 0) -> None:
        """Migrate, sign in, issue the key, and fill the store with so many snapshots."""
        self.key = self.run("-m", "bench.preparing", "--snapshots", str(snapshots)).splitlines()[-1]

    def run(self, *arguments: str, seconds: float = 1800) -> str:
        """Run Python here; what it printed. :raises DidNotStart: it failed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise DidNotStart(done.stderr)
        return done.stdout.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.data, ignore_errors=True)


class Gateway(Process):
    """The gateway as it is shipped. `start_seconds`: until it first answered.

    :param migrate: on a database that is not ready.
    """

    stop_signal = signal.SIGINT  # without draining

    def __init__(self, site: Site, *, migrate: bool = False) -> None:
        bind = f"127.0.0.1:{free_port()}"
        began = time.monotonic()
        command = [sys.executable, "manage.py", "serve", *(["--migrate"] if migrate else [])]
        super().__init__(command, {**site.environment, "FLOWAY_BIND": bind})
        self.site = site
        self.url = f"http://{bind}"
        try:
            self.wait_until_it_answers(f"{self.url}/healthz")
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - began

    @property
    def target(self) -> str:
        """Where a load goes."""
        return f"{self.url}/v1/responses"
