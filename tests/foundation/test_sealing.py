"""Envelopes: what was sealed comes back, and to nobody else."""

from __future__ import annotations

import hmac
import zlib

import pytest
from django.conf import LazySettings

from floway.sealing import CannotUnseal, Sealer, join, lookup_hash, seal_content, sealer, unseal_content

OLD, NEW = bytes(32), bytes(range(32))


def test_what_was_sealed_comes_back_and_never_looks_the_same() -> None:
    sealer = Sealer({"k1": OLD})
    envelopes = {sealer.seal(b"secret", purpose="p", owner="o") for _ in range(3)}
    assert len(envelopes) == 3
    assert all(sealer.unseal(envelope, purpose="p", owner="o") == b"secret" for envelope in envelopes)


def test_another_owner_purpose_or_bit_does_not_unseal() -> None:
    sealer = Sealer({"k1": OLD})
    envelope = sealer.seal(b"secret", purpose="p", owner="o")
    for purpose, owner in [("p", "other"), ("other", "o"), ("po", ""), ("", "po")]:
        with pytest.raises(CannotUnseal):
            sealer.unseal(envelope, purpose=purpose, owner=owner)
    for position in range(len(envelope)):
        broken = bytearray(envelope)
        broken[position] ^= 1
        with pytest.raises(CannotUnseal):
            sealer.unseal(bytes(broken), purpose="p", owner="o")
    for length in range(len(envelope)):
        with pytest.raises(CannotUnseal):
            sealer.unseal(envelope[:length], purpose="p", owner="o")


def test_a_new_key_seals_and_the_old_one_still_reads() -> None:
    before = Sealer({"k1": OLD}).seal(b"old", purpose="p", owner="o")
    rotated = Sealer({"k2": NEW, "k1": OLD})
    assert rotated.unseal(before, purpose="p", owner="o") == b"old"
    after = rotated.seal(b"new", purpose="p", owner="o")
    with pytest.raises(CannotUnseal, match="not configured"):
        Sealer({"k1": OLD}).unseal(after, purpose="p", owner="o")


@pytest.mark.parametrize("content", [b"", b"short", b"long " * 1000, bytes(range(256)) * 4])
def test_content_comes_back_whether_or_not_it_was_compressed(content: bytes) -> None:
    assert unseal_content(seal_content(content, purpose="p", owner="o"), purpose="p", owner="o") == content


def test_hashed_sequences_cannot_be_shifted_into_each_other() -> None:
    assert join([b"ab", b"c"]) != join([b"a", b"bc"])
    assert lookup_hash("a", b"b", b"c") != lookup_hash("a", b"bc")
    assert lookup_hash("a", b"b") != lookup_hash("ab")


def test_content_that_was_compressed_the_older_way_is_still_read() -> None:
    older = sealer().seal(b"z" + zlib.compress(b"long " * 1000), purpose="p", owner="o")
    assert unseal_content(older, purpose="p", owner="o") == b"long " * 1000


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_a_looked_up_hash_is_plain_hmac_for_keys_of_any_length(settings: LazySettings, size: int) -> None:
    settings.FLOWAY_LOOKUP_KEY = bytes(range(size))
    expected = hmac.digest(bytes(range(size)), join([b"purpose", b"a", b"bc"]), "sha256")
    assert lookup_hash("purpose", b"a", b"bc") == lookup_hash("purpose", b"a", b"bc") == expected
