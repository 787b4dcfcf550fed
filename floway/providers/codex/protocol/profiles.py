"""Client profiles: one frozen value for each version of the official client that the gateway can speak like.

Everything here was read off captures of that version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

from floway.providers.codex.protocol import constants as names

Version = tuple[int, int, int]

# `cookie` comes with the connection; `host` and `content-length` stand where HTTP/1.1 captures have them.
_RESPONSES_HEADERS = (
    names.VERSION,
    names.ROUTING_OVERRIDE,
    names.BETA_FEATURES,
    names.TURN_STATE,
    names.WINDOW_ID,
    names.TURN_METADATA,
    names.PARENT_THREAD_ID,
    names.SUBAGENT,
    names.LITE,
    names.ROUTING_HINT,
    names.CLIENT_REQUEST_ID,
    names.SESSION_ID,
    names.THREAD_ID,
    "accept",
    "content-encoding",
    "content-type",
    "authorization",
    names.ACCOUNT_ID,
    names.ORIGINATOR,
    names.USER_AGENT,
    "cookie",
    "host",
    "content-length",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one version of the official client looks on the wire.

    :param originator: the client's name; it stands in `originator` and in the user agent.
    :param beta_features: the capabilities of the client that the gateway honours too.
    :param body_order, metadata_order: keys as sent. Of the turn metadata the gateway states nothing that isn't listed here.
    :param instructions_are_an_item: the base instructions are the first developer message, not a key of the body.
    :param refresh_says_why: a refresh names its reason.
    """

    version: str
    originator: str
    beta_features: str
    responses_headers: tuple[str, ...] = field(repr=False)
    models_headers: tuple[str, ...] = field(repr=False)
    refresh_headers: tuple[str, ...] = field(repr=False)
    body_order: tuple[str, ...] = field(repr=False)
    metadata_order: tuple[str, ...] = field(repr=False)
    instructions_are_an_item: bool
    routing_hint: bool
    zstd: bool
    refresh_says_why: bool


V0_169 = Profile(
    version="0.169.0",
    originator="codex_exec",
    beta_features="remote_compaction_v2",
    responses_headers=_RESPONSES_HEADERS,
    models_headers=(
        names.VERSION, "authorization", names.ACCOUNT_ID, names.ORIGINATOR, names.USER_AGENT, "accept", "cookie", "host",
    ),
    refresh_headers=("content-type", names.ORIGINATOR, names.USER_AGENT, "accept", "host", "content-length"),
    body_order=(
        "model", "stream", "service_tier", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "store",
        "stream_options", "include", "prompt_cache_key", "text", "client_metadata",
    ),
    metadata_order=(
        "installation_id", "session_id", "thread_id", "agent_name", "turn_id", "window_id", "window_number",
        "context_window_id", "request_kind", "history_initialization", "parent_thread_id", "parent_turn_id", "root_turn_id",
        "subagent_kind",
        "thread_source", "turn_trigger", "sandbox", "sandbox_mode", "auto_review_enabled", "node_repl_auto_review_required",
        "node_repl_disabled", "workspaces", "turn_started_at_unix_ms", "analytics_enabled", "model", "reasoning_effort",
        "compaction",
    ),
    instructions_are_an_item=True,
    routing_hint=True,
    zstd=True,
    refresh_says_why=True,
)  # fmt: skip

V0_142 = Profile(
    version="0.142.0",
    originator="codex_exec",
    beta_features="remote_compaction_v2",
    responses_headers=_RESPONSES_HEADERS,
    models_headers=(
        names.VERSION, "authorization", names.ACCOUNT_ID, "accept", names.ORIGINATOR, names.USER_AGENT, "cookie", "host",
    ),
    refresh_headers=("content-type", "accept", names.ORIGINATOR, names.USER_AGENT, "host", "content-length"),
    body_order=(
        "model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "store", "stream",
        "include", "service_tier", "prompt_cache_key", "text", "client_metadata",
    ),
    metadata_order=(
        "installation_id", "session_id", "thread_id", "turn_id", "window_id", "request_kind", "thread_source", "sandbox",
        "workspaces", "turn_started_at_unix_ms", "compaction",
    ),
    instructions_are_an_item=False,
    routing_hint=False,
    zstd=True,
    refresh_says_why=False,
)  # fmt: skip

PROFILES = MappingProxyType({profile.version: profile for profile in (V0_169, V0_142)})


def parse_version(text: str) -> Version:
    """`"0.169.0"` → `(0, 169, 0)`; a pre-release suffix doesn't count."""
    major, minor, patch = text.partition("-")[0].split(".")
    return int(major), int(minor), int(patch)


def profile_of_client(version: str) -> Profile:
    """The profile that an official client of `version` speaks: the newest that isn't newer than it, else the oldest."""
    by_age = sorted(PROFILES.values(), key=lambda profile: parse_version(profile.version))
    older = [profile for profile in by_age if parse_version(profile.version) <= parse_version(version)]
    return (older or by_age[:1])[-1]
