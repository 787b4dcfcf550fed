"""What every test may ask for; sets the environment before Django loads."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from hypothesis import settings

from tests.fakes import environment
from tests.fakes.caller import Caller
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import background_ended, background_threads

if TYPE_CHECKING:
    from accounts.keys import Issued
    from accounts.models import OAuthCredential
    from responses_app.models import Exchange
    from tests.fakes.door import Door
    from tests.fakes.served import Served

environment.prepare()

# Properties are tried on the same values every time; `--hypothesis-profile=searching` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("searching", max_examples=2000, deadline=None)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Load Django here: a settings module named any earlier would be read before the environment is ready.

    The application's module sets Django up too, logging included; later than this it would take away pytest's log handlers.
    """
    importlib.import_module("floway.wsgi")


@pytest.fixture(scope="session")
def listening_upstream() -> Iterator[FakeUpstream]:
    """The fake upstream that the settings point at."""
    upstream = FakeUpstream(environment.UPSTREAM_LISTENER)
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(listening_upstream: FakeUpstream) -> Iterator[FakeUpstream]:
    """The fake upstream, as new; the test fails if anything that reached it broke an invariant."""
    listening_upstream.forget()
    yield listening_upstream
    violations, unused = list(listening_upstream.violations), listening_upstream.unused
    listening_upstream.forget()
    assert violations == []
    assert unused == 0, "scripted answers that nobody asked for"


@dataclass
class Gateway(Caller):
    """A caller with a key, and the rows behind it."""

    issued: Issued | None = None
    credential: OAuthCredential | None = None
    door: Door | None = None

    def caller(self, key: str) -> Caller:
        """Another caller of the same gateway."""
        return Caller(self.url, key)

    def exchange(self) -> Exchange:
        """The row of the last request, once nothing is in flight."""
        from responses_app.models import Exchange

        assert self.door is not None
        self.door.settle()
        return Exchange.objects.order_by("pk").select_related("credential", "conversation").last() or pytest.fail("no exchange")


@pytest.fixture
def door(transactional_db: None) -> Iterator[Door]:
    """The gateway on a loopback socket, without any key or credential."""
    from floway.wsgi import application
    from tests.fakes.door import Door

    opened = Door(application)
    yield opened
    _end_what_is_made_in_the_background()
    opened.close()


def _end_what_is_made_in_the_background() -> None:
    """Whatever a test began has ended with it: it would write while the tables are emptied."""
    from responses_app import background
    from responses_app.models import BackgroundResponse

    for row in BackgroundResponse.objects.live() if background_threads() else ():
        background.cancel(row, timezone.now())
    background_ended()


@pytest.fixture
def gateway(door: Door, upstream: FakeUpstream) -> Gateway:
    """The gateway with one credential and one key, in front of the fake upstream."""
    from tests.fakes.factories import make_credential, make_key

    credential, issued = make_credential(), make_key()
    return Gateway(door.url, issued.secret, issued=issued, credential=credential, door=door)


@pytest.fixture(scope="session")
def served(listening_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shipped server in a process of its own, with a credential and a key."""
    from tests.fakes.served import Served
    from tests.fakes.tokens import document

    running = Served(tmp_path_factory.mktemp("served"), listening_upstream.url, **_database_of_its_own())
    running.start()
    running.manage("import_credential", "-", stdin=document())
    running.key = running.manage("issue_key", "test").splitlines()[-1]
    yield running
    running.stop()


@pytest.fixture
def served_caller(served: Served, upstream: FakeUpstream) -> Caller:
    """A caller of the shipped server, in front of the fake upstream."""
    served.assert_running()
    return Caller(served.url, served.key)


def _database_of_its_own(called: str = "served") -> dict[str, str]:
    """Where the tests run on PostgreSQL, so does the shipped server: in another database of the same server."""
    import psycopg

    url = urlsplit(os.environ.get("DATABASE_URL", ""))
    if not url.scheme.startswith("postgres"):
        return {}
    name = f"{url.path.removeprefix('/')}_{called}"
    with psycopg.connect(url._replace(scheme="postgresql").geturl(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return {"DATABASE_URL": url._replace(path=f"/{name}").geturl()}
