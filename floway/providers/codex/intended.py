"""Which differences between the gateway's requests and the official client's are meant, each with its reason; and which
values are another run's, so that only their shape can be compared. Fields are named as `parity` names them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fnmatch import fnmatchcase


class Verdict(enum.Enum):
    """How one field of a request stands to the same field of the client's."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Intended:
    """A difference that is meant.

    :param fields: patterns, as in a shell.
    :param unless_it_came: not where the client said it to the gateway: that goes on as it came.
    :param of_third_parties: only in comparison with what the client sends to somebody else than the backend.
    """

    verdict: Verdict
    fields: tuple[str, ...]
    reason: str
    unless_it_came: bool = False
    of_third_parties: bool = False


INTENDED = (
    Intended(Verdict.EXTRA, ("header host",), "framing: the captures are HTTP/2, which says it in :authority"),
    Intended(Verdict.DIFFERENT, ("header host",), "framing: another address"),
    Intended(Verdict.DIFFERENT, ("header content-length",), "framing: the length of this very body"),
    Intended(Verdict.MISSING, ("header cookie",), "framing: cookies are those of the gateway's own connection"),
    Intended(
        Verdict.MISSING,
        ("header x-codex-turn-state",),
        "shown again only where the gateway itself was given it for this turn; a caller's is never believed",
    ),
    Intended(
        Verdict.MISSING,
        ("client_metadata guardian_credits_requested", "client_metadata mcp_attribution"),
        "only the client itself can ask for that",
        unless_it_came=True,
    ),
    Intended(
        Verdict.MISSING,
        ("turn_metadata context_window_id",),
        "only the client knows its own name for the window",
        unless_it_came=True,
    ),
    Intended(
        Verdict.MISSING,
        ("input */* internal_chat_message_metadata_passthrough",),
        "only the client knows where the parts of its prompt come from",
        unless_it_came=True,
    ),
    Intended(
        Verdict.MISSING,
        tuple(
            f"turn_metadata {key}"
            for key in (
                "agent_name", "analytics_enabled", "auto_review_enabled", "history_initialization", "node_repl_*", "sandbox",
                "sandbox_mode", "turn_trigger", "workspaces",
            )
        ),
        "about the caller's machine and program: never invented",
        unless_it_came=True,
    ),
    Intended(
        Verdict.EXTRA,
        ("header version", "header x-codex-routing-hint", "header chatgpt-account-id", "header content-encoding"),
        "the client says it to the backend and to no third party",
        of_third_parties=True,
    ),
)  # fmt: skip

# Of the account that serves, never the caller's.
OF_THE_ACCOUNT = ("header authorization", "header chatgpt-account-id")

OF_THE_RUN = (
    "header x-codex-window-id",
    "header x-codex-turn-metadata",
    "header x-codex-parent-thread-id",
    "header x-client-request-id",
    "header session-id",
    "header thread-id",
    "body instructions",
    "body prompt_cache_key",
    "body tools",
    "client_metadata *",
    "turn_metadata *_id",
    "turn_metadata history_initialization",
    "turn_metadata turn_started_at_unix_ms",
    "turn_metadata window_number",
    "turn_metadata workspaces",
)


def reason_for(field: str, verdict: Verdict, *, came: bool, to_third_party: bool) -> str | None:
    """Why a difference is meant, or None where it is not.

    :param came: the request that was replayed says it. :param to_third_party: the request compared with went to one.
    """
    for row in INTENDED:
        if row.verdict is not verdict or (row.unless_it_came and came) or (row.of_third_parties and not to_third_party):
            continue
        if matches(field, row.fields):
            return row.reason
    return None


def matches(field: str, patterns: tuple[str, ...]) -> bool:
    """Is the field one of those that the patterns name?"""
    return any(fnmatchcase(field, pattern) for pattern in patterns)
