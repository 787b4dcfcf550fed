"""Logins: what is read out of documents and tokens, and what a refused refresh means."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.providers.codex import oauth
from floway.providers.contract import Grant, InvalidDocument, RefreshRefused
from tests.providers.factories import DEVICE, make_provider

ACCOUNT = "11111111-2222-4333-8444-555555555555"
EXPIRES = 1_800_000_000
AUTH = {"chatgpt_account_id": ACCOUNT, "chatgpt_user_id": "user-1", "chatgpt_plan_type": "pro"}


def jwt(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


ID_TOKEN = jwt(**{"email": "dev@example.com", "https://api.openai.com/auth": AUTH})
ACCESS_TOKEN = jwt(**{"exp": EXPIRES, "https://api.openai.com/auth": AUTH})
TOKENS = {"id_token": ID_TOKEN, "access_token": ACCESS_TOKEN, "refresh_token": "rt_secret_0", "account_id": ACCOUNT}
OFFICIAL = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": TOKENS, "last_refresh": "2026-11-23T09:00:00Z"}
FLAT = {**TOKENS, "type": "codex", "email": "old@example.com", "expired": "2026-12-01"}
CAMEL = {"idToken": ID_TOKEN, "accessToken": ACCESS_TOKEN, "refreshToken": "rt_secret_0", "accountId": ACCOUNT}


def read(document: Any) -> Grant:
    return make_provider().import_credential(document)


@pytest.mark.parametrize(
    "document", [OFFICIAL, FLAT, CAMEL, {"credentials": CAMEL}], ids=["official", "flat", "camel", "nested"]
)
def test_a_login_is_read_from_every_common_document(document: dict[str, Any]) -> None:
    grant = read(document)
    assert (grant.email, grant.account_id, grant.user_id, grant.plan) == ("dev@example.com", ACCOUNT, "user-1", "pro")
    assert grant.subject == f"{ACCOUNT}:user-1"
    assert grant.tokens.refresh_token == "rt_secret_0"
    assert grant.tokens.access_expires_at == datetime.fromtimestamp(EXPIRES, UTC)
    assert grant.device_id is None


def test_the_rest_of_a_document_holds_no_secret() -> None:
    extra = {
        "note": "mine",
        "count": 3,
        "session_cookie": "c",
        "apiKey": "k",
        "token_type": "x",
        "blob": ACCESS_TOKEN,
        "nested": {"a": 1},
    }
    grant = read({**OFFICIAL, **extra})
    assert grant.rest == {"auth_mode": "chatgpt", "last_refresh": "2026-11-23T09:00:00Z", "note": "mine", "count": 3}
    assert "rt_secret_0" not in repr(grant)
    assert ACCESS_TOKEN not in repr(grant)


def test_a_documents_device_id_is_kept_only_if_it_is_one() -> None:
    assert read({**OFFICIAL, "openaiDeviceId": DEVICE}).device_id == DEVICE
    for other in (DEVICE.upper(), "0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "x", 5):
        assert read({**OFFICIAL, "openaiDeviceId": other}).device_id is None


def test_claims_come_from_the_access_token_where_there_is_no_id_token() -> None:
    access = jwt(**{"https://api.openai.com/profile": {"email": "p@example.com"}, "https://api.openai.com/auth": AUTH})
    grant = read({"access_token": access, "refresh_token": "r"})
    assert (grant.email, grant.plan, grant.tokens.access_expires_at) == ("p@example.com", "pro", None)


def test_a_login_that_could_not_be_refreshed_is_refused() -> None:
    access = jwt(**{"https://api.openai.com/auth": AUTH})
    with pytest.raises(InvalidDocument, match="no refresh token"):
        read({"access_token": access})


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "no JSON object"),
        ({}, "no access token"),
        ({"OPENAI_API_KEY": "sk-secret"}, "an API key, not a login"),
        ({"tokens": {"access_token": "opaque"}}, "account id"),
        ({"tokens": {"access_token": "two words", "account_id": "a"}}, "'access_token' is no token"),
        ({"tokens": {"access_token": 5, "account_id": "a"}}, "'access_token' is no token"),
        ({**FLAT, "account_id": "a\r\nb", "id_token": "x", "access_token": "y"}, "account id"),
        ({**FLAT, "refresh_token": "x" * 20_000}, "'refresh_token' is no token"),
    ],
)
def test_what_is_no_login_is_refused_without_being_quoted(document: Any, why: str) -> None:
    with pytest.raises(InvalidDocument, match=why) as refused:
        read(document)
    assert "secret" not in str(refused.value)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(ACCESS_TOKEN),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from([*TOKENS, "tokens", "openaiDeviceId", "email", "x"]), inner)
    ),
    max_leaves=10,
)


@given(documents)
def test_any_document_is_a_login_or_refused(document: Any) -> None:
    try:
        grant = read(document)
    except InvalidDocument:
        return
    assert grant.subject
    assert grant.tokens.access_token


@pytest.mark.parametrize(
    "token", [None, "", "a.b", "a.!.c", "a.e30.c", f"a.{'x' * 20_000}.c", jwt(exp="soon"), jwt(exp=1e30), jwt(exp=True)]
)
def test_a_text_that_is_no_token_claims_nothing(token: str | None) -> None:
    assert oauth.claims(token) == oauth.Claims()


# --- refresh ---


def answer(status: int, body: Any) -> Any:
    return oauth.read_refresh(status, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_refresh_gives_what_the_authority_rotated() -> None:
    grant = answer(200, {"id_token": ID_TOKEN, "access_token": ACCESS_TOKEN, "refresh_token": "rt_secret_1"})
    assert (grant.refresh_token, grant.access_expires_at) == ("rt_secret_1", datetime.fromtimestamp(EXPIRES, UTC))
    assert "rt_secret_1" not in repr(grant)
    kept = answer(200, {"access_token": "opaque"})
    assert (kept.refresh_token, kept.id_token, kept.access_expires_at) == (None, None, None)


TERMINAL = [
    "refresh_token_reused",
    "refresh_token_expired",
    "refresh_token_invalidated",
    "app_session_terminated",
    "invalid_grant",
]


@pytest.mark.parametrize("code", TERMINAL)
@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("shape", ["object", "rfc"])
def test_a_dead_refresh_token_is_terminal_in_either_shape(code: str, status: int, shape: str) -> None:
    body = {"error": {"code": code, "message": "No."}} if shape == "object" else {"error": code, "error_description": "No."}
    with pytest.raises(RefreshRefused) as refused:
        answer(status, body)
    assert (refused.value.code, refused.value.terminal, refused.value.message) == (code, True, "No.")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, {"error": {"code": "refresh_token_reused"}}, "refresh_token_reused"),
        (403, b"<html>blocked</html>", "http_403"),
        (429, {"error": {"type": "rate_limited"}}, "rate_limited"),
        (401, {"error": {"code": "something_new"}}, "something_new"),
        (401, b"", "http_401"),
        (200, {"token": "x"}, "http_200"),
        (200, {"access_token": "a\nb"}, "http_200"),
        (200, b"[", "http_200"),
    ],
)
def test_any_other_refusal_may_pass(status: int, body: Any, code: str) -> None:
    with pytest.raises(RefreshRefused) as refused:
        answer(status, body)
    assert (refused.value.code, refused.value.terminal) == (code, False)
    assert "<" not in refused.value.message
