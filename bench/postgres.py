"""A PostgreSQL cluster of the benchmark's own, with the settings it is shipped with, on loopback; it goes when it stops."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from bench.processes import DidNotStart, Process, free_port

_SUPERUSER = "floway"


class Cluster(Process):
    """A running cluster. PostgreSQL refuses root, so root runs it as somebody else."""

    stop_signal = signal.SIGINT  # at once, whoever is connected

    def __init__(self) -> None:
        programs = _programs()
        user = _user()
        self._data = Path(tempfile.mkdtemp(prefix="floway-bench-"))
        if user:
            shutil.chown(self._data, user)
        self._port = free_port()
        made = subprocess.run(
            [programs / "initdb", "-D", self._data / "pg", "--auth=trust", f"--username={_SUPERUSER}", "--encoding=UTF8"],
            cwd="/",
            user=user,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise DidNotStart(made.stderr)
        settings = {"listen_addresses": "127.0.0.1", "port": str(self._port), "unix_socket_directories": str(self._data)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        super().__init__([str(programs / "postgres"), "-D", str(self._data / "pg"), *options], dict(os.environ), user)
        self._createdb = programs / "createdb"
        try:
            self.wait_until_it_says("ready to accept connections")
        except BaseException:
            self.stop()
            raise

    def database(self, name: str) -> str:
        """Make an empty database; its URL."""
        where = ["-h", "127.0.0.1", "-p", str(self._port), "-U", _SUPERUSER]
        subprocess.run([self._createdb, *where, name], check=True)
        return f"postgres://{_SUPERUSER}@127.0.0.1:{self._port}/{name}"

    def stop(self) -> None:
        """End it; its data goes."""
        super().stop()
        shutil.rmtree(self._data, ignore_errors=True)


def _programs() -> Path:
    """Where initdb and postgres lie: on the path, or where Debian puts the newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    if not versions:
        raise DidNotStart("PostgreSQL is not installed")
    return versions[-1].parent


def _user() -> str | None:
    if os.getuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
