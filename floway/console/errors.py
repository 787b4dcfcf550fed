"""What a person sees instead of a page: not found, not allowed, not understood, failed. Programs get the envelope."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse


def is_for_a_person(request: HttpRequest) -> bool:
    """Was it a page of the console that was asked for?"""
    return request.path.startswith(reverse("admin:index"))


def not_found(request: HttpRequest) -> HttpResponse:
    """404."""
    return _told(request, 404, "There is no such page", "It may have been removed, or the address is not quite right.")


def denied(request: HttpRequest) -> HttpResponse:
    """403."""
    return _told(request, 403, "You may not do this", "Your account has no permission for it. An owner can give it to you.")


def not_understood(request: HttpRequest, words: str) -> HttpResponse:
    """400."""
    return _told(request, 400, "That could not be understood", words)


def failed(request: HttpRequest) -> HttpResponse:
    """500; asks the database nothing."""
    words = "The log has the cause, under the id of this request: "
    return _bare(500, "The gateway failed", words + getattr(request, "floway_request_id", "-"))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django gives it
    """Django's hook: a form that was not ours, or is too old."""
    words = "The form is too old, or cookies are off, or it did not come from this site. Load the page anew and try again."
    return _told(request, 403, "The form was not taken", words)


def _told(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    if not hasattr(request, "user"):
        return _bare(status, title, words)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": title, "words": words}
    return render(request, "console/error.html", context, status=status)


def _bare(status: int, title: str, words: str) -> HttpResponse:
    # Without a request no context processor runs, so the database is not asked who this is.
    return HttpResponse(render_to_string("console/bare.html", {"title": title, "words": words}), status=status)
