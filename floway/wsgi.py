"""The WSGI entry point: one application, and a shorter way through it for callers with a key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import django
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "floway.settings")


class Answer:
    """What a caller is answered, piece by piece, and what is to be closed after it."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        """What a server calls at the end, whichever it is."""
        try:
            for close in self._response._resource_closers:
                close()
        finally:
            close_old_connections()


class CallersHandler(WSGIHandler):
    """Django's handler without what callers with a key have no use for.

    They pass other middleware, that looks at no views, templates or exceptions: there are no sessions, forms or operator's
    pages. Nothing is translated, cached, set as a cookie or named by reversing its URL, so nobody listens for a request's begin
    and end but the database, and that is told.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """As Django's, from another list."""
        chain: Any = convert_exception_to_response(self._served)
        for name in reversed(settings.FLOWAY_API_MIDDLEWARE):
            chain = convert_exception_to_response(import_string(name)(chain))
        self._middleware_chain = chain
        self._matches: dict[str, ResolverMatch] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """One request. What is returned is only iterated and closed: an `Answer`."""
        response = self._middleware_chain(WSGIRequest(environ))
        answer = Answer(response)
        try:
            start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        except BaseException:
            answer.close()
            raise
        return answer

    def _served(self, request: HttpRequest) -> HttpResponseBase:
        match = self.resolve_request(request)
        response: Any = match.func(request, *match.args, **match.kwargs)
        served: HttpResponseBase = response.render() if hasattr(response, "render") else response
        return served

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Who serves it. A URL in which nothing varies is looked for once; there are only so many."""
        match = self._matches.get(request.path_info)
        if match is None:
            match = super().resolve_request(request)
            if not (match.args or match.kwargs):
                self._matches[request.path_info] = match
        request.resolver_match = match
        return match


django.setup(set_prefix=False)
_callers, _everybody = CallersHandler(), WSGIHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI."""
    handler = _callers if environ["PATH_INFO"].startswith(settings.FLOWAY_API_PREFIXES) else _everybody
    answer: Iterable[bytes] = handler(environ, start_response)
    return answer
