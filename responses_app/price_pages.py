"""The operator's pages for prices of models."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.pages import LastingAdmin
from floway import markup
from responses_app.models import ModelPrice


@admin.register(ModelPrice)
class ModelPriceAdmin(LastingAdmin):
    """Prices, each from its day on, with where they stand. A new price is a new row: usage before it keeps the old one."""

    list_display = ("named", "effective_from", "dollars_in", "dollars_cached", "dollars_out", "where", "read_on")
    list_filter = ("effective_from",)
    search_fields = ("model",)
    ordering = ("model", "-effective_from")
    sortable_by = ("named", "effective_from")
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A price is no history: what was wrong may go."""
        return bool(request.user.has_perm("responses_app.delete_modelprice"))

    @admin.display(description="model", ordering="model")
    def named(self, price: ModelPrice) -> str:
        """As callers name it."""
        return markup.clean(price.model)

    @admin.display(description="$ / million in")
    def dollars_in(self, price: ModelPrice) -> str:
        """Read anew."""
        return f"{price.input.normalize():f}"

    @admin.display(description="cached")
    def dollars_cached(self, price: ModelPrice) -> str:
        """Read from the cache."""
        return f"{price.cached.normalize():f}"

    @admin.display(description="out")
    def dollars_out(self, price: ModelPrice) -> str:
        """Written."""
        return f"{price.output.normalize():f}"

    @admin.display(description="source")
    def where(self, price: ModelPrice) -> SafeString:
        """Where it stands."""
        host = urlsplit(price.source).hostname if price.source.startswith("https://") else None
        return markup.link(price.source, markup.clean(host)) if host else format_html("{}", markup.clean(price.source))
