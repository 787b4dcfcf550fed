"""What a provider offers the gateway and what it is given: frozen values and one protocol, naming no provider.

A turn goes *identify → claim → prepare → stream → settle*. Only a provider can read ids out of a request, only the gateway
numbers and stores. What a provider wants kept goes out as an opaque JSON value and comes back to the same provider only.
Hooks are pure but for the verbs that say they speak to the network; none of them keeps anything about a request between calls.
"""

from floway.providers.contract.accounts import Account, Grant, InvalidDocument, Proxy, TokenGrant
from floway.providers.contract.answers import Catalogue, Model, PromptCache, QuotaWindow, UpstreamResponse
from floway.providers.contract.dialect import DialectAction, DialectRoute
from floway.providers.contract.failures import (
    AccountUnusable,
    Failure,
    FailureKind,
    ProviderRefused,
    RefreshRefused,
    UpstreamCut,
    UpstreamRefused,
    UpstreamUnreachable,
)
from floway.providers.contract.provider import ResponsesProvider
from floway.providers.contract.requests import (
    Action,
    AnswerNotes,
    Change,
    ChangeKind,
    Entropy,
    IdentityClaim,
    Keepsake,
    Numbered,
    Opaque,
    PreparedRequest,
    RequestContext,
    ResolvedId,
    ResponsesRequest,
    ScopeStep,
    SnapshotContext,
    SnapshotNote,
    UpstreamRequest,
)
from floway.providers.contract.signing_in import NotYet, SignInField, SignInMethod, SignInRefused, SignInStart

__all__ = [
    "Account",
    "AccountUnusable",
    "Action",
    "AnswerNotes",
    "Catalogue",
    "Change",
    "ChangeKind",
    "DialectAction",
    "DialectRoute",
    "Entropy",
    "Failure",
    "FailureKind",
    "Grant",
    "IdentityClaim",
    "InvalidDocument",
    "Keepsake",
    "Model",
    "NotYet",
    "Numbered",
    "Opaque",
    "PreparedRequest",
    "PromptCache",
    "ProviderRefused",
    "Proxy",
    "QuotaWindow",
    "RefreshRefused",
    "RequestContext",
    "ResolvedId",
    "ResponsesProvider",
    "ResponsesRequest",
    "ScopeStep",
    "SignInField",
    "SignInMethod",
    "SignInRefused",
    "SignInStart",
    "SnapshotContext",
    "SnapshotNote",
    "TokenGrant",
    "UpstreamCut",
    "UpstreamRefused",
    "UpstreamRequest",
    "UpstreamResponse",
    "UpstreamUnreachable",
]
