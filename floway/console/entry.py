"""How people come in: the password, the second factor, the first owner, and the door that stays shut for a while."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from accounts import audit, first_run, guessing, second_factor
from accounts.proof import code_field
from floway import origin
from floway.console import sessions

_SALT = "floway.second-step"
_SECOND_STEP_SECONDS = 300
_BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignInForm(AdminAuthenticationForm):
    """Name and password, tries counted."""

    def clean(self) -> dict[str, Any]:
        """:raises guessing.LockedOut: before the password is looked at."""
        request = self.request
        if request is None or not self.cleaned_data.get("username") or not self.cleaned_data.get("password"):
            return super().clean()
        address = origin.address_of(request.META)
        subjects = [guessing.of_name(self.cleaned_data["username"], address), guessing.of_address(address)]
        guessing.begin(subjects, timezone.now())
        cleaned = super().clean()
        guessing.succeeded(subjects)
        return cleaned


class CodeForm(forms.Form):
    """The second step."""

    code = code_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs["autofocus"] = True


class SignInView(LoginView):
    """The sign-in: a second step follows for who has a second factor."""

    authentication_form = SignInForm
    template_name = "console/login.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A shut door answers 429."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except guessing.LockedOut as locked:
            return shut(request, locked)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Either step."""
        return self._second_step(request) if "pending" in request.POST else super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The password was right."""
        user = form.get_user()
        if second_factor.is_enrolled(user):
            return self._ask(user, CodeForm())
        return self._let_in(user)

    def _second_step(self, request: HttpRequest) -> HttpResponse:
        user = _pending(request.POST["pending"])
        if user is None:
            return HttpResponseRedirect(request.get_full_path())
        form = CodeForm(request.POST)
        if not form.is_valid():
            return self._ask(user, form)
        now, subjects = timezone.now(), [guessing.of_person(user.pk), guessing.of_address(origin.address_of(request.META))]
        guessing.begin(subjects, now)
        if not second_factor.verify(user, form.cleaned_data["code"], now):
            audit.record("sign-in failed", user, step="second factor")
            form.add_error("code", "That is not a valid code, or it was used already.")
            return self._ask(user, form)
        guessing.succeeded(subjects)
        response = self._let_in(user)
        second_factor.note_proved(request.session, user)
        return response

    def _ask(self, user: User, form: CodeForm) -> HttpResponse:
        pending = signing.dumps([user.pk, user.get_session_auth_hash()], salt=_SALT)
        context = {**self.get_context_data(form=form), "pending": pending, "title": "Second factor"}
        return TemplateResponse(self.request, "console/code.html", context)

    def _let_in(self, user: User) -> HttpResponse:
        login(self.request, user, _BACKEND)
        sessions.begin(self.request)
        return HttpResponseRedirect(self.get_success_url())


def _pending(text: str) -> User | None:
    """Who has given their password within the last minutes, and has not changed it since."""
    try:
        pk, proof = signing.loads(text, salt=_SALT, max_age=_SECOND_STEP_SECONDS)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=pk, is_active=True, is_staff=True).first()
    return user if user is not None and user.get_session_auth_hash() == proof else None


def shut(request: HttpRequest, locked: guessing.LockedOut) -> HttpResponse:
    """Too many tries."""
    seconds = locked.seconds(timezone.now())
    context = {**admin.site.each_context(request), "title": "Too many tries", "minutes": -(-seconds // 60)}
    response = render(request, "console/shut.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response


class FirstOwnerForm(BaseUserCreationForm):  # type: ignore[type-arg] # not subscriptable at run time
    """The first owner's name and password, and the token from the console."""

    token = forms.CharField(
        max_length=100,
        help_text="The server printed it at its start.",
        widget=forms.TextInput({"autofocus": True}),
    )
    field_order = ("token", "username", "password1", "password2")

    def clean_token(self) -> str:
        """The right one."""
        text = str(self.cleaned_data["token"])
        if not first_run.is_token(text):
            raise forms.ValidationError("That is not the token.")
        return text


@sensitive_post_parameters()
@never_cache
@csrf_protect
def first_owner(request: HttpRequest) -> HttpResponse:
    """The page that makes the first owner, while there is nobody."""
    if not first_run.is_open():
        raise Http404
    form = FirstOwnerForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        subjects = [guessing.of_address(origin.address_of(request.META))]
        try:
            guessing.begin(subjects, timezone.now())
        except guessing.LockedOut as locked:
            return shut(request, locked)
        if form.is_valid() and first_run.make_owner(form.save(commit=False)):
            guessing.succeeded(subjects)
            login(request, form.instance, _BACKEND)
            sessions.begin(request)
            return HttpResponseRedirect(reverse("admin:index"))
    context = {**admin.site.each_context(request), "title": "The first owner", "form": form}
    return TemplateResponse(request, "console/first_owner.html", context)


class PasswordForm(AdminPasswordChangeForm):
    """A new password; tries at the old one are counted."""

    def clean_old_password(self) -> str:
        """:raises guessing.LockedOut: before the old password is looked at."""
        subjects = [guessing.of_person(self.user.pk)]
        guessing.begin(subjects, timezone.now())
        old = super().clean_old_password()
        guessing.succeeded(subjects)
        return str(old)


class PasswordView(PasswordChangeView):
    """Changes the password; every other session of this person ends with it."""

    form_class = PasswordForm
    template_name = "registration/password_change_form.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A shut door answers 429."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except guessing.LockedOut as locked:
            return shut(request, locked)

    def form_valid(self, form: Any) -> HttpResponse:
        """Saved, and said."""
        response = super().form_valid(form)
        audit.record("password changed", form.user)
        return response
