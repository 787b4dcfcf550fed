"""The description of an API in OpenAPI, and a page to browse it: our own copy of its script and style, nothing inline.

Both take their routes or their description's address as arguments: another API is described by two more lines of routes.
"""

from __future__ import annotations

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation

from floway.console.api.base import Operators


class Description(Operators, SpectacularAPIView):
    """The description, as JSON."""

    renderer_classes = [OpenApiJsonRenderer]  # noqa: RUF012 - a list in the class it comes from
    content_negotiation_class = DefaultContentNegotiation


class Docs(SpectacularSwaggerSplitView):
    """The page, and its script."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = DefaultContentNegotiation
    template_name = "console/api_docs.html"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # it registers itself
    """How a token is brought."""

    target_class = "floway.console.api.access.TokenAuthentication"
    name = "operatorToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """As a bearer."""
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # likewise
    """How a session is."""

    target_class = "floway.console.api.access.OperatorSession"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """As a cookie."""
        from django.conf import settings

        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
