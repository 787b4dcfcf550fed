"""The description of the callers' API, and the page to browse it: our own copies of its script and style, nothing inline."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from floway.console.csp import POLICY
from responses_app import openapi

_HOUR = 3600


@require_safe
@cache_control(public=True, max_age=_HOUR)
def description(_: HttpRequest) -> HttpResponse:
    """The OpenAPI document. It tells nothing of this gateway's own, so that nobody need sign in."""
    return JsonResponse(openapi.document())


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The document as a page on which it can be tried with a key."""
    response = render(request, "console/reference.html")
    response["content-security-policy"] = POLICY
    return response
