"""Encryption keys are rotated while all is in use; wrong and missing ones stop the start before anything is overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings, settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import models
from django.utils import timezone

from accounts import proxies, signing_in, tokens, witness
from accounts.models import CredentialTokens, KeyWitness, OAuthCredential, PendingSignIn
from floway import resealing, sealing
from floway.sealing import key_id_of
from responses_app.models import Item
from tests.conftest import Gateway
from tests.fakes.factories import make_credential
from tests.fakes.tokens import ALICE
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.django_db(transaction=True)
OLD = dict(settings.FLOWAY_ENCRYPTION_KEYS)
NEW = {"k2": os.urandom(32)}


def use(keys: dict[str, bytes], config: LazySettings) -> None:
    config.FLOWAY_ENCRYPTION_KEYS = keys
    sealing.sealer.cache_clear()


@pytest.fixture(autouse=True)
def known_witnesses() -> Iterator[None]:
    KeyWitness.objects.all().delete()
    witness.establish()
    yield
    KeyWitness.objects.all().delete()
    sealing.sealer.cache_clear()


def key_ids() -> set[str | None]:
    """The key ids of every envelope in the database."""
    return {
        key_id_of(envelope)
        for column in resealing.columns()
        for envelope in column.model._base_manager.values_list(column.column, flat=True)
    }


def test_rotation_moves_every_row_while_conversations_go_on(
    gateway: Gateway, upstream: FakeUpstream, settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.turn_state = "kept"
    first = gateway.say("remember this")
    assert len({column.model for column in resealing.columns() if column.model._base_manager.exists()}) == 4
    use({**NEW, **OLD}, settings)
    call_command("rotate_keys")
    assert key_ids() == {"k2"}
    assert "Nothing is sealed under 'k1' any more" in capsys.readouterr().out
    use(NEW, settings)
    assert list(witness.problems()) == []
    assert gateway.say("and that", previous=first.json["id"]).status == 200
    assert len(upstream.bodies[-1]["input"]) > len(upstream.bodies[0]["input"])


def test_a_rotation_that_was_cut_short_goes_on_where_it_was(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        make_credential(subject=f"s{number}")
    use({**NEW, **OLD}, settings)
    monkeypatch.setattr(resealing, "_BATCH", 2)

    def cut(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resealing.move(resealing.columns()[0], cut)
    assert resealing.by_key(resealing.columns()[0]) == {"k2": 2, "k1": 3}
    assert resealing.move(resealing.columns()[0], lambda _: None).moved == 3


def test_a_row_that_was_written_meanwhile_is_left_as_it_was_written(settings: LazySettings) -> None:
    credential = make_credential()
    column = resealing.columns()[0]
    row = column.rows().values_list("pk", column.column, *column.known_by).get()
    renewed = sealing.seal_text("newer", purpose=column.purpose, owner=tokens.owner_of(credential.pk))
    CredentialTokens.objects.update(access_token=renewed)
    assert resealing._replace(column, row, b"older") == 0
    assert bytes(CredentialTokens.objects.get().access_token) == renewed


def test_the_check_counts_and_changes_nothing(settings: LazySettings, capsys: pytest.CaptureFixture[str]) -> None:
    make_credential()
    use({**NEW, **OLD}, settings)
    call_command("rotate_keys", "--check")
    assert "accounts.CredentialTokens.access_token  k1: 1, k2: 0" in capsys.readouterr().out
    assert key_ids() == {"k1"}


def test_a_row_that_cannot_be_unsealed_is_left_and_said(settings: LazySettings) -> None:
    make_credential()
    good = make_credential(subject="good")
    damaged = CredentialTokens.objects.exclude(pk=good.pk).get()
    CredentialTokens.objects.filter(pk=damaged.pk).update(access_token=bytes(damaged.access_token)[:-1])
    use({**NEW, **OLD}, settings)
    with pytest.raises(CommandError, match="1 rows could not be unsealed"):
        call_command("rotate_keys")
    assert KeyWitness.objects.filter(name="encryption:k1").exists()


def test_a_wrong_key_stops_the_start_and_overwrites_nothing(settings: LazySettings) -> None:
    make_credential()
    before = CredentialTokens.objects.values().get()
    use({"k1": os.urandom(32)}, settings)
    with pytest.raises(SystemCheckError, match="'k1' is not the one that this database was sealed with"):
        call_command("check", "--database", "default")
    for command in (("migrate",), ("maintain", "--once"), ("rotate_keys",)):
        with pytest.raises(SystemCheckError, match="'k1' is not the one that this database was sealed with"):
            call_command(*command, skip_checks=False)
    witness.establish()
    assert CredentialTokens.objects.values().get() == before
    use(OLD, settings)
    assert list(witness.problems()) == []


def test_a_key_that_was_taken_out_too_early_is_named(settings: LazySettings) -> None:
    use(NEW, settings)
    with pytest.raises(SystemCheckError, match="has no key 'k1'"):
        call_command("import_credential", "-", skip_checks=False)


def test_another_lookup_key_stops_the_start(settings: LazySettings) -> None:
    settings.FLOWAY_LOOKUP_KEY = os.urandom(32)
    with pytest.raises(SystemCheckError, match="FLOWAY_LOOKUP_KEY is not the one"):
        call_command("issue_key", "name", skip_checks=False)


def test_a_database_from_before_there_were_witnesses_is_asked_for_its_rows(settings: LazySettings) -> None:
    make_credential()
    KeyWitness.objects.all().delete()
    use({"k1": os.urandom(32)}, settings)
    assert len(list(witness.problems())) == 3
    witness.establish()
    assert not KeyWitness.objects.exists()
    use(OLD, settings)
    witness.establish()
    assert KeyWitness.objects.count() == 2


def test_every_binary_column_is_a_hash_a_witness_or_rotated() -> None:
    rotated = {(column.model, column.column) for column in resealing.columns()}
    digests = {"digest", "body_digest", "scope_digest", "session_digest", "end_user_digest", "user_digest"}
    hashes = {*digests, "chain", "refresh_fingerprint"}
    unknown = [
        f"{model.__name__}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.BinaryField)
        and field.name not in hashes
        and (model, field.name) not in rotated
        and model is not KeyWitness
    ]
    assert unknown == []
    assert (Item, "sealed") in rotated


def test_tokens_read_the_same_after_a_rotation(settings: LazySettings) -> None:
    make_credential()
    use({**NEW, **OLD}, settings)
    call_command("rotate_keys")
    held = tokens.held(OAuthCredential.objects.select_related("tokens").get())
    assert held.refresh_token == ALICE.refresh_token(0)


def test_a_proxy_and_an_open_sign_in_are_moved_too(settings: LazySettings) -> None:
    credential = make_credential()
    proxies.keep(credential, "http://user:password@proxy.example.com:3128")
    begun = PendingSignIn(provider="codex", method="m", user=User.objects.create_user("person"), session_digest=b"s")
    begun.created_at = begun.expires_at = timezone.now()
    begun.sealed = sealing.seal_content(b"{}", purpose=signing_in.PURPOSE, owner=str(begun.pk))
    begun.save()
    use({**NEW, **OLD}, settings)
    call_command("rotate_keys")
    assert key_ids() == {"k2"}
    use(NEW, settings)
    assert all(column.unseal(row) for column in resealing.columns() for row in rows(column))


def rows(column: resealing.SealedColumn) -> Iterator[tuple[Any, ...]]:
    yield from column.rows().values_list("pk", column.column, *column.known_by)
