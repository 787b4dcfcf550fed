"""Owner, operator, viewer: what each sees and may do, through the door; and content for those alone who may read it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from accounts import roles
from accounts.models import AuditEntry
from responses_app import content
from responses_app.models import Item, SegmentEntry
from tests.console import rows
from tests.console.pages import OURS, all_pages
from tests.console.people import give, in_role

pytestmark = pytest.mark.django_db
WORDS = "the-caller-said-this"
FOR_OWNERS = {"auth.User", "auth.Group"}
"""What nobody but an owner sees."""


@pytest.fixture
def item(db: None) -> Item:
    """An item as a turn leaves it."""
    conversation = rows.make_conversation(rows.make_key())
    said = {"type": "message", "role": "user", "content": WORDS}
    content.extend(conversation.pk, content.origin(conversation.pk, stored=True), [said], stored=True, issuer=None)
    stored = SegmentEntry.objects.get().item
    assert stored is not None
    return stored


def page_of(item: Item) -> str:
    return reverse("admin:responses_app_item_change", args=[item.pk])


def statuses(client: Client, *names: str) -> list[int]:
    return [client.get(reverse(f"admin:{name}")).status_code for name in names]


def test_a_viewer_sees_states_and_history_and_may_do_nothing(item: Item) -> None:
    rows.make_history(1)
    viewer = in_role("viewer")
    seen = {url: viewer.get(url).status_code for url in all_pages()}
    acts = (
        "/disable/",
        "/enable/",
        "/export/",
        "/rotate/",
        "/issued/",
        "/proxy/",
        "/check/",
        "/clear/",
        "/sign-in/",
        "/add/",
        "auditentry",
        "operatortoken",
    )
    assert {url for url, status in seen.items() if status != 200} == {url for url in seen if any(act in url for act in acts)}
    assert WORDS not in viewer.get(page_of(item), {"content": "shown"}).content.decode()


def test_an_operator_manages_logins_and_keys_and_exports_nothing(item: Item) -> None:
    credential, key = rows.make_credential(), rows.make_key(2)
    operator = in_role("operator")
    assert operator.post(reverse("admin:accounts_oauthcredential_disable", args=[credential.pk])).status_code == 302
    assert operator.post(reverse("admin:accounts_apikey_rotate", args=[key.pk])).status_code == 302
    assert operator.get(reverse("admin:accounts_oauthcredential_export", args=[credential.pk])).status_code == 403
    assert statuses(operator, "auth_user_changelist", "auth_group_changelist") == [403, 403]
    assert WORDS not in operator.get(page_of(item), {"content": "shown"}).content.decode()


def test_an_owner_may_do_everything(item: Item) -> None:
    credential, owner = rows.make_credential(), in_role("owner")
    assert owner.get(reverse("admin:accounts_oauthcredential_export", args=[credential.pk])).status_code == 200
    assert statuses(owner, "auth_user_changelist", "auth_user_add", "auth_group_changelist") == [200, 200, 200]
    assert WORDS in owner.get(page_of(item), {"content": "shown"}).content.decode()


def test_content_is_shown_on_demand_with_the_permission_and_an_entry_in_the_log(item: Item) -> None:
    operator = in_role("operator")
    closed = operator.get(page_of(item)).content.decode()
    assert "message" in closed
    assert bytes(item.digest).hex()[:16] in closed
    assert "may not read" in closed
    give("operator", "responses_app.view_content")
    assert WORDS not in operator.get(page_of(item)).content.decode()
    assert not AuditEntry.objects.filter(action="content read").exists()
    assert WORDS in operator.get(page_of(item), {"content": "shown"}).content.decode()
    entry = AuditEntry.objects.get(action="content read")
    assert (entry.actor, entry.object_id) == ("the-operator", str(item.pk))
    assert WORDS not in str(AuditEntry.objects.values())


def test_content_that_cannot_be_read_is_no_error(item: Item) -> None:
    Item.objects.update(sealed=b"damaged")
    assert "cannot be read" in in_role("owner").get(page_of(item), {"content": "shown"}).content.decode()


def permissions(name: str) -> set[str]:
    rows = Permission.objects.filter(group__name=name).select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_the_roles_have_what_the_table_says(db: None) -> None:
    assert permissions(roles.VIEWER) == set(roles.VIEWS)
    assert permissions(roles.OPERATOR) == set(roles.OPERATES)
    assert len(permissions(roles.OWNER)) == Permission.objects.count()


def test_a_later_permission_is_given_once_and_what_an_owner_decided_stays(db: None) -> None:
    viewer, owner = Group.objects.get(name="viewer"), Group.objects.get(name="owner")
    taken = Permission.objects.get(codename="view_pool")
    viewer.permissions.remove(taken)
    viewer.permissions.add(Permission.objects.get(codename="view_content"))
    Group.objects.get(name="operator").delete()
    later = Permission.objects.create(codename="purge", name="later", content_type=taken.content_type)
    roles.establish()
    roles.establish()
    assert "accounts.view_pool" not in permissions("viewer")
    assert "responses_app.view_content" in permissions("viewer")
    assert owner.permissions.filter(pk=later.pk).exists()
    assert not Group.objects.filter(name="operator").exists()


def test_every_page_of_ours_is_for_a_role_or_for_owners_by_name(db: None) -> None:
    """Whoever adds a page decides who sees it: here, or in the table of roles."""
    named: dict[Any, str] = {model: f"{model._meta.app_label}.view_{model._meta.model_name}" for model in admin.site._registry}
    forgotten = {
        model._meta.label
        for model, permission in named.items()
        if model._meta.app_label in OURS and permission not in roles.OPERATES and model._meta.label not in FOR_OWNERS
    }
    assert forgotten == set()
