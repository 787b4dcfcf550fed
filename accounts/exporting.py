"""A login as the document it could be imported from again, tokens in the clear: for a backup, on a person's express wish."""

from __future__ import annotations

from accounts import tokens
from accounts.models import OAuthCredential
from floway.providers import registry
from floway.providers.contract import Account
from floway.wire.json import JSONObject


def export_credential(credential: OAuthCredential) -> JSONObject:
    """The document.

    :raises CannotUnseal: its tokens cannot be read with the keys that are configured.
    """
    row = credential.tokens
    grant = tokens.kept(row)
    account = Account(
        credential_id=credential.pk,
        account_id=credential.account_id,
        user_id=credential.user_id,
        email=credential.email,
        plan=credential.plan,
        device_id=str(credential.openai_device_id),
        access_token=grant.access_token,
        access_expires_at=grant.access_expires_at,
        extras=credential.document_rest,
    )
    return registry.get(credential.provider).export_credential(account, grant, row.refreshed_at)
