"""What the upstream wrote, made fit to be shown: bounded, one line, no markup, nothing that looks like a secret."""

from __future__ import annotations

import re

LONGEST = 500
_TOKEN = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_MARKUP = re.compile(r"<[a-zA-Z!/?]")
_SECRET = re.compile(
    r"""
      \b(?:bearer|basic)\s+\S+                                  # a credential of HTTP
    | \b(?:sk|rt|ey[A-Za-z0-9])[-_A-Za-z0-9]*[-_.][-_A-Za-z0-9.]{12,}  # an API key, a refresh token, a JWT
    | [A-Za-z0-9+/_\-]{48,}={0,2}                               # anything long and opaque
    | [^\s@]{1,64}@[^\s@]{1,255}\.[A-Za-z]{2,}                  # a person's address
    """,
    re.VERBOSE | re.IGNORECASE,
)


def sentence(value: object) -> str | None:
    """`value` as one presentable line of at most `LONGEST` characters; None where it is no text or is markup."""
    if not isinstance(value, str) or _MARKUP.search(value):
        return None
    printable = "".join(character if character.isprintable() else " " for character in value[: LONGEST * 8])
    line = _SECRET.sub("[redacted]", " ".join(printable.split()))
    return (line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…") or None


def word(value: object) -> str | None:
    """A code, type or id as it stands, or None where it is none."""
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None
