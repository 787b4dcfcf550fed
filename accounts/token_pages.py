"""The operator's pages for tokens of programs: one's own; of everybody for who may change people."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts import operator_tokens
from accounts.models import OperatorToken
from accounts.pages import Act, change_url, changeable, page, route
from accounts.shown_once import SecretAdmin
from floway import markup

REVOKE = Act(
    "revoke",
    "Revoke",
    ("Programs that use it are answered 401 from now on.", "It does not come back; issue another one."),
    destructive=True,
)
_LONGEST_DAYS = 366


class TokenForm(forms.Form):
    """A new token."""

    name = forms.CharField(max_length=100, help_text="What it is for.")
    read_only = forms.BooleanField(required=False, initial=True, help_text="It sees what you see and changes nothing.")
    days = forms.IntegerField(
        label="Good for so many days", min_value=1, max_value=_LONGEST_DAYS, initial=90, help_text="At most a year."
    )

    def __init__(self, *args: Any, choices: QuerySet[User] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if choices is not None:
            self.fields["user"] = forms.ModelChoiceField(choices, label="Acts as", required=False, empty_label="yourself")


@admin.register(OperatorToken)
class OperatorTokenAdmin(SecretAdmin):
    """Tokens: issued and shown once, revoked."""

    list_display = ("name", "user", "begins", "may", "how", "used")
    list_select_related = ("user",)
    search_fields = ("name",)
    fields = ("name", "user", "begins", "may", "how", "made", "used")
    readonly_fields = fields
    change_form_template = "console/operator_token.html"
    reveal_template, reveal_title = "console/reveal_token.html", "Copy the token now"

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperatorToken]:
        """One's own; everybody's for who may change people. Never the hash."""
        rows = OperatorToken.objects.defer("digest").select_related("user")
        return rows if _manages_people(request) else rows.filter(user=_person(request))

    def get_urls(self) -> list[URLPattern]:
        """With revoking before the admin's own."""
        return [route(self, REVOKE, self.revoke_view), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Issue a token; its secret is shown once, on the next page."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        people = User.objects.filter(is_active=True, is_staff=True) if _manages_people(request) else None
        form = TokenForm(request.POST or None, choices=people)
        if request.method != "POST" or not form.is_valid():
            return page(self, request, "console/issue_token.html", "Issue a token", form=form)
        data = form.cleaned_data
        person = data.get("user") or _person(request)
        until = timezone.now() + timedelta(days=data["days"])
        issued = operator_tokens.issue(person, data["name"], read_only=data["read_only"], expires_at=until)
        return self.show_once(request, issued.token, issued.secret)

    def revoke_view(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        """End it, asked first."""
        token = changeable(self, request, object_id)
        if request.method != "POST":
            title = f"Revoke {markup.clean(token)}?"
            return page(self, request, "console/confirm.html", title, act=act, row=token, consequences=act.consequences)
        if operator_tokens.revoke(token, timezone.now()):
            self.message_user(request, f"{markup.clean(token)}: revoked.", messages.SUCCESS)
        return HttpResponseRedirect(change_url(token))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """To look at: what a token may do is said once."""
        if request.method == "POST":
            raise PermissionDenied
        only = {"show_save": False, "show_save_and_continue": False}
        return super().change_view(request, object_id, form_url, {**only, **(extra_context or {})})

    @admin.display(description="begins with")
    def begins(self, token: OperatorToken) -> str:
        """The visible part."""
        return f"{token.prefix}…"

    @admin.display(description="may")
    def may(self, token: OperatorToken) -> str:
        """In a word."""
        return "look" if token.read_only else "all that the person may"

    @admin.display(description="works")
    def how(self, token: OperatorToken) -> SafeString:
        """Does it, and until when?"""
        now = timezone.now()
        if token.revoked_at is not None:
            return markup.badge("off", "revoked")
        if not token.opens(now):
            return markup.badge("warn", "expired")
        until = markup.relative(token.expires_at, now) if token.expires_at else SafeString("no end")
        return SafeString(f"{markup.badge('ok', 'yes')} <small>{until}</small>")

    @admin.display(description="issued (UTC)")
    def made(self, token: OperatorToken) -> SafeString:
        """When."""
        return markup.stamp(token.created_at)

    @admin.display(description="last used")
    def used(self, token: OperatorToken) -> SafeString:
        """To the minute."""
        return markup.relative(token.last_used_at, timezone.now()) if token.last_used_at else SafeString("never")


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def _manages_people(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("auth.change_user"))
