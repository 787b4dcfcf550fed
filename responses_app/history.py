"""What the pages of history have in common: they are looked at only, they page through what is recent, they find by id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from floway import markup
from responses_app.models import Exchange

_ID = re.compile(r"[A-Za-z0-9_-]{4,64}", re.ASCII)
_SHORTEST = 4
_REACHABLE = 10_000

_TONES: dict[str, markup.Tone] = {
    Exchange.Status.IN_FLIGHT: "busy",
    Exchange.Status.COMPLETED: "ok",
    Exchange.Status.INCOMPLETE: "warn",
    Exchange.Status.FAILED: "bad",
    Exchange.Status.REFUSED: "warn",
}

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Model]
else:
    AnyModelAdmin, AnyPaginator = admin.ModelAdmin, Paginator


def outcome(exchange: Exchange) -> SafeString:
    """How it stands or ended, in its tone."""
    return markup.badge(_TONES.get(exchange.status, "off"), exchange.get_status_display())


def ended_by(exchange: Exchange) -> SafeString:
    """Who ended it, in a word or two; in full in the title."""
    if not exchange.ended_by:
        return markup.NOTHING
    return format_html('<span title="{}">{}</span>', exchange.get_ended_by_display(), exchange.ended_by.replace("_", " "))


class RecentPaginator(AnyPaginator):
    """Counts and pages no further than the most recent rows, so that a page of a large table costs what one of a small does."""

    @cached_property
    def count(self) -> int:
        """How many rows can be reached by paging."""
        rows = self.object_list
        return rows.order_by()[:_REACHABLE].count() if isinstance(rows, QuerySet) else len(rows)


class HistoryAdmin(AnyModelAdmin):
    """A table that is looked at and never written from here. `page_template` shows one row, with what `page` adds."""

    actions = None
    list_per_page = 25
    list_max_show_all = 25
    paginator = RecentPaginator
    show_full_result_count = False
    search_ids: ClassVar[tuple[str, ...]] = ()
    page_template: str

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Callers make history."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """History stays as it was."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Retention deletes, nobody by hand."""
        return False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Rows one of whose ids is, or begins with, the term; a term that is no id finds nothing."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not _ID.fullmatch(term):
            short = len(term) < _SHORTEST
            why = f"at least {_SHORTEST} characters of its beginning are needed" if short else "this is none"
            self.message_user(request, f"Rows are found by an id: {why}.", messages.WARNING)
            return queryset.none(), False
        found = Q()
        for name in self.search_ids:
            found |= Q(**{f"{name}__startswith": term})
        return queryset.filter(found), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The table under its own name."""
        return super().changelist_view(
            request, {"title": str(self.opts.verbose_name_plural).capitalize(), **(extra_context or {})}
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One row, to read."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": f"{self.opts.verbose_name} {row.pk}".capitalize(),
            **self.page(row, request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.page_template, context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What nobody changes has no list of changes."""
        raise Http404

    def page(self, row: Any, request: HttpRequest) -> dict[str, Any]:
        """What the template needs beside the row."""
        return {}
