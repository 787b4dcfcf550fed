"""The API's doors. They decide nothing: read, hand on, render."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import catalogue, choosing
from accounts.models import ApiKey
from floway.providers.contract import Action
from floway.wire.errors import ApiError, NotFound
from responses_app.acceptance import Call
from responses_app.clock import SYSTEM_CLOCK, Clock
from responses_app.http import (
    NO_STORE,
    FirstRenderer,
    KeyAuthentication,
    all_headers,
    callers_headers,
    plain_error,
    read_json_object,
)
from responses_app.pipeline import Turn, TurnLimits
from responses_app.watching import watching

_LAST_WRITE_SECONDS = 10
"""What a caller gets beyond the deadline to read the end of its stream."""
DROPPED_HEADER = "x-floway-dropped-parameters"
DEGRADED_HEADER = "x-floway-degraded"


class UpgradeRequired(ApiError):
    """426: official clients fall back to plain HTTP at once."""

    status = 426
    type = "invalid_request_error"
    default_code = "websocket_not_supported"


class ApiView(APIView):
    """A view for callers with a key."""

    authentication_classes = (KeyAuthentication,)
    content_negotiation_class = FirstRenderer
    clock: Clock = SYSTEM_CLOCK

    @staticmethod
    def key_of(request: Request) -> ApiKey:
        """Whose request it is."""
        key: ApiKey = request.auth  # type: ignore[assignment] # what our authentication gives; the stubs know one of theirs
        return key

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: `allow` belongs on a 405, and what varies is said with each answer."""
        return {}


class TurnView(ApiView):
    """Takes turns."""

    def accept(self, request: Request, action: Action, limits: TurnLimits) -> Turn:
        """The call that a request makes, not begun yet."""
        plain = request._request
        call = Call(
            request_id=plain.floway_request_id,  # type: ignore[attr-defined] # set by our middleware
            key=self.key_of(request),
            headers=callers_headers(all_headers(plain)),
            body=read_json_object(plain, limits.body_bytes),
            action=action,
            started_at=self.clock.now(),
            environ=plain.META,
        )
        return Turn(call, self.clock, limits.seconds)

    def whole(self, turn: Turn) -> Response:
        """The turn's answer as one object."""
        with watching(turn.call.environ, turn.cancellation.cancel, turn.seconds_left + _LAST_WRITE_SECONDS):
            turn.open()
            return Response(turn.aggregate(), headers={**NO_STORE, **_told(turn)})


class ResponsesView(TurnView):
    """`POST /v1/responses`."""

    def post(self, request: Request) -> HttpResponseBase:
        """One turn, streamed or whole."""
        turn = self.accept(request, Action.GENERATE, TurnLimits.of_responses())
        if turn.call.body.get("stream") is not True:
            return self.whole(turn)
        with watching(turn.call.environ, turn.cancellation.cancel, turn.seconds_left + _LAST_WRITE_SECONDS):
            turn.open()
        return StreamingHttpResponse(
            _watched(turn),
            content_type="text/event-stream; charset=utf-8",
            headers={**NO_STORE, "x-accel-buffering": "no", **_told(turn)},
        )

    def get(self, request: Request) -> HttpResponseBase:
        """A WebSocket's handshake, not served: 426."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            raise UpgradeRequired("WebSocket is not served here; use POST.")
        return self.http_method_not_allowed(request)


class CompactView(TurnView):
    """`POST /v1/responses/compact`."""

    def post(self, request: Request) -> Response:
        """Compact a conversation; what comes back is what it consists of from now on."""
        return self.whole(self.accept(request, Action.COMPACT, TurnLimits.of_compactions()))


def _told(turn: Turn) -> dict[str, str]:
    """Headers that tell the caller what was done to its request."""
    told = dict(turn.official_headers) if turn.provider.recognises(turn.call.headers) else {}
    if turn.dropped:
        told[DROPPED_HEADER] = ", ".join(turn.dropped)
    if turn.left_out:
        told[DEGRADED_HEADER] = f"{len(turn.left_out)} reasoning items left out"
    return told


def _watched(turn: Turn) -> Iterator[bytes]:
    with watching(turn.call.environ, turn.cancellation.cancel, turn.seconds_left + _LAST_WRITE_SECONDS):
        yield from turn.stream()


class ModelsView(ApiView):
    """`GET /v1/models`."""

    def get(self, request: Request) -> Response:
        """The catalogue, in the public shape or in the one that official clients ask for."""
        now = self.clock.now()
        found = catalogue.current(choosing.first(self.key_of(request)), now)
        if found.dialect_query is not None and found.dialect_query in request.query_params:
            etag = {"etag": found.etag} if found.etag else {}
            return Response(found.dialect_body, headers={**NO_STORE, **etag})
        data = [{"id": m.id, "object": "model", "created": m.created, "owned_by": m.owned_by} for m in found.models]
        return Response({"object": "list", "data": data}, headers=NO_STORE)


def unknown_url(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """404 in the envelope."""
    return plain_error(request, NotFound(f"Unknown request URL: {request.method} {request.path}."))
