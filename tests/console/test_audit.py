"""The audit log: every operator's act stands in it, with who, what, when and from where, and nobody changes it."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from accounts import audit, keys
from accounts.models import AuditEntry
from tests.console import rows
from tests.console.pages import budgets
from tests.console.people import in_role, signed_in, superuser
from tests.fakes.factories import make_credential

pytestmark = pytest.mark.django_db
LOG = reverse("admin:accounts_auditentry_changelist")
PASSWORD = "correct horse battery staple"


def latest() -> AuditEntry:
    return AuditEntry.objects.order_by("pk").last() or pytest.fail("nothing was recorded")


def test_signing_in_out_and_failing_to_are_recorded_with_the_address(db: None) -> None:
    person = User.objects.create_superuser("ada", password=PASSWORD)
    client, login = Client(REMOTE_ADDR="198.51.100.7"), reverse("admin:login")
    client.post(login, {"username": "ada", "password": "wrong"})
    assert (latest().action, latest().object_label, latest().actor) == ("sign-in failed", "ada", audit.NOBODY)
    client.post(login, {"username": PASSWORD, "password": "ada"})
    assert (latest().action, latest().object_label) == ("sign-in failed", "")
    assert PASSWORD not in str(AuditEntry.objects.values())
    client.post(login, {"username": "ada", "password": PASSWORD})
    assert (latest().action, latest().actor, latest().actor_id) == ("signed in", "ada", person.pk)
    assert latest().address == "198.51.100.7"
    assert latest().request_id.startswith("req_")
    client.post(reverse("admin:logout"))
    assert (latest().action, latest().actor) == ("signed out", "ada")


def test_every_act_on_a_credential_or_key_is_recorded(operator: Client) -> None:
    credential, issued = make_credential(), keys.issue("laptop")
    names = {
        "disabled": f"admin:accounts_oauthcredential_disable {credential.pk}",
        "enabled": f"admin:accounts_oauthcredential_enable {credential.pk}",
        "rotated": f"admin:accounts_apikey_rotate {issued.key.pk}",
    }
    for action, page in names.items():
        name, pk = page.split()
        operator.post(reverse(name, args=[pk]))
        assert (latest().action, latest().actor, latest().object_id) == (action, "operator", pk)
    operator.post(reverse("admin:accounts_oauthcredential_proxy", args=[credential.pk]), {"url": "http://u:p4ss@10.0.0.1:1"})
    assert latest().action == "proxy set"
    operator.post(reverse("admin:accounts_apikey_add"), {"provider": "codex", "name": "desk", **budgets()})
    assert (latest().action, latest().object_type, latest().object_label) == ("issued", "API key", "desk")
    operator.post(reverse("admin:accounts_apikey_change", args=[issued.key.pk]), {"name": "shelf", **budgets()})
    assert latest().action == "changed"
    assert "Name" in latest().detail["told"]
    assert "p4ss" not in str(AuditEntry.objects.values())


def test_changes_of_people_and_roles_are_recorded_and_outlive_them(operator: Client) -> None:
    form = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    operator.post(reverse("admin:auth_user_add"), form)
    assert (latest().action, latest().object_label) == ("added", "eve")
    eve = User.objects.get(username="eve")
    operator.post(reverse("admin:auth_user_delete", args=[eve.pk]), {"post": "yes"})
    assert latest().action == "deleted"
    assert latest().detail["label"] == "eve"
    assert PASSWORD not in str(AuditEntry.objects.values())
    User.objects.all().delete()
    assert AuditEntry.objects.filter(actor="operator").exists()


def test_what_the_command_line_does_is_recorded_as_its_own() -> None:
    call_command("issue_key", "script", stdout=StringIO(), stderr=StringIO())
    assert (latest().actor, latest().action, latest().address) == (audit.COMMAND_LINE, "issued", None)
    User.objects.create_superuser("made-there")
    assert (latest().actor, latest().action, latest().object_label) == (audit.COMMAND_LINE, "added", "made-there")


def test_no_entry_is_changed_neither_here_nor_in_the_database(operator: Client) -> None:
    entry = audit.record("looked")
    entry.action = "nothing"
    with pytest.raises(TypeError):
        entry.save()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(action="nothing")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_auditentry SET actor = 'somebody'")
    for name in ("change", "delete"):
        url = reverse(f"admin:accounts_auditentry_{name}", args=[entry.pk])
        assert operator.post(url, {"action": "nothing", "post": "yes"}).status_code in {403, 405}
    assert operator.get(reverse("admin:accounts_auditentry_add")).status_code == 403
    assert AuditEntry.objects.get(pk=entry.pk).action == "looked"


def test_the_log_is_searched_and_filtered_by_who_what_and_when(operator: Client) -> None:
    key = rows.make_key()
    for action in ("disabled", "enabled", "enabled"):
        audit.record(action, key, note="<b>")

    def count(**query: Any) -> int:
        return int(operator.get(LOG, query).context["cl"].result_count)

    assert count(what="enabled") == 2
    assert count(who=audit.COMMAND_LINE, what="disabled") == 1
    assert count(q=key.name, what="enabled") == 2
    assert count(q="%") == count(q="_") == count(q="nothing of the sort") == 0
    page = operator.get(reverse("admin:accounts_auditentry_change", args=[latest().pk])).content.decode()
    assert json.dumps({"note": "<b>"}, indent=2).replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in page


def test_owners_and_operators_may_read_it_and_viewers_may_not(db: None) -> None:
    assert superuser().get(LOG).status_code == 200
    assert in_role("operator").get(LOG).status_code == 200
    assert in_role("owner").get(LOG).status_code == 200
    assert in_role("viewer").get(LOG).status_code == 403
    assert signed_in("accounts.view_apikey").get(LOG).status_code == 403
