"""The WSGI entry point: one application, and a shorter way through it for callers with a key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "floway.settings")


class CallersHandler(WSGIHandler):
    """Django's handler with the middleware that callers with a key pass: no sessions, no forms, no operator's pages."""

    def load_middleware(self, is_async: bool = False) -> None:
        """As Django's, from another list. None of these looks at views, templates or exceptions."""
        theirs: Any = self  # the stubs leave out what a handler is made of
        theirs._view_middleware, theirs._template_response_middleware, theirs._exception_middleware = [], [], []
        chain: Any = convert_exception_to_response(theirs._get_response)
        for name in reversed(settings.FLOWAY_API_MIDDLEWARE):
            chain = convert_exception_to_response(import_string(name)(chain))
        self._middleware_chain = chain


django.setup(set_prefix=False)
_callers, _everybody = CallersHandler(), WSGIHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI."""
    handler = _callers if environ["PATH_INFO"].startswith(settings.FLOWAY_API_PREFIXES) else _everybody
    return handler(environ, start_response)
