"""The Conversations API on our own lines of turns: a handle on where a conversation stands, and items that wait for a turn.

Items added wait on the handle; the next turn takes them up behind the tip and before its own input, so that it continues the
tip as any continuation does, window and all. Items taken out of what turns have come to make a new tip in a window of its
own: what the model is shown is another history from then on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import ApiKey
from floway.providers import registry
from floway.providers.contract import ResponsesRequest
from floway.sealing import CannotUnseal, seal_content, unseal_content
from floway.wire.errors import ApiError, NotFound, ServiceError
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject, dumps, loads
from responses_app import claims, content
from responses_app.listing import identified
from responses_app.models import Conversation, NamedConversation, Snapshot
from responses_app.statements import conversations

PURPOSE = "conversation"
_RETRY_AFTER_SECONDS = 2


class Locked(ApiError):
    """409: a turn of this conversation is in flight."""

    status = 409
    type = "invalid_request_error"
    default_code = "conversation_locked"


@dataclass(frozen=True, slots=True)
class Joined:
    """A turn's part in a named conversation: where it found it, and the waiting items that it takes up."""

    pk: int
    public_id: str
    tip: Snapshot
    waiting: list[JSON] = field(repr=False)


def owner_of(public_id: str) -> str:
    """Whose an envelope is."""
    return public_id


def not_found(public_id: str) -> NotFound:
    """What an unknown id, a deleted one and another key's are answered alike."""
    return NotFound(f"Conversation with id '{public_id}' not found.")


# --- the object -----------------------------------------------------------------------------------------------------------


def create(key: ApiKey, items: list[JSON], metadata: JSONObject, now: datetime) -> NamedConversation:
    """A conversation with a scope of its own, in which nothing has been said but `items`."""
    public_id = f"conv_{secrets.token_hex(24)}"
    request = ResponsesRequest(Headers(), {"input": items})
    identity = registry.get(key.provider).identify(request, None, None, now, secrets.token_bytes)
    sealed = _sealed(public_id, metadata, items)
    with transaction.atomic():
        conversation = claims.begun(key, identity, claims.scope_digest(identity), now)
        conversation.save(force_insert=True)
        place = content.extend(conversation.pk, content.origin(conversation.pk, stored=True), [], stored=True, issuer=None)
        tip = _snapshot(key.pk, conversation.pk, place, generation=0)
        return NamedConversation.objects.create(public_id=public_id, api_key=key, tip=tip, sealed=sealed, created_at=now)


def _snapshot(
    api_key_id: int, conversation_id: int, place: content.Written, generation: int, before: Snapshot | None = None
) -> Snapshot:
    """A snapshot that no turn made; nobody can name it."""
    return Snapshot.objects.create(
        response_id=f"items_{secrets.token_hex(24)}",
        api_key_id=api_key_id,
        conversation_id=conversation_id,
        credential_id=before.credential_id if before else None,
        parent=before,
        segment_id=place.segment_id,
        length=place.length,
        chain=place.chain,
        generation=generation,
        model=before.model if before else "",
        metadata_json=before.metadata_json if before else {},
        stored=True,
    )


def find(api_key_id: int, public_id: str) -> NamedConversation:
    """The key's conversation of that id.

    :raises NotFound: there is none.
    """
    return _one(NamedConversation.objects.select_related("tip__conversation"), api_key_id, public_id)


def _one(rows: QuerySet[NamedConversation], api_key_id: int, public_id: str) -> NamedConversation:
    mine = rows.filter(api_key_id=api_key_id, deleted_at=None, public_id=public_id)
    found = mine.first() if "\0" not in public_id else None
    if found is None:
        raise not_found(public_id)
    return found


@contextmanager
def _locked(api_key_id: int, public_id: str) -> Iterator[NamedConversation]:
    """The same, its row locked in a transaction and saved, as used now, at its end."""
    with transaction.atomic():
        row = _one(NamedConversation.objects.select_for_update(of=("self",)), api_key_id, public_id)
        yield row
        row.last_used_at = timezone.now()
        row.save(update_fields=["tip", "sealed", "last_used_at", "deleted_at"])


def shown(row: NamedConversation) -> dict[str, Any]:
    """The Conversation object."""
    metadata, _ = _opened(row)
    created = int(row.created_at.timestamp())
    return {"id": row.public_id, "object": "conversation", "created_at": created, "metadata": metadata}


def update(api_key_id: int, public_id: str, metadata: JSONObject) -> NamedConversation:
    """Replace its metadata. :raises NotFound: there is none."""
    with _locked(api_key_id, public_id) as row:
        _, waiting = _opened(row)
        row.sealed = _sealed(public_id, metadata, waiting)
    return row


def delete(api_key_id: int, public_id: str, now: datetime) -> None:
    """Make it unknown; its responses stay. :raises NotFound: there is none."""
    with _locked(api_key_id, public_id) as row:
        row.deleted_at, row.sealed = now, b""


def _sealed(public_id: str, metadata: JSONObject, waiting: Sequence[JSON]) -> bytes:
    plain = dumps({"metadata": dict(metadata), "waiting": list(waiting)})
    return seal_content(plain, purpose=PURPOSE, owner=owner_of(public_id))


def _opened(row: NamedConversation) -> tuple[dict[str, JSON], list[JSON]]:
    """Its metadata and the items that wait.

    :raises ServiceError: it is damaged.
    """
    with _reading(row):
        kept = loads(unseal_content(row.sealed, purpose=PURPOSE, owner=owner_of(row.public_id)))
    return kept["metadata"], kept["waiting"]


@contextmanager
def _reading(row: NamedConversation) -> Iterator[None]:
    try:
        yield
    except CannotUnseal as error:
        message = f"The stored conversation '{row.public_id}' is damaged."
        raise ServiceError(message, code="conversation_damaged", permanent=True) from error


# --- its items ------------------------------------------------------------------------------------------------------------


def items(row: NamedConversation) -> list[dict[str, Any]]:
    """All of them, oldest first, each with its id."""
    said, waiting = _said(row)
    return identified([*said, *waiting], row.public_id)


def item(row: NamedConversation, item_id: str) -> dict[str, Any]:
    """One of them. :raises NotFound: it has none of that id."""
    listed = items(row)
    return listed[_place(listed, item_id)]


def _said(row: NamedConversation) -> tuple[list[JSON], list[JSON]]:
    """The items that turns have taken up, and those that wait."""
    _, waiting = _opened(row)
    with _reading(row):
        return content.expand(row.tip), waiting


def _place(listed: Sequence[dict[str, Any]], item_id: str) -> int:
    for place, known in enumerate(listed):
        if known["id"] == item_id:
            return place
    raise NotFound(f"Item with id '{item_id}' not found.")


def add(api_key_id: int, public_id: str, added: list[JSON]) -> list[dict[str, Any]]:
    """Add items at its end; returns them as they are listed. :raises NotFound: there is no such conversation."""
    with _locked(api_key_id, public_id) as row:
        metadata, waiting = _opened(row)
        row.sealed = _sealed(public_id, metadata, [*waiting, *added])
    return items(row)[-len(added) :]


def remove(api_key_id: int, public_id: str, item_id: str) -> NamedConversation:
    """Take one item out. :raises NotFound: there is no such conversation, or item."""
    while True:
        with transaction.atomic():
            # The line of turns is locked before the handle on it, as where a turn is settled.
            line = find(api_key_id, public_id).tip.conversation_id
            list(Conversation.objects.select_for_update().filter(pk=line).values_list("pk"))
            with _locked(api_key_id, public_id) as row:
                if row.tip.conversation_id == line:
                    _take_out(row, item_id)
                    return row
        # Meanwhile a turn of another line was settled: its row comes before the handle, too.


def _take_out(row: NamedConversation, item_id: str) -> None:
    metadata, _ = _opened(row)
    said, waiting = _said(row)
    place = _place(identified([*said, *waiting], row.public_id), item_id)
    if place < len(said):
        row.tip = _without(row.tip, said, place)
    else:
        del waiting[place - len(said)]
        row.sealed = _sealed(row.public_id, metadata, waiting)


def _without(tip: Snapshot, said: list[JSON], place: int) -> Snapshot:
    """A tip that has come to the same but for one item, in the open transaction, which holds the conversation's row."""
    left, whose = [*said[:place], *said[place + 1 :]], tip.conversation_id
    at = content.longest_prefix(whose, left, stored=True)
    written = content.extend(whose, at, left[at.length :], stored=True, issuer=None)
    return _snapshot(tip.api_key_id, whose, written, conversations.draw(whose), tip)


# --- turns ----------------------------------------------------------------------------------------------------------------


def join(api_key_id: int, public_id: str) -> Joined:
    """What a turn of the conversation stands on.

    :raises NotFound: there is no such conversation. :raises Locked: another turn of it is in flight.
    """
    row = find(api_key_id, public_id)
    if Snapshot.objects.filter(pk=row.tip_id, continued_until__gt=Now()).exists():
        raise Locked(
            "Another request is operating on this conversation. Retry in a few seconds.",
            param="conversation",
            retry_after=_RETRY_AFTER_SECONDS,
        )
    _, waiting = _opened(row)
    return Joined(row.pk, public_id, row.tip, waiting)


def advance(joined: Joined, response_id: str, turn: Sequence[JSON]) -> None:
    """The conversation has come to the response's snapshot, in the open transaction that settles the turn.

    :param turn: what the turn added beyond what it continued, what waited first. Where another turn was faster, it waits
        behind that one's, less what that one took up already.
    """
    row = NamedConversation.objects.select_for_update().filter(pk=joined.pk, deleted_at=None).first()
    if row is None:
        return
    metadata, waiting = _opened(row)
    taken = []
    for item in joined.waiting:
        if item in waiting:
            waiting.remove(item)
            taken.append(item)
    if row.tip_id == joined.tip.pk:
        row.tip = Snapshot.objects.get(response_id=response_id)
    else:
        waiting.extend([*taken, *turn[len(joined.waiting) :]])
    row.sealed, row.last_used_at = _sealed(row.public_id, metadata, waiting), timezone.now()
    row.save(update_fields=["tip", "sealed", "last_used_at"])
