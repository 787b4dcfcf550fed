"""Browsers of people who have signed in."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.test import Client


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", "", None))
    return client


def signed_in(*permissions: str) -> Client:
    """A staff member with just these permissions."""
    user = User.objects.create_user("viewer", password=None, is_staff=True)
    for name in permissions:
        user.user_permissions.add(permission(name))
    client = Client()
    client.force_login(user)
    return client


def in_role(role: str) -> Client:
    """A staff member in one of the groups that every installation has."""
    user = User.objects.create_user(f"the-{role}", password=None, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def give(role: str, name: str) -> None:
    """What an owner may do to a role."""
    Group.objects.get(name=role).permissions.add(permission(name))


def permission(name: str) -> Permission:
    app, _, codename = name.partition(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
