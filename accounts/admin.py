"""The operator's pages for credentials, and by import those for API keys. No page shows a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from accounts import (
    importing,
    key_pages,  # noqa: F401 - registering is its effect
    switching,
    token_pages,  # noqa: F401 - likewise
)
from accounts.export_pages import ExportPages
from accounts.forms import ImportForm, import_help, provider_label
from accounts.health import allowance, health, looked_at, tokens
from accounts.models import OAuthCredential
from accounts.pages import Act, LastingAdmin, change_url, changeable, confirmation, page, route
from accounts.pool_pages import PoolPages
from accounts.sign_in_pages import SignInPages
from floway import markup
from floway.providers import registry

DISABLE = Act(
    "disable",
    "Disable",
    (
        "Requests in flight with it ({running} now) go on to their end.",
        "New requests use another usable credential; while there is none they are answered 503.",
        "Its tokens stay, and it can be enabled again. While it is disabled nothing refreshes them.",
    ),
    destructive=True,
)
ENABLE = Act(
    "enable",
    "Enable",
    (
        "New requests may use it from now on.",
        "If its login has ended meanwhile, the first request finds out and it becomes “needs sign-in”: sign in again then.",
    ),
    destructive=False,
)


class StateFilter(admin.SimpleListFilter):
    """The operator's question: which can be used, which need me?"""

    title = "health"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """One entry a state."""
        state = OAuthCredential.State
        named = [(str(value), value.label) for value in (*state.timed(), state.NEEDS_SIGN_IN, state.DISABLED)]
        return [(str(state.ACTIVE), "usable"), *named]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows in the state chosen."""
        if self.value() == OAuthCredential.State.ACTIVE:
            return queryset.filter(pk__in=OAuthCredential.objects.usable().values("pk"))
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(OAuthCredential)
class CredentialAdmin(SignInPages, ExportPages, PoolPages, LastingAdmin):
    """Logins: signed in or imported, watched, switched off and on."""

    list_display = ("name", "health", "plan", "provider_name", "token", "allowances")
    list_filter = (StateFilter, "provider")
    search_fields = ("label", "email", "account_id")
    change_form_template = "console/credential.html"
    readonly_fields = (
        "health",
        "since",
        "email",
        "plan",
        "provider_name",
        "account_id",
        "user_id",
        "openai_device_id",
        "token",
        "allowances",
        "quota_history",
        "egress",
        "imported",
    )
    fieldsets: ClassVar = [
        (None, {"fields": ("label", "health", "since")}),
        (
            "Login",
            {"fields": ("token", "imported", "email", "plan", "provider_name", "account_id", "user_id", "openai_device_id")},
        ),
        ("Allowances, as last told", {"fields": ("allowances", "quota_history")}),
        ("In the pool", {"fields": ("rank", "weight", "egress")}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OAuthCredential]:
        """Without anything sealed."""
        return looked_at()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """An import may replace the tokens of a login that is there, so changing must be allowed too."""
        return super().has_add_permission(request) and self.has_change_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """With the acts' pages before the admin's own."""
        return [route(self, DISABLE, self.switch_view), route(self, ENABLE, self.switch_view), *super().get_urls()]

    @admin.display(description="credential", ordering="label")
    def name(self, credential: OAuthCredential) -> SafeString:
        """As the operator calls it, and its email."""
        called = markup.clean(credential)
        if called == credential.email:
            return format_html("{}", called)
        return format_html("{}<br><small>{}</small>", called, markup.clean(credential.email))

    @admin.display(description="health", ordering="state")
    def health(self, credential: OAuthCredential) -> SafeString:
        """Its state and the reason for it."""
        found = health(credential, timezone.now())
        lines = [found.reason, f"{found.advice}"]
        told = format_html_join("", '<div class="reason">{}</div>', ((markup.clean(line),) for line in lines if line))
        until = format_html(" {}", markup.relative(found.until, timezone.now())) if found.until else ""
        return format_html("{}{} {}", found.badge, until, told)

    @admin.display(description="in this state")
    def since(self, credential: OAuthCredential) -> SafeString:
        """When it entered its state."""
        return format_html("since {}", markup.stamp(credential.state_since))

    @admin.display(description="provider", ordering="provider")
    def provider_name(self, credential: OAuthCredential) -> str:
        """As people call it."""
        return provider_label(credential.provider)

    @admin.display(description="access token", ordering="tokens__access_expires_at")
    def token(self, credential: OAuthCredential) -> SafeString:
        """When it expires and when it was refreshed; never itself."""
        row, now = tokens(credential), timezone.now()
        if row is None:
            return markup.NOTHING
        expired = row.access_expires_at is not None and row.access_expires_at <= now
        verb = "expired" if expired else "expires"
        refreshed = markup.relative(row.refreshed_at, now)
        failed = (
            format_html('<div class="reason">last try: {}</div>', markup.clean(row.refresh_failure))
            if row.refresh_failure
            else ""
        )
        return format_html("{} {},<br>refreshed {}{}", verb, markup.relative(row.access_expires_at, now), refreshed, failed)

    @admin.display(description="allowances")
    def allowances(self, credential: OAuthCredential) -> SafeString:
        """A meter for each window, as an answer last told it."""
        now = timezone.now()
        lines = format_html_join("", "<li>{}</li>", ((allowance(reading, now),) for reading in credential.quota.all()))
        return format_html('<ul class="meters">{}</ul>', lines) if lines else markup.NOTHING

    @admin.display(description="signed in or imported")
    def imported(self, credential: OAuthCredential) -> SafeString:
        """Last time, and the first."""
        return format_html("{} (first {})", markup.stamp(credential.imported_at), markup.stamp(credential.created_at))

    @method_decorator(sensitive_post_parameters("paste", "upload"))
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Import a login."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid() and (imported := self._import(request, form)):
            return HttpResponseRedirect(change_url(imported.credential))
        helps = [(provider_label(slug), import_help(slug)) for slug in registry.slugs()]
        return page(self, request, "console/import.html", "Import a credential", form=form, helps=helps)

    def _import(self, request: HttpRequest, form: forms.Form) -> importing.Imported | None:
        try:
            imported = importing.import_credential(form.cleaned_data["document"], provider=form.cleaned_data["provider"])
        except importing.ImportRefused as refused:
            form.add_error(None, str(refused))
            return None
        credential = imported.credential
        if imported.created:
            self.log_addition(request, credential, "Imported.")
            self.message_user(request, f"Imported {markup.clean(credential)}.", messages.SUCCESS)
        else:
            self.log_change(request, credential, "Imported again: tokens replaced.")
            self.message_user(
                request, f"{markup.clean(credential)} was known: its tokens are replaced, its history stays.", messages.SUCCESS
            )
        return imported

    def switch_view(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        """Disable or enable, asked first."""
        credential = changeable(self, request, object_id)
        if request.method != "POST":
            return confirmation(self, request, credential, act)
        if switching.switch(credential.pk, on=act is ENABLE, who=request.user.get_username()):
            self.log_change(request, credential, f"{act.verb}d.")
        self.message_user(request, f"{markup.clean(credential)}: {act.verb.lower()}d.", messages.SUCCESS)
        return HttpResponseRedirect(change_url(credential))
