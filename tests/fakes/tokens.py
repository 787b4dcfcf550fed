"""Fabricated logins: tokens that look right, signed by nobody."""

from __future__ import annotations

import json
from typing import Any

from floway.providers.codex.simulated.logins import Login

LONG_FROM_NOW = 4_102_444_800
"""2100-01-01 in Unix seconds."""

LONG_AGO = 1_000_000_000

ALICE = Login(account_id="0d4b8a7c-9b1e-4c55-8f6a-2f1f3b8d9a10", user_id="user-alice", email="alice@example.com", plan="pro")
BOB = Login(account_id="7f2f7a3e-58b2-4d0f-b7b6-5b4d7f1a6c21", user_id="user-bob", email="bob@example.com", plan="plus")


def document(login: Login = ALICE, *, expires_at: int = LONG_FROM_NOW, serial: int = 0, **over: Any) -> bytes:
    """An `auth.json` as the official client keeps it, with `over` laid on top."""
    return json.dumps({**login.document(expires_at, serial), **over}).encode()
