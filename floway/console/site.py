"""The admin site of the gateway: Django's own, with the operations page as its index and its live part on its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

_FOR_WHO_MUST_ENROL = frozenset({"second_factor", "logout", "password_change", "password_change_done"})


class ConsoleSite(admin.AdminSite):
    """Django's admin under the gateway's name."""

    site_header = "Floway"
    site_title = "Floway"
    index_title = "Operations"
    site_url = None
    empty_value_display = "–"
    index_template = "console/operations.html"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """With what needs the operator, for every page."""
        from floway.console import banner

        return {**super().each_context(request), "banner": banner.of(request.user, timezone.now())}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What is going on, for whoever may see which part of it."""
        from floway.console import operations

        found = operations.overview(request.user, timezone.now())
        return super().index(request, {"operations": found, **(extra_context or {})})

    def live(self, request: HttpRequest) -> TemplateResponse:
        """The requests in flight and those just finished, as the piece of a page."""
        from floway.console import operations

        if not request.user.has_perm("responses_app.view_exchange"):
            raise PermissionDenied
        return TemplateResponse(request, "console/exchanges.html", {"exchanges": operations.live(timezone.now())})

    # --- who comes in ---

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """With the pages of people before the admin's own, which end with one for everything."""
        from floway.console import entry, usage
        from floway.console.second_factor_pages import second_factor_view

        return [
            path("usage/", self.admin_view(usage.page), name="usage"),
            path("usage/export/", self.admin_view(usage.export), name="usage_export"),
            path("live/", self.admin_view(self.live), name="live"),
            path("first-owner/", entry.first_owner, name="first_owner"),
            path("second-factor/", self.admin_view(second_factor_view), name="second_factor"),
            *super().get_urls(),
        ]

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, who have shown their second factor if they have one."""
        return super().has_permission(request) and _lacks(request) != "proof"

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """Who must have a second factor and has none is led to set one up, and nowhere else."""

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            match = request.resolver_match
            if _lacks(request) == "enrolment" and match is not None and match.url_name not in _FOR_WHO_MUST_ENROL:
                return HttpResponseRedirect(reverse("admin:second_factor"))
            return view(request, *args, **kwargs)

        return super().admin_view(guarded, cacheable)

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The sign-in, in one step or two."""
        from accounts import first_run
        from floway.console import entry

        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": "Sign in",
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            "nobody_yet": first_run.is_open(),
            **(extra_context or {}),
        }
        if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
            context[REDIRECT_FIELD_NAME] = reverse("admin:index")
        request.current_app = self.name
        return entry.SignInView.as_view(extra_context=context)(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The password, changed by who has it."""
        from floway.console import entry

        context = {**self.each_context(request), **(extra_context or {})}
        request.current_app = self.name
        done = reverse("admin:password_change_done")
        return entry.PasswordView.as_view(extra_context=context, success_url=done)(request)


def _lacks(request: HttpRequest) -> str | None:
    """Asked of the database once a request."""
    from accounts import second_factor

    if not request.user.is_authenticated:
        return None
    known = request.__dict__.setdefault("floway_lacks", {})
    if request.user.pk not in known:
        known[request.user.pk] = second_factor.lacks(request.session, request.user)
    found: str | None = known[request.user.pk]
    return found
