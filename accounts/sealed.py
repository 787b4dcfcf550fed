"""The sealed columns of this app, for the rotation of keys."""

from __future__ import annotations

from accounts import proxies, second_factor, signing_in
from accounts.models import CredentialProxy, CredentialTokens, PendingSignIn, SecondFactor
from accounts.tokens import owner_of
from floway.resealing import SealedColumn

COLUMNS = [
    SealedColumn(CredentialTokens, name, purpose=name, known_by=("pk",), owner=owner_of)
    for name in ("access_token", "refresh_token", "id_token")
]
COLUMNS.append(SealedColumn(CredentialProxy, "sealed", purpose=proxies.PURPOSE, known_by=("pk",), owner=owner_of))
COLUMNS.append(SealedColumn(PendingSignIn, "sealed", purpose=signing_in.PURPOSE, known_by=("pk",), owner=str))
COLUMNS.append(SealedColumn(SecondFactor, "sealed", purpose=second_factor.PURPOSE, known_by=("pk",), owner=str))
