"""Browsers of people who have signed in."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.test import Client


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", "", None))
    return client


def signed_in(*permissions: str) -> Client:
    """A staff member with just these permissions."""
    user = User.objects.create_user("viewer", password=None, is_staff=True)
    for name in permissions:
        app, _, codename = name.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client
