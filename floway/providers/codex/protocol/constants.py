"""The names that the dialect uses on its surfaces, each written down once."""

from __future__ import annotations

# Request headers.
VERSION = "version"
ROUTING_OVERRIDE = "x-openai-account-routing-override"
BETA_FEATURES = "x-codex-beta-features"
TURN_STATE = "x-codex-turn-state"
WINDOW_ID = "x-codex-window-id"
TURN_METADATA = "x-codex-turn-metadata"
PARENT_THREAD_ID = "x-codex-parent-thread-id"
SUBAGENT = "x-openai-subagent"
LITE = "x-openai-internal-codex-responses-lite"
ROUTING_HINT = "x-codex-routing-hint"
CLIENT_REQUEST_ID = "x-client-request-id"
SESSION_ID = "session-id"
SESSION_ALIAS = "session_id"
THREAD_ID = "thread-id"
ACCOUNT_ID = "chatgpt-account-id"
ORIGINATOR = "originator"
USER_AGENT = "user-agent"

# Those by which a caller may say who it is, or how it speaks.
STATING_HEADERS = frozenset(
    {
        SESSION_ID, SESSION_ALIAS, THREAD_ID, CLIENT_REQUEST_ID, WINDOW_ID, PARENT_THREAD_ID, SUBAGENT, TURN_METADATA, LITE,
    }
)  # fmt: skip

# The one id that is a key of the body's `client_metadata` and never a header.
INSTALLATION_ID = "x-codex-installation-id"

# What a WebSocket frame says in its `client_metadata` because it has no headers of its own.
FRAME_LITE = "ws_request_header_x_openai_internal_codex_responses_lite"
FRAME_ONLY_KEYS = frozenset({FRAME_LITE, "x-codex-ws-stream-request-start-ms", TURN_STATE})

REASONING_CONTENT = "reasoning.encrypted_content"
COMPACTION_TRIGGER = "compaction_trigger"
ADDITIONAL_TOOLS = "additional_tools"
