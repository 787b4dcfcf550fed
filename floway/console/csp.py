"""A strict Content-Security-Policy on the operator's pages: nothing inline, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from floway.console.sessions import is_operators

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class ContentSecurityPolicyMiddleware:
    """Puts the policy on everything below the admin's and the API's roots, errors and redirects too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Other routes pass untouched."""
        response = self.get_response(request)
        if is_operators(request.path):
            response["Content-Security-Policy"] = POLICY
        return response
