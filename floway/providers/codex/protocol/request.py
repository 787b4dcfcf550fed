"""A turn as the official client would send it: the caller's request in, header values and body out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from floway.providers.codex.protocol import compaction, dialect, items, projection, statement, surfaces, turns
from floway.providers.codex.protocol import constants as names
from floway.providers.codex.protocol.dialect import Speaker
from floway.providers.codex.protocol.headers import routing_hint
from floway.providers.codex.protocol.memory import ConversationNote, TurnNote
from floway.providers.codex.protocol.profiles import Profile
from floway.providers.codex.protocol.routing import Routing
from floway.providers.codex.protocol.shaping import shape
from floway.providers.codex.protocol.statement import Statement
from floway.providers.codex.protocol.surfaces import Surface, Surfaces
from floway.providers.contract import Change, Keepsake, RequestContext
from floway.wire.json import JSON

_LITE = {Surface.HEADER: (names.LITE,), Surface.CLIENT_METADATA: (names.FRAME_LITE,)}


@dataclass(frozen=True, slots=True)
class Memory:
    """What this provider noted earlier, read back: on the conversation, and on the turns that this one may go on with."""

    conversation: ConversationNote
    continued: TurnNote | None
    resumed: TurnNote | None
    latest: TurnNote | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request before it is framed. `headers` holds values by name; their order is the profile's."""

    profile: Profile
    headers: dict[str, str | None] = field(repr=False)
    body: dict[str, JSON] = field(repr=False)
    statement: Statement
    changes: tuple[Change, ...]


def compose(context: RequestContext, memory: Memory, gateway: Speaker, routing: Routing) -> Outgoing:
    """The request for this turn; a function of its arguments.

    :param gateway: who speaks for callers that are no official clients.
    :param routing: the account's, which no caller can state.
    :raises ProviderRefused: it cannot be expressed.
    """
    inbound = context.inbound
    speaker = dialect.official(inbound.headers) or gateway
    profile, said = speaker.profile, surfaces.read(inbound)
    sent = items.listed(inbound.body.get("input"))
    compact = compaction.is_asked(context.action, sent)
    who = statement.resolve(
        said,
        context.claim,
        note=memory.conversation,
        turn=turns.inherited(sent, inbound.continued_items, memory.continued, memory.resumed, memory.latest),
        number=context.generation,
        device_id=context.account.device_id,
        official=speaker.official,
        started_at=context.started_at,
        entropy=context.entropy,
    )
    shaped = shape(
        inbound.body,
        profile,
        official=speaker.official,
        compact=compact,
        session_id=who.session.value,
        thread_id=who.thread.value,
    )
    metadata = projection.turn_metadata_text(who, said, shaped.body, profile, compact=compact)
    body = {**shaped.body, "client_metadata": projection.client_metadata(who, said, metadata, profile)}
    headers = (
        projection.identity_headers(who, metadata)
        | _speaker_headers(speaker)
        | {
            names.ROUTING_OVERRIDE: routing.override,
            names.TURN_STATE: _turn_state(context.keepsakes, who.turn.value),
            names.LITE: "true" if _is_lite(said, speaker, sent) else None,
            names.ROUTING_HINT: routing_hint(body) if profile.routing_hint else None,
            names.ACCOUNT_ID: context.account.account_id,
            "accept": "text/event-stream",
            "authorization": f"Bearer {context.account.access_token}",
        }
    )
    return Outgoing(profile, headers, body, who, shaped.changes)


def _speaker_headers(speaker: Speaker) -> dict[str, str | None]:
    return {
        names.VERSION: speaker.version,
        names.BETA_FEATURES: speaker.beta_features,
        names.ORIGINATOR: speaker.originator,
        names.USER_AGENT: speaker.user_agent,
    }


def _turn_state(keepsakes: Sequence[Keepsake], turn_id: str) -> str | None:
    """The state that the backend gave this very turn. A caller's own is no source: it would have to equal this one."""
    return next((kept.value for kept in keepsakes if kept.key == turn_id), None)


def _is_lite(said: Surfaces, speaker: Speaker, sent: list[JSON]) -> bool:
    """Does the caller say that it sends the lite shape, and is an official client or bears it out?"""
    flags = [value for value, _ in said.stated(_LITE)]
    return "true" in flags and (speaker.official or items.brings_tools(sent))
