"""Failures say their status, and their envelope has all four keys."""

from __future__ import annotations

import pytest

from floway.wire import errors
from floway.wire.errors import ApiError, CallerError, ServiceError, previous_response_not_found


def every(kind: type[ApiError]) -> list[type[ApiError]]:
    """The kinds of this module; which others are imported is a matter of chance."""
    inner = [known for direct in kind.__subclasses__() for known in every(direct)]
    return [known for known in (kind, *inner) if known.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", every(ApiError))
def test_every_envelope_has_all_four_keys(kind: type[ApiError]) -> None:
    error = kind("what to do about it")
    assert list(error.envelope()["error"]) == ["message", "type", "param", "code"]
    assert error.envelope()["error"]["message"] == str(error) == "what to do about it"


@pytest.mark.parametrize("kind", every(CallerError))
def test_what_the_caller_must_change_is_not_to_be_retried(kind: type[ApiError]) -> None:
    assert 400 <= kind("x").http_status < 500
    assert kind("x").headers()["x-should-retry"] == "false"


@pytest.mark.parametrize("kind", every(ServiceError))
def test_what_the_service_did_may_be_retried(kind: type[ApiError]) -> None:
    assert kind("x").http_status >= 500
    assert kind("x", retry_after=7).headers() == {"retry-after": "7"}


def test_a_single_failure_may_differ_from_its_kind() -> None:
    error = errors.Unavailable(
        "spent", status=429, type="usage_limit_reached", code="c", param="p", permanent=True, details={"resets_at": 5}
    )
    assert error.http_status == 429
    assert error.headers() == {"x-should-retry": "false"}
    assert error.envelope() == {
        "error": {"message": "spent", "type": "usage_limit_reached", "param": "p", "code": "c", "resets_at": 5}
    }


def test_an_unknown_previous_response_is_refused_in_the_words_that_clients_compare() -> None:
    error = previous_response_not_found("resp_x")
    assert error.http_status == 400
    assert error.envelope()["error"] == {
        "message": "Previous response with id 'resp_x' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
