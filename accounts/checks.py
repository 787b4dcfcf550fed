"""System checks of this app: the keys are those that the database was written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from accounts import witness


@register(Tags.database)
def keys_fit(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Asked only where a database is (`check --database default`, `migrate`, `serve`, and commands that write secrets)."""
    if not databases:
        return []
    try:
        return [Error(problem, id="accounts.E001") for problem in witness.problems()]
    except DatabaseError as error:
        return [Error(f"The database does not answer: {type(error).__name__}.", id="accounts.E002")]
