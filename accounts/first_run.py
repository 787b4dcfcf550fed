"""The first owner of an installation: made with a token that the server's console prints, or by `createsuperuser`."""

from __future__ import annotations

import base64
import hmac

from django.contrib.auth.models import Group, User
from django.db import transaction

from accounts import audit, roles
from floway.sealing import lookup_hash

_LETTERS = 24
"""120 bits."""


def is_open() -> bool:
    """Is there nobody yet?"""
    return not User.objects.exists()


def token() -> str:
    """What the console prints: of this installation alone, and good for nothing once somebody is there."""
    text = base64.b32encode(lookup_hash("first-run")).decode().lower()[:_LETTERS]
    return "-".join(text[n : n + 4] for n in range(0, _LETTERS, 4))


def is_token(text: str) -> bool:
    """Is this the token, however it was typed?"""
    given = "".join(text.lower().split()).replace("-", "")
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token().replace("-", "").encode())


def make_owner(user: User) -> bool:
    """Keep `user` as the first owner; False if somebody else was first."""
    with transaction.atomic():
        owners = Group.objects.select_for_update().filter(name=roles.OWNER).first()  # one after the other
        if not is_open():
            return False
        user.is_staff = user.is_superuser = True
        user.save()
        if owners is not None:
            user.groups.add(owners)
        audit.record("first owner made", user)
        return True
