"""Which credential serves a request."""

from __future__ import annotations

from accounts.models import OAuthCredential
from floway.wire.errors import Unavailable

_RETRY_AFTER_SECONDS = 60


def choose(provider: str, preferred: int | None) -> OAuthCredential:
    """The preferred credential where it is usable, else the oldest usable one; its tokens are joined.

    :param preferred: the one that the conversation has run on, for only it can read what it encrypted.
    :raises Unavailable: none is usable.
    """
    usable = list(OAuthCredential.objects.usable().of_provider(provider).select_related("tokens").order_by("pk"))
    if not usable:
        raise Unavailable(
            "The gateway has no usable login for this request; its operator must sign in.", retry_after=_RETRY_AFTER_SECONDS
        )
    return next((credential for credential in usable if credential.pk == preferred), usable[0])
