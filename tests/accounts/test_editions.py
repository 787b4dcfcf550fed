"""What is kept of keys and logins: everything that decides changes the mark, and no turn sees what another made of its copy."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4
from weakref import ref

import pytest
from django.db import connection, models, transaction
from django.utils import timezone

from accounts import choosing, editions, keys, tokens
from accounts.models import (
    ApiKey,
    ApiKeySecret,
    CredentialFacts,
    CredentialProxy,
    CredentialTokens,
    EditionMark,
    OAuthCredential,
    Pool,
)
from floway.wire.errors import Unauthenticated, Unavailable
from floway.wire.headers import Headers
from tests.fakes.factories import make_credential, make_key
from tests.fakes.tokens import BOB

pytestmark = pytest.mark.django_db(transaction=True)
IGNORED = {
    (ApiKey, "last_used_at"),
    (ApiKeySecret, "last_used_at"),
    (OAuthCredential, "quota_polled_at"),
    (OAuthCredential, "probe_until"),
    (Pool, "cursor"),
}
KINDS: tuple[type[models.Model], ...] = (
    ApiKey,
    ApiKeySecret,
    OAuthCredential,
    CredentialTokens,
    CredentialProxy,
    CredentialFacts,
    Pool,
    ApiKey.credentials.through,
)


def mark() -> str | None:
    return EditionMark.objects.values_list("mark", flat=True).first()


def changes(act: Callable[[], Any]) -> bool:
    before = mark()
    act()
    return mark() != before


def execute(statement: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def populate() -> tuple[OAuthCredential, ApiKey]:
    """A row of each kind."""
    credential, key = make_credential(), make_key().key
    CredentialProxy.objects.create(credential=credential, sealed=b"x", shown="x")
    CredentialFacts.objects.create(credential=credential, document={}, fetched_at=timezone.now())
    Pool.objects.create(provider="codex")
    key.credentials.add(credential)
    return credential, key


def another(field: Any, now: Any) -> Any:
    """A value that the column does not have."""
    kinds: list[tuple[type[models.Field], Any]] = [
        (models.BooleanField, not now),
        (models.DateTimeField, timezone.now() + timedelta(days=1)),
        (models.UUIDField, uuid4()),
        (models.BinaryField, b"another"),
        (models.JSONField, {"another": 1}),
        (models.CharField, "another"[: field.max_length]),
        (models.TextField, "another"),
        (models.Field, now + 1 if isinstance(now, int) else 1),
    ]
    return next(value for kind, value in kinds if isinstance(field, kind))


def shows(row: models.Model, field: Any) -> bool:
    """Does the mark tell of another value in this column? Both are taken back."""
    with transaction.atomic():
        before = mark()
        type(row)._default_manager.filter(pk=row.pk).update(**{field.attname: another(field, getattr(row, field.attname))})
        if connection.vendor == "postgresql":  # as its end would do, less the checks of what refers to what
            execute(f"SET CONSTRAINTS {type(row)._meta.db_table}_update_marks, accounts_editionqueue_marks IMMEDIATE")
        changed = mark() != before
        transaction.set_rollback(True)
    return changed


def test_every_column_that_decides_anything_changes_the_mark_whoever_writes_it() -> None:
    populate()
    for kind in KINDS:
        row = kind._default_manager.get()
        for field in kind._meta.concrete_fields:
            assert shows(row, field) is ((kind, field.name) not in IGNORED), f"{kind.__name__}.{field.name}: see migration 0015"


def test_every_row_that_comes_or_goes_changes_the_mark() -> None:
    credential, key = make_credential(), make_key().key
    assert changes(lambda: Pool.objects.create(provider="codex"))
    assert changes(lambda: key.credentials.add(credential))
    assert changes(lambda: CredentialProxy.objects.create(credential=credential, sealed=b"x", shown="x"))
    assert changes(lambda: CredentialFacts.objects.create(credential=credential, document={}, fetched_at=timezone.now()))
    assert changes(lambda: make_key("another"))
    for kind in reversed(KINDS):
        assert changes(lambda kind=kind: execute(f'DELETE FROM "{kind._meta.db_table}"')), kind.__name__


def test_a_change_that_is_taken_back_changes_nothing() -> None:
    _, key = populate()

    def take_back() -> None:
        with transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(enabled=False)
            transaction.set_rollback(True)

    assert not changes(take_back)


def test_what_is_kept_is_read_anew_as_soon_as_it_was_changed(django_assert_num_queries: Any) -> None:
    credential, issued = make_credential(), make_key()
    headers = Headers((("x-api-key", issued.secret),))

    def ask() -> OAuthCredential:
        return choosing.candidates(keys.authenticate(headers, timezone.now()), None, timezone.now()).credentials[0]

    first = ask()
    with django_assert_num_queries(1):
        assert ask().tokens.refresh_fingerprint == first.tokens.refresh_fingerprint
    OAuthCredential.objects.filter(pk=credential.pk).update(plan="changed")
    assert ask().plan == "changed"
    ApiKey.objects.update(enabled=False)
    with pytest.raises(Unauthenticated):
        ask()


def test_no_turn_sees_what_another_made_of_its_rows() -> None:
    make_credential(), (issued := make_key())
    headers, now = Headers((("x-api-key", issued.secret),)), timezone.now()
    key = keys.authenticate(headers, now)
    used = choosing.candidates(key, None, now).credentials[0]
    access_token = tokens.fresh(used, now).account.access_token
    used.become(OAuthCredential.State.DISABLED, "by this turn")
    used.tokens.access_token, key.enabled = b"", False
    again = keys.authenticate(headers, now)
    other = choosing.candidates(again, None, now).credentials[0]
    assert (again.enabled, other.state, other.state_reason) == (True, "active", "")
    assert tokens.fresh(other, now).account.access_token == access_token


def test_inside_a_transaction_nothing_is_kept() -> None:
    make_key()
    with transaction.atomic():
        assert editions.current() is None
    assert editions.current() is not None


def test_a_keys_use_is_noted_once_a_minute_although_its_row_is_kept() -> None:
    issued, now = make_key(), timezone.now()
    headers = Headers((("x-api-key", issued.secret),))

    def use(seconds: int) -> set[Any]:
        key = keys.authenticate(headers, now)
        with transaction.atomic():
            keys.note_use(key, now + timedelta(seconds=seconds))
        return {ApiKey.objects.get().last_used_at, ApiKeySecret.objects.get().last_used_at}

    assert use(0) == use(30) == use(60) == {now}
    assert use(61) == use(100) == {now + timedelta(seconds=61)}


def authenticated(issued: keys.Issued) -> ApiKey:
    return keys.authenticate(Headers((("x-api-key", issued.secret),)), timezone.now())


def logins(issued: keys.Issued) -> list[OAuthCredential]:
    return list(choosing.candidates(authenticated(issued), None, timezone.now()).credentials)


def kept_logins() -> list[OAuthCredential]:
    mark = editions.current()
    return editions.answer(mark, ("logins", "codex"), lambda: pytest.fail("nothing is kept"))[0]


def test_logins_are_kept_once_and_of_a_key_only_which_it_is_limited_to(django_assert_num_queries: Any) -> None:
    alice, bob = make_credential(), make_credential(BOB)
    free, bound, bound_too = make_key("free"), make_key("bound"), make_key("bound too")
    bound.key.credentials.add(bob)
    bound_too.key.credentials.add(alice, bob)

    def asked() -> list[list[int]]:
        return [[credential.pk for credential in logins(issued)] for issued in (free, bound, bound_too)]

    both = [alice.pk, bob.pk]
    with django_assert_num_queries(3 * 3 + 1):
        assert asked() == [both, [bob.pk], both]
    with django_assert_num_queries(3):
        assert asked() == [both, [bob.pk], both]
    bound.key.credentials.set([alice])
    assert asked() == [both, [alice.pk], both]
    OAuthCredential.objects.filter(pk=alice.pk).update(state="disabled")
    with pytest.raises(Unavailable):
        logins(bound)


def test_what_no_turn_needs_is_not_kept() -> None:
    made, issued = make_credential(document_rest={"other": 1}), make_key()
    (read,) = logins(issued)
    assert not {"id_token", "document_rest"} & {*read.__dict__, *read.tokens.__dict__}
    assert (read.document_rest, bytes(read.tokens.id_token)) == ({"other": 1}, bytes(made.tokens.id_token))


def test_no_token_is_kept_that_is_not_sealed() -> None:
    make_credential(), (issued := make_key())
    (used,) = logins(issued)
    account = tokens.fresh(used, timezone.now()).account
    kept = pickle.dumps(kept_logins())
    assert bytes(used.tokens.access_token) in kept
    assert account.access_token.encode() not in kept


def test_a_request_that_lasts_holds_nothing_of_what_was_kept_before() -> None:
    credential, issued = make_credential(), make_key()
    key = authenticated(issued)
    choosing.candidates(key, None, timezone.now())
    kept = ref(kept_logins()[0])
    assert kept() is not None
    OAuthCredential.objects.filter(pk=credential.pk).update(plan="changed")
    authenticated(issued)
    assert kept() is None
    assert choosing.candidates(key, None, timezone.now()).credentials[0].plan == "changed"
