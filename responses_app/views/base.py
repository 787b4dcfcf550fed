"""What every door of the API shares: a caller's key, the clock, an answer that no one else may keep."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.models import ApiKey
from floway.wire.errors import NotFound
from responses_app.clock import SYSTEM_CLOCK, Clock
from responses_app.http import FirstRenderer, KeyAuthentication, plain_error


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


def unknown_url(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """404 in the envelope."""
    return plain_error(request, NotFound(f"Unknown request URL: {request.method} {request.path}."))
