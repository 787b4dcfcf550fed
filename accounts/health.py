"""How a credential is, in a word and a tone, and what its allowances say; read from its rows, never from its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import states
from accounts.models import CredentialTokens, OAuthCredential, QuotaReading
from floway import markup

_SEALED = ("access_token", "refresh_token", "id_token", "refresh_fingerprint", "lease_holder")

State = OAuthCredential.State
_TONES: Mapping[OAuthCredential.State, markup.Tone] = MappingProxyType(
    {State.NEEDS_SIGN_IN: "bad", State.DISABLED: "off", State.RATE_LIMITED: "warn", State.EDGE_BLOCKED: "warn"}
)
_WORDS = MappingProxyType(
    {
        State.NEEDS_SIGN_IN: "needs sign-in",
        State.DISABLED: "disabled",
        State.RATE_LIMITED: "rate limited",
        State.EDGE_BLOCKED: "blocked at the edge",
    }
)


@dataclass(frozen=True, slots=True)
class Health:
    """`reason` is empty where the word says it all; `advice` says what to do, `until` when it passes by itself."""

    tone: markup.Tone
    word: str
    reason: str
    advice: str = ""
    until: datetime | None = None

    @property
    def badge(self) -> SafeString:
        """The word in its tone."""
        return markup.badge(self.tone, self.word)


def looked_at() -> QuerySet[OAuthCredential]:
    """Credentials with all that the pages show, allowances and token times included; what is sealed stays in the database."""
    unsealed = OAuthCredential.objects.select_related("tokens", "proxy", "facts").defer(
        *(f"tokens__{name}" for name in _SEALED), "proxy__sealed", "facts__document", "document_rest"
    )
    return unsealed.prefetch_related("quota")


def health(credential: OAuthCredential, now: datetime) -> Health:
    """How `credential` stands at `now`."""
    state = credential.standing(now)
    if state != OAuthCredential.State.ACTIVE:
        return Health(_TONES[state], _WORDS[state], credential.state_reason, states.ADVICE[state], _until(credential))
    if tokens(credential) is None:
        return Health("bad", "no tokens", "Import it again.")
    facts = getattr(credential, "facts", None)
    if facts is not None and facts.problem:
        return Health("bad", "must not be used", facts.problem)
    spent = [reading for reading in _standing(credential, now) if reading.used_percent >= 100]
    if spent:
        return Health("warn", "allowance spent", ", ".join(f"{reading.limit} {reading.window}" for reading in spent))
    return Health("ok", "usable", credential.state_reason)


def _until(credential: OAuthCredential) -> datetime | None:
    return credential.state_until if credential.state in OAuthCredential.State.timed() else None


def tokens(credential: OAuthCredential) -> CredentialTokens | None:
    """Its row of tokens, for their times."""
    try:
        return credential.tokens
    except CredentialTokens.DoesNotExist:
        return None


def _standing(credential: OAuthCredential, now: datetime) -> Sequence[QuotaReading]:
    return [reading for reading in credential.quota.all() if reading.resets_at is None or reading.resets_at > now]


def allowance(reading: QuotaReading, now: datetime) -> SafeString:
    """One allowance as it was last told: its name, a meter, the figure, and when it is filled up again."""
    name = f"{reading.limit} {reading.window}"
    length = markup.span(timedelta(minutes=reading.minutes)) if reading.minutes else ""
    word = "resets" if reading.resets_at and reading.resets_at > now else "was reset"
    return format_html(
        '<span class="name">{} <small>{}</small></span> {} <span class="n">{}\u202f%</span> <small>{}</small>',
        markup.clean(name),
        length,
        markup.meter(reading.used_percent, f"{name}: used"),
        f"{reading.used_percent:.0f}",
        format_html("{} {}", word, markup.relative(reading.resets_at, now)) if reading.resets_at else "",
    )
