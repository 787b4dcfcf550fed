"""Payload capture: what an exchange consisted of, kept whole for a key that asks for it, sealed, for a day or so.

Off, which is how keys are, it is not there at all. What is kept is bounded: each part is cut, and says so. Keeping it is no
reason to fail a turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
import zstandard
from django.conf import settings
from django.db import Error, connection, transaction

from floway.providers.contract import Account, UpstreamRequest, UpstreamResponse
from floway.sealing import seal_content, unseal_content
from floway.wire.errors import ApiError
from floway.wire.headers import SECRET, HeaderLine, Headers
from floway.wire.json import JSONObject
from responses_app.acceptance import Call
from responses_app.models import Conversation, Exchange, Payload

log = logging.getLogger(__name__)

PURPOSE = "payload"
LARGEST_PART = 1024 * 1024
_MOST_PARTS = 12
_LEFT_OUT = "(left out)"
_BATCH = 100


@dataclass(slots=True)
class Part:
    """One message of an exchange.

    :param head: its first line and its headers, secrets left out. :param size: of the whole body, in bytes, cut or not.
    """

    title: str
    head: list[str]
    body: bytearray = field(default_factory=bytearray, repr=False)
    size: int = 0

    def add(self, data: bytes) -> None:
        """More of the body, as far as there is room."""
        self.size += len(data)
        self.body += data[: LARGEST_PART - len(self.body)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A part as it is read again."""

    title: str
    head: list[str]
    text: str = field(repr=False)
    size: int
    cut: bool


class Capture:
    """What one turn consists of, as it comes to be."""

    def __init__(self, call: Call) -> None:
        self._parts = [Part("Asked by the caller", ["POST", *_lines(call.headers)])]
        self._parts[0].add(orjson.dumps(call.body))
        self._told = Part("Answered to the caller", [])
        self._at = call.started_at

    def sent(self, request: UpstreamRequest, account: Account) -> None:
        """One dispatch begins."""
        part = Part("Sent upstream", [f"{request.method} {request.url}", *_lines(request.headers, account.access_token)])
        part.add(_plain(request))
        self._keep(part)

    def overheard(self, upstream: UpstreamResponse) -> UpstreamResponse:
        """Its answer, which reads as it would."""
        part = Part("Answered by the upstream", [str(upstream.status), *_lines(upstream.headers)])
        self._keep(part)
        return Overheard(upstream, part)

    def _keep(self, part: Part) -> None:
        if len(self._parts) < _MOST_PARTS:
            self._parts.append(part)

    def refused(self, error: ApiError) -> None:
        """The answer was an error."""
        self._told.head = [str(error.http_status)]
        self._told.add(orjson.dumps(error.envelope()))

    def streamed(self, pieces: Iterator[bytes], exchange: Exchange) -> Generator[bytes, None, None]:
        """The pieces of a streamed answer, as they are."""
        self._told.head = ["200", "content-type: text/event-stream"]
        try:
            for piece in pieces:
                self._told.add(piece)
                yield piece
        finally:
            if isinstance(pieces, Generator):
                pieces.close()
            self.write(exchange)

    def whole(self, answer: Callable[[], JSONObject], exchange: Exchange) -> JSONObject:
        """The answer in one piece, as it is.

        :raises ApiError: as `answer` does.
        """
        try:
            told = answer()
            self._told.head = ["200"]
            self._told.add(orjson.dumps(told))
        except ApiError as error:
            self.refused(error)
            raise
        else:
            return told
        finally:
            self.write(exchange)

    def write(self, exchange: Exchange) -> None:
        """Keep it beside its exchange, which is written already; what cannot be kept is lost."""
        parts = [
            {"title": part.title, "head": part.head, "text": part.body.decode("utf-8", "backslashreplace"), "size": part.size}
            for part in (*self._parts, self._told)
        ]
        try:
            sealed = seal_content(orjson.dumps(parts), purpose=PURPOSE, owner=str(exchange.pk))
            with transaction.atomic():
                if _is_wanted(exchange):
                    Payload.objects.create(exchange_id=exchange.pk, sealed=sealed, captured_at=self._at)
        except Error:
            log.exception("exchange %s: its payload could not be kept", exchange.request_id)
        finally:
            connection.close()


def _is_wanted(exchange: Exchange) -> bool:
    """Was its conversation not purged since? Locked, in the open transaction: a purge waits, and finds what is kept."""
    if exchange.conversation_id is None:
        return True
    lines = Conversation.objects.select_for_update(no_key=True).filter(pk=exchange.conversation_id, purge=None)
    return bool(lines.values_list("pk"))


class Overheard:
    """An upstream's answer that is written down as it is read. See `UpstreamResponse`."""

    def __init__(self, upstream: UpstreamResponse, part: Part) -> None:
        self.status = upstream.status
        self.headers = upstream.headers
        self._upstream = upstream
        self._part = part

    def read(self, timeout: float) -> bytes:
        """See UpstreamResponse."""
        data = self._upstream.read(timeout)
        self._part.add(data)
        return data

    def read_all(self, limit: int, timeout: float) -> bytes:
        """See UpstreamResponse."""
        data = self._upstream.read_all(limit, timeout)
        self._part.add(data)
        return data

    def close(self, *, heard_out: bool = False) -> None:
        """See UpstreamResponse."""
        self._upstream.close(heard_out=heard_out)


def begin(call: Call) -> Capture | None:
    """A capture, if the key wants one now."""
    return Capture(call) if call.key.captures(call.started_at) else None


def parts_of(payload: Payload) -> list[Shown]:
    """What was captured. :raises floway.sealing.CannotUnseal: it cannot be read."""
    found = orjson.loads(unseal_content(payload.sealed, purpose=PURPOSE, owner=str(payload.exchange_id)))
    return [Shown(part["title"], part["head"], part["text"], part["size"], cut=part["size"] > LARGEST_PART) for part in found]


def forget_old(now: datetime) -> int:
    """Delete what is older than FLOWAY_CAPTURE_HOURS, some at a time; how many there were."""
    before, deleted = now - timedelta(hours=settings.FLOWAY_CAPTURE_HOURS), 0
    while old := list(Payload.objects.filter(captured_at__lt=before).values_list("pk", flat=True)[:_BATCH]):
        with transaction.atomic():
            deleted += Payload.objects.filter(pk__in=old).delete()[0]
    return deleted


def _lines(headers: Iterable[HeaderLine], token: str = "") -> list[str]:
    return [f"{name}: {_LEFT_OUT if _is_secret(name, value, token) else value}" for name, value in headers]


def _is_secret(name: str, value: str, token: str) -> bool:
    return name.lower() in SECRET or bool(token and token in value)


def _plain(request: UpstreamRequest) -> bytes:
    """The body, as far as it can be kept, inflated to be read."""
    if Headers(request.headers).get("content-encoding") != "zstd":
        return request.body
    with zstandard.ZstdDecompressor().stream_reader(request.body) as reader:
        return reader.read(LARGEST_PART + 1)
