"""What the official client asks of its own service, for one that is pointed at the gateway as if signed in there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from floway.providers.codex.protocol import constants as names
from floway.providers.codex.protocol.upstream_text import word
from floway.providers.contract import DialectAction, DialectRoute
from floway.wire.headers import Headers
from floway.wire.json import JSON

_BASE = "backend-api"
_ACCOUNTS = f"{_BASE}/wham/accounts/check"
_USAGE = f"{_BASE}/wham/usage"
_UNNAMED = "floway"
_PLAN = "pro"


def _accounts(headers: Headers) -> JSON:
    """The account that the client believes to be its own, usable, and served where it was asked for."""
    account = word(headers.get(names.ACCOUNT_ID)) or _UNNAMED
    return {
        "accounts": [
            {
                "id": account,
                "name": None,
                "structure": "personal",
                "plan_type": _PLAN,
                "is_deactivated": False,
                "can_access_with_session": True,
                "is_fedramp_compliant_workspace": False,
                "workspace_backend_origin": "NO_CONSTRAINT",
                "account_routing_override": "NO_CONSTRAINT",
            }
        ],
        "account_ordering": [account],
        "default_account_id": account,
    }


def _usage(_: Headers) -> JSON:
    """No limits: those of the gateway's logins are its operator's to know."""
    limit = {"allowed": True, "limit_reached": False, "primary_window": None, "secondary_window": None}
    return {"plan_type": _PLAN, "rate_limit": limit, "additional_rate_limits": None, "credits": None}


DOCUMENTS: Mapping[str, Callable[[Headers], JSON]] = MappingProxyType({_ACCOUNTS: _accounts, _USAGE: _usage})

ROUTES = (
    DialectRoute(f"{_BASE}/codex/responses", DialectAction.RESPONSES),
    DialectRoute(f"{_BASE}/codex/responses/compact", DialectAction.COMPACT),
    DialectRoute(f"{_BASE}/codex/models", DialectAction.MODELS),
    *(DialectRoute(path, DialectAction.DOCUMENT) for path in DOCUMENTS),
)
