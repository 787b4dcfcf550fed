"""The doors to stored responses."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from floway.wire.errors import InvalidRequest
from responses_app import retrieving
from responses_app.http import NO_STORE
from responses_app.listing import Page, checked_include
from responses_app.views.base import ApiView


class ResponseView(ApiView):
    """`/v1/responses/{id}`."""

    def get(self, request: Request, response_id: str) -> Response:
        """The response as it was answered."""
        checked_include(request.query_params)
        found = retrieving.find(self.key_of(request).pk, response_id)
        if request.query_params.get("stream") == "true":
            raise InvalidRequest(
                "Only a response made with 'background' can be streamed again.", param="stream", code="not_streamable"
            )
        return Response(retrieving.response(found), headers=NO_STORE)

    def delete(self, request: Request, response_id: str) -> Response:
        """Make it unknown."""
        retrieving.delete(self.key_of(request).pk, response_id, self.clock.now())
        return Response({"id": response_id, "object": "response", "deleted": True}, headers=NO_STORE)


class InputItemsView(ApiView):
    """`GET /v1/responses/{id}/input_items`."""

    def get(self, request: Request, response_id: str) -> Response:
        """What the response was made of, newest first unless asked otherwise."""
        page = Page.of(request.query_params)
        found = retrieving.find(self.key_of(request).pk, response_id)
        return Response(retrieving.input_items(found, page), headers=NO_STORE)


class CancelView(ApiView):
    """`POST /v1/responses/{id}/cancel`."""

    def post(self, request: Request, response_id: str) -> Response:
        """End a response in the background."""
        retrieving.find(self.key_of(request).pk, response_id)
        raise InvalidRequest("Cannot cancel a synchronous response.", param="response_id", code="not_cancellable")


class InputTokensView(ApiView):
    """`POST /v1/responses/input_tokens`."""

    def post(self, request: Request) -> Response:
        """Nobody here can count tokens before a turn; a guess would be taken for a count."""
        raise InvalidRequest(
            "Input tokens cannot be counted here: the upstream tells them with its answer alone. See 'usage' of a response.",
            code="input_tokens_not_supported",
        )
