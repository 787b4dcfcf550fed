"""Logins of the operator's: what they are, their live tokens, and what belongs to each."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class CredentialQuerySet(models.QuerySet["OAuthCredential"]):
    """Questions about credentials."""

    def usable(self) -> CredentialQuerySet:
        """Those that a request may be sent with: active, or held until a moment that has passed on the database's clock."""
        state = OAuthCredential.State
        return self.filter(Q(state=state.ACTIVE) | Q(state__in=state.timed(), state_until__lte=Now()))

    def refreshable(self) -> CredentialQuerySet:
        """Those whose tokens are kept fresh: all but the dead and the switched off."""
        state = OAuthCredential.State
        return self.exclude(state__in=[state.NEEDS_SIGN_IN, state.DISABLED])

    def of_provider(self, slug: str) -> CredentialQuerySet:
        """Those of one provider."""
        return self.filter(provider=slug)


class OAuthCredential(models.Model):
    """One login of the operator's with a provider. Its tokens are in `CredentialTokens`.

    `state_until` is when a timed state lapses; `resets_at` is when the provider says that a spent account
    is usable, null where it is not spent; `probe_until` is the lease of whoever tries first.
    """

    class State(models.TextChoices):
        """What the gateway may do with it."""

        ACTIVE = "active", "active"
        RATE_LIMITED = "rate_limited", "rate limited"
        EDGE_BLOCKED = "edge_blocked", "blocked at the edge"
        NEEDS_SIGN_IN = "needs_sign_in", "needs sign-in"
        DISABLED = "disabled", "disabled by an operator"

        @classmethod
        def timed(cls) -> tuple[OAuthCredential.State, ...]:
            """Those that lapse by the clock, at the credential's `state_until`."""
            return (cls.RATE_LIMITED, cls.EDGE_BLOCKED)

    provider = models.CharField(max_length=64)
    subject = models.CharField(max_length=255, help_text="What makes two imports the same login.")
    label = models.CharField(max_length=100, blank=True, help_text="Your own name for it.")
    email = models.CharField(max_length=254, blank=True)
    account_id = models.CharField(max_length=128, blank=True)
    user_id = models.CharField(max_length=128, blank=True)
    plan = models.CharField(max_length=64, blank=True)
    openai_device_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False, verbose_name="device id")
    document_rest = models.JSONField(default=dict, blank=True, help_text="What else an import said, without its secrets.")
    state = models.CharField(max_length=32, choices=State, default=State.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    state_until = models.DateTimeField(null=True, help_text="When a timed state lapses.")
    hold_seconds = models.PositiveIntegerField(
        default=0, db_default=0, help_text="The last hold, until something succeeds; the next one is longer."
    )
    resets_at = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True)
    quota_polled_at = models.DateTimeField(null=True)
    rank = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Its place in the pool: the lowest comes first. Equal ones by age."
    )
    weight = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="Its share of new conversations under the policy of weights; 0 for none."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    imported_at = models.DateTimeField(default=timezone.now)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "subject"], name="credential_once_per_login"),
        ]
        ordering: ClassVar = ["id"]
        permissions: ClassVar = [("export_oauthcredential", "Can export credential with its tokens")]
        verbose_name = "credential"

    def __str__(self) -> str:
        return self.label or self.email or self.account_id or f"credential {self.pk}"

    def become(
        self,
        state: OAuthCredential.State,
        reason: str,
        *,
        until: datetime | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        """Change state, with the reason and since when, and until when if it is a timed one; not saved."""
        self.state, self.state_reason, self.state_since, self.state_until = state, reason[:500], timezone.now(), until
        self.resets_at, self.probe_until = resets_at, None

    def enter(
        self,
        state: OAuthCredential.State,
        reason: str,
        *,
        until: datetime | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        """`become`, and save just that."""
        self.become(state, reason, until=until, resets_at=resets_at)
        columns = ["state", "state_reason", "state_since", "state_until", "hold_seconds", "resets_at", "probe_until"]
        self.save(update_fields=columns)

    def standing(self, now: datetime) -> OAuthCredential.State:
        """Its state at `now`: a timed one that has lapsed counts as active."""
        state = OAuthCredential.State(self.state)
        lapsed = state in state.timed() and self.state_until is not None and self.state_until <= now
        return OAuthCredential.State.ACTIVE if lapsed else state


class CredentialTokens(models.Model):
    """The live tokens of one credential, sealed, and the lease under which they are refreshed.

    `refresh_fingerprint` is a keyed hash of the refresh token: the compare of the compare-and-swap. `exchange_began_at` is set,
    with the lease, before that token is sent, and emptied when the outcome is known: where it stands without a lease, nobody
    knows whether the token was used up.
    """

    credential = models.OneToOneField(OAuthCredential, models.CASCADE, primary_key=True, related_name="tokens")
    access_token = models.BinaryField()
    refresh_token = models.BinaryField()
    id_token = models.BinaryField()
    refresh_fingerprint = models.BinaryField(max_length=32)
    access_expires_at = models.DateTimeField(null=True)
    refreshed_at = models.DateTimeField(null=True)
    lease_holder = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    exchange_began_at = models.DateTimeField(null=True)
    refresh_failure = models.CharField(max_length=500, blank=True, default="", db_default="")
    refresh_failures = models.PositiveIntegerField(default=0, db_default=0)
    retry_refresh_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "tokens of a credential"
        verbose_name_plural = "tokens of credentials"

    def __str__(self) -> str:
        return f"tokens of credential {self.pk}"


class CredentialProxy(models.Model):
    """What all traffic of a credential goes through: its URL, sealed, and as much of it as helps to tell it from others."""

    credential = models.OneToOneField(OAuthCredential, models.CASCADE, primary_key=True, related_name="proxy")
    sealed = models.BinaryField()
    shown = models.CharField(max_length=300)

    class Meta:
        verbose_name = "proxy of a credential"
        verbose_name_plural = "proxies of credentials"

    def __str__(self) -> str:
        return self.shown


class CredentialFacts(models.Model):
    """What a provider has found out about an account, in words of its own; `problem` says why it must not be used."""

    credential = models.OneToOneField(OAuthCredential, models.CASCADE, primary_key=True, related_name="facts")
    document = models.JSONField(null=True)
    problem = models.CharField(max_length=500, blank=True)
    fetched_at = models.DateTimeField()

    class Meta:
        verbose_name = "facts of a credential"
        verbose_name_plural = "facts of credentials"

    def __str__(self) -> str:
        return f"facts of credential {self.pk}"


class ModelCatalogue(models.Model):
    """The last catalogue a credential's account answered with; served while a newer one is fetched."""

    credential = models.OneToOneField(OAuthCredential, models.CASCADE, primary_key=True, related_name="catalogue")
    document = models.JSONField()
    fetched_at = models.DateTimeField()
    refreshing_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"catalogue of credential {self.pk}"
