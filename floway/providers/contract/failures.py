"""What may go wrong at a provider's, and whose fault it is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from floway.wire.json import JSONObject


class FailureKind(enum.Enum):
    """Whose fault a refusal is, in the gateway's words: each member is a different thing to do."""

    REQUEST = "request"  # the caller's request; no other credential would answer differently
    MODEL = "model"  # no such model for this account
    ENCRYPTED_CONTENT = "encrypted_content"  # it carries ciphertext that this account cannot read
    STALE_TOKEN = "stale_token"  # noqa: S105 - refresh, then once more
    NEEDS_SIGN_IN = "needs_sign_in"  # the login is dead until a person signs in
    RATE_LIMITED = "rate_limited"  # slow down; the account is well
    USAGE_LIMIT = "usage_limit"  # spent until a reset
    FORBIDDEN = "forbidden"  # the account may not do this
    EDGE_BLOCKED = "edge_blocked"  # refused in front of the service, before the account was looked at
    OVERLOADED = "overloaded"  # the service has no room
    UPSTREAM = "upstream"  # anything else of theirs


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal, classified.

    :param status: HTTP status for an ordinary caller; an official client is told 400 for what is `permanent`, 429 apart.
    :param code, type, message, param: the envelope's fields; the message holds no upstream secrets and no HTML.
    :param details: further keys for the envelope's `error` object.
    :param permanent: the same request will fail again.
    :param retry_after: seconds; None where unknown.
    :param resets_at: when a spent account is usable again.
    :param operator: what the operator should know, ids of the upstream included.
    """

    kind: FailureKind
    status: int
    code: str | None
    type: str
    message: str
    operator: str
    param: str | None = None
    permanent: bool = False
    retry_after: int | None = None
    resets_at: datetime | None = None
    details: JSONObject = field(default_factory=dict)


class UpstreamCut(Exception):
    """The upstream's connection ended where it must not; `str` says how."""


class UpstreamUnreachable(Exception):
    """No answer was had at all: name, connect, TLS or proxy failure, or silence before the status line.

    :param sent: False where the request certainly never left.
    """

    def __init__(self, message: str = "", *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class UpstreamRefused(UpstreamUnreachable):
    """The upstream answered a question of the gateway's own with a refusal; `failure` says which."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.operator)
        self.failure = failure


class AccountUnusable(Exception):
    """What the upstream says of an account forbids its use; `str` tells the operator what."""


class RefreshRefused(Exception):
    """The authority answered a refresh with a refusal.

    :param terminal: no later try with this token can succeed: a person must sign in.
    :param code: the authority's own code, for the operator.
    :param kind: whose fault it is, where it may pass.
    """

    def __init__(self, code: str, message: str, *, terminal: bool, kind: FailureKind = FailureKind.UPSTREAM) -> None:
        super().__init__(message)
        self.kind = FailureKind.NEEDS_SIGN_IN if terminal else kind
        self.code = code
        self.message = message
        self.terminal = terminal


class ProviderRefused(Exception):
    """A provider will not prepare this request; the caller is told why in the public envelope."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
