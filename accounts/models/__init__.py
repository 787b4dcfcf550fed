"""Who may call, and with what: credentials and their tokens, API keys and their secrets; and what keeps logins alive.

Tokens and secrets stand in rows of their own, so that nothing but sign-in, refresh and rotation ever writes them.
"""

from accounts.models.api_keys import ApiKey, ApiKeySecret
from accounts.models.credentials import (
    CredentialFacts,
    CredentialProxy,
    CredentialQuerySet,
    CredentialTokens,
    ModelCatalogue,
    OAuthCredential,
)
from accounts.models.limits import KeyBudget
from accounts.models.operator_tokens import OperatorPace, OperatorToken
from accounts.models.people import AuditEntry, GuessCount, RecoveryCode, RoleGrant, SecondFactor
from accounts.models.quota import Pool, QuotaReading, QuotaSample
from accounts.models.signing_in import PendingSignIn
from accounts.models.upkeep import EditionMark, KeyWitness, Notice, Upkeep

__all__ = [
    "ApiKey",
    "ApiKeySecret",
    "AuditEntry",
    "CredentialFacts",
    "CredentialProxy",
    "CredentialQuerySet",
    "CredentialTokens",
    "EditionMark",
    "GuessCount",
    "KeyBudget",
    "KeyWitness",
    "ModelCatalogue",
    "Notice",
    "OAuthCredential",
    "OperatorPace",
    "OperatorToken",
    "PendingSignIn",
    "Pool",
    "QuotaReading",
    "QuotaSample",
    "RecoveryCode",
    "RoleGrant",
    "SecondFactor",
    "Upkeep",
]
