"""The page of storage: what the database holds, how old it is, and what was cleared away."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from accounts.models import ApiKey
from accounts.pages import page
from responses_app import storage
from responses_app.history import HistoryAdmin
from responses_app.models import Collection

_ROUNDS = 20


@admin.register(Collection)
class StorageAdmin(HistoryAdmin):
    """One page; its rounds have none of their own."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Tables and rounds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return page(
            self,
            request,
            "console/storage.html",
            "Storage",
            storage=storage.standing(),
            rounds=Collection.objects.all()[:_ROUNDS],
            own=ApiKey.objects.exclude(retention_days=None).count(),
            retention_days=settings.FLOWAY_RETENTION_DAYS,
            history_days=settings.FLOWAY_HISTORY_DAYS,
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """None."""
        raise Http404
