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
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    ip = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None) or parsed
    if ip.is_loopback:
        return True
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    return not loopback_only
