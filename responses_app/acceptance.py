"""What a call asks for and what it stands on: validated, and put behind the snapshot it continues."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from accounts.models import ApiKey
from floway.providers.contract import Action, ResponsesRequest
from floway.sealing import CannotUnseal
from floway.wire.errors import InvalidRequest, ServiceError, previous_response_not_found
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject
from responses_app import content, statements
from responses_app.models import BrokenSnapshot, Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request.

    :param headers: the caller's, secrets and private ones already removed.
    :param environ: the server's view of the connection, for whoever watches it.
    """

    request_id: str
    key: ApiKey
    headers: Headers
    body: JSONObject
    action: Action
    started_at: datetime
    environ: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a call stands on: the snapshot it continues, and its request with that snapshot's items put in front."""

    continued: Snapshot | None
    note: JSON | None
    inbound: ResponsesRequest
    items: list[JSON]

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

    def need(name: str, ok: bool, what: str) -> None:
        if not ok:
            raise InvalidRequest(f"'{name}' must be {what}.", param=name, code="invalid_type")

    if not body.get("model"):
        raise InvalidRequest("Missing required parameter: 'model'.", param="model", code="missing_required_parameter")
    need("model", isinstance(body["model"], str), "a string")
    need("input", isinstance(body.get("input", []), str | list), "a string or a list of items")
    for name in ("stream", "store"):
        need(name, isinstance(body.get(name), bool | None), "a boolean")
    for name in ("previous_response_id", "instructions"):
        need(name, isinstance(body.get(name), str | None), "a string")
    need("tools", isinstance(body.get("tools"), list | None), "a list")
    for index, item in enumerate(body["input"] if isinstance(body.get("input"), list) else ()):
        if not (isinstance(item, dict) and all(isinstance(item.get(key, ""), str) for key in ("type", "role"))):
            need(f"input[{index}]", False, "an object whose 'type' and 'role' are strings")


def input_items(value: JSON) -> list[JSON]:
    """The request's `input` as items; a string is a user's message."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return list(value or [])


def stand(call: Call) -> Ground:
    """Find what the call continues and expand it.

    :raises InvalidRequest: the previous response is not this key's to continue.
    """
    previous = call.body.get("previous_response_id")
    new = input_items(call.body.get("input"))
    if not previous:
        body = {k: v for k, v in call.body.items() if k != "previous_response_id"}
        return Ground(None, None, ResponsesRequest(call.headers, body), new)
    snapshot = statements.snapshot(call.key.pk, previous) if "\0" not in previous else None
    if snapshot is None:
        raise previous_response_not_found(previous)
    try:
        before, note = content.expand(snapshot), snapshot.metadata()
    except (CannotUnseal, BrokenSnapshot) as error:
        log.exception("response %s cannot be continued", snapshot.pk)
        raise ServiceError(
            f"The stored conversation of response '{previous}' is damaged and cannot be continued.",
            code="conversation_damaged",
            permanent=True,
        ) from error
    items = before + new
    body = {k: v for k, v in call.body.items() if k != "previous_response_id"} | {"input": items}
    return Ground(snapshot, note, ResponsesRequest(call.headers, body, continued_items=len(before)), items)
