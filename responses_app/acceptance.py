"""What a call asks for and what it stands on: validated, and put behind the snapshot it continues."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import NoneType
from typing import Any, Literal

from accounts.models import ApiKey
from floway.providers.contract import Action, ResponsesRequest
from floway.sealing import CannotUnseal
from floway.wire.errors import CallerError, InvalidRequest, ServiceError, previous_response_not_found
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject
from responses_app import content, conversing, references
from responses_app.conversing import Joined
from responses_app.models import BrokenSnapshot, Snapshot
from responses_app.statements import snapshots

log = logging.getLogger(__name__)

_MOST_PAIRS = 16
_LONGEST_NAME = 64
_LONGEST_TEXT = 512
_KINDS: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("model", (str,), "a string"),
    ("input", (str, list, NoneType), "a string or a list of items"),
    *((name, (bool, NoneType), "a boolean") for name in ("stream", "store", "background")),
    *((name, (str, NoneType), "a string") for name in ("previous_response_id", "instructions")),
    ("tools", (list, NoneType), "a list"),
)


class CallerLeft(CallerError):
    """499: nobody waits for the answer. Written down, and told to nobody."""

    status = 499
    default_code = "caller_left"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a connection remembers of a response that is not stored.

    :param items: what its conversation consists of.
    :param turn: the settled turn that the first `length` of them come from: its response's id, empty where there is none.
    :param stored: that turn's content is stored.
    """

    items: list[JSON] = field(repr=False)
    turn: str = ""
    stored: bool = False
    length: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request.

    :param headers: the caller's, secrets and private ones already removed.
    :param environ: the server's view of the connection, for whoever watches it.
    :param recall: what the connection itself remembers of a response that is not stored.
    :param at_hand: those of the items so named that it remembers, by their ids.
    """

    request_id: str
    key: ApiKey
    headers: Headers
    body: JSONObject
    action: Action
    started_at: datetime
    environ: Mapping[str, Any] = field(default_factory=dict, repr=False)
    transport: Literal["http", "websocket"] = "http"
    recall: Callable[[str], Remembered | None] = field(default=lambda _: None, repr=False)
    at_hand: Callable[[Collection[str]], dict[str, JSON]] = field(default=lambda _: {}, repr=False)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a call stands on: the snapshot it continues, and its request with that snapshot's items put in front.

    :param note: the provider's on the snapshot. :param recalled: its note on the conversation, where no turn has made one yet.
    :param joined: the named conversation that it belongs to.
    """

    continued: Snapshot | None
    note: JSON | None
    inbound: ResponsesRequest
    items: list[JSON]
    joined: Joined | None = None
    recalled: JSON | None = None

    @property
    def remembered(self) -> Remembered:
        """What a connection is to remember of it, where nothing is answered yet: whoever goes on from it continues the same."""
        continued = self.continued if self.note is not None else None
        if continued is None:
            return Remembered(self.items)
        return Remembered(self.items, continued.response_id, continued.stored, self.inbound.continued_items)

    def without(self, positions: Collection[int]) -> ResponsesRequest:
        """The request less some of its items; what the conversation remembers stays whole."""
        if not positions:
            return self.inbound
        kept = [item for position, item in enumerate(self.items) if position not in positions]
        before = sum(position < self.inbound.continued_items for position in positions)
        return replace(
            self.inbound, body={**self.inbound.body, "input": kept}, continued_items=self.inbound.continued_items - before
        )


def validated(body: JSONObject) -> None:
    """Refuse what could not be served by anybody.

    :raises InvalidRequest: names the parameter.
    """
    if not body.get("model"):
        raise InvalidRequest("Missing required parameter: 'model'.", param="model", code="missing_required_parameter")
    for name, kinds, what in _KINDS:
        if not isinstance(body.get(name), kinds):
            raise InvalidRequest(f"'{name}' must be {what}.", param=name, code="invalid_type")
    if body.get("background") and body.get("store") is False:
        raise InvalidRequest("A response in the background must be stored.", param="background", code="background_not_stored")
    if isinstance(body.get("input"), list):
        checked_items(body["input"], "input")
    checked_metadata(body.get("metadata"))
    _check_what_cannot_be(body)
    if conversation_id(body) is not None:
        _check_conversation(body)


def _check_what_cannot_be(body: JSONObject) -> None:
    if body.get("prompt") is not None:
        message = "Prompt templates are kept by another service; send 'instructions' and 'input' themselves."
        raise InvalidRequest(message, param="prompt", code="unsupported_parameter")
    options = body.get("background_options")
    if options is not None and (not isinstance(options, dict) or options not in ({}, {"completion_window": "soonest"})):
        message = "'background_options' can only be {'completion_window': 'soonest'} here."
        raise InvalidRequest(message, param="background_options", code="unsupported_parameter")


def checked_items(items: list[JSON], param: str) -> None:
    """Refuse what is no item. A null is as good as nothing.

    :raises InvalidRequest: names the item.
    """
    for index, item in enumerate(items):
        if not (isinstance(item, dict) and all(isinstance(item.get(key), str | None) for key in ("type", "role"))):
            message = f"'{param}[{index}]' must be an object whose 'type' and 'role' are strings."
            raise InvalidRequest(message, param=f"{param}[{index}]", code="invalid_type")


def checked_metadata(value: JSON) -> dict[str, JSON]:
    """The caller's own notes on an object.

    :raises InvalidRequest: they are more or longer than the public API takes.
    """
    if value is None:
        return {}
    ok = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if not ok or len(value) > _MOST_PAIRS:
        message = f"'metadata' must be an object of at most {_MOST_PAIRS} strings."
        raise InvalidRequest(message, param="metadata", code="invalid_value")
    if any(len(key) > _LONGEST_NAME or len(text) > _LONGEST_TEXT for key, text in value.items()):
        message = f"'metadata' takes names of {_LONGEST_NAME} characters and texts of {_LONGEST_TEXT} at most."
        raise InvalidRequest(message, param="metadata", code="invalid_value")
    return dict(value)


def conversation_id(body: JSONObject) -> str | None:
    """The id of the named conversation that the turn belongs to, if any.

    :raises InvalidRequest: it is said in no way that is known.
    """
    value = body.get("conversation")
    stated = value.get("id") if isinstance(value, dict) else value
    if value is not None and not isinstance(stated, str):
        message = "'conversation' must be the id of a conversation, or an object with an 'id'."
        raise InvalidRequest(message, param="conversation", code="invalid_type")
    return stated


def _check_conversation(body: JSONObject) -> None:
    if body.get("previous_response_id") is not None:
        message = "'conversation' and 'previous_response_id' cannot both be given."
        raise InvalidRequest(message, param="conversation", code="mutually_exclusive_parameters")
    if body.get("store") is False:
        message = "A response in a conversation must be stored."
        raise InvalidRequest(message, param="store", code="conversation_not_stored")


def input_items(value: JSON) -> list[JSON]:
    """The request's `input` as items; a string is a user's message."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return [_without_nulls(item) for item in value or ()]


def _without_nulls(item: JSON) -> JSON:
    """An item whose type or role is said to be nothing, without saying so."""
    nulls = [key for key in ("type", "role") if item.get(key, "") is None]
    return {key: value for key, value in item.items() if key not in nulls} if nulls else item


def stand(call: Call) -> Ground:
    """Find what the call continues and expand it.

    :raises InvalidRequest: the previous response is not this key's to continue.
    """
    previous = call.body.get("previous_response_id")
    new = input_items(call.body.get("input"))
    named = conversation_id(call.body)
    if named is not None:
        joined = conversing.join(call.key.pk, named)
        return _continuing(call, joined.tip, None, [*joined.waiting, *new], joined)
    if not previous:
        body = _without_references(call.body)
        if isinstance(body.get("input"), list):
            request = ResponsesRequest(call.headers, body, transport=call.transport)
            body["input"] = new = references.resolved(call.key, request, new, None, call.started_at, call.at_hand)
        return Ground(None, None, ResponsesRequest(call.headers, body, transport=call.transport), new)
    remembered = call.recall(previous)
    turn, stored = (previous, True) if remembered is None else (remembered.turn, remembered.stored)
    snapshot = snapshots.find(call.key.pk, turn, stored=stored) if turn and "\0" not in turn else None
    if snapshot is None and stored:
        raise previous_response_not_found(previous)
    return _continuing(call, snapshot, remembered, new, None)


def _continuing(
    call: Call, snapshot: Snapshot | None, remembered: Remembered | None, new: list[JSON], joined: Joined | None
) -> Ground:
    """Behind a snapshot's items, or behind what the connection remembers, which begins with them."""
    try:
        note = snapshot.metadata() if snapshot is not None else None
        before = _before(snapshot, remembered)
    except (CannotUnseal, BrokenSnapshot) as error:
        named = f"'{joined.public_id}'" if joined is not None else f"response '{call.body['previous_response_id']}'"
        log.exception("the conversation of %s cannot be continued", named)
        raise ServiceError(
            f"The stored conversation of {named} is damaged and cannot be continued.",
            code="conversation_damaged",
            permanent=True,
        ) from error
    said = ResponsesRequest(call.headers, call.body, transport=call.transport)
    items = before + references.resolved(call.key, said, new, snapshot, call.started_at, call.at_hand)
    body = {**_without_references(call.body), "input": items}
    continued = len(before) if remembered is None else remembered.length
    request = ResponsesRequest(call.headers, body, continued if snapshot is not None else 0, call.transport)
    if joined is not None and not note:
        return Ground(snapshot, None, request, items, joined, recalled=joined.tip.conversation.note)
    return Ground(snapshot, note, request, items, joined)


def _before(snapshot: Snapshot | None, remembered: Remembered | None) -> list[JSON]:
    if remembered is not None:
        return remembered.items
    return content.expand(snapshot) if snapshot is not None else []


def _without_references(body: JSONObject) -> dict[str, JSON]:
    return {key: value for key, value in body.items() if key not in {"previous_response_id", "conversation"}}


def confirm(ground: Ground) -> None:
    """See that what the call continues is there still.

    :raises InvalidRequest: it has been deleted since. :raises NotFound: the named conversation has.
    """
    continued = ground.continued
    if continued is None or Snapshot.objects.filter(pk=continued.pk, deleted_at=None, conversation__purge=None).exists():
        return
    if ground.joined is not None:
        raise conversing.not_found(ground.joined.public_id)
    raise previous_response_not_found(continued.response_id)
