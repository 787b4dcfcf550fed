"""From which address a request came, through the proxies that the operator trusts and no others."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings


def address_of(meta: Mapping[str, Any]) -> str:
    """The peer's address, or what trusted proxies say, the nearest first; "" on a Unix socket.

    :param meta: the request's WSGI environment.
    """
    found = str(meta.get("REMOTE_ADDR") or "")
    for hop in reversed(str(meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")):
        if not _is_trusted(found) or _parsed(hop) is None:
            break
        found = str(_parsed(hop))
    return found


def _is_trusted(address: str) -> bool:
    ip = _parsed(address)
    return ip is not None and any(
        ip in network for network in settings.FLOWAY_TRUSTED_NETWORKS if network.version == ip.version
    )


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
