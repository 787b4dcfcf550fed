"""Where everything is found."""

from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from floway import health
from floway.console import errors, metrics, reference
from floway.wire.errors import InvalidRequest, ServiceError
from responses_app import dialects, http, views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/", include("floway.console.api.urls")),
    path("metrics", metrics.view),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("openapi.json", reference.description, name="openapi"),
    path("docs", reference.page, name="reference"),
    path("v1/", include("responses_app.urls")),
    *dialects.urlpatterns(),
]


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django gives it
    """404 as a page for people, in the envelope for programs."""
    return errors.not_found(request) if errors.is_for_a_person(request) else views.unknown_url(request)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django gives it
    """403 likewise."""
    if errors.is_for_a_person(request):
        return errors.denied(request)
    return http.plain_error(request, InvalidRequest("The request cannot be served."))


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400 likewise."""
    message = "The request cannot be served."
    if isinstance(exception, DisallowedHost):
        message = "This gateway is not served under the name in the host header (its operator can allow it)."
    if errors.is_for_a_person(request):
        return errors.not_understood(request, message)
    return http.plain_error(request, InvalidRequest(message))


def handler500(request: HttpRequest) -> HttpResponse:
    """500 likewise."""
    if errors.is_for_a_person(request):
        return errors.failed(request)
    return http.plain_error(request, ServiceError("The gateway failed. Its operator finds the cause under this request's id."))
