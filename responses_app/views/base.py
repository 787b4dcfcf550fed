"""What every door of the API shares: a caller's key, the clock, an answer that no one else may keep."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import keys
from accounts.models import ApiKey
from floway.wire.errors import NotFound
from responses_app.clock import SYSTEM_CLOCK, Clock
from responses_app.http import NO_STORE, EventStream, ResponsesRenderer, all_headers, plain_error
from responses_app.journal import Follower
from responses_app.watching import Watch, Watched

DROPPED_HEADER = "x-floway-dropped-parameters"
_RENDERER = ResponsesRenderer()


class ApiView(APIView):
    """A view for callers with a key."""

    clock: Clock = SYSTEM_CLOCK

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who calls: all that DRF need find out beforehand.

        Whatever a client accepts, it gets what the API speaks: SDKs ask for JSON and for event streams alike. Bodies are read
        within their limit by the view.

        :raises Unauthenticated: no usable key.
        """
        request.accepted_renderer, request.accepted_media_type = _RENDERER, _RENDERER.media_type
        request.auth = keys.authenticate(all_headers(request._request), self.clock.now())

    @staticmethod
    def key_of(request: Request) -> ApiKey:
        """Whose request it is."""
        key: ApiKey = request.auth  # type: ignore[assignment] # what our authentication gives; the stubs know one of theirs
        return key

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: `allow` belongs on a 405, and what varies is said with each answer."""
        return {}


def event_stream(pieces: Iterable[bytes], told: Mapping[str, str]) -> EventStream:
    """An answer of events."""
    headers = {**NO_STORE, "x-accel-buffering": "no", **told}
    return EventStream(pieces, content_type="text/event-stream; charset=utf-8", headers=headers)


def followed(request: Request, follower: Follower, told: Mapping[str, str]) -> EventStream:
    """The events of a response in the background, for as long as the caller listens."""
    gone = threading.Event()
    watch = Watch(request._request.META, gone.set, settings.FLOWAY_MAX_STREAM_SECONDS)
    return event_stream(Watched(follower.pieces(gone.is_set), watch), told)


def unknown_url(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """404 in the envelope."""
    return plain_error(request, NotFound(f"Unknown request URL: {request.method} {request.path}."))
