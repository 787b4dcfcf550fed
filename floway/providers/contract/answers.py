"""What an upstream answers with: a stream, models, quotas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from floway.wire.headers import Headers
from floway.wire.json import JSON


class UpstreamResponse(Protocol):
    """An answer whose body is still arriving."""

    status: int
    headers: Headers

    def read(self, timeout: float) -> bytes:
        """The next bytes of the body, decoded from its framing, as soon as any are there; b"" at its clean end.

        :param timeout: seconds to wait for the first byte.
        :raises TimeoutError: nothing came in time; reading may go on.
        :raises floway.providers.contract.UpstreamCut: the connection ended inside the body.
        """

    def read_all(self, limit: int, timeout: float) -> bytes:
        """The rest of a small body, cut at `limit` bytes; what came until an error or the timeout counts."""

    def close(self, *, heard_out: bool = False) -> None:
        """Let go of it. A body read to its end leaves its connection reusable; any other closes it.

        :param heard_out: the body has said all it has to say, so that its connection may be kept until its end has come too.
        """


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a catalogue, in the public API's terms; `created` is Unix seconds."""

    id: str
    created: int
    owned_by: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models an account may use.

    :param dialect_query: the query parameter by which official clients ask for `dialect_body`, not for the public list.
    :param etag: of the dialect's body.
    """

    models: tuple[Model, ...]
    dialect_query: str | None = None
    dialect_body: JSON = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """How much of one allowance is used.

    :param limit: which allowance, in the provider's words. :param window: which of its windows.
    :param used_percent: 0 to 100 and beyond. :param minutes: the window's length, None if not told.
    """

    limit: str
    window: str
    used_percent: float
    minutes: int | None
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class PromptCache:
    """How an upstream keeps the beginnings of prompts, as far as it says so; pages explain by it why one was not found.

    :param smallest: tokens; a shorter beginning is not kept. :param step: tokens; it is found in multiples of these.
    :param kept: after its last use it is there for at least so long, :param longest: and for no longer than this.
    """

    smallest: int
    step: int
    kept: timedelta
    longest: timedelta
