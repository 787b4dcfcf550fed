"""Posts a signed message to the operator's webhook: https, or loopback; no redirects, no proxy, no cookies worth having."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings

from floway import transport
from floway.addresses import is_address, may_be_reached
from floway.providers.contract import UpstreamRequest, UpstreamUnreachable
from floway.wire.json import JSONObject, dumps

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 20


class NotDelivered(Exception):
    """The receiver did not say that it has it; `str` says why."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 in hex over `timestamp.body`."""
    return hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def post(message: JSONObject, *, delivery: str, now: datetime) -> None:
    """Deliver `message` to FLOWAY_WEBHOOK_URL.

    :param delivery: the message's id, the same each time it is tried.
    :raises NotDelivered: anything but a 2xx.
    """
    url = str(settings.FLOWAY_WEBHOOK_URL)
    body, timestamp = dumps(message), int(now.timestamp())
    headers = (
        ("Host", urlsplit(url).netloc),
        ("User-Agent", "floway"),
        ("Content-Type", "application/json"),
        ("X-Floway-Delivery", delivery),
        ("X-Floway-Timestamp", str(timestamp)),
        ("X-Floway-Signature", f"v1={signature(settings.FLOWAY_WEBHOOK_SECRET, timestamp, body)}"),
        ("Content-Length", str(len(body))),
    )
    plain, host = url.startswith("http:"), urlsplit(url).hostname or ""
    if is_address(host) and not may_be_reached(host, loopback_only=plain):
        raise NotDelivered("an address that must not be called")
    try:
        with transport.reaching(lambda address: may_be_reached(address, loopback_only=plain)):
            answer = transport.send(
                UpstreamRequest("POST", url, headers, body),
                session="webhook",
                connect_timeout=_CONNECT_SECONDS,
                answer_timeout=_ANSWER_SECONDS,
            )
    except UpstreamUnreachable as error:
        raise NotDelivered(str(error)) from error
    status = answer.status
    answer.close()
    if not 200 <= status < 300:
        raise NotDelivered(f"HTTP {status}")
