"""The doors to the models that a key may name."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import catalogue, choosing
from floway.providers.contract import Catalogue, Model
from floway.wire.errors import NotFound
from responses_app.http import NO_STORE
from responses_app.views.base import ApiView


class _CatalogueView(ApiView):
    def catalogue(self, request: Request) -> Catalogue:
        """What the key's login may use, and the key with it."""
        key = self.key_of(request)
        return catalogue.allowed(key, catalogue.current(choosing.first(key), self.clock.now()))


class ModelsView(_CatalogueView):
    """`GET /v1/models`."""

    def get(self, request: Request) -> Response:
        """The catalogue, in the public shape or in the one that official clients ask for."""
        found = self.catalogue(request)
        if found.dialect_query is not None and found.dialect_query in request.query_params:
            etag = {"etag": found.etag} if found.etag else {}
            return Response(found.dialect_body, headers={**NO_STORE, **etag})
        return Response({"object": "list", "data": [_public(model) for model in found.models]}, headers=NO_STORE)


class ModelView(_CatalogueView):
    """`GET /v1/models/{id}`."""

    def get(self, request: Request, model_id: str) -> Response:
        """One model of the catalogue."""
        for model in self.catalogue(request).models:
            if model.id == model_id:
                return Response(_public(model), headers=NO_STORE)
        raise NotFound(f"The model '{model_id}' does not exist or you do not have access to it.", code="model_not_found")


def _public(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}
