"""Content on the pages: for who may read it, on demand, with an entry in the audit log. Others see its outside."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.http import HttpRequest

from accounts import audit
from floway.sealing import CannotUnseal, unseal_content
from floway.wire.json import JSON, InvalidJSON, loads
from responses_app import content
from responses_app.models import Item

PERMISSION = "responses_app.view_content"
_ASKED = "content"


@dataclass(frozen=True, slots=True)
class Reading:
    """An item from the outside; `content` only if `shown`. `digest` tells equal items of a conversation, not what they are."""

    kind: str
    size: int
    digest: str
    may: bool
    shown: bool = False
    content: JSON = field(default=None, repr=False)
    problem: str = ""


def may_read(request: HttpRequest) -> bool:
    """May this person read what was asked and answered?"""
    return bool(request.user.has_perm(PERMISSION))


def of(request: HttpRequest, item_id: str) -> Reading | None:
    """The item for who sent `request`; None where there is none of that number."""
    item = Item.objects.filter(pk=item_id).first() if item_id.isascii() and item_id.isdigit() and len(item_id) < 19 else None
    if item is None:
        return None
    digest, may = bytes(item.digest), may_read(request)
    short = digest.hex()[:16]
    try:
        plain = unseal_content(item.sealed, purpose=content.PURPOSE, owner=content.owner_of(item.conversation_id, digest))
        value = loads(plain)
    except (CannotUnseal, InvalidJSON):
        return Reading("", 0, short, may, problem="It cannot be read with the keys that are configured, or is damaged.")
    kind = str(value.get("type", "message")) if isinstance(value, dict) else ""
    if not may or _ASKED not in request.GET:
        return Reading(kind[:64], len(plain), short, may)
    audit.record("content read", item, conversation=item.conversation_id, kind=kind[:64])
    return Reading(kind[:64], len(plain), short, may, shown=True, content=value)
