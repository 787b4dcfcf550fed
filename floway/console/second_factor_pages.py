"""The page of one's own second factor: set it up, see how many recovery codes are left, make new ones, take it away."""

from __future__ import annotations

from typing import Any

import segno
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from accounts import audit, guessing, proof, second_factor
from floway.console.entry import CodeForm


@sensitive_post_parameters("password", "code")
def second_factor_view(request: HttpRequest) -> HttpResponse:
    """Whatever the person who is signed in has to do next."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    act = request.POST.get("act", "") if request.method == "POST" else ""
    if second_factor.is_enrolled(user):
        return _manage(request, user, act)
    if act == "confirm":
        return _confirm(request, user)
    form = proof.ProofForm(request.POST if act == "offer" else None, user=user)
    if act == "offer" and proof.accepted(form):
        second_factor.offer(user, timezone.now())
        return _show(request, user, CodeForm())
    return _page(request, "console/second_factor.html", "Second factor", form=form)


def _show(request: HttpRequest, user: User, form: CodeForm) -> HttpResponse:
    secret = second_factor.offered(user, timezone.now())
    if secret is None:
        return HttpResponseRedirect(reverse("admin:second_factor"))
    form.fields["code"].help_text = "Six digits."
    square = segno.make(second_factor.uri(user, secret), error="m", micro=False)
    svg = square.svg_inline(scale=5, border=4, dark="#000", light="#fff", svgclass="square", title="The secret, to be scanned")
    grouped = " ".join(secret[n : n + 4] for n in range(0, len(secret), 4))
    context = {"form": form, "square": SafeString(svg), "secret": grouped}
    return _page(request, "console/second_factor_scan.html", "Scan this", **context)


def _confirm(request: HttpRequest, user: User) -> HttpResponse:
    form, now = CodeForm(request.POST), timezone.now()
    if not form.is_valid():
        return _show(request, user, form)
    subjects = [guessing.of_person(user.pk)]
    try:
        guessing.begin(subjects, now)
        codes = second_factor.confirm(user, form.cleaned_data["code"], now)
    except guessing.LockedOut:
        codes = None
    if codes is None:
        form.add_error("code", "That is not its code now. Is the clock of your device right?")
        return _show(request, user, form)
    guessing.succeeded(subjects)
    request.session.cycle_key()
    second_factor.note_proved(request.session, user)
    audit.record("second factor set up", user)
    return _codes(request, codes)


def _manage(request: HttpRequest, user: User, act: str) -> HttpResponse:
    form = proof.ProofForm(request.POST if act else None, user=user)
    if act in {"codes", "remove"} and proof.accepted(form):
        if act == "codes":
            audit.record("recovery codes replaced", user)
            return _codes(request, second_factor.replace_recovery_codes(user))
        second_factor.reset(user)
        audit.record("second factor taken away", user)
        messages.success(request, "Your second factor is taken away: the password alone signs you in.")
        return HttpResponseRedirect(reverse("admin:index"))
    context = {"form": form, "left": second_factor.recovery_codes_left(user), "since": user.second_factor.confirmed_at}
    return _page(request, "console/second_factor_on.html", "Second factor", **context)


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    # Rendered here, so that no response object waits in a middleware with the codes in its context.
    return _page(request, "console/recovery_codes.html", "Keep these codes", codes=codes).render()


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    base = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, base, headers={"Cache-Control": "no-store"})
