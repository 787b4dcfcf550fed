"""Is the process alive, and should it be sent requests?"""

from __future__ import annotations

import threading

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

_turned_away = threading.Event()


def turn_away() -> None:
    """From now on this process is not ready: it is about to end."""
    _turned_away.set()


def healthz(_: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


def readyz(_: HttpRequest) -> JsonResponse:
    """200 while the database answers too, and the process is not about to end; else 503."""
    if _turned_away.is_set():
        return JsonResponse({"status": "draining"}, status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "database unavailable"}, status=503)
    return JsonResponse({"status": "ready"})
