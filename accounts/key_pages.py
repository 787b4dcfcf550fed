"""The operator's pages for API keys: issued and shown once, limited, looked at by what they have used, rotated."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts import keys
from accounts.forms import MomentInput, provider_label
from accounts.key_filters import CaptureFilter, KeyFilter, LimitFilter, ProviderFilter, StrictFilter
from accounts.key_forms import BudgetFormSet, IssueForm, KeyForm, RotateForm
from accounts.models import ApiKey, ApiKeySecret, KeyBudget
from accounts.pages import Act, changeable, page, route
from accounts.shown_once import SecretAdmin
from floway import markup

ROTATE = Act(
    "rotate",
    "Rotate",
    (
        "The key gets a new secret, shown once on the next page.",
        "When the old secret stops working, callers get 401 until they have the new one.",
        "Requests in flight ({running} now) go on to their end. Conversations, limits and settings stay.",
    ),
    destructive=True,
)


class BudgetInline(admin.TabularInline):  # type: ignore[type-arg] # not subscriptable at run time
    """A key's budgets. Who may change the key may change them."""

    model = KeyBudget
    extra = 0
    fields = ("amount", "kind", "window", "now")
    readonly_fields = ("now",)
    verbose_name_plural = "Budgets, counted anew in each minute, hour, day or month (UTC)"

    @admin.display(description="used now")
    def now(self, budget: KeyBudget) -> SafeString:
        """A meter."""
        if budget._state.adding:
            return markup.NOTHING
        meter, percent, resets = _used(budget)
        return format_html("{} {} <small>{}</small>", meter, percent, resets)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As the key's."""
        return request.user.has_perm("accounts.view_apikey") or self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As the key's."""
        return bool(request.user.has_perm("accounts.change_apikey"))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A change of the key."""
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A change of the key."""
        return self.has_change_permission(request, obj)


@admin.register(ApiKey)
class ApiKeyAdmin(SecretAdmin):
    """Keys: issued, listed by what is visible of them, limited, rotated."""

    list_display = ("name", "prefixes", "calls", "used", "limits", "allowances")
    list_filter = (KeyFilter, LimitFilter, StrictFilter, CaptureFilter, ProviderFilter)
    search_fields = ("name",)
    change_form_template = "console/api_key.html"
    reveal_template, reveal_title = "console/reveal.html", "Copy the key now"
    form = KeyForm
    inlines = (BudgetInline,)
    formfield_overrides: ClassVar = {models.DateTimeField: {"form_class": forms.DateTimeField, "widget": MomentInput}}
    readonly_fields = ("secrets", "provider_name", "used", "created")
    fieldsets: ClassVar = [
        (None, {"fields": ("name", "enabled", "expires_at")}),
        ("What it may do", {"fields": ("allowed_models", "max_in_flight", "strict", "credentials")}),
        ("What is kept", {"fields": ("retention_days",)}),
        ("Finding a fault", {"fields": ("capture_until",)}),
        ("As it is", {"fields": ("secrets", "provider_name", "used", "created")}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """With what is visible of the secrets, without their hashes; with the budgets."""
        visible = ApiKeySecret.objects.defer("digest").order_by("pk")
        return super().get_queryset(request).prefetch_related(Prefetch("secrets", visible), "budgets")

    def get_urls(self) -> list[URLPattern]:
        """With rotation before the admin's own."""
        return [route(self, ROTATE, self.rotate_view), *super().get_urls()]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Boxes to tick: there are few credentials."""
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "widget": forms.CheckboxSelectMultiple})

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The boxes alone: a credential is signed in or imported on a page of its own."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "credentials" and field is not None:
            field.widget.can_add_related = False
        return field

    # --- what is shown ---

    @admin.display(description="begins with")
    def prefixes(self, key: ApiKey) -> SafeString:
        """The visible beginning of each secret that works."""
        now = timezone.now()
        shown = ((markup.clean(secret.prefix),) for secret in key.secrets.all() if secret.opens(now))
        return format_html_join(" ", '<code class="id">{}…</code>', shown) or markup.NOTHING

    @admin.display(description="secrets")
    def secrets(self, key: ApiKey) -> SafeString:
        """A row for each: how it begins, since when, until when, and when it was last used."""
        now = timezone.now()
        rows = format_html_join(
            "",
            '<tr><td><code class="id">{}…</code></td><td>{}</td><td>{}</td><td>{}</td></tr>',
            (
                (markup.clean(row.prefix), markup.stamp(row.created_at), _until(row), _ago(row.last_used_at, now))
                for row in key.secrets.all()
            ),
        )
        head = "<thead><tr><th>begins with</th><th>made (UTC)</th><th>works</th><th>last used</th></tr></thead>"
        return format_html("<table>{}<tbody>{}</tbody></table>", SafeString(head), rows)

    @admin.display(description="can call", ordering="enabled")
    def calls(self, key: ApiKey) -> SafeString:
        """Whether it may call now, until when, and why not."""
        now = timezone.now()
        if not key.enabled:
            return markup.badge("off", "disabled")
        if not key.may_call(now):
            return markup.badge("warn", "expired")
        until = format_html("<br><small>expires {}</small>", markup.relative(key.expires_at, now)) if key.expires_at else ""
        return format_html("{}{}", markup.badge("ok", "yes"), until)

    @admin.display(description="limits")
    def limits(self, key: ApiKey) -> SafeString:
        """In a few words; strictness and capture with them."""
        words = ["strict"] if key.strict else []
        if key.allowed_models:
            words.append(f"{len(key.allowed_models)} model{'s' if len(key.allowed_models) > 1 else ''} only")
        if key.max_in_flight is not None:
            words.append(f"{markup.figure(key.max_in_flight)} at once")
        lines = format_html_join("", "<div>{}</div>", ((word,) for word in words))
        captures = markup.badge("warn", "captures") if key.captures(timezone.now()) else ""
        return format_html("{}{}", lines, captures) or markup.NOTHING

    @admin.display(description="budgets, used now")
    def allowances(self, key: ApiKey) -> SafeString:
        """A meter for each."""
        lines = format_html_join(
            "",
            '<li><span class="name">{} <small>per {}</small></span> {} <span class="n">{}</span> <small>{}</small></li>',
            ((_named(budget), budget.window, *_used(budget)) for budget in key.budgets.all()),
        )
        return format_html('<ul class="meters">{}</ul>', lines) if lines else markup.NOTHING

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, key: ApiKey) -> SafeString:
        """To the minute."""
        return _ago(key.last_used_at, timezone.now())

    @admin.display(description="provider", ordering="provider")
    def provider_name(self, key: ApiKey) -> str:
        """As people call it."""
        return provider_label(key.provider)

    @admin.display(description="issued")
    def created(self, key: ApiKey) -> SafeString:
        """When it was issued."""
        return markup.stamp(key.created_at)

    # --- what is done ---

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Only what was changed: callers write to the row meanwhile."""
        columns = [name for name in form.changed_data if name != "credentials"]
        if columns:
            obj.save(update_fields=columns)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Budgets, their counts left alone."""
        keys.lock_budgets(form.instance)
        formset.save(commit=False)
        for budget in formset.new_objects:
            budget.save()
        for budget, columns in formset.changed_objects:
            budget.save(update_fields=columns)
        for budget in formset.deleted_objects:
            budget.delete()
        keys.note_budgets(form.instance)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Issue a key; its secret is shown once, on the next page."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, budgets = IssueForm(request.POST or None), BudgetFormSet(request.POST or None)
        if request.method != "POST" or not (form.is_valid() and budgets.is_valid()):
            return page(self, request, "console/issue.html", "Issue an API key", form=form, budgets=budgets)
        issued = keys.issue(**form.cleaned_data, budgets=budgets.save(commit=False))
        self.log_addition(request, issued.key, "Issued.")
        return self.show_once(request, issued.key, issued.secret)

    def rotate_view(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        """Replace the secret, asked first."""
        key = changeable(self, request, object_id)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if request.method != "POST" or not form.is_valid():
            running = key.exchanges.in_flight().count()
            told = [sentence.format(running=running) for sentence in act.consequences]
            title = f"Rotate {markup.clean(key)}?"
            return page(self, request, "console/rotate.html", title, form=form, act=act, row=key, consequences=told)
        hours = form.cleaned_data["grace"]
        secret = keys.rotate(key, timezone.now() + timedelta(hours=hours) if hours else None)
        self.log_change(request, key, f"Rotated; the old secret works for {hours} hours more." if hours else "Rotated.")
        return self.show_once(request, key, secret)


def _named(budget: KeyBudget) -> str:
    return f"{markup.figure(budget.amount)} {budget.kind}"


def _used(budget: KeyBudget) -> tuple[SafeString, str, SafeString]:
    """How much of a budget is used, as a meter and in figures, and when it begins anew."""
    now = timezone.now()
    used = budget.used_at(now)
    percent = 100 * used / budget.amount
    label = f"{used:,} of {budget.amount:,} {budget.kind} per {budget.window}: used"
    resets = format_html("resets {}", markup.relative(budget.resets_at(now), now))
    return markup.meter(percent, label), f"{percent:.0f}\u202f%", resets


def _until(secret: ApiKeySecret) -> SafeString:
    now = timezone.now()
    if secret.expires_at is None:
        return markup.badge("ok", "yes")
    if not secret.opens(now):
        return format_html("{} {}", markup.badge("off", "ended"), markup.relative(secret.expires_at, now))
    return format_html("{} {}", markup.badge("warn", "rotated out, ends"), markup.relative(secret.expires_at, now))


def _ago(moment: Any, now: Any) -> SafeString:
    return markup.relative(moment, now) if moment else SafeString("never")
