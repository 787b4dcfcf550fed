"""Which addresses a message of the gateway's own may go to: never those that a machine keeps for itself."""

from __future__ import annotations

import ipaddress

# Addresses under which clouds answer their own machines; the link-local ones are denied as such.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)


def is_address(host: str) -> bool:
    """Is this the host of a URL by number, not by name?"""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def may_be_reached(address: str, *, loopback_only: bool) -> bool:
    """Is this IP address one to send to? Not link-local, not a metadata service, not multicast or unspecified.

    :param loopback_only: what goes out unencrypted stays on this machine.
    """
    try:
        ip = _plain(address)
    except ValueError:
        return False
    if ip.is_loopback:
        return True
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    return not loopback_only


def may_be_proxy(address: str, *, local: bool) -> bool:
    """Is this IP address one that a proxy may have? Like any that may be reached, but on this machine only if `local`."""
    return may_be_reached(address, loopback_only=False) and (local or not _plain(address).is_loopback)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """:raises ValueError: it is no address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None) or parsed
