"""Where everything is found."""

from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from floway import health
from floway.wire.errors import InvalidRequest, ServiceError
from responses_app import http, views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("v1/", include("responses_app.urls")),
]

handler404 = views.unknown_url


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400 in the envelope."""
    message = "The request cannot be served."
    if isinstance(exception, DisallowedHost):
        message = "This gateway is not served under the name in the host header (its operator can allow it)."
    return http.plain_error(request, InvalidRequest(message))


def handler500(request: HttpRequest) -> HttpResponse:
    """500 in the envelope."""
    return http.plain_error(request, ServiceError("The gateway failed. Its operator finds the cause under this request's id."))
