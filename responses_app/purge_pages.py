"""The pages of purges: what will be lost is said first, the password asked for, and how far it has come shown after."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from accounts import proof
from accounts.models import ApiKey
from accounts.pages import change_url, page
from floway import markup
from responses_app import purging
from responses_app.history import HistoryAdmin
from responses_app.models import Conversation, Purge
from responses_app.pacing import Pace
from responses_app.purging import Kind, Target

_WAITED_SECONDS = 2.0
"""What the page waits for itself; the maintenance loop does the rest."""
_WORDS = {
    "conversations": "conversations, with those that were continued from them",
    "responses": "stored responses",
    "of_others": "of these responses, made in the same conversations but not for this",
    "named_conversations": "named conversations of the Conversations API",
    "items": "items of content",
    "payloads": "captured payloads",
    "exchanges": "requests in the history: their numbers stay, what names anybody goes",
    "in_flight": "requests in flight: they end as they would, and nothing of them is stored",
    "background": "responses made in the background, with their events",
    "idempotent": "names that callers gave to requests, as keyed hashes",
    "entries": "places of items",
    "provenance": "notes of which login issued which ciphertext",
}


class TargetForm(forms.Form):
    """Whose content. The end user's name is sent in a body, never in an address."""

    kind = forms.ChoiceField(label="Purge", choices=Kind.choices, widget=forms.RadioSelect, initial=Kind.END_USER)
    key = forms.ModelChoiceField(label="API key", queryset=ApiKey.objects.order_by("name"), required=False)
    conversation = forms.IntegerField(label="Conversation", required=False, min_value=1, help_text="Its number.")
    name = forms.CharField(
        label="End user",
        required=False,
        strip=False,
        max_length=2000,
        help_text="As the caller names them, in safety_identifier or user. The name is not kept.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    digest = forms.RegexField(r"\A[0-9a-f]{64}\Z", required=False, widget=forms.HiddenInput)
    target: Target

    def clean(self) -> dict[str, Any]:
        """All that the choice needs."""
        data = super().clean() or {}
        try:
            self.target = self._target(data)
        except KeyError as error:
            raise forms.ValidationError("Say whose: the choice above needs it.") from error
        return data

    def _target(self, data: dict[str, Any]) -> Target:
        """:raises KeyError: something was not said."""
        kind = Kind(data["kind"])
        if kind is Kind.CONVERSATION:
            row = (
                Conversation.objects.filter(pk__in=[data.get("conversation") or 0], purge=None)
                .select_related("api_key")
                .first()
            )
            if row is None:
                raise KeyError("conversation")
            return Target(kind, row.api_key, row.pk)
        if data.get("key") is None:
            raise KeyError("key")
        if kind is Kind.KEY:
            return Target(kind, data["key"])
        if data.get("digest"):
            return Target(kind, data["key"], digest=bytes.fromhex(data["digest"]))
        if not data.get("name"):
            raise KeyError("name")
        return Target.end_user(data["key"], data["name"])


@admin.register(Purge)
class PurgeAdmin(HistoryAdmin):
    """What was asked to be purged, and the page that asks."""

    list_display = ("what", "api_key", "asked", "asked_by", "state")
    list_select_related = ("api_key",)
    page_template = "console/purge.html"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Owners, unless they have given it to others."""
        return bool(request.user.has_perm("responses_app.add_purge"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Purge]:
        """With the key that a row names."""
        return super().get_queryset(request).select_related("api_key")

    @admin.display(description="what")
    def what(self, purge: Purge) -> str:
        """Whose content."""
        return markup.clean(purge)

    @admin.display(description="asked (UTC)", ordering="asked_at")
    def asked(self, purge: Purge) -> SafeString:
        """When."""
        return markup.stamp(purge.asked_at)

    @admin.display(description="state")
    def state(self, purge: Purge) -> SafeString:
        """How far it has come."""
        if purge.finished_at is not None:
            return markup.badge("ok", "done")
        return markup.badge("busy", "deleting" if purge.marked_at else "marking")

    def page(self, row: Any, request: HttpRequest) -> dict[str, Any]:
        """What was foreseen and what is gone."""
        waiting = Conversation.objects.filter(purge=row).count()
        return {"state": self.state(row), "foreseen": _told(row.foreseen), "removed": _told(row.removed), "waiting": waiting}

    @method_decorator(sensitive_post_parameters("password", "code", "name"))
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Ask whose; say what will be lost; ask for the password; do it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        posted = request.POST if request.method == "POST" else None
        form = TargetForm(posted, initial=_initial(request))
        if posted is None or not form.is_valid():
            return page(self, request, "console/purge_ask.html", "Purge content", form=form)
        proved = proof.ProofForm(posted if "confirmed" in posted else None, user=request.user)
        if proof.accepted(proved):
            return HttpResponseRedirect(change_url(_begin(request, form.target)))
        return self._confirm(request, form.target, proved)

    def _confirm(self, request: HttpRequest, target: Target, proved: proof.ProofForm) -> HttpResponse:
        context = {
            "form": proved,
            "target": target,
            "digest": target.digest.hex() if target.digest is not None else "",
            "foreseen": _told(purging.foresee(target, timezone.now())),
        }
        return page(self, request, "console/purge_confirm.html", f"Purge {_named(target)}?", **context)


def _begin(request: HttpRequest, target: Target) -> Purge:
    purge = purging.ask(target, request.user.get_username(), request.user.pk, timezone.now())
    purging.advance(purge, Pace(_WAITED_SECONDS))
    return purge


def _initial(request: HttpRequest) -> dict[str, Any]:
    """As a button on a key's or a conversation's page says."""
    given = {name: request.GET[name] for name in ("key", "conversation") if request.GET.get(name, "").isdecimal()}
    kind = Kind.CONVERSATION if "conversation" in given else Kind.KEY if "key" in given else Kind.END_USER
    return {"kind": kind, **given}


def _named(target: Target) -> str:
    key = markup.clean(target.key)
    named = {Kind.CONVERSATION: f"conversation {target.conversation} of {key}", Kind.END_USER: f"an end user of {key}"}
    return named.get(target.kind, f"everything of {key}")


def _told(counts: dict[str, int]) -> SafeString:
    """Figures, each with what it counts."""
    lines = ((_figure(counts[name]), words) for name, words in _WORDS.items() if counts.get(name))
    return format_html_join("", "<li><strong>{}</strong> {}</li>", lines)


def _figure(count: int) -> str:
    return f"{count:,}{' or more' if count == purging.MOST_COUNTED else ''}"
