"""What an operator can do about a request that went wrong: a kind in plain words and a hint, by who ended it and its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from responses_app.models import Exchange

EndedBy = Exchange.EndedBy


@dataclass(frozen=True, slots=True)
class Advice:
    """`kind` says whose affair it is, `hint` what to do."""

    kind: str
    hint: str


_CALLER = "the caller’s request"
_LOGIN = "the login"
_LIMIT = "a limit"
_UPSTREAM = "the upstream"
_GATEWAY = "the gateway"
_NETWORK = "the way to the upstream"

_WAIT = Advice(
    _UPSTREAM, "It passes by itself; callers are told when to come again. If it lasts, look at the provider’s status page."
)
_SPENT = Advice(_LIMIT, "The allowance is spent until its reset: see the credentials above, or add another one.")
_SIGN_IN = Advice(_LOGIN, "Sign in again on the credential’s page.")
_CHANGE = Advice(_CALLER, "The caller has to change its request; the exchange’s page names the parameter.")
_NO_LOGIN = Advice(_LOGIN, "No credential could serve it: see the credentials above. Sign in again, or add one.")

_BY_CODE: Mapping[str, Advice] = MappingProxyType(
    {
        "caller_left": Advice("the caller", "The caller hung up. Many of these: its timeout is shorter than its answers take."),
        "upstream_unreachable": Advice(_NETWORK, "Name, TLS, proxy or connection: the exchange’s page says which."),
        "upstream_edge_blocked": Advice(_NETWORK, "Blocked in front of the service: check proxy and address."),
        "usage_limit_reached": _SPENT,
        "insufficient_quota": _SPENT,
        "rate_limit_exceeded": Advice(_LIMIT, "It passes by itself; fewer requests at once, or another credential."),
        "server_is_overloaded": _NO_LOGIN,
        "slow_down": _WAIT,
        "account_unusable": _SIGN_IN,
        "token_invalidated": _SIGN_IN,
        "token_expired": _SIGN_IN,
        "model_not_found": Advice(_CALLER, "The login’s plan has no such model; GET /v1/models lists those it has."),
        "context_length_exceeded": Advice(_CALLER, "The conversation is too long for the model: compact it or begin anew."),
        "previous_response_not_found": Advice(_CALLER, "Not stored, deleted, or another key’s: send the history anew."),
        "unsupported_parameter": Advice(_CALLER, "The key is strict: leave the parameter out, or switch strict off."),
        "conversation_damaged": Advice(_GATEWAY, "Stored content cannot be read: are these its keys? The log says more."),
        "internal_error": Advice(_GATEWAY, "A fault of the gateway’s: the log has the cause under the request id."),
        "compaction_missing": Advice(_UPSTREAM, "It did not compact. Try once more; the conversation is as it was."),
    }
)
_BY_END: Mapping[str, Advice] = MappingProxyType(
    {
        EndedBy.UPSTREAM_CUT: Advice(_NETWORK, "Cut in mid-answer; callers may try again. Does a proxy close long streams?"),
        EndedBy.IDLE: Advice(_UPSTREAM, "It fell silent. If its answers take this long, raise FLOWAY_UPSTREAM_IDLE_SECONDS."),
        EndedBy.DEADLINE: Advice(_LIMIT, "Longer than a turn may last: FLOWAY_MAX_STREAM_SECONDS."),
        EndedBy.LOST: Advice(_GATEWAY, "The process that served it died: see the processes below, and the server’s log."),
        EndedBy.CALLER: _BY_CODE["caller_left"],
        EndedBy.UNREACHED: _BY_CODE["upstream_unreachable"],
    }
)
_TOO_MANY = 429
_SERVER = 500


def advice(code: str, http_status: int | None, ended_by: str) -> Advice:
    """What to do about it."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if ended_by in _BY_END:
        return _BY_END[ended_by]
    if http_status == _TOO_MANY:
        return _BY_CODE["rate_limit_exceeded"]
    if http_status is not None and 400 <= http_status < _SERVER:
        return _CHANGE
    return _WAIT if ended_by != EndedBy.GATEWAY else _BY_CODE["internal_error"]
