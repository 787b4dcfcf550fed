"""Signing in, as values: the proof key, the callback, the device code, the login."""

from __future__ import annotations

import json
from typing import Any

import pytest

from floway.providers.codex import authorization
from floway.providers.codex.authorization import Exchange
from floway.providers.contract import SignInRefused
from tests.fakes.tokens import ALICE, BOB, LONG_FROM_NOW

STATE = {"verifier": "v" * 86, "state": "s" * 43, "redirect_uri": authorization.REDIRECT_URI}


def test_the_challenge_is_that_of_the_standards_example() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert authorization.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_sign_in_draws_its_verifier_and_state_from_the_entropy_given() -> None:
    drawn: list[int] = []

    def entropy(count: int) -> bytes:
        drawn.append(count)
        return bytes(count)

    state = authorization.begin(authorization.REDIRECT_URI, entropy)
    assert drawn == [64, 32]
    assert (len(state["verifier"]), len(state["state"])) == (86, 43)


def test_the_link_is_encoded_as_the_official_client_encodes_it() -> None:
    url = authorization.authorize_url("https://auth.example", STATE)
    assert "&scope=openid+profile+email+offline_access&" in url
    assert "&redirect_uri=http%3A%2F%2F127.0.0.1%3A1455%2Fauth%2Fcallback&" in url


def test_the_code_is_read_out_of_the_callback() -> None:
    callback = f" {authorization.REDIRECT_URI}?code=ac_1.2-3&scope=openid&state={'s' * 43}\n"
    assert authorization.read_callback(STATE, callback) == "ac_1.2-3"


def test_an_error_counts_only_with_the_right_state() -> None:
    with pytest.raises(SignInRefused) as wrong:
        authorization.read_callback(STATE, f"{authorization.REDIRECT_URI}?error=access_denied&state=x")
    assert wrong.value.again
    with pytest.raises(SignInRefused, match="access_denied") as right:
        authorization.read_callback(STATE, f"{authorization.REDIRECT_URI}?error=access_denied&state={'s' * 43}")
    assert not right.value.again


def test_an_exchange_is_written_in_the_order_of_the_official_client() -> None:
    form = authorization.exchange_form("a/b", Exchange("verifier", authorization.REDIRECT_URI))
    assert form == (
        b"grant_type=authorization_code&client_id=app_EMoamEEZ73f0CkXaXp7hrann&code=a%2Fb"
        b"&redirect_uri=http%3A%2F%2F127.0.0.1%3A1455%2Fauth%2Fcallback&code_verifier=verifier"
    )


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"interval": "5"}, 5),
        ({"interval": 7}, 7),
        ({}, 5),
        ({"interval": "soon"}, 5),
        ({"interval": "0"}, 1),
        ({"interval": 999}, 60),
    ],
)
def test_the_interval_is_understood_as_text_and_number_and_kept_in_bounds(answer: dict[str, Any], seconds: int) -> None:
    body = json.dumps({"device_auth_id": "d1", "user_code": "ABCD-1234", **answer}).encode()
    assert authorization.read_device(200, body).poll_seconds == seconds


@pytest.mark.parametrize("name", ["user_code", "usercode"])
def test_the_user_code_goes_by_two_names(name: str) -> None:
    body = json.dumps({"device_auth_id": "d1", name: "ABCD-1234"}).encode()
    assert authorization.read_device(200, body).user_code == "ABCD-1234"


@pytest.mark.parametrize("code", ["", "<b>1</b>", "A" * 33, "A\u202eB", 7, None])
def test_a_user_code_that_a_person_could_not_type_is_refused(code: Any) -> None:
    with pytest.raises(SignInRefused, match="gave no code"):
        authorization.read_device(200, json.dumps({"device_auth_id": "d1", "user_code": code}).encode())


def test_pending_is_pending_and_a_page_of_the_edge_is_not() -> None:
    for status in (403, 404):
        assert authorization.read_poll(status, b'{"error":{"code":"deviceauth_authorization_pending"}}') is None
        assert authorization.read_poll(status, b"") is None
        with pytest.raises(SignInRefused) as refused:
            authorization.read_poll(status, b"<!DOCTYPE html><title>Just a moment...</title>")
        assert refused.value.again
    assert authorization.read_poll(200, b'{"authorization_code":"a","code_verifier":"v","code_challenge":"c"}') == ("a", "v")
    for body in (b"", b"[]", b'{"authorization_code":"a"}'):
        with pytest.raises(SignInRefused) as refused:
            authorization.read_poll(200, body)
        assert not refused.value.again


def tokens(**over: Any) -> bytes:
    return json.dumps({**ALICE.document(LONG_FROM_NOW)["tokens"], **over}).encode()


def test_the_login_is_read_as_an_import_reads_it() -> None:
    grant = authorization.read_grant(200, tokens())
    assert (grant.subject, grant.email) == (f"{ALICE.account_id}:{ALICE.user_id}", ALICE.email)
    assert grant.device_id is None


@pytest.mark.parametrize(
    "body",
    [
        tokens(id_token=BOB.id_token(LONG_FROM_NOW)),
        tokens(id_token="not.a.jwt"),
        tokens(id_token=ALICE.access_token(LONG_FROM_NOW)),
        tokens(refresh_token=""),
        tokens(access_token=None),
        b"<html>",
    ],
    ids=["another account's", "no token", "made for another program", "nothing to refresh with", "no access", "a page"],
)
def test_what_is_no_whole_login_for_this_client_is_refused(body: bytes) -> None:
    with pytest.raises(SignInRefused):
        authorization.read_grant(200, body)


def test_a_refusal_is_told_without_anything_secret() -> None:
    said = {"error": "invalid_grant", "error_description": f"code {ALICE.refresh_token()} <unknown"}
    with pytest.raises(SignInRefused) as refused:
        authorization.read_grant(400, json.dumps(said).encode())
    assert ALICE.refresh_token() not in refused.value.message
    assert not refused.value.again


def test_what_holds_secrets_does_not_show_them() -> None:
    from floway.providers.contract import SignInStart

    device = authorization.Device("canary", "canary")
    start = SignInStart("canary", {"state": "canary"}, "canary")
    assert "canary" not in repr([device, start, Exchange("canary", "x")])
