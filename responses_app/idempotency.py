"""A caller's `Idempotency-Key`: the same key and body within a day mean the same response, never a second turn.

Nothing is written when a turn ends. What became of it is read where it stands anyway: in its snapshot, its exchange, its row in
the background. A turn that came to nothing leaves the key free.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from floway.sealing import lookup_hash
from floway.wire.errors import ApiError, CallerError, InvalidRequest, NotFound
from floway.wire.json import dumps_canonical
from responses_app import retrieving
from responses_app.acceptance import Call
from responses_app.models import BackgroundResponse, Exchange, IdempotentRequest, Snapshot

HEADER = "idempotency-key"
KEPT = timedelta(hours=24)
_UNCLAIMED = timedelta(seconds=60)
"""How long a request may take from its acceptance to its exchange."""
_LONGEST = 255
_RETRY_AFTER_SECONDS = 2


class Reused(CallerError):
    """422: the key was used for another body."""

    status = 422
    default_code = "idempotency_key_reused"


class NotReplayable(CallerError):
    """409: the turn was taken, and nothing of it is there to show."""

    status = 409
    default_code = "idempotent_response_gone"


class InFlight(ApiError):
    """409: the first request with this key has not ended."""

    status = 409
    type = "invalid_request_error"
    default_code = "idempotent_request_in_flight"


def earlier(call: Call, response_id: str) -> retrieving.Found | None:
    """The response that the call's key stands for already; None where the call may be served, as `response_id`.

    :raises InvalidRequest: the key is none. :raises Reused, InFlight, NotReplayable: see there.
    """
    name = call.headers.get(HEADER)
    if name is None:
        return None
    if not 0 < len(name) <= _LONGEST:
        raise InvalidRequest(f"'Idempotency-Key' must have 1 to {_LONGEST} characters.", code="invalid_value")
    mine = IdempotentRequest(
        api_key=call.key,
        digest=_digest(name),
        body_digest=lookup_hash("idempotency-body", dumps_canonical(dict(call.body))),
        response_id=response_id,
        taken_at=call.started_at,
    )
    taken = _take(mine, call.started_at)
    return None if taken is None else _found(call.key.pk, taken)


def give_back(call: Call, response_id: str) -> None:
    """Nothing came of the call, and nothing tells so: let its key be free."""
    name = call.headers.get(HEADER)
    if name is not None:
        with transaction.atomic():
            IdempotentRequest.objects.filter(api_key=call.key, digest=_digest(name), response_id=response_id).delete()


def _digest(name: str) -> bytes:
    return lookup_hash("idempotency-key", name.encode("utf-8", "surrogateescape"))


def _take(mine: IdempotentRequest, now: datetime) -> str | None:
    """Take the key; returns the id of the response that has it, or None where it is `mine` now.

    :raises Reused, InFlight: see there.
    """
    with transaction.atomic():
        IdempotentRequest.objects.bulk_create([mine], ignore_conflicts=True)
        row = IdempotentRequest.objects.select_for_update().filter(api_key=mine.api_key, digest=mine.digest).first()
        if row is not None:
            return _taken(row, mine, now)
    return _take(mine, now)  # whose it was has given it back between the two


def _taken(row: IdempotentRequest, mine: IdempotentRequest, now: datetime) -> str | None:
    if row.response_id == mine.response_id:
        return None
    if row.taken_at + KEPT > now and not _came_to_nothing(row, now):
        if bytes(row.body_digest) != mine.body_digest:
            raise Reused("This 'Idempotency-Key' was used with another request.")
        return row.response_id
    row.body_digest, row.response_id, row.taken_at = mine.body_digest, mine.response_id, now
    row.save(update_fields=["body_digest", "response_id", "taken_at"])
    return None


def _came_to_nothing(row: IdempotentRequest, now: datetime) -> bool:
    """Did the turn end without an answer, or before it was one?"""
    if Snapshot.objects.filter(response_id=row.response_id).exists():
        return False
    if BackgroundResponse.objects.filter(response_id=row.response_id).exists():
        return False
    exchange = Exchange.objects.filter(response_id=row.response_id)
    if exchange.exists():
        return not (exchange.running().exists() or exchange.filter(status__in=_PAID).exists())
    return row.taken_at + _UNCLAIMED < now


_PAID = [Exchange.Status.COMPLETED, Exchange.Status.INCOMPLETE]


def _found(api_key_id: int, response_id: str) -> retrieving.Found:
    """:raises InFlight, NotReplayable: see there."""
    try:
        return retrieving.find(api_key_id, response_id)
    except NotFound as error:
        gone = Snapshot.objects.filter(response_id=response_id).exists()
        gone = gone or BackgroundResponse.objects.filter(response_id=response_id).exists()  # its caller deleted it
        if gone or Exchange.objects.filter(response_id=response_id, status__in=_PAID).exists():
            message = "The request with this 'Idempotency-Key' was answered, but its response is not stored (any more)."
            raise NotReplayable(message) from error
        message = "The first request with this 'Idempotency-Key' is still in flight."
        raise InFlight(message, retry_after=_RETRY_AFTER_SECONDS) from error


def sweep(_: str) -> None:
    """Forget keys that are a day old; a job of the maintenance loop."""
    with transaction.atomic():
        IdempotentRequest.objects.filter(taken_at__lt=timezone.now() - KEPT).delete()
