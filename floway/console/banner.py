"""What stands on top of every page while something needs the operator: a dead login, a maintenance loop that is late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.urls import reverse

from accounts import maintenance
from accounts.models import OAuthCredential
from floway import markup

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence and where it leads."""

    tone: markup.Tone
    text: str
    url: str


def of(user: AbstractBaseUser | AnonymousUser, now: datetime) -> list[Line]:
    """The banner for `user` at `now`; empty for who may not see credentials."""
    if not isinstance(user, User) or not user.has_perm("accounts.view_oauthcredential"):
        return []
    return list(_lines(now))


def _lines(now: datetime) -> Iterator[Line]:
    credentials = OAuthCredential.objects.only("label", "email", "account_id", "state")
    standing = list(credentials.exclude(state=OAuthCredential.State.DISABLED))
    dead = [row for row in standing if row.state == OAuthCredential.State.NEEDS_SIGN_IN]
    listed = reverse("admin:accounts_oauthcredential_changelist")
    if len(dead) > _NAMED:
        yield Line("bad", f"{len(dead)} logins need a sign-in.", f"{listed}?state=needs_sign_in")
    else:
        for row in dead:
            page = reverse("admin:accounts_oauthcredential_change", args=[row.pk])
            yield Line("bad", f"{markup.clean(row)} needs a sign-in.", page)
    if standing and maintenance.is_late(now):
        yield Line("warn", "The maintenance loop has not run lately: logins are refreshed only when they are used.", listed)
