"""What all views of the API share: access, JSON in and out, pages, errors in one shape."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.openapi import AutoSchema
from rest_framework import exceptions, mixins, serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from floway.console.api.access import MayDo, OperatorSession, PerMinute, TokenAuthentication
from floway.wire.errors import ApiError, BodyTooLarge, ServiceError

log = logging.getLogger(__name__)

_LARGEST_BODY = 256 * 1024
_CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class SmallJSON(JSONParser):
    """JSON, no larger than anything that is asked here."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """:raises BodyTooLarge: see there. :raises ParseError: it is no JSON object."""
        length = parser_context["request"].META.get("CONTENT_LENGTH") or 0
        if int(length) > _LARGEST_BODY:
            raise BodyTooLarge(f"The request body is larger than {_LARGEST_BODY} bytes.")
        value = super().parse(stream, media_type, parser_context)
        if not isinstance(value, dict):
            raise exceptions.ParseError("The request body must be a JSON object.")
        return value


class AlwaysJSON(BaseContentNegotiation):
    """Whatever a client accepts, it gets JSON; what it sends must say that it is."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        """By the content type."""
        stated = (request.content_type or "").partition(";")[0].strip().lower()
        return parsers[0] if stated == parsers[0].media_type else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[BaseRenderer, str]:
        """The only one."""
        return renderers[0], renderers[0].media_type


class Pages(CursorPagination):
    """The newest first, page by page; a row that comes meanwhile shifts nothing."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering = "-pk"


class Operators(APIView):
    """A view for operators and their programs.

    `reads` is the permission for looking, `writes` for everything else; None: whoever may enter the admin.
    """

    schema = AutoSchema()
    authentication_classes = (TokenAuthentication, OperatorSession)
    permission_classes = (MayDo,)
    throttle_classes = (PerMinute,)
    parser_classes = (SmallJSON,)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    content_negotiation_class: type[BaseContentNegotiation] = AlwaysJSON
    reads: ClassVar[str | None] = None
    writes: ClassVar[str | None] = None

    def needed(self, method: str) -> str | None:
        """The permission for that method."""
        return self.reads if method in {"GET", "HEAD", "OPTIONS"} else self.writes

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Errors in the envelope."""
        return on_error

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Not to be kept by anybody."""
        response["Cache-Control"] = "private, no-store"
        return super().finalize_response(request, response, *args, **kwargs)


class Rows(Operators, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Any]):
    """Rows to look at, narrowed by the query's parameters.

    :cvar query: a serializer of the parameters. :cvar lookups: which condition each of them is.
    """

    pagination_class = Pages
    lookup_value_regex = r"[^/]+"
    query: ClassVar[type[serializers.Serializer[Any]] | None] = None
    lookups: ClassVar[Mapping[str, str]] = {}

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Only what was asked for.

        :raises ValidationError: a parameter cannot be read.
        """
        if self.query is None or self.detail:
            return queryset
        asked = self.query(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        given = {name: value for name, value in asked.validated_data.items() if value not in (None, "")}
        return queryset.filter(**{self.lookups[name]: value for name, value in given.items() if name in self.lookups})


# --- errors ---------------------------------------------------------------------------------------------------------------


def on_error(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: every exception of a view ends here, as `{"error": {message, type, param, code}}`."""
    found = as_envelope(error)
    response = Response(found.envelope(), status=found.http_status, headers=found.headers())
    if found.http_status == 401:
        response["www-authenticate"] = "Bearer"
    if isinstance(error, exceptions.MethodNotAllowed):
        response["allow"] = ", ".join(context["view"].allowed_methods)
    return response


def as_envelope(error: Exception) -> ApiError:
    """Any exception as what is told; what nobody foresaw is logged and told as nothing but itself."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is no such row.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, exceptions.ValidationError):
        return _of_fields(error.detail)
    if isinstance(error, exceptions.APIException):
        retry_after = int(wait) if (wait := getattr(error, "wait", None)) else None
        code = _CODES.get(error.status_code) or str(error.get_codes())
        kind = _TYPES.get(error.status_code, "invalid_request_error")
        return ApiError(str(error.detail), code=code, status=error.status_code, type=kind, retry_after=retry_after)
    log.error("unforeseen failure", exc_info=error)
    return ServiceError("The gateway failed. The log has the cause under this request's id.", code="internal_error")


def _of_fields(detail: Any) -> ApiError:
    """The first field at fault in the envelope's own keys, all of them in `fields`."""
    fields = detail if isinstance(detail, dict) else {"non_field_errors": detail}
    name, said = next(iter(fields.items()))
    param = None if name == "non_field_errors" else str(name)
    message = f"{param}: {_first(said)}" if param else str(_first(said))
    return ApiError(
        message, code="invalid_value", param=param, status=400, type="invalid_request_error", details={"fields": fields}
    )


def _first(said: Any) -> ErrorDetail | str:
    while isinstance(said, dict | list):
        said = next((value for value in (said.values() if isinstance(said, dict) else said) if value), "")
    return str(said)
