"""Item references: an input that names items of earlier responses instead of sending them again.

No index of ids is kept. A caller that refers to items still begins its input as it began its conversation, so the conversation
is found as for one that sends all of its history. There the items are looked for, in the newest responses that it may name.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from accounts.models import ApiKey
from floway.providers import registry
from floway.providers.contract import ProviderRefused, ResponsesRequest
from floway.sealing import CannotUnseal
from floway.wire.errors import NotFound
from floway.wire.json import JSON
from responses_app import claims, content
from responses_app.models import Snapshot

log = logging.getLogger(__name__)

_SEARCHED = 8
"""How many of a conversation's newest responses are looked through: its branches, not its length."""
_MOST_BYTES = 16 * 1024 * 1024
"""Of sealed items, after which no further branch is looked through: an unknown id must not cost more than a long turn."""


def resolved(
    key: ApiKey,
    request: ResponsesRequest,
    new: Sequence[JSON],
    continued: Snapshot | None,
    now: datetime,
    at_hand: Callable[[Collection[str]], dict[str, JSON]],
) -> list[JSON]:
    """The new input with every reference replaced by its item.

    :param request: as it came. :param continued: the snapshot that it continues, if any.
    :param at_hand: those of the items so named that are known without looking into the database, by their ids.
    :raises NotFound: the key has no such item there.
    """
    wanted = {item["id"] for item in new if _is_reference(item)}
    if not wanted:
        return list(new)
    known = at_hand(wanted)
    if wanted <= known.keys():
        return [_item(item, known, place) for place, item in enumerate(new)]
    conversation_id = continued.conversation_id if continued is not None else _recalled(key, request, now)
    opened = content.Opened()
    for snapshot in _searched(key, conversation_id):
        try:
            known |= {item["id"]: item for item in opened.more_of(snapshot) if isinstance(item.get("id"), str)}
        except CannotUnseal:
            log.exception("response %s cannot be read", snapshot.pk)
        if wanted <= known.keys() or opened.size > _MOST_BYTES:
            break
    return [_item(item, known, place) for place, item in enumerate(new)]


def _is_reference(item: JSON) -> bool:
    """The public API lets a reference leave out its type."""
    named = isinstance(item.get("id"), str) and item.keys() <= {"id", "type"}
    return named and item.get("type", "item_reference") == "item_reference"


def _item(item: JSON, known: Mapping[str, JSON], place: int) -> JSON:
    if not _is_reference(item):
        return item
    if item["id"] not in known:
        raise NotFound(f"Item with id '{item['id']}' not found.", param=f"input[{place}].id")
    return known[item["id"]]


def _searched(key: ApiKey, conversation_id: int | None) -> Iterator[Snapshot]:
    if conversation_id is not None:
        yield from Snapshot.objects.visible_to(key.pk).filter(conversation_id=conversation_id).order_by("-pk")[:_SEARCHED]


def _recalled(key: ApiKey, request: ResponsesRequest, now: datetime) -> int | None:
    """The conversation that the request says it belongs to, or begins like."""
    try:
        identity = registry.get(key.provider).identify(request, None, None, now, secrets.token_bytes)
    except ProviderRefused:
        return None  # refused again, and told, when the turn is claimed
    found = claims.known(key, identity, None).conversation
    return None if found is None else found.pk
