"""One identity projected onto every surface that it has, so that none of them can disagree."""

from __future__ import annotations

from floway.providers.codex.protocol import constants as names
from floway.providers.codex.protocol import turn_metadata
from floway.providers.codex.protocol.compaction import ASKED_FOR
from floway.providers.codex.protocol.profiles import Profile
from floway.providers.codex.protocol.statement import Statement
from floway.providers.codex.protocol.surfaces import Surfaces
from floway.wire.json import JSON, JSONObject

_OF_ORDINARY_TURNS = ("model", "reasoning_effort")


def turn_metadata_text(statement: Statement, surfaces: Surfaces, body: JSONObject, profile: Profile, *, compact: bool) -> str:
    """The turn metadata to send, encoded.

    :param compact: the request compacts; unless the caller says how, the gateway does.
    :raises ProviderRefused: it cannot be sent.
    """
    mirrored: dict[str, JSON] = {
        "installation_id": statement.installation.value,
        "session_id": statement.session.value,
        "thread_id": statement.thread.value,
        "turn_id": statement.turn.value,
        "window_id": statement.window.value,
        "window_number": statement.window_number,
        "root_turn_id": statement.root_turn.value,
        "turn_started_at_unix_ms": statement.turn_started_at_unix_ms,
    }
    if statement.parent_thread is not None:
        mirrored["parent_thread_id"] = statement.parent_thread.value
    callers = dict(surfaces.turn_metadata)
    own: dict[str, JSON] = {"request_kind": "turn", "thread_source": "user"}
    if "compaction" not in callers:
        if compact:
            mirrored |= {"request_kind": "compaction", "compaction": dict(ASKED_FOR)}
            callers = {key: value for key, value in callers.items() if key not in _OF_ORDINARY_TURNS}
        else:
            own |= _model_and_effort(body)
    metadata = turn_metadata.compose(callers, mirrored, own, profile.metadata_order)
    return turn_metadata.encode(metadata, names.TURN_METADATA)


def _model_and_effort(body: JSONObject) -> dict[str, JSON]:
    reasoning = body.get("reasoning")
    values = {"model": body.get("model"), "reasoning_effort": reasoning.get("effort") if isinstance(reasoning, dict) else None}
    return {key: value for key, value in values.items() if value is not None}


def client_metadata(statement: Statement, surfaces: Surfaces, turn_metadata_text: str, profile: Profile) -> dict[str, JSON]:
    """The body's `client_metadata`: the mirrored ids, then whatever else the caller has there."""
    stated: dict[str, JSON] = {
        names.INSTALLATION_ID: statement.installation.value,
        "session_id": statement.session.value,
        "thread_id": statement.thread.value,
        "turn_id": statement.turn.value,
    }
    if "root_turn_id" in profile.metadata_order or "root_turn_id" in surfaces.client_metadata:
        stated["root_turn_id"] = statement.root_turn.value
    if statement.parent_thread is not None:
        stated[names.PARENT_THREAD_ID] = statement.parent_thread.value
    if statement.subagent is not None:
        stated[names.SUBAGENT] = statement.subagent.value
    stated |= {names.WINDOW_ID: statement.window.value, names.TURN_METADATA: turn_metadata_text}
    extras = {
        key: value
        for key, value in surfaces.client_metadata.items()
        if key not in stated and key not in names.FRAME_ONLY_KEYS and not key.startswith("x-floway-")
    }
    return stated | extras


def identity_headers(statement: Statement, turn_metadata_text: str) -> dict[str, str | None]:
    """The header values of the identity."""
    return {
        names.WINDOW_ID: statement.window.value,
        names.TURN_METADATA: turn_metadata_text,
        names.PARENT_THREAD_ID: statement.parent_thread.value if statement.parent_thread else None,
        names.SUBAGENT: statement.subagent.value if statement.subagent else None,
        names.CLIENT_REQUEST_ID: statement.client_request.value,
        names.SESSION_ID: statement.session.value,
        names.THREAD_ID: statement.thread.value,
    }
