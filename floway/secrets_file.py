"""The secrets that a first run makes for itself, in one file that only its owner reads."""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
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
    """Make the file with mode 0600 and return what is in it; one that another process made first wins."""
    made = _generate()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
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
