"""Two hosts, two processes on each, one PostgreSQL: what must happen once happens once, and the dead are noticed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.accounts.test_notices import SECRET, Receiver
from tests.conftest import _database_of_its_own
from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.served import Served
from tests.fakes.tokens import BOB, document
from tests.fakes.upstream import FakeUpstream
from tests.hosts.host import Host

on_postgres = os.environ.get("DATABASE_URL", "").startswith("postgres")
pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(os.geteuid() != 0, reason="making networks needs root"),
    pytest.mark.skipif(not on_postgres, reason="SQLite is for one host"),
]


class Fleet:
    """Both hosts and the database that they share."""

    def __init__(self, where: Path, upstream: FakeUpstream, receiver: Receiver) -> None:
        database = _database_of_its_own("hosts")
        self.receiver = receiver
        self._database = psycopg.connect(database["DATABASE_URL"], autocommit=True)
        variables = {
            **database,
            "FLOWAY_WORKERS": "2",
            "FLOWAY_MAINTENANCE_SECONDS": "1",
            "FLOWAY_WEBHOOK_URL": receiver.url,
            "FLOWAY_WEBHOOK_SECRET": SECRET,
        }
        self.hosts = [Host("one"), Host("two")]
        self.servers: list[Served] = []
        self.callers: list[Caller] = []
        for number, host in enumerate(self.hosts):
            for url in (database["DATABASE_URL"], upstream.url, receiver.url):
                host.let_reach(urlsplit(url).port or 0)
            data = where / str(number)
            data.mkdir(mode=0o700)
            if number:
                shutil.copy(where / "0" / "secrets.json", data)
            server = Served(data, upstream.url, **variables)
            server.prefix = host.prefix
            server.start()
            self.servers.append(server)
            if not number:
                server.manage("import_credential", "-", stdin=document())
                key = server.manage("issue_key", "test").splitlines()[-1]
            self.callers.append(Caller(host.reached_at(urlsplit(server.url).port or 0), key, timeout=60))

    def close(self) -> None:
        for server in self.servers:
            server.stop()
        for host in self.hosts:
            host.close()
        self._database.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query.encode()).fetchall()

    def write(self, statement: str) -> None:
        self._database.execute(statement.encode())

    def wait_for(self, query: str, *expected: tuple[Any, ...]) -> None:
        """Until the query gives these rows, at most half a minute."""
        found: list[tuple[Any, ...]] = []
        for _ in range(300):
            if (found := self.rows(query)) == list(expected):
                return
            self.rows("SELECT 1 FROM pg_sleep(0.1)")
        pytest.fail(f"{query}: {found}")


@pytest.fixture(scope="module")
def fleet(listening_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    receiver = Receiver()
    made = Fleet(tmp_path_factory.mktemp("hosts"), listening_upstream, receiver)
    yield made
    made.close()
    receiver.stop()


def test_every_process_is_known_by_its_host(fleet: Fleet, upstream: FakeUpstream) -> None:
    fleet.wait_for("SELECT host, count(*) FROM responses_app_worker GROUP BY host ORDER BY host", ("one", 2), ("two", 2))


def test_a_login_that_all_want_at_once_is_refreshed_once(fleet: Fleet, upstream: FakeUpstream) -> None:
    fleet.write("UPDATE accounts_credentialtokens SET access_expires_at = now() - interval '1 hour'")
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda number: fleet.callers[number % 2].say("hello"), range(16)))
    assert {reply.status for reply in replies} == {200}
    assert len(upstream.exchanges) == 1


def test_of_a_hundred_that_continue_one_turn_each_has_a_window_of_its_own(fleet: Fleet, upstream: FakeUpstream) -> None:
    root = fleet.callers[0].say("root").json["id"]
    with ThreadPoolExecutor(32) as pool:
        calls = [pool.submit(fleet.callers[number % 2].say, "on", previous=root) for number in range(100)]
        assert {call.result().status for call in calls} == {200}
    windows = fleet.rows(
        "SELECT e.generation = s.generation, count(*), count(DISTINCT e.generation) FROM responses_app_exchange e "
        f"JOIN responses_app_snapshot s ON s.id = e.continued_id WHERE s.response_id = '{root}' GROUP BY 1 ORDER BY 1"
    )
    assert windows == [(False, 99, 99), (True, 1, 1)]


def test_a_death_is_told_once_whichever_host_comes_round(fleet: Fleet, upstream: FakeUpstream) -> None:
    fleet.servers[0].manage("import_credential", "-", stdin=document(BOB))
    fleet.write(
        "UPDATE accounts_oauthcredential SET state = 'needs_sign_in', state_since = now(), state_reason = 'gone' "
        f"WHERE email = '{BOB.email}'"
    )
    sent = "SELECT count(*) FROM accounts_notice WHERE event = 'credential.needs_sign_in' AND sent_at IS NOT NULL"
    fleet.wait_for(sent, (1,))
    for _ in range(3):
        fleet.write("UPDATE accounts_upkeep SET holder = '', lease_until = NULL, ran_at = NULL")
        fleet.wait_for("SELECT ran_at IS NOT NULL FROM accounts_upkeep", (True,))
    assert [request.json["event"] for request in fleet.receiver.requests] == ["credential.needs_sign_in"]


def test_what_a_host_that_died_served_is_ended_by_the_other(fleet: Fleet, upstream: FakeUpstream) -> None:
    first = fleet.callers[1].say("one").json["id"]
    parting = faults.Parting()
    upstream.script(faults.hang_after(9, parting))
    with fleet.callers[1].stream(turn("two", previous=first)) as stream:
        request_id = stream.headers["x-request-id"]
        stream.next("response.output_text.delta")
        fleet.servers[1].kill()
    fleet.write("UPDATE responses_app_worker SET seen_at = now() - interval '31 seconds' WHERE host = 'two'")
    ended = f"SELECT status, ended_by, worker_id IS NULL FROM responses_app_exchange WHERE request_id = '{request_id}'"
    fleet.wait_for(ended, ("failed", "lost", False))
    fleet.wait_for("SELECT host, count(*) FROM responses_app_worker GROUP BY host", ("one", 2))
    again = fleet.callers[0].say("two again", previous=first)
    assert again.status == 200
    both = "responses_app_exchange e JOIN responses_app_snapshot s ON s.id = e.continued_id"
    fleet.wait_for(f"SELECT e.generation = s.generation FROM {both} WHERE e.response_id = '{again.json['id']}'", (True,))
