"""What a turn of a long conversation costs the database: statements asked and bytes written. Prints one JSON line.

It runs in a process of its own with a prepared gateway's environment, and calls the gateway's own application: statements
are only seen from inside. Bytes are those that the process writes (SQLite), or by which the write-ahead log grows (PostgreSQL).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.load import RESPONSE_ID

_FIRST = 2
_WINDOW = 20


class Statements:
    """How many statements went to the database, on any connection."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, connection: Any, **_: Any) -> None:
        """Django's signal: a connection is there."""
        if self._counted not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._counted)

    def _counted(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)


def main() -> None:
    """Take the turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000)
    last = parser.parse_args().turns
    os.environ["DJANGO_SETTINGS_MODULE"] = "floway.settings"
    os.environ["FLOWAY_LOG_LEVEL"] = "ERROR"
    from django.db.backends.signals import connection_created

    from floway.wsgi import application

    statements = Statements()
    connection_created.connect(statements.watch)
    from accounts import keys

    key, previous, seen = keys.issue("turns").secret, None, []
    for number in range(1, last + 1):
        before = statements.count, _written()
        previous = _turn(application, key, number, previous)
        seen.append((statements.count - before[0], _written() - before[1]))
    windows = {"early": seen[_FIRST - 1 :][:_WINDOW], "late": seen[-_WINDOW:]}
    print(
        json.dumps({name: _median(window, turn) for (name, window), turn in zip(windows.items(), (_FIRST, last), strict=True)})
    )


def _median(window: list[tuple[int, int]], turn: int) -> dict[str, float]:
    queries, written = zip(*window, strict=True)
    return {"turn": turn, "queries": statistics.median(queries), "written_bytes": statistics.median(written)}


def _turn(application: Callable[..., Any], key: str, number: int, previous: str | None) -> str:
    """One turn, to its end; the id of its response."""
    document = {"model": "bench-20", "input": f"turn {number} of many", "stream": True}
    body = json.dumps({**document, **({"previous_response_id": previous} if previous else {})}).encode()
    said: list[str] = []
    answer = application(_environ(key, body), lambda status, *_: said.append(status))
    try:
        answered = b"".join(answer)
    finally:
        answer.close()
    found = RESPONSE_ID.search(answered)
    if not said[0].startswith("200") or found is None:
        raise AssertionError(f"turn {number}: {said} {answered[:300]!r}")
    return found[1].decode()


def _environ(key: str, body: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/v1/responses",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input": io.BytesIO(body),
    }


def _written() -> int:
    """Bytes written so far."""
    if "DATABASE_URL" not in os.environ:
        return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        found = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert found is not None
    return int(found[0])


if __name__ == "__main__":
    main()
