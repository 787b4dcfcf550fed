"""A request of an operator's: the audit log learns who it is, and a session that rests or lasts too long ends."""

from __future__ import annotations

import time

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts import audit
from floway.middleware import GetResponse

_BEGAN, _SEEN = "began", "seen"
_NOTED_EVERY_SECONDS = 60


def is_operators(path: str) -> bool:
    """Is that a page for operators, or what their programs ask?"""
    return path.startswith((reverse("admin:index"), "/api/"))


def operators_request(get_response: GetResponse) -> GetResponse:
    """Django's hook; other requests pass untouched."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not is_operators(request.path):
            return get_response(request)
        with audit.on_behalf_of(request):
            if SESSION_KEY in request.session:
                _watch(request, int(time.time()))
            return get_response(request)

    return middleware


def begin(request: HttpRequest) -> None:
    """Count from now: somebody has just signed in."""
    request.session[_BEGAN] = request.session[_SEEN] = int(time.time())


def _watch(request: HttpRequest, now: int) -> None:
    """A page that asks for news by itself is not somebody who is there."""
    session = request.session
    seen, began = session.get(_SEEN, now), session.get(_BEGAN, now)
    if now - seen >= settings.FLOWAY_SESSION_IDLE_SECONDS or now - began >= settings.FLOWAY_SESSION_SECONDS:
        audit.record("session ended", idle_seconds=now - seen)
        session.flush()
        request.user = AnonymousUser()
    elif _BEGAN not in session:
        begin(request)
    elif now - seen >= _NOTED_EVERY_SECONDS and request.headers.get("sec-fetch-dest") != "empty":
        session[_SEEN] = now
