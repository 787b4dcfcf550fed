"""A secret that one page shows one time: until then it waits, sealed, in the session of the person who made it."""

from __future__ import annotations

from base64 import b64decode, b64encode

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from accounts.pages import LastingAdmin, address, page
from floway.sealing import CannotUnseal, seal_text, unseal_text

_ISSUED = "issued_secrets"


class SecretAdmin(LastingAdmin):
    """An admin of rows that get a secret; `reveal_template` shows it."""

    reveal_template: str
    reveal_title: str

    def get_urls(self) -> list[URLPattern]:
        """With the page that shows a secret before the admin's own."""
        issued = self.admin_site.admin_view(self.issued_view)
        return [path("<path:object_id>/issued/", issued, name=address(self.model, "issued")), *super().get_urls()]

    def show_once(self, request: HttpRequest, row: models.Model, secret: str) -> HttpResponse:
        """Lead to the page that shows it."""
        sealed = seal_text(secret, purpose="issued-secret", owner=_owner(request, row))
        request.session[_ISSUED] = {**request.session.get(_ISSUED, {}), _name(row): b64encode(sealed).decode()}
        return HttpResponseRedirect(reverse(f"admin:{address(self.model, 'issued')}", args=[row.pk]))

    def issued_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The secret, the first time that this is asked for; a reload shows nothing and makes nothing."""
        row = self.get_object(request, object_id)
        if row is None or not (self.has_add_permission(request) or self.has_change_permission(request, row)):
            raise PermissionDenied
        secret = _taken(request, row) if request.method == "GET" else None
        # Rendered here, so that no response object waits in a middleware with the secret in its context.
        return page(self, request, self.reveal_template, self.reveal_title, row=row, secret=secret).render()


def _name(row: models.Model) -> str:
    return f"{row._meta.model_name}:{row.pk}"


def _owner(request: HttpRequest, row: models.Model) -> str:
    return f"{request.user.pk}:{_name(row)}"


def _taken(request: HttpRequest, row: models.Model) -> str | None:
    """The secret that waits for this person, which then waits no more."""
    waiting = dict(request.session.get(_ISSUED, {}))
    sealed = waiting.pop(_name(row), None)
    if sealed is None:
        return None
    request.session[_ISSUED] = waiting
    try:
        return unseal_text(b64decode(sealed), purpose="issued-secret", owner=_owner(request, row))
    except CannotUnseal:
        return None
