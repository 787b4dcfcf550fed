"""What a refusal of the backend means: whose fault it is, what the caller is told, whether and when to try again.

The tables follow how clients were seen to react. A 429 without `retry-after` and a 400 end a turn at once; a 5xx is tried
thirty times within half a minute unless `retry-after` spaces the tries.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from floway.providers.codex.protocol import refusal as refusals
from floway.providers.codex.protocol.refusal import Refusal
from floway.providers.codex.protocol.retry import SOON_SECONDS, retry_after
from floway.providers.codex.protocol.upstream_text import word
from floway.providers.contract import Failure, FailureKind
from floway.wire.headers import Headers
from floway.wire.json import JSON

Kind = FailureKind


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one kind of refusal comes to.

    :param code, type: None keeps the backend's own. :param message: None keeps the backend's own.
    """

    kind: FailureKind
    status: int
    code: str | None = None
    type: str | None = None
    message: str | None = None
    permanent: bool = False


_REQUEST = Verdict(Kind.REQUEST, 400, type="invalid_request_error", permanent=True)
_MODEL = Verdict(Kind.MODEL, 404, "model_not_found", "invalid_request_error", permanent=True)
_FOREIGN_CIPHERTEXT = Verdict(Kind.ENCRYPTED_CONTENT, 400, type="invalid_request_error", permanent=True)
_STALE = Verdict(
    Kind.STALE_TOKEN, 503, "upstream_unauthorized", "server_error", "The upstream did not accept the gateway's login."
)
_SIGN_IN = Verdict(
    Kind.NEEDS_SIGN_IN,
    503,
    "upstream_sign_in_required",
    "server_error",
    "The gateway's upstream login has ended; its operator must sign in again.",
    permanent=True,
)
_FORBIDDEN = Verdict(Kind.FORBIDDEN, 403, type="permission_error", permanent=True)
_NOT_INCLUDED = Verdict(Kind.FORBIDDEN, 429, type="usage_not_included", permanent=True)
_SPENT = Verdict(Kind.USAGE_LIMIT, 429, type="usage_limit_reached", message="The usage limit has been reached.")
_NO_FUNDS = Verdict(Kind.USAGE_LIMIT, 429, type="insufficient_quota", permanent=True)
_SLOW_DOWN = Verdict(Kind.RATE_LIMITED, 429, "rate_limit_exceeded", "rate_limit_error")
_OVERLOADED = Verdict(Kind.OVERLOADED, 503, type="server_error")
_UPSTREAM = Verdict(Kind.UPSTREAM, 503, "upstream_error", "server_error", "The upstream failed to answer.")
_EDGE = Verdict(Kind.EDGE_BLOCKED, 502, "upstream_edge_blocked", "server_error", permanent=True)
_REGION = Verdict(Kind.EDGE_BLOCKED, 502, type="server_error", permanent=True)

# Looked up by the refusal's code, then by its type.
_BY_WORD = MappingProxyType(
    {
        "model_not_found": _MODEL,
        "model_not_supported": _MODEL,
        "invalid_encrypted_content": _FOREIGN_CIPHERTEXT,
        "usage_limit_reached": _SPENT,
        "usage_not_included": _NOT_INCLUDED,
        "insufficient_quota": _NO_FUNDS,
        "organization_spend_limit_exceeded": _NO_FUNDS,
        "rate_limit_exceeded": _SLOW_DOWN,
        "server_is_overloaded": _OVERLOADED,
        "slow_down": _OVERLOADED,
        "unsupported_country_region_territory": _REGION,
        **dict.fromkeys(
            (
                "account_deactivated",
                "app_session_terminated",
                "refresh_token_expired",
                "refresh_token_invalidated",
                "refresh_token_reused",
                "token_invalidated",
                "token_revoked",
                "user_deactivated",
            ),
            _SIGN_IN,
        ),
        "deactivated_workspace": _FORBIDDEN,
        **dict.fromkeys(
            (
                "context_length_exceeded",
                "cyber_policy",
                "invalid_prompt",
                "invalid_request_error",
                "invalid_value",
            ),
            _REQUEST,
        ),
    }
)
_BY_STATUS = MappingProxyType(
    {
        401: _STALE,
        402: _FORBIDDEN,
        403: _FORBIDDEN,
        413: Verdict(Kind.REQUEST, 413, "request_too_large", "invalid_request_error", permanent=True),
        429: _SLOW_DOWN,
        **dict.fromkeys((400, 404, 405, 409, 415, 422), _REQUEST),
    }
)
_UNKNOWN_MODEL = re.compile(
    r"'[^']{1,128}' model is not supported|\bmodel '?[^' ]{1,128}'? (?:is not supported|does not exist)", re.IGNORECASE
)
# For a refusal that says nothing presentable.
_UNSAID = MappingProxyType(
    {
        Kind.REQUEST: "The upstream refused the request.",
        Kind.ENCRYPTED_CONTENT: "The request carries encrypted content that the upstream account cannot read.",
        Kind.FORBIDDEN: "The upstream account may not do this.",
        Kind.RATE_LIMITED: "The upstream asks to slow down.",
        Kind.OVERLOADED: "The upstream has no room at the moment.",
        Kind.USAGE_LIMIT: "The upstream account has no quota left.",
        Kind.MODEL: "The model does not exist for this account.",
    }
)


def classify(status: int, headers: Headers, body: bytes, now: datetime) -> Failure:
    """What an answer other than success means; see `ResponsesProvider.classify_failure`."""
    said = refusals.of_body(body)
    if _is_the_edges(status, headers, said):
        return _edge_blocked(status, headers)
    said = said or refusals.of_error(None)
    return _failure(_verdict(status, said), said, headers, now, status)


def classify_event(error: JSON) -> Failure:
    """What the error of a failed event means; such an error has no status, so it goes by its words alone."""
    said = refusals.of_error(error)
    verdict = _by_word(said) or (_MODEL if _is_about_a_model(said) else _UPSTREAM)
    return _failure(verdict, said, Headers(), None, None)


def _by_word(said: Refusal) -> Verdict | None:
    return next((_BY_WORD[told] for told in said.words if told in _BY_WORD), None)


def _verdict(status: int, said: Refusal) -> Verdict:
    if 400 <= status < 500 and _is_about_a_model(said):
        return _MODEL
    by_word, by_status = _by_word(said), _BY_STATUS.get(status, _UPSTREAM)
    # "The request is at fault" says less than a status that blames somebody else.
    return by_status if by_word is None or by_word is _REQUEST else by_word


def _is_about_a_model(said: Refusal) -> bool:
    return said.message is not None and _UNKNOWN_MODEL.search(said.message) is not None


def _is_the_edges(status: int, headers: Headers, said: Refusal | None) -> bool:
    """Was it refused in front of the service? The service itself answers 403 in JSON."""
    if "cf-mitigated" in headers:
        return True
    return status == 403 and said is None


def _edge_blocked(status: int, headers: Headers) -> Failure:
    ray = word(headers.get("cf-ray")) or "unknown"
    return Failure(
        kind=_EDGE.kind,
        status=_EDGE.status,
        code=_EDGE.code,
        type=_EDGE.type or "",
        message=f"The upstream's edge blocked the gateway's request (cf-ray {ray}).",
        operator=f"HTTP {status} from the upstream's edge, cf-ray {ray}: blocked before the account was looked at.",
        permanent=True,
    )


def _failure(verdict: Verdict, said: Refusal, headers: Headers, now: datetime | None, status: int | None) -> Failure:
    spent = verdict.kind is Kind.USAGE_LIMIT
    resets_at = refusals.resets_at(said, headers, now) if spent and now is not None else None
    wait = _wait(verdict, said, headers, now, resets_at)
    details: dict[str, JSON] = {}
    if spent and (plan := word(said.raw.get("plan_type"))):
        details["plan_type"] = plan
    if resets_at is not None and now is not None:
        details |= {"resets_at": int(resets_at.timestamp()), "resets_in_seconds": _seconds(now, resets_at)}
    return Failure(
        kind=verdict.kind,
        status=verdict.status,
        code=verdict.code or said.code or (said.type if verdict.kind is not Kind.REQUEST else None),
        type=verdict.type or said.type or "server_error",
        message=verdict.message or said.message or _UNSAID.get(verdict.kind, "The upstream refused."),
        operator=_operator(said, headers, status),
        param="model" if verdict.kind is Kind.MODEL else said.param,
        permanent=verdict.permanent,
        retry_after=wait,
        resets_at=resets_at,
        details=details,
    )


def _wait(verdict: Verdict, said: Refusal, headers: Headers, now: datetime | None, resets_at: datetime | None) -> int | None:
    """Seconds; always there where trying again makes sense, but for a spent account that doesn't say when."""
    if verdict.permanent:
        return None
    if verdict.kind is Kind.USAGE_LIMIT:
        return max(1, _seconds(now, resets_at)) if resets_at is not None and now is not None else None
    return retry_after(headers, said.message, now) or SOON_SECONDS


def _seconds(now: datetime, then: datetime) -> int:
    return max(0, math.ceil((then - now).total_seconds()))


def _operator(said: Refusal, headers: Headers, status: int | None) -> str:
    traces = ((name, word(headers.get(name))) for name in ("x-request-id", "cf-ray", "x-openai-authorization-error"))
    told = [
        f"HTTP {status}" if status is not None else "failed event",
        *said.words,
        *(f"{name} {value}" for name, value in traces if value),
    ]
    return f"{', '.join(told)}: {said.message or 'no message'}"
