"""The doors to stored responses."""

from __future__ import annotations

from django.http import QueryDict
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from floway.wire.errors import InvalidRequest
from responses_app import retrieving
from responses_app.http import NO_STORE
from responses_app.listing import Page, checked_include
from responses_app.views.base import DROPPED_HEADER, ApiView, followed

_DIGITS = 9


class ResponseView(ApiView):
    """`/v1/responses/{id}`."""

    def get(self, request: Request, response_id: str) -> HttpResponseBase:
        """The response as it was answered or as it stands, or its events."""
        query = request.query_params
        checked_include(query)
        stream, after = _flag(query, "stream"), _number(query, "starting_after")
        if after is not None and not stream:
            raise InvalidRequest("'starting_after' needs 'stream=true'.", param="starting_after", code="invalid_value")
        found = retrieving.find(self.key_of(request).pk, response_id)
        told = {DROPPED_HEADER: ", ".join(found.row.dropped)} if found.row is not None and found.row.dropped else {}
        if stream:
            return followed(request, retrieving.follower(found, -1 if after is None else after, self.clock), told)
        return Response(retrieving.response(found), headers={**NO_STORE, **told})

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
        found = retrieving.find(self.key_of(request).pk, response_id)
        return Response(retrieving.cancel(found, self.clock.now()), headers=NO_STORE)


class InputTokensView(ApiView):
    """`POST /v1/responses/input_tokens`."""

    def post(self, request: Request) -> Response:
        """Nobody here can count tokens before a turn; a guess would be taken for a count."""
        raise InvalidRequest(
            "Input tokens cannot be counted here: the upstream tells them with its answer alone. See 'usage' of a response.",
            code="input_tokens_not_supported",
        )


def _flag(query: QueryDict, name: str) -> bool:
    value = query.get(name, "false").lower()
    if value not in {"true", "false"}:
        raise InvalidRequest(f"'{name}' must be 'true' or 'false'.", param=name, code="invalid_value")
    return value == "true"


def _number(query: QueryDict, name: str) -> int | None:
    value = query.get(name)
    if value is not None and not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
        raise InvalidRequest(f"'{name}' must be the number of an event.", param=name, code="invalid_value")
    return None if value is None else int(value)
