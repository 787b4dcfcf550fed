"""Rotated tokens on their way into the database: sealed on disk from the moment they are read until they are committed.

The old refresh token is used up by then, so that a pair which was lost between the two would be the login. A file is named for
the credential and the token that was given for the pair: whoever holds that token still takes the pair and sends nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings

from floway.providers.contract import TokenGrant
from floway.sealing import CannotUnseal, seal_text, unseal_text

log = logging.getLogger(__name__)

_PURPOSE = "rotated"
_NAME = re.compile(r"(\d+)-([0-9a-f]{64})")


def _folder() -> Path:
    return Path(settings.FLOWAY_DATA_DIR) / "rotated"


def _path(credential_id: int, consumed: bytes) -> Path:
    return _folder() / f"{credential_id}-{consumed.hex()}"


def keep(credential_id: int, consumed: bytes, grant: TokenGrant) -> bool:
    """On disk when this returns True; False, and said in the log, where the disk will not have it.

    :param consumed: the fingerprint of the refresh token that was given for `grant`.
    """
    path = _path(credential_id, consumed)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    sealed = seal_text(_written(grant), purpose=_PURPOSE, owner=path.name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(draft, sealed)
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        log.error("credential %s: its rotated tokens could not be put on disk: %s", credential_id, type(error).__name__)  # noqa: TRY400 - a trace says no more
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find(credential_id: int, consumed: bytes) -> TokenGrant | None:
    """What was had for this refresh token, if it is kept here."""
    path = _path(credential_id, consumed)
    try:
        return _read(unseal_text(path.read_bytes(), purpose=_PURPOSE, owner=path.name))
    except FileNotFoundError:
        return None
    except (OSError, CannotUnseal, ValueError, KeyError):
        log.exception("credential %s: its rotated tokens stand in %s and cannot be read", credential_id, path)
        return None


def forget(credential_id: int, consumed: bytes) -> None:
    """They are in the database, or of no use."""
    try:
        _path(credential_id, consumed).unlink(missing_ok=True)
    except OSError as error:
        log.warning("credential %s: a file of rotated tokens could not be removed: %s", credential_id, error)


def waiting() -> Iterator[tuple[int, bytes]]:
    """Every pair kept here: credential and consumed fingerprint."""
    folder = _folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if named := _NAME.fullmatch(path.name):
            yield int(named[1]), bytes.fromhex(named[2])


def _written(grant: TokenGrant) -> str:
    expires = grant.access_expires_at.isoformat() if grant.access_expires_at else None
    return json.dumps([grant.access_token, grant.refresh_token, grant.id_token, expires])


def _read(text: str) -> TokenGrant:
    access, refresh, identity, expires = json.loads(text)
    return TokenGrant(access, refresh, identity, datetime.fromisoformat(expires) if expires else None)
