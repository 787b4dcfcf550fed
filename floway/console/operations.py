"""What the operations page says: is all well, who is signed in, what happened in the last day, what is left to set up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Count, Max, Q, Sum
from django.urls import reverse

from accounts.health import Health, health, looked_at
from accounts.models import ApiKey, OAuthCredential
from responses_app.models import Exchange

_DAY = timedelta(hours=24)
_LATEST = 12
_LISTED = 8
_ALERTING = {"bad", "warn"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential and its health now."""

    credential: OAuthCredential
    health: Health


@dataclass(frozen=True, slots=True)
class Alert:
    """Something for the operator to do."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the first run."""

    title: str
    done: bool
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last 24 hours. `totals` has Exchange's token columns summed, and how many there were by how they stand."""

    totals: dict[str, Any]
    by_key: Sequence[Mapping[str, Any]]
    errors: Sequence[Mapping[str, Any]]
    latest: Sequence[Exchange]


@dataclass(frozen=True, slots=True)
class Overview:
    """The page. What its reader may not see is None or empty."""

    now: datetime
    standings: Sequence[Standing] | None
    alerts: Sequence[Alert]
    traffic: Traffic | None
    first_run: Sequence[Step]
    curl: str

    @property
    def all_done(self) -> bool:
        """Has the first run been finished?"""
        return all(step.done for step in self.first_run)


def overview(user: AbstractBaseUser | AnonymousUser, now: datetime) -> Overview:
    """The page for `user`, as things stand at `now`."""
    may = _permissions(user)
    standings = [Standing(row, health(row, now)) for row in looked_at()] if may["accounts.view_oauthcredential"] else None
    traffic = _traffic(now) if may["responses_app.view_exchange"] else None
    steps = _first_run(standings, traffic) if all(may.values()) else []
    return Overview(now, standings, list(_alerts(standings or [])), traffic, steps, _curl())


def _permissions(user: AbstractBaseUser | AnonymousUser) -> dict[str, bool]:
    names = ("accounts.view_oauthcredential", "accounts.view_apikey", "responses_app.view_exchange")
    return {name: isinstance(user, User) and user.has_perm(name) for name in names}


def _alerts(standings: Sequence[Standing]) -> Iterator[Alert]:
    for standing in standings:
        if standing.health.tone in _ALERTING:
            url = reverse("admin:accounts_oauthcredential_change", args=[standing.credential.pk])
            yield Alert(f"{standing.credential}: {standing.health.word}", url)
    if standings and not any(standing.health.tone in {"ok", "warn"} for standing in standings):
        yield Alert("No credential is usable: requests are answered 503.", reverse("admin:accounts_oauthcredential_changelist"))


def _traffic(now: datetime) -> Traffic:
    recent = Exchange.objects.filter(started_at__gte=now - _DAY)
    status = Exchange.Status
    tokens = {f"{name}_sum": Sum(f"{name}_tokens") for name in ("input", "cached", "output", "reasoning")}
    totals = recent.aggregate(
        requests=Count("pk"),
        in_flight=Count("pk", filter=Q(status=status.IN_FLIGHT)),
        completed=Count("pk", filter=Q(status=status.COMPLETED)),
        went_wrong=Count("pk", filter=Q(status__in=[status.FAILED, status.REFUSED])),
        **tokens,
    )
    by_key = recent.values("api_key", "api_key__name").annotate(requests=Count("pk"), **tokens).order_by("-requests")
    wrong = recent.filter(status__in=[status.FAILED, status.REFUSED])
    errors = wrong.values("error_code", "http_status").annotate(times=Count("pk"), last=Max("started_at"))
    latest = Exchange.objects.select_related("api_key", "credential").defer("identity", "changes", "upstream_ids")
    worst = errors.order_by("-times", "error_code")[:_LISTED]
    return Traffic(totals, [*by_key[:_LISTED]], [*worst], [*latest.order_by("-started_at")[:_LATEST]])


def _first_run(standings: Sequence[Standing] | None, traffic: Traffic | None) -> Sequence[Step]:
    answered = (
        bool(traffic and traffic.totals["completed"]) or Exchange.objects.filter(status=Exchange.Status.COMPLETED).exists()
    )
    return [
        Step("Sign in with an account of yours", bool(standings), reverse("admin:accounts_oauthcredential_sign_in"), "Sign in"),
        Step("Issue an API key", ApiKey.objects.exists(), reverse("admin:accounts_apikey_add"), "Issue"),
        Step("Make the first call", answered, "", ""),
    ]


def _curl() -> str:
    return (
        "export FLOWAY_API_KEY=…            # the key you were shown\n"
        f'curl {settings.FLOWAY_PUBLIC_URL}/v1/models -H "authorization: Bearer $FLOWAY_API_KEY"\n'
        f'curl {settings.FLOWAY_PUBLIC_URL}/v1/responses -H "authorization: Bearer $FLOWAY_API_KEY" \\\n'
        '  -H \'content-type: application/json\' -d \'{"model": "MODEL", "input": "Say hello."}\''
    )
