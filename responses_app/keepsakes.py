"""What upstream answers asked to be shown again: sealed, and given back where it came from."""

from __future__ import annotations

import logging

from floway.providers.contract import Keepsake
from floway.sealing import CannotUnseal, seal_text, unseal_text
from responses_app.statements import keepsakes

log = logging.getLogger(__name__)

PURPOSE = "keepsake"
_REMEMBERED = 8
"""How many of a conversation are given back: turns in flight at once, not its history."""


def owner_of(conversation_id: int, credential_id: int) -> str:
    """Whose an envelope is."""
    return f"{conversation_id}:{credential_id}"


def kept(conversation_id: int, credential_id: int) -> tuple[Keepsake, ...]:
    """The newest of a conversation under a credential; a damaged one is as good as none."""
    owner = owner_of(conversation_id, credential_id)
    found = []
    for key, sealed in keepsakes.newest(conversation_id, credential_id, _REMEMBERED):
        try:
            found.append(Keepsake(key, unseal_text(sealed, purpose=PURPOSE, owner=owner)))
        except CannotUnseal:
            log.warning("conversation %s: a keepsake is damaged and left out", conversation_id)
    return tuple(found)


def keep(conversation_id: int, credential_id: int, keepsake: Keepsake) -> None:
    """Keep it, in the open transaction, in the place of an older one of the same key; the oldest are forgotten."""
    sealed = seal_text(keepsake.value, purpose=PURPOSE, owner=owner_of(conversation_id, credential_id))
    keepsakes.put(conversation_id, credential_id, keepsake.key, sealed, most=_REMEMBERED)
