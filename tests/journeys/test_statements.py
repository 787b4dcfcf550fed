"""What a turn asks of the database: few statements, as many for a long conversation as for a short one, each by an index."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from accounts import quota
from accounts.models import ApiKeySecret, OAuthCredential
from floway import sql
from floway.providers.contract import QuotaWindow
from responses_app.models import Exchange
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import turn
from tests.fakes.factories import make_credential
from tests.fakes.upstream import FakeUpstream
from tests.journeys.test_quota import NOW

Statement = tuple[str, Any]
_FEW_ROWS = {"credential", "accounts_oauthcredential", "pool", "accounts_pool", "path", "p", "CONSTANT"} | {
    "reached", "r", "beside", "runs", "known", "k"
}  # fmt: skip
"""An operator has a handful of logins: a database may well read them all. What a statement itself gathers is no table."""


@pytest.fixture
def executed() -> Iterator[list[Statement]]:
    """Every statement of every thread, in order."""
    seen: list[Statement] = []

    def note(execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((statement, params))
        return execute(statement, params, many, context)

    def watch(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if note not in connection.execute_wrappers:
            connection.execute_wrappers.append(note)

    connection_created.connect(watch)
    yield seen
    connection_created.disconnect(watch)
    if note in connection.execute_wrappers:
        connection.execute_wrappers.remove(note)


def counted(executed: list[Statement], ask: Callable[[], Any]) -> tuple[int, int]:
    """How many statements, and how many bytes of parameters, a turn takes."""
    executed.clear()
    ask()
    ours = [(text, params) for text, params in executed if not text.startswith(("BEGIN", "SAVEPOINT", "RELEASE"))]
    written = sum(
        len(str(value)) for text, params in ours if not text.lstrip().startswith(("SELECT", "WITH")) for value in params
    )
    return len(ours), written


def test_a_turn_takes_few_statements_and_its_thirtieth_no_more_than_its_second(
    gateway: Gateway, executed: list[Statement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "_noted", {})  # what an earlier test had noted falls due within this one
    ids: list[str] = []

    def say() -> None:
        ids.append(gateway.say("the same words", previous=ids[-1] if ids else None, store=True).json["id"])
        gateway.exchange()

    say()
    gateway.say("a turn after the login was asked about: what is known of it is read once more")
    gateway.exchange()
    first, _ = counted(executed, lambda: (gateway.say("another conversation"), gateway.exchange()))
    second = counted(executed, say)
    for _ in range(27):
        say()
    thirtieth = counted(executed, say)
    quiet, _ = counted(executed, lambda: (gateway.say("a quiet one", store=False), gateway.exchange()))
    # One each is the test's own, which reads the exchange.
    assert first <= 12 and second[0] <= 16 and quiet <= 11
    assert thirtieth[0] <= second[0] + 1, "an answer that was given before is looked up"
    assert thirtieth[1] <= second[1] * 1.2


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite is asked without going anywhere")
def test_a_turn_takes_few_round_trips(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the thread that serves it; each is one wait for the server."""
    from floway.postgresql.connecting import Connection

    tester, usual, waits = threading.get_ident(), Connection.wait, []

    def wait(self: Connection, gen: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != tester:
            waits.append(gen)
        return usual(self, gen, *args, **kwargs)

    def trips(ask: Callable[[], Any]) -> int:
        waits.clear()
        ask()
        gateway.exchange()
        return len(waits)

    first = gateway.say("one", store=True)
    gateway.exchange()
    gateway.say("the login is read once more")
    gateway.exchange()
    monkeypatch.setattr(Connection, "wait", wait)
    assert trips(lambda: gateway.say("another conversation")) <= 6
    assert trips(lambda: gateway.say("two", previous=first.json["id"])) <= 9
    assert trips(lambda: gateway.say("a quiet one", store=False)) <= 6


def test_every_statement_of_a_turn_goes_by_an_index(gateway: Gateway, executed: list[Statement]) -> None:
    history = [{"role": "user", "content": "one"}]
    first = gateway.post({"model": "gpt-5.5", "input": history}).json
    gateway.say("two", previous=first["id"])
    gateway.say("a fork", previous=first["id"])
    gateway.post({"model": "gpt-5.5", "input": [*history, *first["output"], {"role": "user", "content": "two"}]})
    output = {"type": "function_call_output", "call_id": "call_1", "output": "3"}
    gateway.post({"model": "gpt-5.5", "input": [*history, *first["output"], output]})
    gateway.exchange()
    explained = {
        text: plan(text, params)
        for text, params in executed
        if text.lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE"))
    }
    assert len(explained) > 10
    for text, lines in explained.items():
        assert scanned(lines) - _FEW_ROWS == set(), text


def plan(text: str, params: Any) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # The tables of a test are so small that reading them whole would be right.
            cursor.execute("SET enable_seqscan = off")
        cursor.execute(explain + text, params)
        return [str(row[-1]) for row in cursor.fetchall()]


def scanned(lines: list[str]) -> set[str]:
    """Tables, by the names that the statement has for them, that are read whole."""
    return {match[1] for line in lines if (match := re.search(r"(?:\bSCAN|Seq Scan on) (\w+)", line))}


def test_the_end_of_a_turn_leaves_columns_alone_that_it_did_not_change(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("hello")) as stream:
        stream.next("response.output_text.delta")
        Exchange.objects.update(error_message="written by somebody else")
        gate.open()
        stream.next("response.completed")
    exchange = gateway.exchange()
    assert (exchange.status, exchange.error_message) == ("completed", "written by somebody else")


def test_rows_are_read_as_djangos_own_reading_has_them(gateway: Gateway) -> None:
    gateway.say("two", previous=gateway.say("one").json["id"])
    gateway.exchange()
    seen = 0
    for model in (*apps.get_app_config("accounts").get_models(), *apps.get_app_config("responses_app").get_models()):
        seen += same(model)
    assert seen > 15


def same(model: type[models.Model]) -> int:
    """Compares each row as it is read here and there; returns how many there were."""
    shape: sql.Shape[Any] = sql.shape(model)
    ours = [shape.instance(row) for row in sql.fetch(f"SELECT {shape.columns('t')} FROM {shape.table} t ORDER BY 1", [])]
    theirs = list(model._base_manager.order_by("pk"))
    assert {row.pk: values(row) for row in ours} == {row.pk: values(row) for row in theirs}
    return len(ours)


def values(row: models.Model) -> list[Any]:
    found = [getattr(row, field.attname) for field in row._meta.concrete_fields]
    return [bytes(value) if isinstance(value, memoryview) else value for value in found]


@pytest.mark.django_db
def test_a_row_written_here_is_the_one_that_django_would_write(gateway: Gateway) -> None:
    shape = sql.shape(OAuthCredential)
    theirs = OAuthCredential.objects.get()
    row = shape.values(theirs)
    named = dict(zip(shape.written, row, strict=True))
    named['"subject"'], named['"openai_device_id"'] = (
        "another",
        shape.row(subject="x", provider="p")[shape.written.index('"openai_device_id"')],
    )
    key = shape.add_one(list(named.values()))
    ours = OAuthCredential.objects.get(pk=key)
    differs = {
        field.attname
        for field in shape.model._meta.concrete_fields
        if getattr(ours, field.attname) != getattr(theirs, field.attname)
    }
    assert differs == {"id", "subject", "openai_device_id"}
    with pytest.raises(TypeError, match="has no nonsense"):
        sql.shape(ApiKeySecret).row(nonsense=1)


@pytest.mark.django_db(transaction=True)
def test_an_allowance_that_has_not_changed_is_no_news_for_a_minute() -> None:
    credential = make_credential()
    known, changed = (QuotaWindow("codex", "primary", used, 300, NOW) for used in (10.0, 11.0))
    assert quota.news(credential.pk, [known], NOW) == [known]
    quota.note(credential.pk, [known], NOW)
    assert quota.news(credential.pk, [known], NOW) == []
    assert quota.news(credential.pk, [changed], NOW) == [changed]
    nearly, later = (replace(known, resets_at=NOW + timedelta(seconds=seconds)) for seconds in (2, 60))
    assert quota.news(credential.pk, [nearly, later], NOW) == [later]
    assert quota.news(credential.pk, [known], NOW + quota.REPEATED_AFTER) == [known]
