"""Stored responses, by their id: to the key that they belong to, and to nobody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction

from floway.sealing import CannotUnseal
from floway.wire.errors import NotFound, ServiceError
from floway.wire.json import JSONObject
from responses_app import answers
from responses_app.listing import Page, identified
from responses_app.models import Snapshot

log = logging.getLogger(__name__)


def not_found(response_id: str) -> NotFound:
    """What an unknown id, a deleted one and another key's are answered alike."""
    return NotFound(f"Response with id '{response_id}' not found.")


def find(api_key_id: int, response_id: str) -> Snapshot:
    """The stored response.

    :raises NotFound: this key has none of that id.
    """
    rows = Snapshot.objects.visible_to(api_key_id).exclude(answer=None).select_related("parent")
    found = rows.filter(response_id=response_id).first() if "\0" not in response_id else None
    if found is None:
        raise not_found(response_id)
    return found


def response(snapshot: Snapshot) -> JSONObject:
    """The Response object as it was answered.

    :raises ServiceError: it is damaged.
    """
    with _reading(snapshot):
        return answers.response_of(snapshot)


def input_items(snapshot: Snapshot, page: Page) -> dict[str, Any]:
    """A page of the items that the response was made of.

    :raises ServiceError: one is damaged. :raises InvalidRequest: there is no such page.
    """
    with _reading(snapshot):
        items = answers.input_of(snapshot)
    return page.shown(identified(items, snapshot.conversation_id))


def delete(api_key_id: int, response_id: str, now: datetime) -> None:
    """Make it unknown. What was built on it goes on.

    :raises NotFound: this key has none of that id.
    """
    with transaction.atomic():
        known = Snapshot.objects.visible_to(api_key_id).exclude(answer=None)
        gone = known.filter(response_id=response_id).update(deleted_at=now, answer=None) if "\0" not in response_id else 0
    if not gone:
        raise not_found(response_id)


@contextmanager
def _reading(snapshot: Snapshot) -> Iterator[None]:
    try:
        yield
    except CannotUnseal as error:
        log.exception("response %s cannot be read", snapshot.pk)
        raise ServiceError(
            f"The stored response '{snapshot.response_id}' is damaged.", code="response_damaged", permanent=True
        ) from error
