"""Workspace routing: which origin serves an account, as `accounts/check` says it and as the environment allows it.

Two checks, not one: an answer is judged when it comes, and the facts kept of it are judged again whenever a request is
addressed, because what a database holds shall not decide where a bearer token goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from floway.providers.codex.protocol.upstream_text import sentence
from floway.providers.contract import AccountUnusable
from floway.wire.json import JSON, InvalidJSON, JSONObject, loads

UNCONSTRAINED = "NO_CONSTRAINT"
_OVERRIDES = frozenset({UNCONSTRAINED, "us", "us_cr"})


@dataclass(frozen=True, slots=True)
class Routing:
    """:param origin: `https://host`, None for the configured one. :param override: the header's value, None for no header."""

    origin: str | None = None
    override: str | None = None

    def facts(self) -> dict[str, JSON]:
        """What the gateway keeps; `known` undoes it."""
        return {"origin": self.origin, "override": self.override}


def read(body: bytes, account_id: str, allowed: Sequence[str]) -> Routing | None:
    """The routing of one account in an answer of `accounts/check`; None where the answer is no such thing.

    :raises AccountUnusable: the account isn't in it, or its routing cannot be honoured.
    """
    try:
        answer = loads(body)
    except InvalidJSON:
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("accounts"), list | dict):
        return None
    entry = next((entry for entry in _entries(answer["accounts"]) if account_id in _ids(entry)), None)
    if entry is None:
        raise AccountUnusable("Workspace routing: the upstream does not list this account.")
    routing = Routing(_origin(entry.get("workspace_backend_origin")), _override(entry.get("account_routing_override")))
    check(routing, allowed)
    return routing


def _entries(accounts: JSON) -> Iterator[JSONObject]:
    """As a list of accounts, or as a map of `{"account": …}`: clients read both."""
    for entry in accounts.values() if isinstance(accounts, dict) else accounts:
        inner = entry.get("account", entry) if isinstance(entry, dict) else None
        if isinstance(inner, dict):
            yield inner


def _ids(entry: JSONObject) -> set[JSON]:
    return {value for value in (entry.get("id"), entry.get("account_id")) if isinstance(value, str)}


def _origin(stated: JSON) -> str | None:
    if stated == UNCONSTRAINED:
        return None
    if not isinstance(stated, str) or not stated:
        raise AccountUnusable("Workspace routing: the upstream names no backend origin for this account.")
    return stated.removesuffix("/")


def _override(stated: JSON) -> str | None:
    if not isinstance(stated, str) or stated not in _OVERRIDES:
        raise AccountUnusable(f"Workspace routing: unknown routing override {sentence(stated) or 'none'!r}.")
    return None if stated == UNCONSTRAINED else stated


def known(facts: JSON, allowed: Sequence[str]) -> Routing:
    """The routing that was discovered earlier; none where nothing was.

    :raises AccountUnusable: it cannot be honoured, or not any more.
    """
    if facts is None:
        return Routing()
    origin, override = (facts.get("origin"), facts.get("override")) if isinstance(facts, dict) else ("", "")
    if not isinstance(origin, str | None) or override not in (None, *_OVERRIDES):
        raise AccountUnusable("Workspace routing: what was kept of it cannot be read.")
    routing = Routing(origin, override)
    check(routing, allowed)
    return routing


def check(routing: Routing, allowed: Sequence[str]) -> None:
    """Is its origin plain https, and allowed? `allowed` holds hosts; one that begins with a dot stands for its subdomains too.

    :raises AccountUnusable: it isn't; names it.
    """
    if routing.origin is not None and not _is_allowed(routing.origin, allowed):
        raise AccountUnusable(
            f"Workspace routing: the upstream wants this account served by {sentence(routing.origin) or 'an odd origin'}, "
            "which is no https origin that the environment allows."
        )


def _is_allowed(origin: str, allowed: Sequence[str]) -> bool:
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = origin in {f"https://{host}", f"https://{host}:{port}"} and port in {None, 443}
    return plain and any(host == entry.lstrip(".") or (entry.startswith(".") and host.endswith(entry)) for entry in allowed)


def base_url(configured: str, routing: Routing) -> str:
    """Where turns of the account go. A configured loopback stays itself: it is no part of any workspace."""
    parts = urlsplit(configured)
    if routing.origin is None or parts.scheme != "https":
        return configured
    return f"{routing.origin}{parts.path}"
