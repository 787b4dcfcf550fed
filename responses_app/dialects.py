"""The doors that a provider's official clients look for beside the public API's: the same rooms behind other numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from django.urls import URLPattern, path
from rest_framework.request import Request
from rest_framework.response import Response

from floway.providers import registry
from floway.providers.contract import DialectAction, DialectRoute
from floway.wire.errors import NotFound
from responses_app.http import NO_STORE, all_headers, callers_headers
from responses_app.views import ApiView, CompactView, ModelsView, ResponsesView


class DocumentView(ApiView):
    """What a provider says to its official clients."""

    route: ClassVar[str] = ""

    def get(self, request: Request) -> Response:
        """The document, for keys of its provider."""
        provider = registry.get(self.key_of(request).provider)
        if self.route not in {route.path for route in provider.dialect_routes()}:
            raise NotFound(f"Unknown request URL: GET {request.path}.")
        document = provider.dialect_document(self.route, callers_headers(all_headers(request._request)))
        return Response(document, headers=NO_STORE)


_VIEWS: dict[DialectAction, type[ApiView]] = {
    DialectAction.RESPONSES: ResponsesView,
    DialectAction.COMPACT: CompactView,
    DialectAction.MODELS: ModelsView,
}


def urlpatterns() -> Iterator[URLPattern]:
    """The routes of every configured provider."""
    for slug in registry.slugs():
        for route in registry.get(slug).dialect_routes():
            yield _pattern(route)


def _pattern(route: DialectRoute) -> URLPattern:
    if route.action is DialectAction.DOCUMENT:
        return path(route.path, DocumentView.as_view(route=route.path))
    return path(route.path, _VIEWS[route.action].as_view())
