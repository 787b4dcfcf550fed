"""The secrets that a first run makes for itself, in one file that only its owner reads."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

NAMES = ("SECRET_KEY", "FLOWAY_ENCRYPTION_KEYS", "FLOWAY_LOOKUP_KEY")


def _generate() -> dict[str, str]:
    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FLOWAY_ENCRYPTION_KEYS": f"k1:{key()}",
        "FLOWAY_LOOKUP_KEY": key(),
    }


def load(path: Path) -> dict[str, str]:
    """The secrets in `path`, or an empty dict where there is no such file.

    :raises ImproperlyConfigured: it cannot be read, or is damaged.
    """
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{path} cannot be read; restore it from your backup. ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise ImproperlyConfigured(f"{path} is damaged; restore it from your backup.")
    return {name: str(document[name]) for name in NAMES if name in document}


def create(path: Path) -> dict[str, str]:
    """Make the file with mode 0600, and its folder for its owner alone; one that another process made first wins."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"The data directory {path.parent} cannot be made: {error.strerror}.") from error
    made = _generate()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(made, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return load(path)
    finally:
        draft.unlink()
    return made
