"""End users whom callers name: found again by their name, stored by it nowhere."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ApiKey
from responses_app.models import Exchange
from responses_app.purging import Target
from tests.conftest import Gateway
from tests.fakes.factories import make_key
from tests.fakes.upstream import FakeUpstream

NAME = "ada@example.com"


def exchanges_of(key: ApiKey, name: str) -> QuerySet[Exchange]:
    return Target.end_user(key, name).exchanges(timezone.now())


def everything_stored() -> str:
    """Every row of every table of ours."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            found += [str(bytes(value) if isinstance(value, memoryview) else value) for row in cursor for value in row]
    return "\n".join(found)


@pytest.mark.parametrize("field", ["safety_identifier", "user"])
def test_an_end_user_is_found_by_name_and_stored_by_none(gateway: Gateway, upstream: FakeUpstream, field: str) -> None:
    assert gateway.say("hello", **{field: NAME}).status == 200
    gateway.say("hello", **{field: "somebody else"})
    gateway.say("hello")
    newest = gateway.exchange()
    assert gateway.issued is not None
    found = exchanges_of(gateway.issued.key, NAME)
    assert [exchange.pk for exchange in found] == [newest.pk - 2]
    assert NAME not in everything_stored()
    assert not exchanges_of(make_key("other").key, NAME).exists()


def test_an_end_user_is_found_by_either_name_also_where_the_call_was_refused(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("hello", model="gpt-nonsense", safety_identifier="hash-1", user=NAME)
    refused = gateway.exchange()
    assert gateway.issued is not None
    for name in ("hash-1", NAME):
        assert list(exchanges_of(gateway.issued.key, name)) == [refused]


@pytest.mark.parametrize("odd", [None, "", 7, ["ada"], {"name": "ada"}])
def test_what_is_no_name_names_nobody(gateway: Gateway, upstream: FakeUpstream, odd: object) -> None:
    gateway.say("hello", safety_identifier=odd)
    assert gateway.exchange().end_user_digest is None
