"""What the maintenance loop does for this app."""

from __future__ import annotations

from django.utils import timezone

from responses_app import background, capturing, idempotency


def forget_payloads(_: str) -> None:
    """Delete captured payloads whose time is over."""
    capturing.forget_old(timezone.now())


JOBS = (forget_payloads, background.sweep, idempotency.sweep)
