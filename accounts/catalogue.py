"""The models a credential's account may use: the last catalogue at once, a newer one fetched behind it."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import states, tokens
from accounts.models import ApiKey, ModelCatalogue, OAuthCredential
from floway.providers import registry
from floway.providers.contract import Catalogue, FailureKind, Model, UpstreamRefused, UpstreamUnreachable
from floway.wire.errors import ApiError, Unavailable

log = logging.getLogger(__name__)

_FETCH_LEASE = timedelta(seconds=60)


def current(credential: OAuthCredential, now: datetime) -> Catalogue:
    """The catalogue as last seen; fetched now only where none was ever seen.

    :raises Unavailable: none was ever seen and none is to be had.
    """
    row = ModelCatalogue.objects.filter(pk=credential.pk).first()
    if row is None:
        return _fetch(credential)
    if row.fetched_at + timedelta(seconds=settings.FLOWAY_MODELS_FRESH_SECONDS) < now and _take_turn(credential.pk):
        threading.Thread(target=_refetch, args=(credential.pk,), name="catalogue", daemon=True).start()
    return _from_document(row.document)


def allowed(key: ApiKey, catalogue: Catalogue) -> Catalogue:
    """The catalogue less the models that `key` may not use, in either shape."""
    if not key.allowed_models:
        return catalogue
    models = tuple(model for model in catalogue.models if key.may_use(model.id))
    return registry.get(key.provider).narrowed(replace(catalogue, models=models))


def _take_turn(credential_id: int) -> bool:
    until = ExpressionWrapper(Now() + _FETCH_LEASE, output_field=DateTimeField())
    free = Q(refreshing_until=None) | Q(refreshing_until__lt=Now())
    with transaction.atomic():
        return bool(ModelCatalogue.objects.filter(free, pk=credential_id).update(refreshing_until=until))


def _refetch(credential_id: int) -> None:
    try:
        _fetch(OAuthCredential.objects.select_related("tokens", "proxy").get(pk=credential_id))
    except (ApiError, DatabaseError, OAuthCredential.DoesNotExist) as error:
        log.warning("the catalogue of credential %s could not be renewed: %s", credential_id, error)
    finally:
        connection.close()


def _fetch(credential: OAuthCredential) -> Catalogue:
    held = tokens.fresh(credential, timezone.now())
    try:
        catalogue = _asked(credential, held)
    except UpstreamUnreachable as error:
        log.warning("no catalogue for credential %s: %s", credential.pk, error)
        raise Unavailable("The list of models is not to be had now.", code="upstream_unreachable", retry_after=5) from error
    with transaction.atomic():
        ModelCatalogue.objects.update_or_create(
            credential=credential,
            defaults={"document": asdict(catalogue), "fetched_at": timezone.now(), "refreshing_until": None},
        )
    return catalogue


def _asked(credential: OAuthCredential, held: tokens.Held) -> Catalogue:
    """The catalogue from upstream, the token refreshed once if it is refused; what came of it is the credential's state.

    :raises UpstreamUnreachable: it gave none. :raises Unavailable: the login could not be refreshed.
    """
    try:
        catalogue = _models(credential, held)
    except UpstreamRefused as refused:
        if refused.failure.kind is not FailureKind.STALE_TOKEN:
            raise
        catalogue = _models(credential, tokens.refresh(held), last=True)
    states.succeeded(credential)
    return catalogue


def _models(credential: OAuthCredential, held: tokens.Held, *, last: bool = False) -> Catalogue:
    connection.close()
    try:
        return registry.get(credential.provider).models(held.account)
    except UpstreamRefused as refused:
        if last or refused.failure.kind is not FailureKind.STALE_TOKEN:
            states.failed(credential.pk, refused.failure, expected=held.fingerprint, now=timezone.now())
        raise


def _from_document(document: dict[str, Any]) -> Catalogue:
    models = document.pop("models")
    return Catalogue(models=tuple(Model(**model) for model in models), **document)
