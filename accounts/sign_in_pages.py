"""The pages of a sign-in: choose how, go through the provider's pages, come back. Every word of a method is its provider's."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from accounts import signing_in
from accounts.forms import CallbackForm, SignInForm, provider_label
from accounts.importing import AnotherLogin, Imported
from accounts.models import OAuthCredential, PendingSignIn
from accounts.pages import AnyModelAdmin, address, change_url, changeable, page
from accounts.signing_in import Person, Spent
from floway import markup
from floway.providers import registry
from floway.providers.contract import NotYet, SignInMethod, SignInRefused


class SignInPages(AnyModelAdmin):
    """Adds signing in to the admin of credentials: for a new one, and again for one that is there."""

    def get_urls(self) -> list[URLPattern]:
        """With the sign-in's pages before the admin's own."""
        wrap = self.admin_site.admin_view
        name = address(self.model, "sign_in")
        return [
            path("sign-in/", wrap(self.choose_view), name=name),
            path("sign-in/<uuid:pending_id>/", wrap(self.sign_in_view), name=f"{name}_step"),
            path("<path:object_id>/sign-in/", wrap(self.choose_view), name=f"{name}_again"),
            *super().get_urls(),
        ]

    # --- begin ---

    def choose_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Choose a method and begin; with an `object_id`, to renew that credential's login."""
        credential = changeable(self, request, object_id) if object_id is not None else None
        self._check(request, credential)
        form = SignInForm(request.POST if request.method == "POST" else None, slugs=_slugs(credential))
        if request.method == "POST" and form.is_valid():
            begun = self._begin(request, form, credential)
            if begun is not None:
                return HttpResponseRedirect(_address(begun))
        title = f"Sign in again: {markup.clean(credential)}" if credential else "Sign in"
        return page(self, request, "console/sign_in.html", title, form=form, row=credential)

    def _begin(self, request: HttpRequest, form: SignInForm, credential: OAuthCredential | None) -> PendingSignIn | None:
        slug, method = form.chosen()
        try:
            return signing_in.begin(slug, method, _person(request), credential)
        except SignInRefused as refused:
            form.add_error(None, refused.message)
            return None

    # --- finish ---

    @method_decorator(sensitive_post_parameters("callback"))
    def sign_in_view(self, request: HttpRequest, pending_id: UUID) -> HttpResponse:
        """What there is to do; posting finishes it."""
        pending = signing_in.of(_person(request), pending_id)
        if pending is None:
            raise Http404
        self._check(request, pending.credential)
        if request.method == "POST":
            return self._finish(request, pending)
        return self._step(request, pending) if signing_in.is_open(pending, timezone.now()) else self._over(request, pending)

    def _finish(self, request: HttpRequest, pending: PendingSignIn) -> HttpResponse:
        """What ends the sign-in leads back to its page, which says so to whoever else looks; what does not is said at once."""
        form = CallbackForm(request.POST, asks=_method(pending).callback)
        if not form.is_valid():
            return self._step(request, pending, form)
        try:
            came = signing_in.finish(pending, form.cleaned_data.get("callback"))
        except SignInRefused as refused:
            if refused.again:
                form.add_error(None, refused.message)
                return self._step(request, pending, form)
        except (Spent, AnotherLogin):
            pass
        else:
            if isinstance(came, NotYet):
                return self._step(request, pending, waiting=True)
            self._tell(request, came)
        return HttpResponseRedirect(_address(pending))

    def _tell(self, request: HttpRequest, came: Imported) -> None:
        name = markup.clean(came.credential)
        if came.created:
            self.log_addition(request, came.credential, "Signed in.")
            self.message_user(request, f"Signed in: {name} is a new credential.", messages.SUCCESS)
        else:
            self.log_change(request, came.credential, "Signed in again: tokens replaced.")
            stays = "its tokens are new; its device id, conversations and history stay."
            self.message_user(request, f"Signed in again to {name}: {stays}", messages.SUCCESS)
        if came.credential.state == OAuthCredential.State.DISABLED:
            self.message_user(request, f"{name} is still disabled.", messages.WARNING)

    # --- pages ---

    def _step(
        self, request: HttpRequest, pending: PendingSignIn, form: CallbackForm | None = None, *, waiting: bool = False
    ) -> HttpResponse:
        method = _method(pending)
        context = {
            "method": method,
            "form": form or CallbackForm(asks=method.callback),
            "opened": signing_in.opened(pending),
            "pending": pending,
            "waiting": waiting,
        }
        title = f"Sign in with {provider_label(pending.provider)}"
        return page(self, request, "console/sign_in_step.html", title, row=pending.credential, **context)

    def _over(self, request: HttpRequest, pending: PendingSignIn) -> HttpResponse:
        if pending.outcome is not None:
            return HttpResponseRedirect(change_url(pending.outcome))
        context = {"row": pending.credential, "pending": pending, "anew": _anew(pending.credential), "fresh": _anew(None)}
        return page(self, request, "console/sign_in_over.html", "The sign-in is over", **context)

    def _check(self, request: HttpRequest, credential: OAuthCredential | None) -> None:
        allowed = self.has_add_permission(request) if credential is None else self.has_change_permission(request, credential)
        if not allowed:
            raise PermissionDenied


def _slugs(credential: OAuthCredential | None) -> tuple[str, ...]:
    return tuple(slug for slug in registry.slugs() if credential is None or slug == credential.provider)


def _person(request: HttpRequest) -> Person:
    user, key = request.user, request.session.session_key
    if not isinstance(user, User) or key is None:
        raise PermissionDenied
    return Person(user.pk, key)


def _method(pending: PendingSignIn) -> SignInMethod:
    return signing_in.methods(pending.provider)[pending.method]


def _address(pending: PendingSignIn) -> str:
    return reverse(f"admin:{address(OAuthCredential, 'sign_in_step')}", args=[pending.pk])


def _anew(credential: OAuthCredential | None) -> str:
    if credential is None:
        return reverse(f"admin:{address(OAuthCredential, 'sign_in')}")
    return reverse(f"admin:{address(OAuthCredential, 'sign_in_again')}", args=[credential.pk])
