"""Sign-ins of people at the admin: begun, kept sealed for minutes, finished once, by the same person in the same session."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from accounts import importing, proxies
from accounts.models import OAuthCredential, PendingSignIn
from floway import transport
from floway.providers import registry
from floway.providers.contract import Grant, NotYet, SignInMethod, SignInRefused, SignInStart, UpstreamUnreachable
from floway.sealing import lookup_hash, seal_content, unseal_content
from floway.wire.json import JSON, dumps, loads

log = logging.getLogger(__name__)

LONGEST = timedelta(minutes=10)
"""How long a sign-in may take, whatever the provider would allow."""
_KEPT = timedelta(days=1)
_LONGEST_REFUSAL, _LONGEST_NAME = 600, 254
PURPOSE = "sign-in"


@dataclass(frozen=True, slots=True)
class Person:
    """Who signs in, and in which session of the admin."""

    user_id: int
    session_key: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """A keyed hash of the session's key."""
        return lookup_hash("sign-in-session", self.session_key.encode())


@dataclass(frozen=True, slots=True)
class Opened:
    """What a person needs to go on with a sign-in."""

    url: str = field(repr=False)
    user_code: str | None = field(repr=False)
    poll_seconds: int | None
    state: JSON = field(repr=False)


class Spent(Exception):
    """This sign-in is over, or is being finished by another request."""


def methods(slug: str) -> dict[str, SignInMethod]:
    """A provider's ways to sign in, by their slugs, the best first."""
    return {method.slug: method for method in registry.get(slug).sign_in_methods()}


def begin(slug: str, method: SignInMethod, person: Person, credential: OAuthCredential | None) -> PendingSignIn:
    """Begin a sign-in, to renew `credential` or, if that is None, for whichever login it gives.

    :raises SignInRefused: see the contract.
    """
    through = proxies.of_renewed(credential)
    connection.close()
    try:
        start = registry.get(slug).begin_sign_in(method.slug, method.redirect_uri, secrets.token_bytes, proxy=through)
    except UpstreamUnreachable as error:
        raise SignInRefused("The provider gave no answer. Can this machine reach it?", again=True) from error
    now = timezone.now()
    pending = PendingSignIn(
        provider=slug,
        method=method.slug,
        user_id=person.user_id,
        session_digest=person.digest,
        credential=credential,
        created_at=now,
        expires_at=now + min(start.lifetime or LONGEST, LONGEST),
    )
    pending.sealed = _seal(pending, start)
    with transaction.atomic():
        PendingSignIn.objects.filter(expires_at__lt=now - _KEPT).delete()
        pending.save(force_insert=True)
    return pending


def _seal(pending: PendingSignIn, start: SignInStart) -> bytes:
    poll = None if start.poll is None else round(start.poll.total_seconds())
    kept = {"url": start.url, "user_code": start.user_code, "poll": poll, "state": start.state}
    return seal_content(dumps(kept), purpose=PURPOSE, owner=str(pending.pk))


def opened(pending: PendingSignIn) -> Opened:
    """What `begin` sealed."""
    kept = loads(unseal_content(bytes(pending.sealed), purpose=PURPOSE, owner=str(pending.pk)))
    return Opened(kept["url"], kept["user_code"], kept["poll"], kept["state"])


def of(person: Person, pk: UUID) -> PendingSignIn | None:
    """The person's own sign-in; None where it is another's or another session's, as if there were none."""
    mine = PendingSignIn.objects.filter(user_id=person.user_id, session_digest=person.digest)
    return mine.select_related("credential", "outcome").filter(pk=pk).first()


def is_open(pending: PendingSignIn, now: datetime) -> bool:
    """Can it still be finished?"""
    return pending.used_at is None and pending.expires_at > now


def finish(pending: PendingSignIn, callback: str | None) -> importing.Imported | NotYet:
    """Finish it: one request does, however many ask. The provider is asked outside of any transaction.

    :raises Spent: another did, or does, or its time is over.
    :raises SignInRefused: see the contract. Where it may not be tried again, why stands on the row.
    :raises accounts.importing.AnotherLogin: it gave a login of another account than it was to renew; nothing was kept.
    """
    if not _claim(pending):
        raise Spent
    try:
        grant = _ask(pending, callback)
        if isinstance(grant, NotYet):
            _set(pending, used_at=None)
            return grant
        stored = importing.store(pending.provider, grant, only=pending.credential)
    except SignInRefused as refused:
        _set(pending, **({"used_at": None} if refused.again else {"refusal": refused.message[:_LONGEST_REFUSAL]}))
        raise
    except importing.AnotherLogin as other:
        _set(pending, another_login=str(other)[:_LONGEST_NAME])
        raise
    _set(pending, outcome=stored.credential)
    log.info("credential %s: signed in", stored.credential.pk)
    return stored


def _ask(pending: PendingSignIn, callback: str | None) -> Grant | NotYet:
    provider, state, through = registry.get(pending.provider), opened(pending).state, proxies.of_renewed(pending.credential)
    connection.close()
    try:
        # A person who leaves must not take a login along that has been given already.
        with transport.cancellable(transport.Cancellation()):
            return provider.finish_sign_in(pending.method, state, callback, proxy=through)
    except UpstreamUnreachable as error:
        raise SignInRefused("The provider gave no answer. Can this machine reach it? Begin anew.") from error


def _claim(pending: PendingSignIn) -> bool:
    now = timezone.now()
    with transaction.atomic():
        return bool(PendingSignIn.objects.filter(pk=pending.pk, used_at=None, expires_at__gt=now).update(used_at=now))


def _set(pending: PendingSignIn, **columns: object) -> None:
    with transaction.atomic():
        PendingSignIn.objects.filter(pk=pending.pk).update(**columns)
