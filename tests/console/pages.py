"""Every page of the admin that the rows in the database give."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse

OURS = ("accounts", "responses_app")
ACTS = {
    "oauthcredential": ("disable", "enable", "sign_in_again", "export", "check", "clear", "proxy"),
    "apikey": ("rotate", "issued"),
    "operatortoken": ("revoke", "issued"),
}
OF_NO_ROW = ("oauthcredential_sign_in", "oauthcredential_add", "apikey_add")


def changelists() -> list[str]:
    return [reverse(f"admin:{m._meta.app_label}_{m._meta.model_name}_changelist") for m in _ours()]


def all_pages() -> list[str]:
    """Index, app lists, every changelist, every row's page and history, and the pages for acts."""
    pages = [reverse("admin:index"), *changelists()]
    pages += [reverse("admin:app_list", args=[label]) for label in OURS]
    for model in _ours():
        for row in model._default_manager.all():
            names = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            pages.append(reverse(f"{names}_change", args=[row.pk]))
            if model._meta.app_label == "accounts" and model._meta.model_name != "auditentry":
                pages.append(reverse(f"{names}_history", args=[row.pk]))
            acts = ACTS.get(str(model._meta.model_name), ())
            pages += [reverse(f"{names}_{act}", args=[row.pk]) for act in acts]
    return [*pages, *(reverse(f"admin:accounts_{name}") for name in OF_NO_ROW)]


def _ours() -> list[type[Model]]:
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


def budgets(*rows: tuple[int, str, str], kept: int = 0) -> dict[str, Any]:
    """The rows of budgets in a key's form: how many of what in each window."""
    fields: dict[str, Any] = {"budgets-TOTAL_FORMS": len(rows), "budgets-INITIAL_FORMS": kept}
    for number, row in enumerate(rows):
        fields |= {f"budgets-{number}-{name}": value for name, value in zip(("amount", "kind", "window"), row, strict=True)}
    return fields
