"""The pages of people: users, groups, and the audit log, which is read only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth import admin as stock
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import AuditEntry
from floway import markup
from responses_app.history import HistoryAdmin

_ACTIONS = 60

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(stock.UserAdmin):  # type: ignore[type-arg] # not subscriptable at run time
    """People who sign in here."""

    actions = None
    list_per_page = 25
    list_max_show_all = 25
    list_display = ("username", "email", "roles", "is_superuser", "is_active", "second", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With what a row names."""
        return super().get_queryset(request).select_related("second_factor").prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        """Their groups."""
        return ", ".join(group.name for group in user.groups.all()) or markup.NOTHING

    @admin.display(description="second factor", boolean=True)
    def second(self, user: User) -> bool:
        """Is a code asked for?"""
        found = getattr(user, "second_factor", None)
        return found is not None and found.confirmed_at is not None


@admin.register(Group)
class RoleAdmin(stock.GroupAdmin):
    """Roles, and what each may do."""

    actions = None
    list_per_page = 25
    list_max_show_all = 25


class ActionFilter(admin.SimpleListFilter):
    """The operator's question: what was done?"""

    title = "what"
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """What was ever done here."""
        found = AuditEntry.objects.order_by("action").values_list("action", flat=True).distinct()[:_ACTIONS]
        return [(action, action) for action in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The entries that tell of it."""
        return queryset.filter(action=self.value()) if self.value() else queryset


class ActorFilter(admin.SimpleListFilter):
    """The operator's question: who was it?"""

    title = "who"
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """Everybody who ever did something."""
        found = AuditEntry.objects.order_by("actor").values_list("actor", flat=True).distinct()[:_ACTIONS]
        return [(actor, markup.clean(actor)) for actor in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What they did."""
        return queryset.filter(actor=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditAdmin(HistoryAdmin):
    """Who did what, to what, when and from where."""

    list_display = ("time", "who", "action", "what", "address")
    list_filter = (ActorFilter, ActionFilter, "at")
    ordering = ("-at", "-id")
    sortable_by = ("time",)
    search_fields = ("actor", "object_label", "object_id", "address")
    search_help_text = "Part of a name, of what it was done to, or an address."
    page_template = "console/audit_entry.html"

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Wherever the term stands."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(actor__icontains=term) | Q(object_label__icontains=term) | Q(action__icontains=term)
        return queryset.filter(found | Q(object_id=term) | Q(address__startswith=term)), False

    @admin.display(description="time (UTC)", ordering="at")
    def time(self, entry: AuditEntry) -> SafeString:
        """When."""
        return markup.stamp(entry.at)

    @admin.display(description="who")
    def who(self, entry: AuditEntry) -> str:
        """By the name they had then."""
        return markup.clean(entry.actor)

    @admin.display(description="to what")
    def what(self, entry: AuditEntry) -> SafeString:
        """The row, as it was called then."""
        if not entry.object_type:
            return markup.NOTHING
        return format_html("<small>{}</small> {}", entry.object_type, markup.clean(entry.object_label))
