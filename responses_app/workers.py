"""This process's row among those that serve: what a turn names as its process, and what says that the process lives."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from responses_app.models import Worker

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    worker_id: int | None = None


_place = _Place()


def current() -> int | None:
    """The number of this process's row; None where it does not serve, or the database would not have it yet."""
    return _place.worker_id


def _row() -> QuerySet[Worker]:
    return Worker.objects.filter(pk=_place.worker_id or 0)


def join() -> None:
    """Have a row.

    :raises django.db.Error: none could be written.
    """
    with transaction.atomic():
        row = Worker.objects.create(host=socket.gethostname()[:255], pid=os.getpid())
    _place.worker_id = row.pk


def beat() -> None:
    """Say that this process lives; one that was taken for dead meanwhile begins anew.

    :raises django.db.Error: it could not be said.
    """
    with transaction.atomic():
        known = _row().update(seen_at=Now())
    if not known:
        if current() is not None:
            log.warning("this process was taken for dead; its turns were ended as lost")
        join()


def drain() -> None:
    """Say that this process takes no new turns.

    :raises django.db.Error: it could not be said.
    """
    with transaction.atomic():
        _row().update(draining=True, seen_at=Now())


def leave() -> None:
    """Take the row away: whatever still names it is nobody's.

    :raises django.db.Error: it is still there, and will be found unseen.
    """
    with transaction.atomic():
        _row().delete()
    _place.worker_id = None
