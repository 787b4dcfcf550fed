"""What the pages of an act on a row share: who may, the page that asks, the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from floway import markup

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyModelAdmin = admin.ModelAdmin


@dataclass(frozen=True, slots=True)
class Act:
    """Something done to a row after a page that says what it means.

    :param consequences: sentences; {running} stands for how many requests are in flight.
    """

    name: str
    verb: str
    consequences: tuple[str, ...]
    destructive: bool


class LastingAdmin(AnyModelAdmin):
    """Rows that history hangs on: they are switched off, not deleted. They have pages of their own for adding."""

    actions = None
    list_per_page = 25
    show_full_result_count = False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The table under its own name."""
        title = str(self.opts.verbose_name_plural)
        named = {"title": title[:1].upper() + title[1:], **(extra_context or {})}
        return super().changelist_view(request, named)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Saving leads back or stays; adding is another page."""
        plain = {"show_save_and_add_another": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, plain)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False


def page(model_admin: AnyModelAdmin, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    """A page of the admin in one of our templates, not to be kept by anybody."""
    base = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title, **context}
    return TemplateResponse(request, template, base, headers={"Cache-Control": "no-store"})


def changeable(model_admin: AnyModelAdmin, request: HttpRequest, object_id: str) -> Any:
    """The row that the address names.

    :raises PermissionDenied: this person may not change it. :raises Http404: there is none.
    """
    row = model_admin.get_object(request, object_id)
    if not model_admin.has_change_permission(request, row):
        raise PermissionDenied
    if row is None:
        raise Http404
    return row


def confirmation(model_admin: AnyModelAdmin, request: HttpRequest, row: Any, act: Act) -> TemplateResponse:
    """The page that asks before `act` is done to `row`."""
    running = row.exchanges.in_flight().count()
    consequences = [sentence.format(running=running) for sentence in act.consequences]
    title = f"{act.verb} {markup.clean(row)}?"
    return page(model_admin, request, "console/confirm.html", title, act=act, row=row, consequences=consequences)


def address(model: type[models.Model], name: str) -> str:
    """The name of a page's route."""
    return f"{model._meta.app_label}_{model._meta.model_name}_{name}"


def change_url(row: models.Model) -> str:
    """Where a row's own page is."""
    return reverse(f"admin:{address(type(row), 'change')}", args=[row.pk])


def route(model_admin: AnyModelAdmin, act: Act, view: Callable[..., HttpResponse]) -> URLPattern:
    """The route of an act on a row."""
    wrapped = model_admin.admin_site.admin_view(view)
    return path(f"<path:object_id>/{act.name}/", wrapped, {"act": act}, name=address(model_admin.model, act.name))
