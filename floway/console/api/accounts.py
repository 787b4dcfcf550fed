"""Credentials and API keys over the API: looked at, switched, limited, rotated. No token is ever told, a key's secret once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit, cooling, health, keys, quota, switching
from accounts.models import ApiKey, ApiKeySecret, KeyBudget, OAuthCredential, QuotaReading
from floway.console.api.base import Rows
from floway.providers import registry
from floway.providers.contract import UpstreamUnreachable
from floway.wire.errors import ApiError, UpstreamFailed

_LONGEST_GRACE_HOURS = 24 * 90


class QuotaRow(serializers.ModelSerializer[QuotaReading]):
    """One allowance, as last told."""

    class Meta:
        model = QuotaReading
        fields = ("limit", "window", "minutes", "used_percent", "resets_at", "observed_at")


class CredentialRow(serializers.ModelSerializer[OAuthCredential]):
    """A login, without anything secret. `state` is how it stands now."""

    state = serializers.SerializerMethodField()
    quota = QuotaRow(many=True, read_only=True)
    access_token_expires_at = serializers.SerializerMethodField()

    class Meta:
        model = OAuthCredential
        fields = (
            *("id", "provider", "label", "email", "plan", "account_id", "state", "state_reason", "state_since", "state_until"),
            *("resets_at", "rank", "weight", "access_token_expires_at", "quota", "created_at", "imported_at"),
        )

    def get_state(self, row: OAuthCredential) -> str:
        """A timed state that has lapsed is over."""
        return str(row.standing(timezone.now()))

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_access_token_expires_at(self, row: OAuthCredential) -> datetime | None:
        """Null where it is not known."""
        tokens = health.tokens(row)
        return tokens.access_expires_at if tokens else None


class Checked(serializers.Serializer[Any]):
    """What the provider told: `told` allowances, now in the credential's `quota`."""

    told = serializers.IntegerField()


@extend_schema(tags=["credentials"])
class Credentials(Rows):
    """Logins and how they stand."""

    queryset = OAuthCredential.objects.none()
    serializer_class = CredentialRow
    reads, writes = "accounts.view_oauthcredential", "accounts.change_oauthcredential"

    def get_queryset(self) -> QuerySet[OAuthCredential]:
        """Without anything sealed."""
        return health.looked_at()

    @extend_schema(request=None, responses=CredentialRow)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: str = "") -> Response:
        """Let requests use it again."""
        return self._switch(on=True)

    @extend_schema(request=None, responses=CredentialRow)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str = "") -> Response:
        """Let no new request use it."""
        return self._switch(on=False)

    def _switch(self, *, on: bool) -> Response:
        credential = self.get_object()
        if switching.switch(credential.pk, on=on, who=self.request.user.get_username()):
            audit.record("enabled" if on else "disabled", credential)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=None, responses=CredentialRow)
    @action(detail=True, methods=["post"])
    def clear(self, request: Request, pk: str = "") -> Response:
        """End its cool-down."""
        credential = self.get_object()
        if cooling.clear(credential.pk):
            audit.record("cool-down cleared", credential)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=None, responses=Checked)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str = "") -> Response:
        """Ask its provider what it has left."""
        credential = OAuthCredential.objects.select_related("tokens", "proxy").get(pk=self.get_object().pk)
        try:
            windows = quota.check(credential)
        except (ApiError, UpstreamUnreachable, OAuthCredential.tokens.RelatedObjectDoesNotExist) as error:
            audit.record("checked: no answer", credential)
            raise UpstreamFailed("The provider gave no answer.") from error
        audit.record("checked", credential)
        return Response({"told": len(windows)})


# --- keys -----------------------------------------------------------------------------------------------------------------


class SecretRow(serializers.ModelSerializer[ApiKeySecret]):
    """One secret of a key: as much of it as tells it from others."""

    class Meta:
        model = ApiKeySecret
        fields = ("prefix", "created_at", "expires_at", "last_used_at")


class BudgetRow(serializers.ModelSerializer[KeyBudget]):
    """So many requests or tokens in each minute, hour, day or month."""

    used = serializers.SerializerMethodField()
    resets_at = serializers.SerializerMethodField()

    class Meta:
        model = KeyBudget
        fields = ("kind", "amount", "window", "used", "resets_at")

    def get_used(self, row: KeyBudget) -> int:
        """In the window of now."""
        return row.used_at(timezone.now())

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_resets_at(self, row: KeyBudget) -> datetime | None:
        """When the next window begins."""
        return row.resets_at(timezone.now())


class KeyRow(serializers.ModelSerializer[ApiKey]):
    """An API key and what it may do. `budgets`, where given, replace those it has; equal ones keep their counts."""

    provider = serializers.ChoiceField(choices=registry.slugs(), required=False)
    allowed_models = serializers.ListField(child=serializers.CharField(max_length=128), required=False)
    budgets = BudgetRow(many=True, required=False)
    secrets = SecretRow(many=True, read_only=True)

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            *("id", "name", "provider", "enabled", "strict", "expires_at", "allowed_models", "max_in_flight", "credentials"),
            *("capture_until", "budgets", "secrets", "created_at", "last_used_at"),
        )
        read_only_fields = ("created_at", "last_used_at")

    def validate_budgets(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One of a kind for a window."""
        if len({(row["kind"], row["window"]) for row in value}) < len(value):
            raise serializers.ValidationError("Two budgets are of the same kind and window.")
        return value

    def validate_provider(self, value: str) -> str:
        """It is chosen once."""
        if self.instance is not None and self.instance.provider != value:
            raise serializers.ValidationError("A key stays with its provider.")
        return value


class NewKey(KeyRow):
    """A key with its secret, which is told this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(KeyRow.Meta):
        fields = (*KeyRow.Meta.fields, "secret")


class Grace(serializers.Serializer[Any]):
    """How long the older secrets go on."""

    grace_hours = serializers.IntegerField(min_value=0, max_value=_LONGEST_GRACE_HOURS, default=0)


@extend_schema(tags=["keys"])
class Keys(Rows, mixins.CreateModelMixin, mixins.UpdateModelMixin):
    """API keys: who calls the gateway."""

    queryset = ApiKey.objects.none()
    serializer_class = KeyRow
    http_method_names = ("get", "post", "patch", "head", "options")
    reads, writes = "accounts.view_apikey", "accounts.change_apikey"

    def needed(self, method: str) -> str | None:
        """Issuing is a permission of its own."""
        return "accounts.add_apikey" if self.action == "create" else super().needed(method)

    def get_queryset(self) -> QuerySet[ApiKey]:
        """Without the secrets' hashes."""
        visible = ApiKeySecret.objects.defer("digest").order_by("pk")
        return ApiKey.objects.prefetch_related(Prefetch("secrets", visible), "budgets", "credentials")

    @extend_schema(responses={201: NewKey})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Issue a key. Its secret is in this answer and in no other."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = dict(form.validated_data)
        budgets = [KeyBudget(**row) for row in asked.pop("budgets", [])]
        with transaction.atomic():
            issued = keys.issue(asked.pop("name"), provider=asked.pop("provider", None), budgets=budgets)
            _change(issued.key, asked)
            audit.record("issued", issued.key)
        return Response({**self._shown(issued.key), "secret": issued.secret}, status=201)

    def perform_update(self, serializer: Any) -> None:
        """Only what was given."""
        key, asked = serializer.instance, dict(serializer.validated_data)
        named = sorted(asked)
        budgets = asked.pop("budgets", None)
        with transaction.atomic():
            _change(key, asked)
            if budgets is not None:
                _replace_budgets(key, budgets)
            audit.record("changed", key, fields=named)
        key.refresh_from_db()
        serializer.instance = self.get_object()

    @extend_schema(request=Grace, responses=NewKey)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str = "") -> Response:
        """Give it a new secret. Its older ones end now, or after `grace_hours`."""
        key, form = self.get_object(), Grace(data=request.data)
        form.is_valid(raise_exception=True)
        hours = form.validated_data["grace_hours"]
        with transaction.atomic():
            secret = keys.rotate(key, timezone.now() + timedelta(hours=hours) if hours else None)
            audit.record("rotated", key, grace_hours=hours)
        return Response({**self._shown(key), "secret": secret})

    def _shown(self, key: ApiKey) -> dict[str, Any]:
        return dict(KeyRow(self.get_queryset().get(pk=key.pk)).data)


def _change(key: ApiKey, asked: dict[str, Any]) -> None:
    asked.pop("provider", None)
    credentials = asked.pop("credentials", None)
    for name, value in asked.items():
        setattr(key, name, value)
    if asked:
        key.save(update_fields=list(asked))
    if credentials is not None:
        if any(credential.provider != key.provider for credential in credentials):
            raise exceptions.ValidationError({"credentials": ["A credential is of another provider."]})
        key.credentials.set(credentials)


def _replace_budgets(key: ApiKey, wanted: list[dict[str, Any]]) -> None:
    keys.lock_budgets(key)
    kept = []
    for row in wanted:
        budget, _ = KeyBudget.objects.update_or_create(
            key=key, kind=row["kind"], window=row["window"], defaults={"amount": row["amount"]}
        )
        kept.append(budget.pk)
    KeyBudget.objects.filter(key=key).exclude(pk__in=kept).delete()
    keys.note_budgets(key)
