"""The processes of a benchmark, on loopback and with directories of their own, and what they cost by the kernel's account."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
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

from bench.upstream import ACCOUNT_ID

ROOT = Path(__file__).resolve().parent.parent
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60
_STOP_SECONDS = 10
_FAR = 4_000_000_000
RESPONSES = "/backend-api/codex/responses"


class DidNotStart(RuntimeError):
    """A process ended, or said nothing, before it served; `str` holds what it wrote."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Process:
    """A child whose output is kept, and shown if it fails."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._output: list[str] = []
        self._child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
        self._child.terminate()
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


class Gateway(Process):
    """The gateway as it is shipped, with one login and one key.

    :param database_url: an empty database of its own; by default SQLite in a directory that goes when it stops.
    """

    def __init__(self, upstream: str, database_url: str | None = None) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="floway-bench-"))
        self._bind = f"127.0.0.1:{free_port()}"
        self._environment = self._variables(upstream, database_url)
        began = time.monotonic()
        super().__init__([sys.executable, "manage.py", "serve", "--migrate"], self._environment)
        self.url = f"http://{self._bind}"
        try:
            self.wait_until_it_answers(f"{self.url}/healthz")
            self.start_seconds = time.monotonic() - began
            self._manage("import_credential", "-", stdin=_login())
            self.key = self._manage("issue_key", "bench").splitlines()[-1]
        except BaseException:
            self.stop()
            raise

    def _variables(self, upstream: str, database_url: str | None) -> dict[str, str]:
        ours = {"FLOWAY_DATA_DIR": str(self.data), "FLOWAY_BIND": self._bind}
        theirs = {"FLOWAY_CODEX_BASE_URL": f"{upstream}/backend-api", "FLOWAY_CODEX_AUTH_URL": upstream}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_") and name != "DATABASE_URL"}
        kept |= {name: os.environ[name] for name in ("FLOWAY_WORKERS", "FLOWAY_LOG_LEVEL") if name in os.environ}
        return {**kept, **ours, **theirs, **({"DATABASE_URL": database_url} if database_url else {})}

    def _manage(self, *arguments: str, stdin: bytes = b"") -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, input=stdin, capture_output=True, timeout=60, check=False
        )
        if done.returncode:
            raise DidNotStart(done.stderr.decode())
        return done.stdout.decode().strip()

    @property
    def target(self) -> str:
        """Where a load goes."""
        return f"{self.url}/v1/responses"

    def stop(self) -> None:
        """End it; its data goes."""
        super().stop()
        shutil.rmtree(self.data, ignore_errors=True)


class Nginx(Process):
    """nginx as a pass-through to the upstream, unbuffered, connections kept on both sides."""

    def __init__(self, binary: str, upstream: str) -> None:
        self._data = Path(tempfile.mkdtemp(prefix="floway-bench-"))
        port = free_port()
        configuration = self._data / "nginx.conf"
        configuration.write_text(_nginx_configuration(self._data, port, upstream.removeprefix("http://")))
        super().__init__([binary, "-c", str(configuration), "-e", "stderr"], dict(os.environ))
        self.url = f"http://127.0.0.1:{port}"
        try:
            self.wait_until_it_answers(f"{self.url}/bench/silences")
        except BaseException:
            self.stop()
            raise

    @property
    def target(self) -> str:
        """Where a load goes."""
        return self.url + RESPONSES

    def stop(self) -> None:
        """End it."""
        super().stop()
        shutil.rmtree(self._data, ignore_errors=True)


def _nginx_configuration(data: Path, port: int, upstream: str) -> str:
    scratch = " ".join(f"{kind}_temp_path {data}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
daemon off; worker_processes 2; pid {data}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; {scratch}
    keepalive_requests 1000000;
    upstream backend {{ server {upstream}; keepalive 512; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header connection "";
            proxy_buffering off; proxy_read_timeout 600s; client_max_body_size 64m; client_body_buffer_size 1m;
        }}
    }}
}}
"""


def _token(claims: dict[str, object]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*coded, "bm9uZQ"))


def _login() -> bytes:
    """The file of a login that nobody has, good until 2096."""
    person = {
        "chatgpt_account_id": ACCOUNT_ID,
        "chatgpt_user_id": "user-bench",
        "user_id": "user-bench",
        "chatgpt_plan_type": "plus",
    }
    claims = {"iss": "https://auth.openai.com", "sub": "auth0|bench", "exp": _FAR, "https://api.openai.com/auth": person}
    tokens = {
        "id_token": _token({**claims, "email": "bench@example.com"}),
        "access_token": _token(claims),
        "refresh_token": "rt_bench",
        "account_id": ACCOUNT_ID,
    }
    return json.dumps({"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": None}).encode()


# --- what the kernel says ---------------------------------------------------------------------------------------------------


def family(pid: int) -> list[int]:
    """A process and its children's children, as many as still live."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_ms(pid: int) -> float:
    """Processor time that a process and its living children have used, in milliseconds; the kernel counts in ticks of 10."""
    return sum(map(_own_cpu_ms, family(pid)))


def _own_cpu_ms(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_MS


def worker_memory_mb(pid: int) -> list[tuple[float, float]]:
    """(PSS, RSS) of each child of a server's master, in MB of 1,000,000 bytes."""
    return [_memory_mb(child) for child in family(pid)[1:]]


def _memory_mb(pid: int) -> tuple[float, float]:
    rollup = dict(re.findall(r"^(\w+): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE))
    return tuple(int(rollup[name]) * 1024 / 1e6 for name in ("Pss", "Rss"))  # type: ignore[return-value] # two
