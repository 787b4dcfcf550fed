"""What the operator sees of storage, and that the file gives back what deleting frees."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey
from responses_app import chores, space, storage
from responses_app.models import Item
from responses_app.pacing import Pace
from tests.console import rows

PAGE = "admin:responses_app_collection_changelist"


@pytest.mark.django_db(transaction=True)
def test_the_page_tells_what_there_is_and_what_was_cleared_away(operator: Client) -> None:
    rows.make_history(2)
    page = operator.get(reverse(PAGE)).content.decode()
    assert "Nothing yet" in page and ">conversations<" in page and "30 days" in page
    chores.collect(datetime.now(UTC) + timedelta(days=365), Pace(None, rests=False))
    page = operator.get(reverse(PAGE)).content.decode()
    assert "2 conversations" in page and "nothing more was due" in page
    change = operator.get(reverse("admin:responses_app_purge_add") + f"?key={ApiKey.objects.all()[0].pk}").content.decode()
    assert 'value="key"' in change and "checked" in change


@pytest.mark.django_db
def test_a_key_says_how_long_its_conversations_are_kept(operator: Client) -> None:
    key = rows.make_key()
    page = operator.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert "retention_days" in page and reverse("admin:responses_app_purge_add") in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL sees to it itself")
def test_a_file_shrinks_when_what_it_held_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    conversation = rows.make_conversation(rows.make_key())
    Item.objects.bulk_create(
        Item(conversation=conversation, digest=rows.digest(number), sealed=b"x" * 8000) for number in range(2000)
    )
    before = storage.standing()
    assert before.gives_back
    Item.objects.all().delete()
    assert space.give_back(Pace(None, rests=False)) > 3000
    after = storage.standing()
    assert after.free is not None
    assert after.size < before.size // 4
    call_command("compact")
    assert storage.standing().free == 0
    assert "Compacted" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL sees to it itself")
def test_a_file_that_somebody_reads_is_not_said_to_be_compacted_whole() -> None:
    reader = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM accounts_apikey").fetchone()
    with pytest.raises(CommandError, match="somebody reads it"):
        call_command("compact")
    reader.close()
    call_command("compact")
