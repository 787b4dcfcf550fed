"""The body as the backend takes it: what it refuses left out, what it demands put in, keys in the profile's order."""

from __future__ import annotations

from dataclasses import dataclass, field

from floway.providers.codex.protocol import compaction, items
from floway.providers.codex.protocol.constants import REASONING_CONTENT
from floway.providers.codex.protocol.ordering import in_order
from floway.providers.codex.protocol.profiles import Profile
from floway.providers.contract import Change, ChangeKind, ProviderRefused
from floway.wire.json import JSON, JSONObject

# `Unsupported parameter: …`, as publicly reported. The list is of what is known to be refused; anything else passes.
_REFUSED = frozenset(
    {
        "frequency_penalty",
        "max_output_tokens",
        "presence_penalty",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "stream_options",
        "temperature",
        "top_p",
        "truncation",
        "user",
    }
)
_AS_IF_UNSAID = (("truncation", "disabled"),)
"""What the upstream does anyway: leaving it out costs the caller nothing."""
# The gateway keeps these promises itself, so the caller loses nothing.
_GATEWAYS_OWN = {
    "background": "the gateway runs it in the background itself",
    "conversation": "already expanded by the gateway",
    "metadata": "kept and told by the gateway",
    "previous_response_id": "already expanded by the gateway",
}
_LEFT_OUT = _REFUSED.union(_GATEWAYS_OWN)
_ALWAYS: JSONObject = {"store": False, "stream": True}
_DEFAULTS: JSONObject = {"tool_choice": "auto", "parallel_tool_calls": True}


@dataclass(frozen=True, slots=True)
class Shaped:
    """A body to send, and how it differs from the caller's."""

    body: dict[str, JSON] = field(repr=False)
    changes: tuple[Change, ...]


def shape(callers: JSONObject, profile: Profile, *, official: bool, compact: bool, session_id: str, thread_id: str) -> Shaped:
    """The caller's body in the profile's shape, but for `client_metadata`, which is identity's.

    :param official: the caller is an official client, whose own keys are the backend's to judge.
    :param compact: the request shall end in a compaction trigger.
    :raises ProviderRefused: a field of a type that cannot be sent on.
    """
    dropped = _dropped(callers, profile.body_order if official else ())
    left_out = {change.field for change in dropped}
    body = {key: value for key, value in callers.items() if value is not None and key not in left_out}
    sent, item_changes = _input(body, profile, compact=compact, thread_id=thread_id)
    body = {**_DEFAULTS, **body, **_ALWAYS, "input": sent, "include": _include(body)}
    body["prompt_cache_key"] = callers.get("prompt_cache_key", session_id)
    if profile.instructions_are_an_item:
        body.pop("instructions", None)
    else:
        body.setdefault("instructions", "")
    changes = (*dropped, *_rewritten(callers), *_moved(callers, profile), *item_changes)
    return Shaped(in_order(body, profile.body_order), changes)


def _dropped(callers: JSONObject, spared: tuple[str, ...]) -> tuple[Change, ...]:
    if _LEFT_OUT.isdisjoint(callers):
        return ()
    return tuple(
        Change(ChangeKind.DROPPED, name, "the upstream does not accept it", refusable=(name, value) not in _AS_IF_UNSAID)
        for name, value in callers.items()
        if name in _REFUSED and name not in spared and value is not None
    ) + tuple(
        Change(ChangeKind.DROPPED, name, reason) for name, reason in _GATEWAYS_OWN.items() if callers.get(name) is not None
    )


def _rewritten(callers: JSONObject) -> tuple[Change, ...]:
    return tuple(
        Change(ChangeKind.REWRITTEN, name, "the upstream takes nothing else; the gateway keeps to what the caller asked")
        for name, value in _ALWAYS.items()
        if callers.get(name) not in (None, value)
    )


def _moved(callers: JSONObject, profile: Profile) -> tuple[Change, ...]:
    if not callers.get("instructions") or not profile.instructions_are_an_item:
        return ()
    return (Change(ChangeKind.REWRITTEN, "instructions", "sent as the first developer message"),)


def _include(body: JSONObject) -> list[JSON]:
    asked = body.get("include", [])
    if not isinstance(asked, list):
        raise ProviderRefused("'include' must be a list.", param="include", code="invalid_type")
    return asked if REASONING_CONTENT in asked else [*asked, REASONING_CONTENT]


def _input(body: JSONObject, profile: Profile, *, compact: bool, thread_id: str) -> tuple[list[JSON], tuple[Change, ...]]:
    sent, changes = items.mended(items.listed(body.get("input")))
    instructions = body.get("instructions", "")
    if not isinstance(instructions, str):
        raise ProviderRefused("'instructions' must be a string.", param="instructions", code="invalid_type")
    if instructions and profile.instructions_are_an_item:
        sent = items.with_instructions(sent, instructions, thread_id)
    if compact and not compaction.ends_in_trigger(sent):
        changes += (Change(ChangeKind.ADDED, "input", "a compaction is asked for by an item at the end of the input"),)
        sent = compaction.with_trigger(sent)
    return sent, changes
