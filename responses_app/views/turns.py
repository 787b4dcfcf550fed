"""The doors to turns. They decide nothing: read, hand on, render."""

from __future__ import annotations

from contextlib import closing

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from floway.providers.contract import Action
from floway.wire.replaying import stream_of
from responses_app import background, idempotency, limits, retrieving
from responses_app.acceptance import Call, stand, validated
from responses_app.http import NO_STORE, all_headers, callers_headers, read_json_object
from responses_app.pipeline import Turn, TurnLimits
from responses_app.sockets.door import opened
from responses_app.views.base import DROPPED_HEADER, ApiView, event_stream, followed
from responses_app.watching import Watch, Watched

_LAST_WRITE_SECONDS = 10
"""What a caller gets beyond the deadline to read the end of its stream."""
DEGRADED_HEADER = "x-floway-degraded"
_REPLAYED = {"idempotent-replayed": "true"}


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
        with closing(_watch(turn)):
            turn.open()
            return Response(turn.aggregate(), headers={**NO_STORE, **_told(turn)})


class ResponsesView(TurnView):
    """`POST /v1/responses`."""

    def post(self, request: Request) -> HttpResponseBase:
        """One turn, streamed or whole."""
        turn = self.accept(request, Action.GENERATE, TurnLimits.of_responses())
        if (found := idempotency.earlier(turn.call, turn.response_id)) is not None:
            return self.again(request, found, streamed=turn.call.body.get("stream") is True)
        if turn.call.body.get("background") is True:
            return self.in_background(request, turn)
        if turn.call.body.get("stream") is not True:
            return self.whole(turn)
        watch = _watch(turn)
        try:
            turn.open()
        except BaseException:
            watch.close()
            raise
        return event_stream(Watched(turn.stream(), watch), _told(turn))

    def again(self, request: Request, found: retrieving.Found, *, streamed: bool) -> HttpResponseBase:
        """What the caller was answered, or would have been."""
        if streamed and found.row is not None:
            return followed(request, retrieving.follower(found, -1, self.clock), _REPLAYED)
        response = retrieving.response(found)
        if streamed:
            return event_stream(stream_of(response), _REPLAYED)
        return Response(response, headers={**NO_STORE, **_REPLAYED})

    def in_background(self, request: Request, turn: Turn) -> HttpResponseBase:
        """Answered at once: with the object as it stands, or with the events from the first."""
        try:
            validated(turn.call.body)
            limits.permit(turn.call.key, turn.call.body["model"])
            row = background.start(turn, stand(turn.call).continued)
        except BaseException:
            idempotency.give_back(turn.call, turn.response_id)
            raise
        found = retrieving.Found(row.response_id, None, row)
        if turn.call.body.get("stream") is True:
            return followed(request, retrieving.follower(found, -1, self.clock), {})
        return Response(retrieving.response(found), headers=NO_STORE)

    def get(self, request: Request) -> HttpResponseBase:
        """A WebSocket."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            return opened(request._request, self.key_of(request), self.clock)
        return self.http_method_not_allowed(request)


class CompactView(TurnView):
    """`POST /v1/responses/compact`."""

    def post(self, request: Request) -> Response:
        """Compact a conversation; what comes back is what it consists of from now on."""
        return self.whole(self.accept(request, Action.COMPACT, TurnLimits.of_compactions()))


def _told(turn: Turn) -> dict[str, str]:
    """Headers that tell the caller what was done to its request."""
    told = dict(turn.official_headers) if turn.provider.recognises(turn.call.headers) else {}
    told.update(turn.standing.headers())
    if turn.dropped:
        told[DROPPED_HEADER] = ", ".join(turn.dropped)
    if turn.left_out:
        told[DEGRADED_HEADER] = f"{len(turn.left_out)} reasoning items left out"
    return told


def _watch(turn: Turn) -> Watch:
    return Watch(turn.call.environ, turn.cancellation.cancel, turn.seconds_left + _LAST_WRITE_SECONDS)
