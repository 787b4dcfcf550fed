"""What the operator's pages stand up to: odd addresses, searches, sizes and documents; and how they are served over https."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts.models import OAuthCredential
from floway import markup
from floway.console.csp import POLICY
from floway.providers import registry
from tests.console import rows

ROOT = Path(__file__).resolve().parents[2]
IMPORT = reverse("admin:accounts_oauthcredential_add")
needs_rows = pytest.mark.django_db


# --- errors ---------------------------------------------------------------------------------------------------------------


@needs_rows
@pytest.mark.parametrize("path", ["nope/", "accounts/nope/"])
def test_a_missing_page_of_the_console_is_a_page_and_elsewhere_the_envelope(operator: Client, path: str) -> None:
    answer = operator.get(f"/admin/{path}")
    assert (answer.status_code, answer["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in answer.content.decode()
    assert answer["Content-Security-Policy"] == POLICY
    other = operator.get("/v1/nope")
    assert (other.status_code, other["content-type"]) == (404, "application/json")


@needs_rows
def test_what_is_not_allowed_or_not_ours_is_said_in_our_look(operator: Client) -> None:
    nobody = Client()
    nobody.force_login(User.objects.create_user("nobody", is_staff=True))
    denied = nobody.get(reverse("admin:accounts_apikey_changelist"))
    assert (denied.status_code, "You may not do this" in denied.content.decode()) == (403, True)
    strict = Client(enforce_csrf_checks=True)
    refused = strict.post(reverse("admin:login"), {"username": "a", "password": "b"})
    assert (refused.status_code, "The form was not taken" in refused.content.decode()) == (403, True)
    elsewhere = Client().get("/admin/", headers={"host": "evil.example"})
    assert (elsewhere.status_code, elsewhere["content-type"]) == (400, "text/html; charset=utf-8")


@needs_rows
def test_a_failure_says_its_request_and_nothing_else(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret in a traceback")

    monkeypatch.setattr("floway.console.operations.overview", fail)
    operator.raise_request_exception = False
    answer = operator.get("/admin/")
    assert answer.status_code == 500
    page = answer.content.decode()
    assert answer["x-request-id"] in page
    assert "secret in a traceback" not in page


# --- searches, pages, sorting ---------------------------------------------------------------------------------------------

ODD = [
    "q=%25",
    "q=_",
    "q=%00",
    "q=" + "x" * 5000,
    "q=%25" * 200,
    "all=",
    "all=1",
    "p=-1",
    "p=99999999999999999999",
    "o=-1.5.99",
    "o=password",
    "o=1;drop",
    "e=1",
    "_to_field=password",
    "password__startswith=pbkdf2",
    "groups__user__password__startswith=p",
    "user_permissions__user__password__regex=.",
    "second_factor__sealed__startswith=a",
    "recovery_codes__digest__gt=0",
    "tokens__access_token__contains=a",
    "proxy__sealed__isnull=0",
    "credentials__tokens__refresh_token__contains=a",
    "secrets__digest__startswith=a",
    "id__in=" + ",".join("1" for _ in range(3000)),
]


@needs_rows
@pytest.mark.parametrize("query", ODD, ids=lambda text: text[:40])
def test_no_query_of_a_list_widens_it_breaks_it_or_asks_for_secrets(operator: Client, query: str) -> None:
    User.objects.bulk_create(User(username=f"person-{n}", password="pbkdf2$x") for n in range(30))
    rows.make_history(2)
    for name in (
        "accounts_oauthcredential",
        "accounts_apikey",
        "accounts_pool",
        "accounts_auditentry",
        "auth_user",
        "auth_group",
    ):
        answer = operator.get(reverse(f"admin:{name}_changelist") + "?" + query)
        assert answer.status_code in {200, 302, 400}, (name, query)
        if answer.status_code == 200:
            assert len(answer.context["cl"].result_list) <= 25
            assert b"pbkdf2$x" not in answer.content


@needs_rows
def test_a_wildcard_in_a_search_is_a_character(operator: Client) -> None:
    rows.make_key(name="plain")
    rows.make_key(name="100% _sure_")
    url = reverse("admin:accounts_apikey_changelist")
    for query, names in (("%", 1), ("_", 1), ("pl%n", 0), ("p_ain", 0), ("plain", 1)):
        assert operator.get(url, {"q": query}).context["cl"].result_count == names, query


# --- documents ------------------------------------------------------------------------------------------------------------

BOMBS = {
    "zip": b"PK\x03\x04" + b"\0" * 2000,
    "gzip": b"\x1f\x8b\x08" + b"\0" * 2000,
    "pickle": b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "many keys": json.dumps({str(n): n for n in range(60_000)}).encode(),
    "a long number": b'{"tokens": ' + b"9" * 100_000 + b"}",
    "not UTF-8": b'{"tokens": "\xff\xfe"}',
    "NUL": b'{"tokens": {"id_token": "\\u0000"}}',
    "a path": json.dumps({"tokens": {"account_id": "../../../etc/passwd", "access_token": "../x"}}).encode(),
    "not an object": b'["a list"]',
    "wrong types": b'{"tokens": [1, 2], "last_refresh": {"a": 1}}',
}


@needs_rows
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_document_breaks_the_import_or_is_quoted(operator: Client, bomb: bytes) -> None:
    upload = BytesIO(bomb)
    upload.name = "../../../../tmp/evil.json"
    answer = operator.post(IMPORT, {"provider": registry.default_slug(), "upload": upload})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert b"etc/passwd" not in answer.content
    assert not OAuthCredential.objects.exists()
    assert not Path("/tmp/evil.json").exists()


@needs_rows
def test_too_much_is_not_even_read(operator: Client) -> None:
    upload = BytesIO(b"[" * (1024 * 1024 + 1))
    upload.name = "large.json"
    answer = operator.post(IMPORT, {"provider": registry.default_slug(), "upload": upload})
    assert "larger than 1 MiB" in answer.content.decode()
    pasted = operator.post(IMPORT, {"provider": registry.default_slug(), "paste": "x" * (6 * 1024 * 1024)})
    assert pasted.status_code == 400
    fields = {f"field{n}": "1" for n in range(3000)}
    assert operator.post(IMPORT, fields).status_code == 400


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "\\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a\r\n=1", "a\\r =1"),
        ("plain, with comma", "plain, with comma"),
        (-5, "-5"),
        (None, ""),
    ],
)
def test_a_cell_of_a_csv_file_is_never_a_formula(value: object, cell: str) -> None:
    assert markup.csv_cell(value) == cell


# --- how it is served -----------------------------------------------------------------------------------------------------


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py`, or with "-c" the interpreter, with just these settings of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_")}
    command = [sys.executable, *(() if arguments[0] == "-c" else ("manage.py",)), *arguments]
    env = {**plain, "FLOWAY_DATA_DIR": os.environ["FLOWAY_DATA_DIR"], "DATABASE_URL": "sqlite:///:memory:", **environment}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_over_https_the_deployment_check_is_clean() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", FLOWAY_PUBLIC_URL="https://gateway.example.org")
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stderr


def test_a_setting_that_nobody_reads_is_named(tmp_path: Path) -> None:
    bind = tmp_path / "bind"
    bind.write_text("127.0.0.1:8000")
    done = manage("check", FLOWAY_WORKER="3", FLOWAY_BIND_FILE=str(bind), FLOWAY_KEY="a caller's", FLOWAY_TEST_X="1")
    assert "FLOWAY_WORKER is set, and there is no such setting" in done.stderr
    assert "Did you mean FLOWAY_WORKERS?" in done.stderr
    assert done.stderr.count("W001") == 1


def test_over_https_cookies_belong_to_this_host_alone() -> None:
    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS")
    code = f"from floway import settings as s; print([getattr(s, name) for name in {names}])"
    https = manage("-c", code, FLOWAY_PUBLIC_URL="https://gateway.example.org").stdout
    assert https.strip() == "['__Host-floway', '__Host-floway-csrf', True, True, 2592000]"
    assert manage("-c", code).stdout.strip() == "['floway', 'floway-csrf', False, False, 0]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOWAY_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("FLOWAY_TRUSTED_PROXIES", "proxy.example"),
        ("FLOWAY_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("FLOWAY_ALLOWED_HOSTS", "https://gateway.example.org"),
        ("FLOWAY_ALLOWED_HOSTS", "gateway.example.org:443"),
        ("FLOWAY_SESSION_SECONDS", "soon"),
        ("FLOWAY_HSTS_SECONDS", "-1"),
    ],
)
def test_a_malformed_setting_stops_the_start_and_names_itself(name: str, value: str) -> None:
    done = manage("-c", "import floway.settings", **{name: value})
    assert done.returncode != 0
    assert f"ImproperlyConfigured: {name}" in done.stderr


@needs_rows
def test_people_are_sent_on_to_https_and_programs_are_not(settings: Any, operator: Client) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_SSL_HOST = True, "gateway.example.org"
    assert Client().get("/admin/login/?next=/x")["location"] == "https://gateway.example.org/admin/login/?next=/x"
    assert Client().get("/v1/models").status_code == 401
    assert Client().get("/healthz").status_code == 200
    assert operator.get("/admin/", secure=True).status_code == 200
