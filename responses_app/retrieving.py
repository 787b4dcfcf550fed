"""Stored responses, by their id: to the key that they belong to, and to nobody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from floway.sealing import CannotUnseal
from floway.wire.errors import InvalidRequest, NotFound, ServiceError
from floway.wire.json import JSONObject
from responses_app import answers, background, content
from responses_app.clock import Clock
from responses_app.journal import Follower
from responses_app.listing import Page, identified
from responses_app.models import BackgroundResponse, Snapshot

log = logging.getLogger(__name__)


def not_found(response_id: str) -> NotFound:
    """What an unknown id, a deleted one and another key's are answered alike."""
    return NotFound(f"Response with id '{response_id}' not found.")


@dataclass(frozen=True, slots=True)
class Found:
    """A response: settled, or in the background, or both."""

    response_id: str
    snapshot: Snapshot | None
    row: BackgroundResponse | None


def find(api_key_id: int, response_id: str) -> Found:
    """The response.

    :raises NotFound: this key has none of that id.
    """
    if "\0" in response_id:
        raise not_found(response_id)
    row = background.find(api_key_id, response_id)
    rows = Snapshot.objects.visible_to(api_key_id).exclude(answer=None).select_related("parent")
    snapshot = rows.filter(response_id=response_id).first()
    if snapshot is None and (row is None or not row.sealed):
        raise not_found(response_id)
    return Found(response_id, snapshot, row)


def response(found: Found) -> JSONObject:
    """The Response object: as it was answered, or as it stands.

    :raises ServiceError: it is damaged.
    """
    with _reading(found):
        if found.row is not None and found.row.sealed:
            return background.response_of(found.row)
        return answers.response_of(_settled(found))


def input_items(found: Found, page: Page) -> dict[str, Any]:
    """A page of the items that the response was made of.

    :raises ServiceError: one is damaged. :raises InvalidRequest: there is no such page.
    """
    with _reading(found):
        if found.row is not None and found.row.sealed:
            return page.shown(_input_of(found.row))
        snapshot = _settled(found)
        return page.shown(identified(answers.input_of(snapshot), snapshot.conversation_id))


def _input_of(row: BackgroundResponse) -> list[dict[str, Any]]:
    before = row.continued
    items = [*(content.expand(before) if before is not None else []), *background.input_of(row)]
    return identified(items, before.conversation_id if before is not None else 0)


def _settled(found: Found) -> Snapshot:
    assert found.snapshot is not None  # noqa: S101 - one of the two tells
    return found.snapshot


def cancel(found: Found, now: datetime) -> JSONObject:
    """End it, if it is in the background and has not ended; returns the object as it stands then.

    :raises InvalidRequest: its caller waited for it.
    """
    if found.row is None:
        answered = response(found)
        if answered["background"] is not True:
            raise InvalidRequest("Cannot cancel a synchronous response.", param="response_id", code="not_cancellable")
        return answered
    background.cancel(found.row, now)
    return response(find(found.row.api_key_id, found.response_id))


def delete(api_key_id: int, response_id: str, now: datetime) -> None:
    """Make it unknown. What was built on it goes on.

    :raises NotFound: this key has none of that id.
    """
    if "\0" in response_id:
        raise not_found(response_id)
    with transaction.atomic():
        # First, as where snapshots past their time are cleared away, and where one that was cancelled ends.
        gone = background.delete(api_key_id, response_id, now)
        known = Snapshot.objects.visible_to(api_key_id).exclude(answer=None)
        gone += known.filter(response_id=response_id).update(deleted_at=now, answer=None)
    if not gone:
        raise not_found(response_id)


@contextmanager
def _reading(found: Found) -> Iterator[None]:
    try:
        yield
    except CannotUnseal as error:
        log.exception("response %s cannot be read", found.response_id)
        raise ServiceError(
            f"The stored response '{found.response_id}' is damaged.", code="response_damaged", permanent=True
        ) from error


def follower(found: Found, after: int, clock: Clock) -> Follower:
    """A reader of its events.

    :param after: the number of the last event that the caller has.
    :raises InvalidRequest: there are none to read.
    """
    row = found.row
    if row is None or (row.ended_at is not None and row.ended_at + background.KEPT < clock.now()):
        raise InvalidRequest(
            "Only a response made with 'background' can be streamed again, until ten minutes after its end.",
            param="stream",
            code="not_streamable",
        )
    return Follower(row.pk, after, lambda: response(find(row.api_key_id, row.response_id)), clock)
