"""Responses made in the background: accepted within bounds, run under a lease, cancelled by a flag that every process sees."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error, connection, models, transaction
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from accounts.models import ApiKey
from floway import logs
from floway.sealing import seal_content, unseal_content
from floway.wire import events
from floway.wire.errors import ApiError
from floway.wire.json import JSON, JSONObject, dumps, loads
from floway.wire.objects import complete_response, echoed
from responses_app.acceptance import input_items
from responses_app.journal import Journal
from responses_app.models import BackgroundResponse, EventBatch, Snapshot
from responses_app.pipeline import Turn
from responses_app.settling import write_later

log = logging.getLogger(__name__)

PURPOSE = "background"
KEPT = timedelta(minutes=10)
"""How long events are kept beyond the end of their response."""
_LEASE = timedelta(seconds=30)
_RENEWED_AFTER_SECONDS = 5.0
_PULSE_SECONDS = 0.2
_RETRY_AFTER_SECONDS = 10
_SWEPT_AT_ONCE = 200
_LOST: JSONObject = {"code": "server_error", "message": "The gateway stopped before the response was complete."}
Status = BackgroundResponse.Status

_slots = threading.BoundedSemaphore(settings.FLOWAY_BACKGROUND_PER_WORKER)


class TooMany(ApiError):
    """429: as many are in the background as may be."""

    status = 429
    type = "rate_limit_error"
    default_code = "too_many_background_responses"


def owner_of(response_id: str) -> str:
    """Whose an envelope is."""
    return response_id


# --- accepting ------------------------------------------------------------------------------------------------------------


def start(turn: Turn, continued: Snapshot | None) -> BackgroundResponse:
    """Accept the turn; it runs in this process from now on.

    :raises TooMany: this process or the key has no room.
    """
    if not _slots.acquire(blocking=False):
        raise TooMany("This gateway runs as many background responses as it may.", retry_after=_RETRY_AFTER_SECONDS)
    try:
        row, journal = _accept(turn, continued)
        threading.Thread(target=_Run(row, turn, journal).run, name=f"background-{row.pk}", daemon=True).start()
    except BaseException:
        _slots.release()
        raise
    return row


def _accept(turn: Turn, continued: Snapshot | None) -> tuple[BackgroundResponse, Journal]:
    call = turn.call
    queued = complete_response(
        echoed(call.body),
        events.QUEUED,
        {},
        response_id=turn.response_id,
        created_at=int(call.started_at.timestamp()),
        completed_at=None,
        output=[],
    )
    row = BackgroundResponse(
        response_id=turn.response_id,
        request_id=call.request_id,
        api_key=call.key,
        continued=continued,
        sealed=_sealed(turn.response_id, queued, input_items(call.body.get("input"))),
        lease_until=_leased(),
        created_at=call.started_at,
    )
    with transaction.atomic():
        ApiKey.objects.select_for_update(no_key=True).get(pk=call.key.pk)  # counted one by one
        live = BackgroundResponse.objects.running().filter(api_key=call.key).count()
        if live >= settings.FLOWAY_BACKGROUND_PER_KEY:
            raise TooMany("This key has as many background responses as it may.", retry_after=_RETRY_AFTER_SECONDS)
        row.save(force_insert=True)
        journal = Journal(row)
        journal.open(queued)
        stored = journal.store()
    journal.forget(stored)
    return row, journal


def _leased() -> models.ExpressionWrapper[CombinedExpression]:
    return models.ExpressionWrapper(Now() + _LEASE, output_field=models.DateTimeField())


def _sealed(response_id: str, response: JSONObject, items: list[JSON]) -> bytes:
    plain = dumps({"response": dict(response), "input": items})
    return seal_content(plain, purpose=PURPOSE, owner=owner_of(response_id))


def _kept(row: BackgroundResponse) -> dict[str, JSON]:
    kept: dict[str, JSON] = loads(unseal_content(row.sealed, purpose=PURPOSE, owner=owner_of(row.response_id)))
    return kept


# --- reading --------------------------------------------------------------------------------------------------------------


def find(api_key_id: int, response_id: str) -> BackgroundResponse | None:
    """The key's background response of that id; one that its process has lost has failed."""
    rows = BackgroundResponse.objects.filter(api_key_id=api_key_id, response_id=response_id, deleted_at=None)
    row = rows.select_related("continued").first()
    if row is not None and row.status in BackgroundResponse.LIVE and _fail_lost(pk=row.pk):
        row.refresh_from_db(fields=["status", "ended_at"])
    return row


def _fail_lost(**which: int) -> int:
    if not BackgroundResponse.objects.lost().filter(**which).exists():
        return 0
    with transaction.atomic():
        return BackgroundResponse.objects.lost().filter(**which).update(status=Status.FAILED, ended_at=Now())


def response_of(row: BackgroundResponse) -> JSONObject:
    """The Response object as it stands, of one whose snapshot does not tell.

    :raises floway.sealing.CannotUnseal: it is damaged, or kept no longer.
    """
    response: JSONObject = {**_kept(row)["response"], "status": row.status}
    if row.status == Status.FAILED and response["error"] is None:
        return {**response, "error": dict(_LOST)}
    return response


def input_of(row: BackgroundResponse) -> list[JSON]:
    """The request's own input.

    :raises floway.sealing.CannotUnseal: see `response_of`.
    """
    items: list[JSON] = _kept(row)["input"]
    return items


# --- ending ---------------------------------------------------------------------------------------------------------------


def cancel(row: BackgroundResponse, now: datetime) -> None:
    """End it if it has not ended; whoever runs it notices within a second."""
    with transaction.atomic():
        BackgroundResponse.objects.live().filter(pk=row.pk).update(status=Status.CANCELLED, ended_at=now)
    row.refresh_from_db(fields=["status", "ended_at"])


def delete(api_key_id: int, response_id: str, now: datetime) -> int:
    """Cancel it, empty it and make it unknown, in the open transaction; returns whether there was one."""
    rows = BackgroundResponse.objects.filter(api_key_id=api_key_id, response_id=response_id, deleted_at=None)
    rows.live().update(status=Status.CANCELLED, ended_at=now)
    EventBatch.objects.filter(response__in=rows).delete()
    return rows.update(deleted_at=now, sealed=b"")


def sweep(_: str) -> None:
    """Give up what is lost and forget what was kept long enough; a job of the maintenance loop."""
    _fail_lost()
    over = BackgroundResponse.objects.exclude(ended_at=None).filter(
        ended_at__lt=models.ExpressionWrapper(Now() - KEPT, output_field=models.DateTimeField())
    )
    while batch := list(EventBatch.objects.filter(response__in=over).values_list("pk", flat=True)[:_SWEPT_AT_ONCE]):
        with transaction.atomic():
            EventBatch.objects.filter(pk__in=batch).delete()
    with transaction.atomic():
        over.filter(sealed=b"", batches=None).delete()


# --- running --------------------------------------------------------------------------------------------------------------


class _Run:
    """One response being made. A pulse beside it stores its events, keeps its lease, and looks whether it shall end."""

    def __init__(self, row: BackgroundResponse, turn: Turn, journal: Journal) -> None:
        self._row = row
        self._turn = turn
        self._journal = journal
        self._over = threading.Event()
        self._leased_at = turn.clock.monotonic()

    def run(self) -> None:
        """To its end, whatever that is."""
        logs.request_id.set(self._turn.call.request_id)
        pulse = threading.Thread(target=self._pulse, name=f"pulse-{self._row.pk}", daemon=True)
        try:
            pulse.start()
            failure = self._make()
            self._over.set()
            pulse.join()
            self._end(failure)
        except Exception:
            log.exception("background response %s: unforeseen failure", self._row.pk)
        finally:
            self._over.set()
            connection.close()
            _slots.release()

    def _make(self) -> JSONObject | None:
        """Take the turn; returns the error that kept it from beginning."""
        try:
            self._turn.open()
        except ApiError as error:
            return {"code": error.code or "server_error", "message": error.message}
        except Exception:
            log.exception("background response %s could not begin", self._row.pk)
            return {"code": "server_error", "message": "The gateway failed before the answer began."}
        self._begin()
        for piece in self._turn.stream():
            self._journal.take(piece)
        return None

    def _begin(self) -> None:
        try:
            with transaction.atomic():
                rows = BackgroundResponse.objects.filter(pk=self._row.pk)
                rows.update(dropped=self._turn.dropped)
                rows.filter(status=Status.QUEUED).update(status=Status.IN_PROGRESS)
        except Error:
            log.warning("background response %s: its beginning is not written", self._row.pk)
        finally:
            connection.close()

    def _pulse(self) -> None:
        logs.request_id.set(self._turn.call.request_id)
        while not self._over.wait(_PULSE_SECONDS):
            try:
                if not self._beat():
                    self._turn.cancellation.cancel()
            except Error as error:
                log.warning("background response %s: %s", self._row.pk, error)
            finally:
                connection.close()

    def _beat(self) -> bool:
        """Store what has come and keep the lease; False where the response has ended without us."""
        now = self._turn.clock.monotonic()
        mine = BackgroundResponse.objects.live().filter(pk=self._row.pk)
        if not self._journal.has_news and now - self._leased_at < _RENEWED_AFTER_SECONDS:
            return mine.exists()
        with transaction.atomic():
            if not mine.update(lease_until=_leased()):
                return False
            stored = self._journal.store()
        self._journal.forget(stored)
        self._leased_at = now
        return True

    def _end(self, failure: JSONObject | None) -> None:
        """Write how it ended, with its last events; later, where the database won't have it now."""
        response = self._journal.response
        if response is None:
            error = failure or _LOST
            response = {**response_of(self._row), "status": Status.FAILED.value, "error": dict(error)}
            self._journal.close(response)
        is_kept = response["status"] in {Status.COMPLETED, Status.INCOMPLETE} and response["store"] is True
        sealed = b"" if is_kept else _sealed(self._row.response_id, response, input_of(self._row))

        def write() -> None:
            with transaction.atomic():
                mine = BackgroundResponse.objects.live().filter(pk=self._row.pk)
                if mine.update(status=response["status"], sealed=sealed, ended_at=Now()):
                    self._journal.store()
                elif not BackgroundResponse.objects.filter(pk=self._row.pk, status=response["status"]).exists():
                    # It was cancelled, deleted or given up before: what its caller was told then stays true.
                    gone = Snapshot.objects.filter(response_id=self._row.response_id)
                    gone.update(deleted_at=Now(), answer=None)

        try:
            write()
        except Error:
            log.exception("background response %s: its end could not be written yet", self._row.pk)
            write_later(write, self._turn.call.request_id, self._turn.clock)
