"""The handshake: who may open a socket, and how one is taken out of the server's hands."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse

from accounts.models import ApiKey
from floway.fairness import Stint
from floway.leaving import STALL_SECONDS
from floway.websocket import NotAHandshake, WebSocket, acceptance
from floway.wire.errors import ApiError, CallerError, InvalidRequest
from responses_app.clock import Clock
from responses_app.http import NO_STORE, all_headers
from responses_app.sockets.house import HOUSE
from responses_app.sockets.memory import Memory
from responses_app.sockets.session import Session, Span


class UpgradeRequired(ApiError):
    """426: official clients fall back to plain HTTP at once."""

    status = 426
    type = "invalid_request_error"
    default_code = "websocket_not_supported"


class ForeignOrigin(CallerError):
    """403: a page of somebody else's asks, from inside a browser."""

    status = 403
    default_code = "origin_not_allowed"


class Handed(Iterator[bytes]):
    """The answer to a handshake: a body without bytes, during which the socket is served.

    The connection is spent afterwards, and the server is told so in the way it knows: as one that its caller has reset.
    """

    def __init__(self, session: Session, socket: WebSocket, head: bytes, key_id: int) -> None:
        HOUSE.admit(key_id)
        self._session = session
        self._socket = socket
        self._head = head
        self._key_id = key_id
        self._counted = True

    def __next__(self) -> bytes:
        connection.close()
        self._socket.hand_over(self._head)
        with HOUSE.lodging(self._session.leave):
            self._session.run()
        raise ConnectionResetError(errno.ECONNRESET, "the WebSocket has ended")

    def close(self) -> None:
        """The answer is over, whether it began or not."""
        if self._counted:
            self._counted = False
            HOUSE.dismiss(self._key_id)


def opened(request: HttpRequest, key: ApiKey, clock: Clock) -> StreamingHttpResponse:
    """The answer to an authenticated request for a socket.

    :raises ApiError: there will be none.
    """
    caller = request.META.get("gunicorn.socket")
    if not settings.FLOWAY_WEBSOCKET or caller is None:
        raise UpgradeRequired("WebSocket is not served here; use POST.")
    _refuse_foreign_pages(request)
    headers = all_headers(request)
    try:
        head = acceptance(dict(headers), ("x-request-id", request.floway_request_id))  # type: ignore[attr-defined] # ours
    except NotAHandshake as error:
        raise InvalidRequest(str(error), code="invalid_handshake") from error
    span = Span(settings.FLOWAY_WEBSOCKET_SECONDS, settings.FLOWAY_WEBSOCKET_IDLE_SECONDS, settings.FLOWAY_MAX_STREAM_SECONDS)
    stint: Stint | None = request.META.get("floway.stint")
    socket = WebSocket(
        caller,
        limit=settings.FLOWAY_MAX_BODY_BYTES,
        tick=settings.FLOWAY_KEEPALIVE_SECONDS,
        stall=STALL_SECONDS,
        let_others=None if stint is None else stint.look,
    )
    session = Session(socket, headers, request.META, Memory(), clock, span)
    return StreamingHttpResponse(Handed(session, socket, head, key.pk), status=101, headers=NO_STORE)


def _refuse_foreign_pages(request: HttpRequest) -> None:
    """Browsers send an origin, and let any page open a socket anywhere; nobody else sends one.

    :raises ForeignOrigin: it is not the gateway's own.
    """
    origin, public = request.headers.get("origin"), urlsplit(settings.FLOWAY_PUBLIC_URL)
    if origin is not None and origin.lower() != f"{public.scheme}://{public.netloc}".lower():
        raise ForeignOrigin("Pages of this origin may not open a WebSocket here.", param="origin")
