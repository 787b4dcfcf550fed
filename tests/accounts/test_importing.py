"""Importing a login's document: the same login keeps its row, and living tokens are never replaced by older ones."""

from __future__ import annotations

import pytest

from accounts import tokens
from accounts.importing import ImportRefused, import_credential
from accounts.models import OAuthCredential
from tests.fakes.tokens import ALICE, LONG_FROM_NOW, document

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_same_login_keeps_its_row_and_device_id_and_gets_the_new_tokens() -> None:
    first = import_credential(document())
    again = import_credential(document(serial=1, expires_at=LONG_FROM_NOW + 60))
    assert (first.created, again.created) == (True, False)
    assert again.credential.pk == first.credential.pk
    assert again.credential.openai_device_id == first.credential.openai_device_id
    assert tokens.held(again.credential).refresh_token == ALICE.refresh_token(1)


def test_a_document_older_than_the_tokens_held_is_refused_and_changes_nothing() -> None:
    import_credential(document(serial=1, expires_at=LONG_FROM_NOW + 60))
    with pytest.raises(ImportRefused, match="newer tokens"):
        import_credential(document())
    assert tokens.held(OAuthCredential.objects.get()).refresh_token == ALICE.refresh_token(1)


def test_a_login_that_needs_a_sign_in_takes_whatever_it_is_given() -> None:
    made = import_credential(document(serial=1, expires_at=LONG_FROM_NOW + 60)).credential
    made.enter(OAuthCredential.State.NEEDS_SIGN_IN, "dead")
    assert import_credential(document()).credential.state == OAuthCredential.State.ACTIVE


@pytest.mark.parametrize(
    "bad", [b"", b"not json", b"[]", b"{}", b'{"tokens": 5}', b'{"OPENAI_API_KEY": "sk-x"}', b"x" * 2_000_000]
)
def test_what_is_no_login_is_refused_without_being_quoted(bad: bytes) -> None:
    with pytest.raises(ImportRefused) as caught:
        import_credential(bad)
    assert "sk-x" not in str(caught.value)
    assert not OAuthCredential.objects.exists()
