"""The operator's questions about API keys, as filters of their list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.forms import provider_label
from floway.providers import registry


class KeyFilter(admin.SimpleListFilter):
    """Which keys can call?"""

    title = "can it call"
    parameter_name = "calls"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """Yes, or why not."""
        return [("yes", "yes"), ("expired", "no, expired"), ("disabled", "no, disabled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The keys that answer the question so."""
        now = timezone.now()
        if self.value() == "yes":
            return queryset.filter(Q(expires_at=None) | Q(expires_at__gt=now), enabled=True)
        if self.value() == "expired":
            return queryset.filter(expires_at__lte=now)
        return queryset.filter(enabled=False) if self.value() == "disabled" else queryset


class LimitFilter(admin.SimpleListFilter):
    """Which keys are limited, and how?"""

    title = "is it limited"
    parameter_name = "limited"
    answers: ClassVar[dict[str, Q]] = {
        "budgets": Q(has_budgets=True),
        "at_once": Q(max_in_flight__isnull=False),
        "models": ~Q(allowed_models=[]),
        "no": Q(has_budgets=False, max_in_flight=None, allowed_models=[]),
    }

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """How, or not at all."""
        return [
            ("budgets", "by budgets"),
            ("at_once", "in requests at once"),
            ("models", "to some models"),
            ("no", "not at all"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The keys of which it is true."""
        return queryset.filter(self.answers.get(self.value() or "", Q()))


class StrictFilter(admin.SimpleListFilter):
    """What becomes of parameters that the upstream does not take?"""

    title = "refused parameters"
    parameter_name = "strict"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """Either way."""
        return [("yes", "it answers 400"), ("no", "it leaves them out")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The keys that do so."""
        return queryset.filter(strict=self.value() == "yes") if self.value() else queryset


class CaptureFilter(admin.SimpleListFilter):
    """Which keys keep their requests whole?"""

    title = "captures payloads"
    parameter_name = "captures"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """Now."""
        return [("now", "now")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those that do now."""
        return queryset.filter(capture_until__gt=timezone.now()) if self.value() else queryset


class ProviderFilter(admin.SimpleListFilter):
    """Which provider do they call? Not asked where there is one."""

    title = "whom it calls"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """The configured ones."""
        slugs = registry.slugs()
        return [(slug, provider_label(slug)) for slug in slugs] if len(slugs) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Its keys."""
        return queryset.filter(provider=self.value()) if self.value() else queryset
