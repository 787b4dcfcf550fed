"""The HTTP edge: headers and bodies in, the OpenAI envelope out, whatever goes wrong between."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson
import zstandard
from django.core.exceptions import BadRequest, DisallowedHost, PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from rest_framework import exceptions
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from floway.providers import registry
from floway.wire.errors import (
    ApiError,
    BodyTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    Unavailable,
    UnsupportedEncoding,
)
from floway.wire.headers import SECRET, Headers
from floway.wire.json import InvalidJSON, JSONObject, loads

log = logging.getLogger(__name__)

_MOST_NODES = 500_000
"""Objects and lists in a body. A few compressed kilobytes of `{},{}` would keep a worker busy for a minute."""
_PIECE = 256 * 1024
_ZSTD_PIECE = 1024
"""Four bytes can stand for 128 KB: this much is 32 MB at the worst, after which the limit is looked at."""
_LARGEST_ZSTD_WINDOW = 8 * 1024 * 1024
_RATE_LIMITED, _UPGRADE, _IN_VAIN = 429, 426, 400
_LATER = 424
"""Failed dependency: what the official clients try again, six times and no more."""
_RETRY_AFTER_SECONDS = 2
_OWN_PREFIX = "x-floway-"
_PREFIX, _UNPREFIXED = "HTTP_", frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})
_MOST_NAMES = 128
"""That are remembered: more than callers use, and few enough for names as long as a server lets them be."""
_UNDERSCORED = "HTTP_X_FLOWAY_UNDERSCORED"
NO_STORE = {
    "cache-control": "private, no-store",
    "vary": "Authorization, X-Api-Key",
    "x-content-type-options": "nosniff",
}


def all_headers(request: HttpRequest) -> Headers:
    """The request's header lines, names in lower case. Names with an underscore stand apart from those with a hyphen."""
    read: Headers | None = getattr(request, "floway_headers", None)
    if read is None:
        lines = [(name, value) for key, value in request.META.items() if (name := _header_of(key)) is not None]
        if (apart := request.META.get(_UNDERSCORED)) is not None:
            lines += [(str(name), str(value)) for name, value in loads(apart)]
        request.floway_headers = read = Headers(tuple(lines))  # type: ignore[attr-defined] # ours, read once
    return read


@lru_cache(maxsize=_MOST_NAMES)
def _header_of(key: str) -> str | None:
    """The header that a name of the WSGI environment stands for, if any. Callers say few names, over and over."""
    if key in _UNPREFIXED:
        return key.replace("_", "-").lower()
    return key[len(_PREFIX) :].replace("_", "-").lower() if key.startswith(_PREFIX) else None


def callers_headers(headers: Headers) -> Headers:
    """What a provider may see of them: no secrets of the caller's, nothing that only the gateway may say."""
    return Headers(tuple([line for line in headers.lines if not _is_private(line[0])]))


@lru_cache(maxsize=_MOST_NAMES)
def _is_private(name: str) -> bool:
    return name in SECRET or name.replace("_", "-").startswith(_OWN_PREFIX)


class EventStream(StreamingHttpResponse):
    """Pieces to write as they are."""

    def __iter__(self) -> Iterator[bytes]:
        """They are bytes already, some of a kind that the server knows."""
        return iter(self._iterator)  # type: ignore[attr-defined] # Django's, under the property that would copy each piece


class ResponsesRenderer(BaseRenderer):
    """JSON, fast."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The bytes of `data`; bytes pass as they are."""
        return data if isinstance(data, bytes) else b"" if data is None else orjson.dumps(data)


# --- bodies ---------------------------------------------------------------------------------------------------------------


def read_json_object(request: HttpRequest, limit: int) -> JSONObject:
    """The request's body as a JSON object, read and inflated within `limit` bytes.

    :raises BodyTooLarge, UnsupportedEncoding, InvalidRequest: see there.
    """
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    return json_object(_inflated(_read(request, limit), encoding, limit))


def json_object(body: bytes) -> JSONObject:
    """What a caller sent, as a JSON object.

    :raises BodyTooLarge, InvalidRequest: see there.
    """
    # Each has a bracket at its end, too: what is shorter than twice as many has fewer. Counted in one pass over the body.
    if len(body) > 2 * _MOST_NODES and len(body) - len(body.translate(None, b"{[")) > _MOST_NODES:
        raise BodyTooLarge(f"The request body has more than {_MOST_NODES} objects and lists.")
    try:
        value = loads(body)
    except InvalidJSON as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json")
    return value


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit} bytes.")


def _read(request: HttpRequest, limit: int) -> bytes:
    stream = request.META["wsgi.input"]
    read = getattr(stream, "read1", stream.read)
    if request.META.get("wsgi.input_terminated") and not request.META.get("CONTENT_LENGTH"):
        return _read_up_to(read, limit, None)
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError as error:
        raise InvalidRequest("content-length is not a number.") from error
    if length > limit:
        raise _too_large(limit)
    body = _read_up_to(read, limit, length)
    if len(body) < length:
        raise InvalidRequest("The request body ended before its content-length.")
    return body


def _read_up_to(read: Callable[[int], bytes], limit: int, length: int | None) -> bytes:
    parts: list[bytes] = []
    came = 0
    while length is None or came < length:
        piece = read(_PIECE if length is None else length - came)
        if not piece:
            break
        parts.append(piece)
        came += len(piece)
        if came > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _inflated(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in {"", "identity"}:
        return body
    pieces = {"gzip": _gunzip, "x-gzip": _gunzip, "zstd": _unzstd}.get(encoding)
    if pieces is None:
        raise UnsupportedEncoding("content-encoding must be one of: identity, gzip, zstd; and only one.")
    whole: list[bytes] = []
    size = 0
    try:
        for piece in pieces(body):
            whole.append(piece)
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise InvalidRequest(f"The request body is not valid {encoding}.") from error
    return b"".join(whole)


def _gunzip(body: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    while body and not inflater.eof:
        yield inflater.decompress(body, _PIECE)
        body = inflater.unconsumed_tail
    if not inflater.eof or inflater.unused_data:
        raise EOFError


def _unzstd(body: bytes) -> Iterator[bytes]:
    """One frame, whole, and nothing behind it: what a second one held would be lost."""
    inflater = zstandard.ZstdDecompressor(max_window_size=_LARGEST_ZSTD_WINDOW).decompressobj()
    for start in range(0, len(body), _ZSTD_PIECE):
        if inflater.eof:
            raise EOFError
        yield inflater.decompress(body[start : start + _ZSTD_PIECE])
    if not inflater.eof or inflater.unused_data:
        raise EOFError


# --- errors ---------------------------------------------------------------------------------------------------------------


def as_api_error(error: Exception) -> ApiError:
    """Any exception as the failure that a caller is told; what nobody foresaw is logged and told as nothing but itself."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, exceptions.MethodNotAllowed):
        return MethodNotAllowed(f"{error.args[0] if error.args else 'This method'} is not allowed here.")
    if isinstance(error, Http404 | exceptions.NotFound):
        return NotFound("There is nothing at this URL.")
    if isinstance(error, exceptions.APIException | PermissionDenied | BadRequest | DisallowedHost):
        return InvalidRequest("The request cannot be served.")
    if isinstance(error, OperationalError):
        log.error("the database did not answer: %s", error)
        return Unavailable("The gateway's database did not answer in time.", code="slow_down", retry_after=_RETRY_AFTER_SECONDS)
    log.error("unforeseen failure", exc_info=error)
    return ServiceError("The gateway failed. Its operator finds the cause under this request's id.", code="internal_error")


def is_dialect(headers: Headers) -> bool:
    """Does any provider recognise the caller as an official client of its own?"""
    return any(registry.get(slug).recognises(headers) for slug in registry.slugs())


def told_status(error: ApiError, *, dialect: bool) -> int:
    """The status to answer with.

    Official clients retry most 4xx as if they could pass, so they are told 400 for what cannot. A 5xx they try thirty times
    over, any other 4xx six times, at the pace that `retry-after` sets: so that is what they get for what may pass.
    """
    status = error.http_status
    if not dialect or status in {_RATE_LIMITED, _UPGRADE}:
        return status
    return _IN_VAIN if error.is_permanent else _LATER if status >= 500 else status


def error_response(error: ApiError, *, dialect: bool) -> Response:
    """The envelope."""
    log.info("%s %s: %s", error.http_status, error.code, error.message)
    status = told_status(error, dialect=dialect)
    return Response(error.envelope(), status=status, headers={**error.headers(), **NO_STORE})


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: every exception of an API view ends here."""
    request: Request | None = context.get("request")
    headers = all_headers(request._request) if request is not None else Headers()
    dialect = is_dialect(headers)
    response = error_response(as_api_error(error), dialect=dialect)
    if dialect and headers.get("upgrade") == "websocket":
        response.status_code = _UPGRADE  # it shows nobody what a refused handshake says; its POST will be told the same
    if isinstance(error, exceptions.MethodNotAllowed):
        response["allow"] = ", ".join(context["view"].allowed_methods)
    return response


def plain_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    """The envelope outside of DRF: unknown URLs and failures before a view."""
    status = error_response(error, dialect=is_dialect(all_headers(request))).status_code
    return HttpResponse(
        orjson.dumps(error.envelope()), status=status, content_type="application/json", headers={**error.headers(), **NO_STORE}
    )
