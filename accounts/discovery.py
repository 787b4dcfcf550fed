"""What a provider must know of an account before its first turn: asked once, kept, asked anew now and then."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from accounts import tokens
from accounts.models import CredentialFacts, OAuthCredential
from accounts.tokens import Held
from floway.providers import registry
from floway.providers.contract import AccountUnusable, FailureKind, ResponsesProvider, UpstreamRefused, UpstreamUnreachable
from floway.wire.json import JSON

log = logging.getLogger(__name__)

ASK_AGAIN = timedelta(minutes=5)
"""How long an account that must not be used is left alone before its provider is asked again."""


def informed(credential: OAuthCredential, held: Held, now: datetime) -> Held:
    """`held` with what is known of its account; asked now where nothing is known, or what is known has grown old.

    :param credential: its facts as they were when it was read.

    :raises AccountUnusable: the account must not be used.
    :raises UpstreamUnreachable: nothing is known and nothing is to be had; `UpstreamRefused` where that was a refusal.
    :raises Unavailable: the login would not refresh.
    """
    row: CredentialFacts | None = getattr(credential, "facts", None)
    if row is not None and row.problem and now - row.fetched_at < ASK_AGAIN:
        raise AccountUnusable(row.problem)
    fresh = row is not None and now - row.fetched_at < timedelta(seconds=settings.FLOWAY_FACTS_FRESH_SECONDS)
    if row is not None and fresh and not row.problem:
        return told(held, row.document)
    try:
        return _asked(credential, held, now)
    except UpstreamUnreachable as error:
        if row is None or row.problem or _is_dead(error):
            raise
        log.warning("credential %s: what is known of its account is old and could not be renewed: %s", credential.pk, error)
        return told(held, row.document)


def _is_dead(error: UpstreamUnreachable) -> bool:
    return isinstance(error, UpstreamRefused) and error.failure.kind in {FailureKind.NEEDS_SIGN_IN, FailureKind.STALE_TOKEN}


def _asked(credential: OAuthCredential, held: Held, now: datetime) -> Held:
    provider = registry.get(credential.provider)
    connection.close()
    try:
        held, facts = _ask(provider, held)
    except AccountUnusable as unusable:
        log.warning("credential %s: %s", credential.pk, unusable)
        keep(credential.pk, None, str(unusable), now)
        raise
    keep(credential.pk, facts, "", now)
    return told(held, facts)


def _ask(provider: ResponsesProvider, held: Held) -> tuple[Held, JSON]:
    try:
        return held, provider.discover(held.account)
    except UpstreamRefused as refused:
        if refused.failure.kind is not FailureKind.STALE_TOKEN:
            raise
    held = tokens.refresh(held)
    return held, provider.discover(held.account)


def keep(credential_id: int, document: JSON, problem: str, now: datetime) -> None:
    """Remember what was found out."""
    # In one statement: several processes may find out at once.
    CredentialFacts.objects.bulk_create(
        [CredentialFacts(credential_id=credential_id, document=document, problem=problem[:500], fetched_at=now)],
        update_conflicts=True,
        unique_fields=["credential"],
        update_fields=["document", "problem", "fetched_at"],
    )


def told(held: Held, facts: JSON) -> Held:
    """`held` with these facts of its account."""
    return replace(held, account=replace(held.account, facts=facts))
