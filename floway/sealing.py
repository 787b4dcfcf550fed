"""Secrets at rest: AES-256-GCM envelopes bound to a purpose and an owner, and keyed hashes to look things up by.

Envelope: one version byte, one length byte, the key id, a 12-byte nonce, ciphertext with its 16-byte tag. Purpose and owner
are the associated data, so that a row's ciphertext cannot be moved to another row or column unnoticed. The key id in clear
lets old envelopes be read after a new key became the current one.
"""

from __future__ import annotations

import hmac
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION = 1
_NONCE_BYTES = 12
_length = struct.Struct(">Q").pack
_WORTH_COMPRESSING = 256
"""Bytes of content; less than that hardly shrinks."""
_compressors: deque[zstandard.ZstdCompressor] = deque(maxlen=8)
_decompressors: deque[zstandard.ZstdDecompressor] = deque(maxlen=8)
"""Idle ones. Making one costs more than using it, and two threads must not use one at a time."""


class CannotUnseal(Exception):
    """The envelope is damaged, belongs to another owner or purpose, or its key is not configured."""


class Sealer:
    """Seals under the first key given, unseals under any.

    :param keys: key id (1–255 ASCII characters) → 32 bytes, the current one first.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._head = head_of(next(iter(keys)))
        self._ciphers = {head_of(key_id): AESGCM(key) for key_id, key in keys.items()}

    def seal(self, plaintext: bytes, *, purpose: str, owner: str) -> bytes:
        """The envelope of `plaintext`."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._head + nonce + self._ciphers[self._head].encrypt(nonce, plaintext, _associated(purpose, owner))

    def unseal(self, envelope: bytes | memoryview, *, purpose: str, owner: str) -> bytes:
        """What `seal` was given.

        :raises CannotUnseal: see there.
        """
        envelope = bytes(envelope)
        if len(envelope) < 2 or envelope[0] != _VERSION:
            raise CannotUnseal("not an envelope of this version")
        start = 2 + envelope[1]
        cipher = self._ciphers.get(envelope[:start])
        if cipher is None:
            raise CannotUnseal("sealed under a key that is not configured")
        end = start + _NONCE_BYTES
        try:
            return cipher.decrypt(envelope[start:end], envelope[end:], _associated(purpose, owner))
        except (InvalidTag, ValueError) as error:
            raise CannotUnseal("damaged, or sealed for another owner or purpose") from error


def _associated(purpose: str, owner: str) -> bytes:
    whose = owner.encode()
    return _purpose(purpose) + _length(len(whose)) + whose


@lru_cache(maxsize=64)
def _purpose(purpose: str) -> bytes:
    """How what is bound to a purpose, or hashed for it, begins: purposes are few."""
    return join((purpose.encode(),))


def join(parts: Iterable[bytes]) -> bytes:
    """Parts as one byte string that no other sequence of parts gives: each is preceded by its length."""
    return b"".join([piece for part in parts for piece in (_length(len(part)), part)])


def head_of(key_id: str) -> bytes:
    """How every envelope under this key begins."""
    return bytes((_VERSION, len(key_id))) + key_id.encode("ascii")


def key_id_of(envelope: bytes | memoryview) -> str | None:
    """The key that an envelope is sealed under, or None where it is no envelope."""
    head = bytes(envelope[: 2 + 255])
    if len(head) < 3 or head[0] != _VERSION or len(head) < 2 + head[1]:
        return None
    name = head[2 : 2 + head[1]]
    return name.decode("ascii") if name.isascii() else None


@cache
def sealer() -> Sealer:
    """The sealer under the configured keys."""
    return Sealer(settings.FLOWAY_ENCRYPTION_KEYS)


def seal_text(text: str, *, purpose: str, owner: str) -> bytes:
    """A short secret, sealed."""
    return sealer().seal(text.encode(), purpose=purpose, owner=owner)


def unseal_text(envelope: bytes | memoryview, *, purpose: str, owner: str) -> str:
    """:raises CannotUnseal: see there."""
    return sealer().unseal(envelope, purpose=purpose, owner=owner).decode()


def seal_content(content: bytes, *, purpose: str, owner: str) -> bytes:
    """Content, compressed where that makes it smaller, then sealed."""
    packed = _compressed(content) if len(content) > _WORTH_COMPRESSING else content
    body = b"s" + packed if len(packed) < len(content) else b"-" + content
    return sealer().seal(body, purpose=purpose, owner=owner)


def unseal_content(envelope: bytes | memoryview, *, purpose: str, owner: str) -> bytes:
    """:raises CannotUnseal: see there."""
    return unseal_contents([(envelope, owner)], purpose=purpose)[0]


def unseal_contents(sealed: Iterable[tuple[bytes | memoryview, str]], *, purpose: str) -> list[bytes]:
    """Many at once, in order: each an envelope and whose it is.

    :raises CannotUnseal: one of them, see there.
    """
    unseal = sealer().unseal
    try:
        decompressor = _decompressors.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor()
    unpack: dict[bytes, Callable[[bytes], bytes]] = {b"s": decompressor.decompress, b"z": zlib.decompress}
    contents = []
    for envelope, owner in sealed:
        body = unseal(envelope, purpose=purpose, owner=owner)
        contents.append(unpack.get(body[:1], bytes)(body[1:]))
    _decompressors.append(decompressor)
    return contents


def _compressed(content: bytes) -> bytes:
    try:
        compressor = _compressors.pop()
    except IndexError:
        compressor = zstandard.ZstdCompressor(level=1)
    packed = compressor.compress(content)
    _compressors.append(compressor)
    return packed


def lookup_hash(purpose: str, *parts: bytes) -> bytes:
    """HMAC-SHA256 under the lookup key: finds equal values without telling what they are.

    :param purpose: keeps hashes of one table meaningless in another.
    """
    begun = _begun(settings.FLOWAY_LOOKUP_KEY, purpose).copy()
    begun.update(join(parts))
    return begun.digest()


@lru_cache(maxsize=64)
def _begun(key: bytes, purpose: str) -> hmac.HMAC:
    """The hash as it stands before the parts: to begin one anew costs more than all the rest of a short one."""
    return hmac.new(key, _purpose(purpose), "sha256")
