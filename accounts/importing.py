"""A login, taken in: from the document that an official client keeps, or from a sign-in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts.models import CredentialTokens, OAuthCredential
from accounts.tokens import sealed_columns
from floway.durability import durable_commits
from floway.providers import registry
from floway.providers.contract import Grant, InvalidDocument
from floway.wire.json import InvalidJSON, loads

_LARGEST_DOCUMENT = 1024 * 1024


class ImportRefused(Exception):
    """The document cannot be imported; `str` tells the operator why, without quoting it."""


class AnotherLogin(Exception):
    """The login is not the one it was to renew; `str` names its account."""


@dataclass(frozen=True, slots=True)
class Imported:
    """`created` is False where the login was known: its row, device id and history stay, its tokens are replaced."""

    credential: OAuthCredential
    created: bool


def import_credential(document: bytes | str, *, provider: str | None = None) -> Imported:
    """Import `document` as a login with `provider` (by default the first configured).

    :raises ImportRefused: it is no login.
    """
    slug = provider or registry.default_slug()
    if len(document) > _LARGEST_DOCUMENT:
        raise ImportRefused("The document is larger than 1 MiB.")
    try:
        grant = registry.get(slug).import_credential(loads(document))
    except InvalidJSON as error:
        raise ImportRefused(f"The document is not JSON: {error}.") from error
    except InvalidDocument as error:
        raise ImportRefused(str(error)) from error
    return store(slug, grant, given_now=False)


def store(slug: str, grant: Grant, *, only: OAuthCredential | None = None, given_now: bool = True) -> Imported:
    """Keep a login, on disk when this returns: a known one keeps its row, device id and history, and gets the new tokens.

    :param only: the credential that it must be the login of; nothing is written for any other.
    :param given_now: False where a document holds it, which may be older than what the gateway has.
    :raises AnotherLogin: it is not. :raises ImportRefused: it is older.
    """
    with durable_commits(), transaction.atomic():
        known = OAuthCredential.objects.select_for_update().filter(provider=slug, subject=grant.subject).first()
        if only is not None and (known is None or known.pk != only.pk):
            raise AnotherLogin(grant.email or grant.account_id)
        if known is not None and not given_now:
            _refuse_older(known, grant)
        return _write(slug, grant, known)


def _refuse_older(known: OAuthCredential, grant: Grant) -> None:
    """A document that was imported once is older than what the gateway has refreshed since: its refresh token is used up.

    :raises ImportRefused: it would replace living tokens by dead ones.
    """
    tokens = CredentialTokens.objects.filter(pk=known.pk).first()
    if tokens is None or known.state == OAuthCredential.State.NEEDS_SIGN_IN:
        return
    mine, theirs = tokens.access_expires_at, grant.tokens.access_expires_at
    if mine is not None and theirs is not None and theirs < mine:
        raise ImportRefused(
            "The gateway holds newer tokens of this login than this document: it has refreshed them since, and the document's "
            "refresh token is used up. Nothing was changed. To replace them, sign in anew and import what that gives."
        )


def _write(slug: str, grant: Grant, known: OAuthCredential | None) -> Imported:
    credential = known or OAuthCredential(provider=slug, subject=grant.subject, openai_device_id=_device_id(grant))
    credential.email, credential.plan = grant.email, grant.plan
    credential.account_id, credential.user_id = grant.account_id, grant.user_id
    credential.document_rest = dict(grant.rest) or credential.document_rest
    credential.imported_at = timezone.now()
    if credential.state == OAuthCredential.State.NEEDS_SIGN_IN:
        credential.become(OAuthCredential.State.ACTIVE, "")
    credential.save()
    CredentialTokens.objects.update_or_create(
        credential=credential,
        defaults={**sealed_columns(credential.pk, grant.tokens), "lease_holder": "", "lease_until": None},
        create_defaults=sealed_columns(credential.pk, grant.tokens),
    )
    return Imported(credential, known is None)


def _device_id(grant: Grant) -> uuid.UUID:
    stated = uuid.UUID(grant.device_id) if grant.device_id else None
    if stated is not None and not OAuthCredential.objects.filter(openai_device_id=stated).exists():
        return stated
    return uuid.uuid4()
