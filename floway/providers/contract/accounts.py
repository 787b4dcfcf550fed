"""A login as a provider sees it, and what a provider hands back for keeping."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from floway.wire.json import JSON, JSONObject


@dataclass(frozen=True, slots=True)
class Proxy:
    """What all traffic of a credential goes through; nothing goes round it.

    :param url: http or https, user and password included. :param local: it may stand on this machine.
    """

    url: str = field(repr=False)
    local: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A frozen view of one credential, tokens included, for one dispatch.

    :param facts: what `discover` said of it, opaque to the gateway; None before that.
    """

    credential_id: int
    account_id: str
    user_id: str
    email: str
    plan: str
    device_id: str
    access_token: str = field(repr=False)
    access_expires_at: datetime | None = None
    extras: JSONObject = field(default_factory=dict, repr=False)
    facts: JSON = None
    proxy: Proxy | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Fresh tokens. A None among them means the old one stays."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    access_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A login, read from an imported document.

    :param subject: what makes two imports the same login; unique per provider.
    :param device_id: the document's own device id where it has a valid one (UUIDv4 text), else None.
    :param rest: what else the document says, free of secrets.
    """

    subject: str
    email: str
    account_id: str
    user_id: str
    plan: str
    tokens: TokenGrant
    device_id: str | None = None
    rest: JSONObject = field(default_factory=dict)


class InvalidDocument(ValueError):
    """An imported document is not a login; `str` says why without quoting it."""
