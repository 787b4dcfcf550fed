"""The OpenAI error envelope, and the one tree of failures that end in it.

Two families, by whose fault: a `CallerError` is mended by changing the request, a `ServiceError` by us or upstream. Every
failure says the status it wants; the log keeps the cause, the caller never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """A failure that a caller of the API is told about.

    :param message: for the caller; names no secret and no internals.
    :param code: machine-readable, None where the public API has none.
    :param param: the request field at fault, in the public API's dotted form.
    :param retry_after: seconds after which the same request may succeed; sent as `retry-after`.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    permanent: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the envelope's own word
        permanent: bool | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else self.default_code
        self.param = param
        self.retry_after = retry_after
        self.http_status = status if status is not None else self.status
        self.error_type = type if type is not None else self.type
        self.is_permanent = permanent if permanent is not None else self.permanent
        self.details = dict(details or {})

    def envelope(self) -> dict[str, Any]:
        """`{"error": {...}}` with all four keys always present, then what else the error carries."""
        return {
            "error": {
                "message": self.message,
                "type": self.error_type,
                "param": self.param,
                "code": self.code,
                **self.details,
            }
        }

    def headers(self) -> dict[str, str]:
        """Headers that tell SDKs whether and when to try again."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.is_permanent:
            headers["x-should-retry"] = "false"
        return headers


class CallerError(ApiError):
    """The request is at fault."""

    status = 400
    type = "invalid_request_error"
    permanent = True


class InvalidRequest(CallerError):
    """400: malformed, or a value that cannot be used."""


class Unauthenticated(CallerError):
    """401: no key, or one that is unknown, revoked, expired or disabled; all answer alike."""

    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"

    def headers(self) -> dict[str, str]:
        """RFC 9110 §11.6.1: a 401 says how to authenticate."""
        return {**super().headers(), "www-authenticate": "Bearer"}


class NotFound(CallerError):
    """404: no such object for this key."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(CallerError):
    """405."""

    status = 405
    default_code = "method_not_allowed"


class BodyTooLarge(CallerError):
    """413: over the limit, before or after inflating."""

    status = 413
    default_code = "request_too_large"


class UnsupportedEncoding(CallerError):
    """415: a content encoding that is not accepted."""

    status = 415
    default_code = "unsupported_content_encoding"


class ServiceError(ApiError):
    """The gateway or what stands behind it is at fault."""


class Unavailable(ServiceError):
    """503: nothing can serve this now; `retry_after` is required in spirit."""

    status = 503
    default_code = "server_is_overloaded"


class UpstreamFailed(ServiceError):
    """502: the upstream answered with something that is no answer."""

    status = 502
    default_code = "upstream_error"


def previous_response_not_found(response_id: str) -> InvalidRequest:
    """The exact refusal that official clients compare; another key's id answers exactly like an unknown one."""
    return InvalidRequest(
        f"Previous response with id '{response_id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )
