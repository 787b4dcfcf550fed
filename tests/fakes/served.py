"""The gateway as it is shipped: `manage.py serve` in a process of its own, with its own database."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

from tests.fakes.environment import upstream_variables

ROOT = Path(__file__).resolve().parents[2]
_LISTENING = re.compile(r"Listening at: (http://127\.0\.0\.1:\d+)")


@cache
def migrated() -> Path:
    """A data directory with all migrations behind it: to run them takes longer than everything else at a start."""
    data = Path(tempfile.mkdtemp(prefix="floway-migrated-"))
    atexit.register(shutil.rmtree, data, ignore_errors=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_")}
    environment = {**clean, "FLOWAY_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "floway.settings"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True, capture_output=True)
    return data


class Served:
    """A running gateway; `url` is where. Everything it writes is kept in `output`."""

    def __init__(self, data: Path, upstream_root: str, **variables: str) -> None:
        unset = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_")}
        self.environment = {
            **unset,
            **upstream_variables(upstream_root),
            "FLOWAY_DATA_DIR": str(data),
            "FLOWAY_BIND": "127.0.0.1:0",
            "FLOWAY_WORKERS": "1",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "floway.settings",
            **variables,
        }
        self.prefix: list[str] = []
        """What enters the host that it runs on, before its command."""
        self.output: list[str] = []
        self.url = ""
        self.key = ""
        self._listening = threading.Event()

    def start(self) -> None:
        """Migrate, serve, and return when it listens."""
        data = Path(self.environment["FLOWAY_DATA_DIR"])
        if "DATABASE_URL" not in self.environment and not any(data.iterdir()):
            shutil.copytree(migrated(), data, dirs_exist_ok=True)
        self._process = subprocess.Popen(
            [*self.prefix, sys.executable, "manage.py", "serve", "--migrate"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(60) or not self.url:
            self.stop()
            raise AssertionError("the gateway did not start:\n" + "".join(self.output))

    def manage(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a management command; its standard output."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, input=stdin, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def ask(self, expression: str) -> str:
        """What a Python expression over the gateway's models gives, as text."""
        names = "from datetime import timedelta; from django.utils import timezone"
        models = "from accounts.models import *; from responses_app.models import *"
        return self.manage("shell", "--no-imports", "-c", f"{names}; {models}; print({expression})")

    def assert_running(self) -> None:
        """Fail with what it said last if it has ended."""
        assert self._process.poll() is None, "the gateway has ended:\n" + "".join(self.output[-50:])

    def ends_by_itself(self, seconds: float) -> bool:
        """Wait for it to end, at most so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def sibling(self, **variables: str) -> Served:
        """Another server on the same database, not started; it knows the same key."""
        other = Served(Path(self.environment["FLOWAY_DATA_DIR"]), "")
        other.environment = {**self.environment, **variables}
        other.key = self.key
        return other

    def terminate(self) -> None:
        """SIGTERM: it drains."""
        self._process.send_signal(signal.SIGTERM)

    def is_running(self) -> bool:
        """Does it?"""
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Ctrl-C: it ends without waiting for streams."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Every process of it, at once, without a word."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        """End it, streams and all."""
        self._process.send_signal(signal.SIGINT)  # without waiting for streams
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            if found := _LISTENING.search(line):
                self.url = found[1]
                self._listening.set()
        self._listening.set()
