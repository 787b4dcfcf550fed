"""With 100,000 exchanges and 20,000 snapshots every page stays small, asks little, and asks no more for more rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from accounts.models import ApiKey, AuditEntry, OAuthCredential
from responses_app.models import Conversation, Exchange, Snapshot
from tests.fakes import crowd

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="what a page asks does not depend on the database"),
]
KILOBYTES = 60
QUERIES = 30


@pytest.fixture(scope="module")
def crowded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A gateway in long use, in a transaction that is taken back in the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        crowd.fill(timezone.now(), crowd.Size())
        yield
        transaction.set_rollback(True)


@pytest.fixture
def browsing(crowded: None, operator: Client) -> Client:
    """The operator's browser in front of all that."""
    return operator


def measured(client: Client, url: str) -> tuple[int, int]:
    """Queries and bytes of a page that has been looked at before."""
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(url)
    assert answer.status_code == 200, url
    return len(captured), len(answer.content)


def pages() -> list[str]:
    exchanges = reverse("admin:responses_app_exchange_changelist")
    exchange, conversation, snapshot = (
        f"admin:responses_app_{name}_change" for name in ("exchange", "conversation", "snapshot")
    )
    latest = Exchange.objects.order_by("-started_at")
    found = [reverse(exchange, args=[latest.filter(status=status)[0].pk]) for status in ("completed", "failed")]
    found.append(reverse(conversation, args=[Conversation.objects.order_by("-last_used_at")[0].pk]))
    found.append(reverse(snapshot, args=[Snapshot.objects.order_by("-pk")[0].pk]))
    found += [reverse(f"admin:accounts_apikey_{act}", args=[ApiKey.objects.all()[0].pk]) for act in ("change", "rotate")]
    found.append(reverse("admin:accounts_oauthcredential_change", args=[OAuthCredential.objects.all()[0].pk]))
    found.append(reverse("admin:accounts_auditentry_change", args=[AuditEntry.objects.all()[0].pk]))
    lists = [f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry]
    found += [reverse(f"admin:{name}") for name in ("accounts_apikey_add", "auth_user_add", "second_factor")]
    found += [reverse("admin:index"), reverse("admin:live"), exchanges]
    found += [reverse(f"admin:{name}_changelist") for name in lists]
    day = f"{timezone.now():%Y-%m-%d}"
    chosen = ("outcome=trouble", "outcome=failed", "model=sample-2", f"day={day}", "api_key__id__exact=1", "q=req_0000")
    found += [f"{exchanges}?{query}" for query in chosen]
    return [*found, found[2] + "?before=19000"]


def test_every_page_is_small_and_asks_little(browsing: Client) -> None:
    found = {url: measured(browsing, url) for url in pages()}
    assert not {url: figures for url, figures in found.items() if figures[0] >= QUERIES or figures[1] >= KILOBYTES * 1000}


def test_no_query_of_the_operations_page_reads_all_exchanges(browsing: Client) -> None:
    """What is asked of the large table is bounded by time or by number, whatever else a query says."""
    with CaptureQueriesContext(connection) as captured:
        browsing.get(reverse("admin:index"))
    large = [query["sql"] for query in captured if 'FROM "responses_app_exchange"' in query["sql"]]
    assert large
    assert not [sql for sql in large if not any(bound in sql for bound in ("started_at", "LIMIT", " IN (", '"status" ='))]
