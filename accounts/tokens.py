"""The tokens of a credential: sealed, read, and replaced under a lease, so that a single-use refresh token is used once.

Refresh tokens are single-use: whoever sends an old one twice loses the login. So one process at a time exchanges it, under a
lease on the database's clock; the new pair is committed, to disk, before anybody uses it; and the write compares the token
that was exchanged, so that a sign-in meanwhile is never overwritten. No transaction is open while the network is in use.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import CredentialTokens, OAuthCredential
from floway import transport
from floway.durability import durable_commits
from floway.providers import registry
from floway.providers.contract import Account, RefreshRefused, TokenGrant, UpstreamUnreachable
from floway.sealing import lookup_hash, seal_text, unseal_text
from floway.wire.errors import Unavailable

log = logging.getLogger(__name__)

STALE_BEFORE = timedelta(seconds=60)
"""An access token is replaced this long before it expires: a request must not outlive it on the way."""
LEASE = timedelta(seconds=90)
"""Longer than any exchange may take, so that a living holder is never overtaken."""
_POLL_SECONDS = 0.1
_RETRY_AFTER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Held:
    """A credential's account view, and the mark of the refresh token it came with."""

    account: Account
    fingerprint: bytes = field(repr=False)
    refresh_token: str = field(repr=False)


def _owner(credential_id: int) -> str:
    return f"credential:{credential_id}"


def fingerprint(refresh_token: str) -> bytes:
    """A keyed hash that tells refresh tokens apart."""
    return lookup_hash("refresh-token", refresh_token.encode())


def sealed_columns(credential_id: int, grant: TokenGrant) -> dict[str, object]:
    """The columns of `CredentialTokens` that a grant fills; what it does not bring is left out."""
    columns: dict[str, object] = {"access_expires_at": grant.access_expires_at, "refreshed_at": timezone.now()}
    for name in ("access_token", "refresh_token", "id_token"):
        token = getattr(grant, name)
        if token is not None:
            columns[name] = seal_text(token, purpose=name, owner=_owner(credential_id))
    if grant.refresh_token is not None:
        columns["refresh_fingerprint"] = fingerprint(grant.refresh_token)
    return columns


def held(credential: OAuthCredential) -> Held:
    """The credential as its row stands; `credential.tokens` is read if it was not joined."""
    row = credential.tokens
    owner = _owner(credential.pk)
    account = Account(
        credential_id=credential.pk,
        account_id=credential.account_id,
        user_id=credential.user_id,
        email=credential.email,
        plan=credential.plan,
        device_id=str(credential.openai_device_id),
        access_token=unseal_text(row.access_token, purpose="access_token", owner=owner),
        access_expires_at=row.access_expires_at,
    )
    refresh_token = unseal_text(row.refresh_token, purpose="refresh_token", owner=owner)
    return Held(account, bytes(row.refresh_fingerprint), refresh_token)


def kept(row: CredentialTokens) -> TokenGrant:
    """Everything that the row holds, unsealed."""
    opened = {
        name: unseal_text(sealed, purpose=name, owner=_owner(row.pk)) if sealed else None
        for name, sealed in (("refresh_token", row.refresh_token), ("id_token", row.id_token))
    }
    access_token = unseal_text(row.access_token, purpose="access_token", owner=_owner(row.pk))
    return TokenGrant(access_token, opened["refresh_token"], opened["id_token"], row.access_expires_at)


def _read(credential_id: int) -> OAuthCredential:
    return OAuthCredential.objects.select_related("tokens").get(pk=credential_id)


def is_stale(account: Account, now: datetime) -> bool:
    """Should it be refreshed before it is used at `now`?"""
    return account.access_expires_at is not None and account.access_expires_at - now < STALE_BEFORE


def fresh(credential: OAuthCredential, now: datetime) -> Held:
    """The credential with an access token that will last for a request, refreshed first if need be.

    :raises Unavailable: it could not be refreshed and has run out.
    """
    current = held(credential)
    if not is_stale(current.account, now):
        return current
    try:
        return refresh(current)
    except Unavailable:
        if current.account.access_expires_at is not None and current.account.access_expires_at > now:
            log.warning("credential %s: refresh failed, its access token still lasts", credential.pk)
            return current
        raise


def refresh(expired: Held) -> Held:
    """A newer token than `expired`'s, from whichever process gets it first.

    :raises Unavailable: the login is dead or the authority gave no answer; the credential's state says which.
    """
    credential_id = expired.account.credential_id
    holder = secrets.token_hex(16)
    give_up_at = time.monotonic() + LEASE.total_seconds()
    while True:
        credential = _read(credential_id)
        if credential.state != OAuthCredential.State.ACTIVE:
            raise unavailable()
        current = held(credential)
        if current.fingerprint != expired.fingerprint or current.account.access_token != expired.account.access_token:
            return current
        if _lease(credential_id, expired.fingerprint, holder):
            return _exchange(credential, current, holder)
        connection.close()
        if time.monotonic() > give_up_at:
            raise unavailable()
        time.sleep(_POLL_SECONDS)


def _lease(credential_id: int, expected: bytes, holder: str) -> bool:
    until = models.ExpressionWrapper(Now() + LEASE, output_field=models.DateTimeField())
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    rows = CredentialTokens.objects.filter(free, pk=credential_id, refresh_fingerprint=expected)
    with transaction.atomic():
        return bool(rows.update(lease_holder=holder, lease_until=until))


def _exchange(credential: OAuthCredential, current: Held, holder: str) -> Held:
    provider = registry.get(credential.provider)
    connection.close()
    try:
        # A caller who leaves must not take a token along that is consumed already.
        with transport.cancellable(transport.Cancellation()):
            grant = provider.refresh(current.account, current.refresh_token)
    except RefreshRefused as refusal:
        return _refused(credential.pk, current, holder, refusal)
    except UpstreamUnreachable as error:
        _release(credential.pk, holder)
        log.warning("credential %s: no answer to a refresh: %s", credential.pk, error)
        raise unavailable() from error
    _commit(credential.pk, current.fingerprint, grant)
    log.info("credential %s: refreshed", credential.pk)
    return held(_read(credential.pk))


def _commit(credential_id: int, expected: bytes, grant: TokenGrant) -> None:
    columns = sealed_columns(credential_id, grant)
    with durable_commits(), transaction.atomic():
        rows = CredentialTokens.objects.filter(pk=credential_id, refresh_fingerprint=expected)
        if not rows.update(**columns, lease_holder="", lease_until=None):
            log.warning("credential %s: signed in anew during a refresh; the refreshed pair is dropped", credential_id)


def _release(credential_id: int, holder: str) -> None:
    with transaction.atomic():
        CredentialTokens.objects.filter(pk=credential_id, lease_holder=holder).update(lease_holder="", lease_until=None)


def _refused(credential_id: int, current: Held, holder: str, refusal: RefreshRefused) -> Held:
    _release(credential_id, holder)
    latest = held(_read(credential_id))
    if latest.fingerprint != current.fingerprint:
        return latest
    log.warning("credential %s: refresh refused: %s", credential_id, refusal.code)
    if refusal.terminal:
        needs_sign_in(credential_id, f"Refresh refused ({refusal.code}): {refusal.message}", expected=current.fingerprint)
    raise unavailable() from refusal


def needs_sign_in(credential_id: int, reason: str, *, expected: bytes) -> None:
    """The login is dead: say why and stop using it, unless it was replaced meanwhile (`expected` no longer holds)."""
    with transaction.atomic():
        rows = OAuthCredential.objects.filter(
            pk=credential_id, state=OAuthCredential.State.ACTIVE, tokens__refresh_fingerprint=expected
        )
        for credential in rows.select_for_update(of=("self",)):
            credential.enter(OAuthCredential.State.NEEDS_SIGN_IN, reason)


def unavailable() -> Unavailable:
    """What a caller is told of a login that does not work: nothing that is the operator's alone to know."""
    return Unavailable(
        "The gateway has no working login for this request now; its operator can see why.",
        retry_after=_RETRY_AFTER_SECONDS,
    )
