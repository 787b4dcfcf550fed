"""PostgreSQL restarts: every connection that is kept open breaks, and nobody hears of it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import requests
from django.db import OperationalError, connection, transaction
from django.urls import reverse

from accounts import maintenance
from floway import sql
from responses_app import fleet
from tests.conftest import Gateway
from tests.console.people import superuser

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no pool"),
]


def restart() -> None:
    """Fill the pool, then end all that it keeps, and whatever this thread holds, from a connection of its own."""
    pool: Any = connection.pool  # type: ignore[attr-defined] # PostgreSQL's
    with ExitStack() as taken:
        kept = [taken.enter_context(pool.connection()) for _ in range(pool.max_size - 1)]
        pids = [one.info.backend_pid for one in kept]
    if connection.connection is not None:
        pids.append(connection.connection.info.backend_pid)
    config = connection.get_connection_params()
    given = {name: config[name] for name in ("dbname", "user", "password", "host", "port") if name in config}
    with psycopg.connect(**given, autocommit=True) as outside:
        # Its second argument: it waits so many milliseconds until the other is gone.
        outside.execute("SELECT pg_terminate_backend(pid, 10000) FROM unnest(%s) AS pid", [pids])


def test_no_caller_is_told_of_a_restart(gateway: Gateway) -> None:
    assert gateway.say("hello").status == 200
    connection.close()
    restart()
    assert [gateway.say(f"again, {number}").status for number in range(3)] == [200, 200, 200]


def test_no_operator_is_told_of_a_restart(gateway: Gateway) -> None:
    cookies = {name: morsel.value for name, morsel in superuser().cookies.items()}

    def look(page: str) -> int:
        return requests.get(gateway.url + reverse(page), cookies=cookies, timeout=10, allow_redirects=False).status_code

    pages = ["admin:index", "admin:accounts_apikey_changelist", "admin:responses_app_exchange_changelist"]
    assert [look(page) for page in pages] == [200, 200, 200]
    connection.close()
    restart()
    assert [look(page) for page in pages] == [200, 200, 200]


def test_no_round_of_a_loop_is_lost_by_a_restart(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    holder = maintenance.new_holder()
    connection.close()
    restart()
    fleet.come_round()
    restart()
    assert maintenance.once(holder)
    fleet.leave()
    assert [record.message for record in caplog.records if record.name.startswith(("accounts", "responses_app"))] == []


def test_inside_a_transaction_a_broken_connection_is_told_of() -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        sql.fetch("SELECT 1", [])
        restart()
        sql.fetch("SELECT 1", [])
    connection.close()
    assert sql.fetch("SELECT 1", []) == [(1,)]
