"""The admin site of the gateway: Django's own, with the operations page as its index."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone


class ConsoleSite(admin.AdminSite):
    """Django's admin under the gateway's name."""

    site_header = "Floway"
    site_title = "Floway"
    index_title = "Operations"
    site_url = None
    index_template = "console/operations.html"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """With what needs the operator, for every page."""
        from floway.console import banner

        return {**super().each_context(request), "banner": banner.of(request.user, timezone.now())}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What is going on, for whoever may see which part of it."""
        from floway.console import operations

        found = operations.overview(request.user, timezone.now())
        return super().index(request, {"operations": found, **(extra_context or {})})
