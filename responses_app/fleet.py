"""All processes that serve: each says every few seconds that it lives, and ends what those that don't have left behind."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import BooleanField, Case, Count, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from accounts import editions
from floway import transport
from responses_app import claims, workers
from responses_app.models import Exchange, Worker
from responses_app.models.workers import UNSEEN, ago

log = logging.getLogger(__name__)

BEAT_SECONDS = 5
_BATCH = 100
_ENDED = ["status", "ended_by", "error_code", "operator_note", "finished_at"]


def run(stop: threading.Event) -> None:
    """Come round until `stop` is set; whoever calls has come round once."""
    while not stop.wait(BEAT_SECONDS):
        come_round()
        transport.sweep()


def come_round() -> None:
    """Say that this process lives, and end what dead ones left; what the database won't have now is said the next time.

    What it keeps of keys and logins that have changed goes too, though nobody calls.
    """
    try:
        workers.beat()
        end_lost()
        editions.current()
    except Error as error:
        log.warning("the database would not hear that this process lives: %s", error)
    finally:
        connection.close()


def drain() -> None:
    """This process takes no new turns; where that cannot be written, nobody is told."""
    try:
        workers.drain()
    except Error as error:
        log.warning("that this process drains could not be written: %s", error)
    finally:
        connection.close()


def leave() -> None:
    """This process ends: what it has not finished is lost, and its row goes."""
    try:
        workers.leave()
        end_lost()
    except Error as error:
        log.warning("this process's row was not taken away: %s", error)
    finally:
        connection.close()


def end_lost() -> int:
    """End the turns that nobody serves any more, each once, whoever else is at it; and forget dead processes.

    :returns: how many turns.
    """
    ended = 0
    while Exchange.objects.lost().exists():
        done = _end_batch()
        ended += done
        if not done:
            break  # another process has them in hand
    if ended:
        log.warning("%s turns of processes that died were ended as lost", ended)
    if Worker.objects.dead().exists():
        with transaction.atomic():
            Worker.objects.dead().delete()
    return ended


def _end_batch() -> int:
    with transaction.atomic():
        rows = Exchange.objects.lost().select_for_update(of=("self",), skip_locked=True).only("pk", *_ENDED)
        batch = list(rows.order_by("pk")[:_BATCH])
        for exchange in batch:
            exchange.status, exchange.ended_by = Exchange.Status.FAILED, Exchange.EndedBy.LOST
            exchange.error_code, exchange.finished_at = "worker_lost", Now()
            exchange.operator_note = "The process that served it died, or was ended before the turn was."
            exchange.save(update_fields=_ENDED)
            claims.release(exchange)
    return len(batch)


def standing() -> QuerySet[Any]:
    """Every process, with how many turns it serves (`serving`) and whether it was heard of lately (`lives`)."""
    mine = Exchange.objects.in_flight().filter(worker=OuterRef("pk")).order_by().values("worker").annotate(n=Count("pk"))
    return Worker.objects.annotate(
        serving=Coalesce(Subquery(mine.values("n")), 0, output_field=IntegerField()),
        lives=Case(When(seen_at__gte=ago(UNSEEN), then=Value(True)), default=Value(False), output_field=BooleanField()),
    )
