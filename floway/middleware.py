"""What every request passes: an id of its own, a look at the name it was sent to, a stated length."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from floway import logs

log = logging.getLogger(__name__)

_PROBES = frozenset({"/healthz", "/readyz"})
_MOST_HOSTS = 100
"""Names found to be ours; there are more only where a wildcard allows them."""
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestIdMiddleware:
    """Names the request; the name stands in `x-request-id`, on every log line and, for API calls, on the exchange."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answers carry the id whatever made them."""
        request.floway_request_id = request_id = f"req_{secrets.token_hex(16)}"  # type: ignore[attr-defined] # ours
        logs.request_id.set(request_id)
        began = time.monotonic()
        response = self.get_response(request)
        response["x-request-id"] = request_id
        took = (time.monotonic() - began) * 1000
        log.info("%s %s %s in %.0f ms", request.method, request.path, response.status_code, took)
        return response


def known_host(get_response: GetResponse) -> GetResponse:
    """Refuses a request that was sent to a name that is not ours; probes come by address and may."""

    known: set[str] = set()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        host = request.META.get("HTTP_HOST", "")
        if host not in known and request.path_info not in _PROBES:
            request.get_host()
            if host and len(known) < _MOST_HOSTS:
                known.add(host)
        return get_response(request)

    return middleware


def stated_length(get_response: GetResponse) -> GetResponse:
    """Says how long an answer is where that is known, so that it need not go out in chunks."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and "content-length" not in response:
            response["content-length"] = str(len(response.content))
        return response

    return middleware
