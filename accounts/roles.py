"""Roles as groups: owner, operator, viewer. What each may do is the table here; a role is given each permission once.

Permissions come to be after a migration has run, and later versions bring new ones: so they are given then. What an owner has
taken from a group, or added to it, stays as the owner left it. A role whose group was deleted or renamed is no longer kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from accounts.models import RoleGrant

OWNER, OPERATOR, VIEWER = "owner", "operator", "viewer"

VIEWS = frozenset(
    {
        "accounts.view_oauthcredential",
        "accounts.view_apikey",
        "accounts.view_pool",
        "responses_app.view_conversation",
        "responses_app.view_snapshot",
        "responses_app.view_item",
        "responses_app.view_exchange",
        "responses_app.view_worker",
        "responses_app.view_purge",
        "responses_app.view_collection",
        "responses_app.view_usagehour",
        "responses_app.view_modelprice",
    }
)
"""States and history. No content, no audit log, no export."""

OPERATES = VIEWS | {
    "accounts.add_oauthcredential",
    "accounts.change_oauthcredential",
    "accounts.add_apikey",
    "accounts.change_apikey",
    "accounts.change_pool",
    "accounts.view_auditentry",
    "accounts.view_operatortoken",
    "accounts.add_operatortoken",
    "accounts.change_operatortoken",
    "responses_app.add_modelprice",
    "responses_app.change_modelprice",
    "responses_app.delete_modelprice",
}
"""Logins, keys, the pool, and who did what. No content, no tokens, no people."""


def establish() -> None:
    """Give each role whatever of its permissions it was never given."""
    groups = {group.name: group for group in Group.objects.filter(name__in=(OWNER, OPERATOR, VIEWER))}
    if not groups:
        return
    for app in apps.get_app_configs():
        create_permissions(app, verbosity=0)
    known = {f"{row.content_type.app_label}.{row.codename}": row for row in Permission.objects.select_related("content_type")}
    wanted = {OWNER: frozenset(known), OPERATOR: OPERATES, VIEWER: VIEWS}
    for name, group in groups.items():
        _give(group, wanted[name], known)


def _give(group: Group, wanted: Iterable[str], known: dict[str, Permission]) -> None:
    given = set(RoleGrant.objects.filter(group=group).values_list("permission", flat=True))
    fresh = [name for name in wanted if name in known and name not in given]
    if fresh:
        with transaction.atomic():
            RoleGrant.objects.bulk_create((RoleGrant(group=group, permission=name) for name in fresh), ignore_conflicts=True)
            group.permissions.add(*(known[name] for name in fresh))
