"""Switching a login off and on, by a person."""

from __future__ import annotations

from django.db import transaction

from accounts.models import OAuthCredential


def switch(credential_id: int, *, on: bool, who: str) -> bool:
    """Enable or disable; False where it was so already."""
    state = OAuthCredential.State
    source = {state.DISABLED} if on else set(state) - {state.DISABLED}
    with transaction.atomic():
        row = OAuthCredential.objects.select_for_update().filter(pk=credential_id, state__in=source).first()
        if row is not None:
            row.enter(state.ACTIVE if on else state.DISABLED, f"{'Enabled' if on else 'Disabled'} by {who}.")
    return row is not None
