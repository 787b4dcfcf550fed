"""The proxy of a credential: what it may be, how it is kept, and that there is no way round it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import CredentialProxy, OAuthCredential
from floway.addresses import is_address, may_be_proxy
from floway.providers.contract import Proxy
from floway.sealing import seal_text, unseal_text

PURPOSE = "proxy"
_LONGEST_URL = 1000


class InvalidProxy(ValueError):
    """A text that names no proxy that may be used; `str` says why without quoting it."""


def of(credential: OAuthCredential) -> Proxy | None:
    """The credential's proxy, None where it has none. What is there and cannot be read is an error, never "none".

    :raises CannotUnseal: see `floway.sealing`.
    """
    try:
        row = credential.proxy
    except CredentialProxy.DoesNotExist:
        return None
    url = unseal_text(row.sealed, purpose=PURPOSE, owner=_owner(credential.pk))
    return Proxy(url, local=settings.FLOWAY_ALLOW_LOCAL_PROXY)


def of_renewed(credential: OAuthCredential | None) -> Proxy | None:
    """The proxy that a sign-in goes through: that of the login it renews, none for a new one."""
    return None if credential is None else of(credential)


def keep(credential: OAuthCredential, url: str) -> None:
    """From the next request on all traffic of the credential goes through `url`; an empty one takes the proxy away.

    :raises InvalidProxy: it can be none.
    """
    if url:
        sealed = seal_text(checked(url), purpose=PURPOSE, owner=_owner(credential.pk))
        CredentialProxy.objects.update_or_create(credential=credential, defaults={"sealed": sealed, "shown": masked(url)})
    else:
        CredentialProxy.objects.filter(credential=credential).delete()


def checked(url: str) -> str:
    """`url`, if a proxy may be called that. Names are judged again by their address, whenever one is connected to.

    :raises InvalidProxy: it may not.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidProxy("This is no URL.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidProxy("A proxy's URL begins with http:// or https:// and names a host.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise InvalidProxy("A proxy's URL has no path, query or fragment.")
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidProxy("A proxy's URL is printable ASCII; write other characters of a password as %XX.")
    if not _may_stand_at(host):
        raise InvalidProxy("No proxy may stand at this address; one on this machine needs FLOWAY_ALLOW_LOCAL_PROXY.")
    return url


def _may_stand_at(host: str) -> bool:
    local = settings.FLOWAY_ALLOW_LOCAL_PROXY
    if host == "localhost" or host.endswith(".localhost"):
        return bool(local)
    return not is_address(host) or may_be_proxy(host, local=local)


def masked(url: str) -> str:
    """The URL without what is secret in it."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{'…@' if parts.username or parts.password else ''}{host}{f':{parts.port}' if parts.port else ''}"


def _owner(credential_id: int) -> str:
    return f"credential:{credential_id}"
