"""Other roads to the same upstream, to compare with: nginx, which only passes through, and LiteLLM's proxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.processes import RESPONSES, Process, free_port

LITELLM = "1.104.4"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "floway-bench"


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


class LiteLLM(Process):
    """LiteLLM's proxy, two workers, no database. Unknown models it would stream only in appearance; it knows this one."""

    key = "sk-bench"
    model = "gpt-4o"

    def __init__(self, upstream: str) -> None:
        self._data = Path(tempfile.mkdtemp(prefix="floway-bench-"))
        configuration = self._data / "litellm.yaml"
        configuration.write_text(_litellm_configuration(upstream, self.key, self.model))
        port = free_port()
        command = [
            str(_litellm()),
            "--config",
            str(configuration),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "2",
        ]
        environment = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_DOCS": "True"}
        super().__init__(command, environment)
        self.url = f"http://127.0.0.1:{port}"
        try:
            self.wait_until_it_answers(f"{self.url}/health/liveliness")
        except BaseException:
            self.stop()
            raise

    @property
    def target(self) -> str:
        """Where a load goes."""
        return f"{self.url}/v1/responses"

    def stop(self) -> None:
        """End it."""
        super().stop()
        shutil.rmtree(self._data, ignore_errors=True)


def _litellm() -> Path:
    """The proxy's program, installed at the first need into a virtual environment of its own."""
    home = _CACHE / f"litellm-{LITELLM}"
    program = home / "bin" / "litellm"
    if not program.exists():
        print(f"installing LiteLLM {LITELLM} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", f"litellm[proxy]=={LITELLM}"], check=True)
    return program


def _litellm_configuration(upstream: str, key: str, model: str) -> str:
    return f"""
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "{upstream}/v1", api_key: bench}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false, drop_params: true}}
"""
