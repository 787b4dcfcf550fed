"""The door: guesses are counted and shut out, the second factor is asked for, sessions end, the first owner is made once."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from io import StringIO
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import first_run, guessing, second_factor
from accounts.models import AuditEntry, GuessCount, RecoveryCode, SecondFactor
from tests.fakes.factories import make_credential

pytestmark = pytest.mark.django_db
LOGIN, INDEX, FACTOR = reverse("admin:login"), reverse("admin:index"), reverse("admin:second_factor")
PASSWORD = "correct horse battery staple"
HERE, ELSEWHERE = "198.51.100.7", "203.0.113.9"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """Many passwords are tried here, and a good hash takes its time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def browser(address: str = HERE, **over: Any) -> Client:
    return Client(REMOTE_ADDR=address, **over)


def attempt(client: Client, password: str = PASSWORD, name: str = "ada", **over: Any) -> Any:
    return client.post(LOGIN, {"username": name, "password": password, **over})


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


# --- guessing -------------------------------------------------------------------------------------------------------------


def test_after_five_guesses_the_right_password_waits_here_and_works_elsewhere(ada: User) -> None:
    client = browser()
    assert [attempt(client, "wrong").status_code for _ in range(5)] == [200] * 5
    answer = attempt(client)
    assert answer.status_code == 429
    assert 800 < int(answer["retry-after"]) <= 901
    assert "Too many tries" in answer.content.decode()
    assert attempt(browser(ELSEWHERE)).status_code == 302
    assert attempt(browser(HERE), name="bob").status_code == 200


def test_the_lock_ends_and_the_next_one_is_longer(ada: User) -> None:
    for _ in range(6):
        attempt(browser(), "wrong")
    GuessCount.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    for _ in range(6):
        attempt(browser(), "wrong")
    assert 1700 < int(attempt(browser())["retry-after"]) <= 1801
    GuessCount.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    assert attempt(browser()).status_code == 302
    assert not GuessCount.objects.filter(locked_until__gt=timezone.now()).exists()


def test_a_right_password_as_an_addresss_last_try_shuts_nobody_out(ada: User) -> None:
    for n in range(29):
        attempt(browser(), "wrong", name=f"name{n}")
    assert [attempt(browser()).status_code for _ in range(3)] == [302] * 3


def test_many_names_from_one_address_shut_that_address_out(ada: User) -> None:
    statuses = [attempt(browser(), "wrong", name=f"name{n}").status_code for n in range(31)]
    assert statuses == [200] * 30 + [429]
    assert attempt(browser()).status_code == 429
    assert attempt(browser(ELSEWHERE)).status_code == 302


def test_spelling_a_name_or_an_address_otherwise_gives_no_more_tries(ada: User) -> None:
    for n, name in enumerate(("ada", "ADA", " Ada", "aDa", "ada ")):
        attempt(browser(f"2001:db8:0:1::{n}"), "wrong", name=name)
    assert attempt(browser("2001:db8:0:1:ffff::9")).status_code == 429
    assert attempt(browser("2001:db8:0:2::9")).status_code == 302


def test_only_a_trusted_proxy_is_believed_about_the_address(ada: User, settings: Settings) -> None:
    for n in range(5):
        attempt(browser(headers={"x-forwarded-for": f"192.0.2.{n}"}), "wrong")
    assert attempt(browser(headers={"x-forwarded-for": "192.0.2.99"})).status_code == 429
    settings.FLOWAY_TRUSTED_NETWORKS = [ip_network(HERE)]
    assert attempt(browser(headers={"x-forwarded-for": f"1.1.1.1, {ELSEWHERE}"})).status_code == 302
    assert AuditEntry.objects.get(action="signed in").address == ELSEWHERE


def test_guesses_are_counted_before_the_password_is_looked_at(ada: User) -> None:
    """Ten at once: as if ten threads had all asked before the first was told."""
    subjects, now = [guessing.of_name("ada", HERE)], timezone.now()
    let = 0
    for _ in range(10):
        try:
            guessing.begin(subjects, now)
        except guessing.LockedOut:
            continue
        let += 1
    assert let == 5


def test_what_is_kept_of_a_guess_names_nobody(ada: User) -> None:
    attempt(browser(), name=PASSWORD, password="ada")
    assert not [row for row in GuessCount.objects.values() if PASSWORD in str(row) or HERE in str(row)]


def test_the_machine_unlocks(ada: User) -> None:
    for _ in range(5):
        attempt(browser(), "wrong")
    with pytest.raises(CommandError):
        call_command("unlock", user="ada")
    call_command("unlock", address=HERE, user="ada", stdout=StringIO())
    assert attempt(browser()).status_code == 302
    assert AuditEntry.objects.filter(action="unlocked").exists()


def test_the_old_password_is_not_guessed_in_a_stolen_session(ada: User) -> None:
    client, page = browser(), reverse("admin:password_change")
    client.force_login(ada)
    fields = {"old_password": "wrong", "new_password1": "another " + PASSWORD, "new_password2": "another " + PASSWORD}
    assert [client.post(page, fields).status_code for _ in range(6)] == [200] * 5 + [429]


# --- sessions -------------------------------------------------------------------------------------------------------------


def test_a_session_begins_anew_at_the_sign_in_and_all_others_end_with_the_password(ada: User) -> None:
    client, other = browser(), browser(ELSEWHERE)
    client.get(LOGIN)
    attempt(client)
    attempt(other)
    key = client.session.session_key
    new = "another " + PASSWORD
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    client.post(reverse("admin:password_change"), fields)
    assert client.session.session_key != key
    assert is_in(client)
    assert not is_in(other)
    assert AuditEntry.objects.filter(action="password changed", actor="ada").exists()


def age(client: Client, **seconds: int) -> None:
    session = client.session
    for name, back in seconds.items():
        session[name] -= back
    session.save()


def test_a_session_ends_when_it_rests_and_news_that_a_page_asks_for_are_no_activity(ada: User, settings: Settings) -> None:
    client = browser()
    attempt(client)
    age(client, seen=settings.FLOWAY_SESSION_IDLE_SECONDS - 60)
    client.get(INDEX, headers={"sec-fetch-dest": "empty"})
    age(client, seen=120)
    assert not is_in(client)
    assert AuditEntry.objects.filter(action="session ended", actor="ada").exists()


def test_a_session_that_is_used_lasts_so_long_and_no_longer(ada: User, settings: Settings) -> None:
    client = browser()
    attempt(client)
    age(client, seen=settings.FLOWAY_SESSION_IDLE_SECONDS - 60)
    assert is_in(client)
    age(client, seen=settings.FLOWAY_SESSION_IDLE_SECONDS - 60)
    assert is_in(client)
    age(client, began=settings.FLOWAY_SESSION_SECONDS)
    assert not is_in(client)
    assert not Session.objects.filter(session_key=client.session.session_key).exists()


# --- the second factor ----------------------------------------------------------------------------------------------------


def enrol(client: Client, now: datetime | None = None) -> tuple[str, list[str]]:
    """Through the pages; the secret and the recovery codes as they were shown."""
    page = client.post(FACTOR, {"act": "offer", "password": PASSWORD})
    found = re.search(r'class="secret">([A-Z2-7 ]+)<', page.content.decode())
    assert found, page.content.decode()
    secret = found[1].replace(" ", "")
    shown = client.post(FACTOR, {"act": "confirm", "code": code(secret, now)}).content.decode()
    return secret, re.findall(r"<code>([a-z2-7-]{19})</code>", shown)


def code(secret: str, now: datetime | None = None, *, steps: int = 0) -> str:
    return second_factor.code_at(secret, second_factor.step_at(now or timezone.now()) + steps)


def second_step(client: Client, password_page: Any, given: str) -> Any:
    return client.post(LOGIN, {"pending": password_page.context["pending"], "code": given})


def forget_use() -> None:
    """As if the step whose code was used were long past."""
    SecondFactor.objects.update(last_step=0)


def test_codes_are_those_of_rfc_6238() -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for moment, expected in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert second_factor.code_at(secret, moment // 30) == expected


def test_who_has_enrolled_is_asked_for_a_code_and_none_works_twice(ada: User) -> None:
    first = browser()
    attempt(first)
    secret, codes = enrol(first)
    assert len(codes) == 10
    assert is_in(first)
    assert secret.encode() not in bytes(SecondFactor.objects.get().sealed)
    client = browser()
    page = attempt(client)
    assert page.status_code == 200
    assert not is_in(client)
    assert second_step(client, page, code(secret)).context["form"].errors
    forget_use()
    assert second_step(client, page, code(secret)).status_code == 302
    assert is_in(client)
    again = browser()
    assert second_step(again, attempt(again), code(secret)).status_code == 200
    assert not is_in(again)


def test_a_recovery_code_works_once_however_it_is_typed(ada: User) -> None:
    first = browser()
    attempt(first)
    _, codes = enrol(first)
    assert not [text for text in codes if text.replace("-", "") in str(list(RecoveryCode.objects.values()))]
    client = browser()
    assert second_step(client, attempt(client), codes[0].upper().replace("-", " ")).status_code == 302
    again = browser()
    assert second_step(again, attempt(again), codes[0]).status_code == 200
    assert "9 recovery codes are left" in " ".join(client.get(FACTOR).content.decode().split())


def test_codes_are_not_guessed(ada: User) -> None:
    first = browser()
    attempt(first)
    secret, _ = enrol(first)
    forget_use()
    statuses = [second_step(c := browser(f"192.0.2.{n}"), attempt(c), "000000").status_code for n in range(5)]
    assert statuses == [200] * 5
    last = browser(ELSEWHERE)
    assert second_step(last, attempt(last), code(secret)).status_code == 429


def test_the_second_step_takes_no_forged_or_old_word_about_the_first(ada: User) -> None:
    first = browser()
    attempt(first)
    secret, _ = enrol(first)
    forget_use()
    client = browser()
    page = attempt(client)
    ada.set_password("changed " + PASSWORD)
    ada.save()
    for pending in (page.context["pending"], page.context["pending"][:-1] + "x", "", "a:b:c"):
        assert client.post(LOGIN, {"pending": pending, "code": code(secret)}).status_code == 302
        assert not is_in(client)


def test_a_session_from_before_the_enrolment_has_to_prove_itself(ada: User) -> None:
    stolen, owner = browser(ELSEWHERE), browser()
    attempt(stolen)
    attempt(owner)
    enrol(owner)
    assert is_in(owner)
    assert not is_in(stolen)


def test_where_it_is_required_nothing_else_is_served_before_it_is_set_up(ada: User, settings: Settings) -> None:
    settings.FLOWAY_REQUIRE_TOTP = True
    client = browser()
    attempt(client)
    for url in (INDEX, reverse("admin:accounts_apikey_changelist"), reverse("admin:auth_user_changelist")):
        assert client.get(url)["location"] == FACTOR
    enrol(client)
    assert is_in(client)


def test_a_secret_that_was_offered_is_not_shown_again_after_ten_minutes(ada: User) -> None:
    client = browser()
    client.force_login(ada)
    client.post(FACTOR, {"act": "offer", "password": PASSWORD})
    assert 'class="secret"' in client.post(FACTOR, {"act": "confirm", "code": "000000"}).content.decode()
    SecondFactor.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    guessing.forget()
    later = client.post(FACTOR, {"act": "confirm", "code": "000000"})
    assert (later.status_code, later["location"]) == (302, FACTOR)


def test_setting_up_and_taking_away_ask_for_the_password(ada: User) -> None:
    client = browser()
    client.force_login(ada)
    assert client.post(FACTOR, {"act": "offer", "password": "wrong"}).context["form"].errors
    assert not SecondFactor.objects.exists()
    secret, codes = enrol(client)
    forget_use()
    assert client.post(FACTOR, {"act": "remove", "password": PASSWORD, "code": "000000"}).context["form"].errors
    fresh = client.post(FACTOR, {"act": "codes", "password": PASSWORD, "code": code(secret)}).content.decode()
    assert codes[0] not in fresh
    assert client.post(FACTOR, {"act": "remove", "password": PASSWORD, "code": code(secret, steps=1)}).status_code == 302
    assert not SecondFactor.objects.exists()
    assert not RecoveryCode.objects.exists()
    told = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"second factor set up", "recovery codes replaced", "second factor taken away"} <= told


def test_the_machine_takes_a_lost_one_away(ada: User) -> None:
    client = browser()
    client.force_login(ada)
    enrol(client)
    call_command("reset_second_factor", "ada", stdout=StringIO())
    assert attempt(browser()).status_code == 302
    for name in ("ada", "nobody"):
        with pytest.raises(CommandError):
            call_command("reset_second_factor", name)


def test_exporting_a_login_asks_for_the_code_too(ada: User) -> None:
    client, url = browser(), reverse("admin:accounts_oauthcredential_export", args=[make_credential().pk])
    client.force_login(ada)
    secret, _ = enrol(client)
    forget_use()
    assert client.post(url, {"password": PASSWORD})["content-type"].startswith("text/html")
    assert client.post(url, {"password": PASSWORD, "code": "123"})["content-type"].startswith("text/html")
    assert client.post(url, {"password": PASSWORD, "code": code(secret)})["content-type"] == "application/json"


# --- the first owner ------------------------------------------------------------------------------------------------------

FIRST = reverse("admin:first_owner")


def claim(client: Client, token: str, name: str = "owner") -> Any:
    return client.post(FIRST, {"token": token, "username": name, "password1": PASSWORD, "password2": PASSWORD})


def test_the_first_owner_is_made_with_the_token_and_nobody_after(db: None) -> None:
    client = browser()
    assert FIRST in client.get(LOGIN).content.decode()
    assert claim(client, "wrong-token").context["form"].errors
    assert claim(client, first_run.token().upper()).status_code == 302
    person = User.objects.get()
    assert person.is_superuser
    assert [group.name for group in person.groups.all()] == ["owner"]
    assert is_in(client)
    assert claim(browser(ELSEWHERE), first_run.token(), "second").status_code == 404
    assert FIRST not in browser().get(LOGIN).content.decode()
    assert User.objects.count() == 1


def test_the_token_is_not_guessed(db: None) -> None:
    statuses = [claim(browser(), f"guess-{n}").status_code for n in range(31)]
    assert statuses == [200] * 30 + [429]
    assert not User.objects.exists()


def test_a_weak_password_makes_no_owner(db: None) -> None:
    fields = {"token": first_run.token(), "username": "owner", "password1": "short", "password2": "short"}
    assert browser().post(FIRST, fields).context["form"].errors
    assert not User.objects.exists()
