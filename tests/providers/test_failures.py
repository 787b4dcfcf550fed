"""What each refusal of the backend is taken for, and what is shown of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.providers.contract import Failure, FailureKind
from floway.wire.headers import Headers
from tests.providers.factories import NOW, make_provider

K = FailureKind
SPENT, REGION = "usage_limit_reached", "unsupported_country_region_territory"
RESET = int((NOW + timedelta(hours=2)).timestamp())


def classify(status: int, body: Any = b"", **headers: str) -> Failure:
    lines = [(name.replace("_", "-"), value) for name, value in headers.items()]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return make_provider().classify_failure(status, Headers.of(lines), raw, NOW)


def error(
    code: str | None = None,
    type: str | None = None,  # noqa: A002 - the envelope's own word
    message: str = "No.",
    **more: Any,
) -> dict[str, Any]:
    return {"error": {"code": code, "type": type, "message": message, **more}}


MODEL = {"detail": "The 'gpt-9' model is not supported when using Codex with a ChatGPT account."}
HTML = b"<!DOCTYPE html><html><body>Attention Required! secret</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "answered", "code", "permanent", "retry_after"),
    [
        (400, {"detail": "Store must be set to false"}, {}, K.REQUEST, 400, None, True, None),
        (400, {"detail": [{"msg": "field required"}]}, {}, K.REQUEST, 400, None, True, None),
        (400, error("context_length_exceeded"), {}, K.REQUEST, 400, "context_length_exceeded", True, None),
        (400, error("invalid_encrypted_content"), {}, K.ENCRYPTED_CONTENT, 400, "invalid_encrypted_content", True, None),
        (404, error(None, "invalid_request_error"), {}, K.REQUEST, 400, None, True, None),
        (413, b"", {}, K.REQUEST, 413, "request_too_large", True, None),
        (422, {"detail": "x"}, {}, K.REQUEST, 400, None, True, None),
        (400, MODEL, {}, K.MODEL, 404, "model_not_found", True, None),
        (404, error("model_not_found"), {}, K.MODEL, 404, "model_not_found", True, None),
        (404, error(None, None, "The model `x` does not exist or"), {}, K.MODEL, 404, "model_not_found", True, None),
        (401, {"detail": "Unauthorized"}, {}, K.STALE_TOKEN, 503, "upstream_unauthorized", False, 5),
        (401, error("token_expired", "invalid_request_error"), {}, K.STALE_TOKEN, 503, "upstream_unauthorized", False, 5),
        (401, HTML, {}, K.STALE_TOKEN, 503, "upstream_unauthorized", False, 5),
        (401, error("token_invalidated"), {}, K.NEEDS_SIGN_IN, 503, "upstream_sign_in_required", True, None),
        (401, error("account_deactivated"), {}, K.NEEDS_SIGN_IN, 503, "upstream_sign_in_required", True, None),
        (402, {"detail": {"code": "deactivated_workspace"}}, {}, K.FORBIDDEN, 403, "deactivated_workspace", True, None),
        (403, error("forbidden"), {}, K.FORBIDDEN, 403, "forbidden", True, None),
        (403, error(REGION), {}, K.EDGE_BLOCKED, 502, REGION, True, None),
        (403, HTML, {"cf_ray": "8f-LHR"}, K.EDGE_BLOCKED, 502, "upstream_edge_blocked", True, None),
        (403, b"", {}, K.EDGE_BLOCKED, 502, "upstream_edge_blocked", True, None),
        (503, HTML, {"cf_mitigated": "challenge"}, K.EDGE_BLOCKED, 502, "upstream_edge_blocked", True, None),
        (429, error(None, SPENT, resets_in_seconds=90), {}, K.USAGE_LIMIT, 429, SPENT, False, 90),
        (429, error("usage_not_included"), {}, K.FORBIDDEN, 429, "usage_not_included", True, None),
        (429, error("insufficient_quota"), {}, K.USAGE_LIMIT, 429, "insufficient_quota", True, None),
        (429, b"", {}, K.RATE_LIMITED, 429, "rate_limit_exceeded", False, 5),
        (429, error(message="Please try again in 1.5s."), {}, K.RATE_LIMITED, 429, "rate_limit_exceeded", False, 2),
        (429, error(message="try again in 20ms"), {"retry_after": "25"}, K.RATE_LIMITED, 429, "rate_limit_exceeded", False, 25),
        (429, b"", {"retry_after": "Mon, 23 Nov 2026 09:31:00 GMT"}, K.RATE_LIMITED, 429, "rate_limit_exceeded", False, 45),
        (429, b"", {"retry_after": "soon"}, K.RATE_LIMITED, 429, "rate_limit_exceeded", False, 5),
        (429, error("server_is_overloaded"), {}, K.OVERLOADED, 503, "server_is_overloaded", False, 5),
        (503, error("slow_down"), {"retry_after": "7"}, K.OVERLOADED, 503, "slow_down", False, 7),
        (500, error("server_error"), {}, K.UPSTREAM, 503, "upstream_error", False, 5),
        (500, error("x", "invalid_request_error"), {}, K.UPSTREAM, 503, "upstream_error", False, 5),
        (502, HTML, {}, K.UPSTREAM, 503, "upstream_error", False, 5),
        (302, b"", {}, K.UPSTREAM, 503, "upstream_error", False, 5),
    ],
)  # fmt: skip
def test_a_refusal_is_classified(
    status: int, body: Any, headers: dict[str, str], kind: FailureKind, answered: int, code: str | None, permanent: bool,
    retry_after: int | None,
) -> None:  # fmt: skip
    failure = classify(status, body, **headers)
    assert (failure.kind, failure.status, failure.code) == (kind, answered, code)
    assert (failure.permanent, failure.retry_after) == (permanent, retry_after)
    assert "<" not in failure.message + failure.operator


def test_a_spent_account_says_until_when_in_the_words_that_the_official_client_reads() -> None:
    failure = classify(429, error(None, "usage_limit_reached", plan_type="plus", resets_at=RESET, resets_in_seconds=1))
    assert failure.type == "usage_limit_reached"
    assert failure.resets_at == NOW.replace(microsecond=0) + timedelta(hours=2)
    assert failure.details == {"plan_type": "plus", "resets_at": RESET, "resets_in_seconds": 7200}
    assert failure.retry_after == 7200


def test_a_reset_is_read_from_the_fullest_windows_when_the_body_has_none() -> None:
    told = {"x_codex_primary_used_percent": "100", "x_codex_primary_reset_at": str(RESET)}
    assert classify(429, error(None, "usage_limit_reached"), **told).retry_after == 7200
    unknown = classify(429, error(None, "usage_limit_reached", resets_at="junk", resets_in_seconds=10**12))
    assert (unknown.resets_at, unknown.retry_after, unknown.details) == (None, None, {})


def test_an_edge_block_names_its_ray_and_shows_no_html() -> None:
    failure = classify(403, HTML, cf_ray="8f2c-LHR", content_type="text/html")
    assert "8f2c-LHR" in failure.message
    assert "Attention" not in failure.message + failure.operator
    assert "\n" not in classify(403, HTML, cf_ray="a\nb").message


def test_the_parameter_at_fault_is_named() -> None:
    assert classify(400, {"detail": "Unsupported parameter: top_k"}).param == "top_k"
    assert classify(400, error("x", param="input[2].id")).param == "input[2].id"
    assert classify(400, MODEL).param == "model"


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer abc.def", "sk-proj-abcdefghijklmnop", "eyJhbGciOi.eyJzdWIiOiJ.c2lnbmF0dXJl", "rt_abcdefghijklmnop",
        "dev@example.com", "A" * 60,
    ],
)  # fmt: skip
def test_nothing_that_looks_like_a_secret_is_shown(secret: str) -> None:
    failure = classify(400, {"detail": f"Bad thing {secret} here\x1b[31m\x00"})
    shown = failure.message + failure.operator
    assert secret.rsplit(maxsplit=1)[-1] not in shown
    assert "Bad thing [redacted]" in failure.message
    assert shown.isprintable()


def test_a_long_message_is_cut() -> None:
    assert len(classify(400, {"detail": "no " * 5000}).message) == 500


def test_what_the_operator_can_look_up_is_kept() -> None:
    failure = classify(500, b"oops", x_request_id="req-1", cf_ray="ray-1")
    assert "HTTP 500" in failure.operator
    assert "req-1" in failure.operator
    assert "ray-1" in failure.operator


@pytest.mark.parametrize(
    ("event", "kind", "status", "code"),
    [
        (error("server_is_overloaded")["error"], K.OVERLOADED, 503, "server_is_overloaded"),
        (error("rate_limit_exceeded", message="try again in 2 minutes")["error"], K.RATE_LIMITED, 429, "rate_limit_exceeded"),
        (error("context_length_exceeded")["error"], K.REQUEST, 400, "context_length_exceeded"),
        (error("invalid_encrypted_content")["error"], K.ENCRYPTED_CONTENT, 400, "invalid_encrypted_content"),
        (error("usage_limit_reached")["error"], K.USAGE_LIMIT, 429, "usage_limit_reached"),
        (error("model_not_found")["error"], K.MODEL, 404, "model_not_found"),
        (MODEL["detail"], K.MODEL, 404, "model_not_found"),
        (error("server_error")["error"], K.UPSTREAM, 503, "upstream_error"),
        (None, K.UPSTREAM, 503, "upstream_error"),
        ([], K.UPSTREAM, 503, "upstream_error"),
        (7, K.UPSTREAM, 503, "upstream_error"),
    ],
)
def test_a_failed_event_is_classified_by_its_words(event: Any, kind: FailureKind, status: int, code: str) -> None:
    failure = make_provider().classify_event(event)
    assert (failure.kind, failure.status, failure.code) == (kind, status, code)
    assert failure.retry_after is None or failure.retry_after <= 120


keys = st.sampled_from(["error", "detail", "code", "type", "message", "param", "resets_at", "resets_in_seconds", "plan_type"])
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=8,
)


@given(st.integers(300, 599), anything, st.binary(max_size=40))
def test_no_answer_whatsoever_breaks_the_classification(status: int, body: Any, garbage: bytes) -> None:
    for raw in (json.dumps(body).encode(), garbage):
        failure = classify(status, raw, retry_after=garbage.decode("latin-1"), cf_ray=garbage.decode("latin-1"))
        assert failure.message
        assert failure.message.isprintable()
        assert 400 <= failure.status < 600
        assert failure.permanent or failure.kind is K.USAGE_LIMIT or failure.retry_after is not None
    make_provider().classify_event(body)


# --- quota ---


def test_quota_is_read_from_whatever_windows_there_are() -> None:
    lines = [
        ("x-codex-primary-used-percent", "12.5"), ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", str(RESET)), ("X-Codex-Secondary-Used-Percent", "101"),
        ("x-codex-secondary-reset-after-seconds", "60"), ("x-codex-spark-primary-used-percent", "3"),
        ("x-codex-spark-limit-name", "GPT Spark"), ("x-codex-credits-has-credits", "True"),
        ("x-codex-credits-unlimited", "false"), ("x-codex-credits-balance", "12.50"),
    ]  # fmt: skip
    read = make_provider().quota(Headers.of(lines), NOW)
    assert [(window.limit, window.window, window.used_percent, window.minutes) for window in read] == [
        ("codex", "primary", 12.5, 300), ("codex", "secondary", 101.0, None), ("GPT Spark", "primary", 3.0, None),
        ("credits", "balance", 0.0, None),
    ]  # fmt: skip
    assert read[0].resets_at == datetime.fromtimestamp(RESET, UTC)
    assert read[1].resets_at == NOW + timedelta(seconds=60)


@given(st.text(max_size=40), st.text(max_size=40))
def test_garbage_in_quota_headers_is_passed_over(used: str, reset: str) -> None:
    lines = [
        ("x-codex-primary-used-percent", used),
        ("x-codex-primary-reset-at", reset),
        ("x-codex-credits-has-credits", reset),
    ]
    for window in make_provider().quota(Headers.of(lines), NOW):
        assert window.used_percent >= 0


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e400", "", "12%", "9" * 400])
def test_a_percentage_that_is_none_is_no_window(value: str) -> None:
    assert make_provider().quota(Headers.of([("x-codex-primary-used-percent", value)]), NOW) == ()
