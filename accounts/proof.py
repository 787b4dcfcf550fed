"""Proving again who one is, before something that a stolen session must not be enough for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone

from accounts import guessing, second_factor


class CodeInput(forms.TextInput):
    """Takes a code and never gives it back: a form shown again stands empty."""

    def format_value(self, value: Any) -> None:
        """Nothing, whatever was sent."""
        return


def code_field() -> forms.CharField:
    """Takes a code of the authenticator's, or a recovery code."""
    look = {"autocomplete": "one-time-code", "inputmode": "text", "autocapitalize": "none", "spellcheck": "false"}
    words = "Six digits from your authenticator, or a recovery code."
    return forms.CharField(label="Code", help_text=words, max_length=40, widget=CodeInput(attrs=look))


class ProofForm(forms.Form):
    """The operator's own password, once more, and a code where there is a second factor. `wrong` once it was neither."""

    wrong = False

    password = forms.CharField(
        strip=False,
        max_length=4096,
        label="Your password",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user: User = user
        if second_factor.is_enrolled(user):
            self.fields["code"] = code_field()


def proves(request: HttpRequest) -> ProofForm:
    """The form for who sent `request`; filled in where it was posted."""
    return ProofForm(request.POST if request.method == "POST" else None, user=request.user)


def accepted(form: ProofForm) -> bool:
    """Was it who it should be? The form says why not, and tries are counted."""
    if not form.is_valid():
        return False
    now, subjects = timezone.now(), [guessing.of_person(form.user.pk)]
    try:
        guessing.begin(subjects, now)
    except guessing.LockedOut as locked:
        minutes = -(-locked.seconds(now) // 60)
        form.add_error(None, f"Too many wrong passwords or codes. Wait {minutes} minutes.")
        return False
    if not form.user.check_password(form.cleaned_data["password"]):
        return _refuse(form, "password", "That is not your password.")
    if "code" in form.fields and not second_factor.verify(form.user, form.cleaned_data["code"], now):
        return _refuse(form, "code", "That is not a valid code, or it was used already.")
    guessing.succeeded(subjects)
    return True


def _refuse(form: ProofForm, name: str, words: str) -> bool:
    form.add_error(name, words)
    form.wrong = True
    return False
