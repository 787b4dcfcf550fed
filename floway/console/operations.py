"""What the operations page says: is all well, who is signed in, what happened in the last day, what is left to set up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.urls import reverse

from accounts.health import Health, health, looked_at
from accounts.models import ApiKey, OAuthCredential
from floway import markup
from floway.console import scopes, traffic
from responses_app import fleet
from responses_app.models import Exchange, Worker

_ALERTING = {"bad", "warn"}
_ORDER = {"bad": 0, "warn": 1, "ok": 2}
_SHOWN = 12
_FAILING_SHARE = 0.05
_REFUSED_SHARE = 0.2
_SEEN_WITH = {
    "workers": "responses_app.view_worker",
    "conversations": "responses_app.view_conversation",
    "exchanges": "responses_app.view_exchange",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential and its health now."""

    credential: OAuthCredential
    health: Health


@dataclass(frozen=True, slots=True)
class Alert:
    """Something for the operator to do, or to know where its tone is "warn"."""

    text: str
    url: str
    tone: markup.Tone = "bad"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the first run."""

    title: str
    done: bool
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """What callers did: the day in numbers, why caches missed, and the latest requests, those in flight first."""

    day: traffic.Day
    misses: traffic.Misses
    latest: Sequence[Exchange]


@dataclass(frozen=True, slots=True)
class Overview:
    """The page. What its reader may not see is None or empty."""

    now: datetime
    standings: Sequence[Standing] | None
    alerts: Sequence[Alert]
    traffic: Traffic | None
    conversations: Sequence[scopes.Line]
    workers: Sequence[Worker] | None
    first_run: Sequence[Step]
    curl: str

    @property
    def all_done(self) -> bool:
        """Has the first run been finished?"""
        return all(step.done for step in self.first_run)

    @property
    def tone(self) -> markup.Tone:
        """The worst of the alerts'."""
        tones = {alert.tone for alert in self.alerts}
        return "bad" if "bad" in tones else "warn" if tones else "ok"

    @property
    def shown(self) -> Sequence[Standing]:
        """The credentials that the page has room for, those in trouble first."""
        ordered = sorted(self.standings or [], key=lambda standing: _ORDER.get(standing.health.tone, 3))
        return ordered[:_SHOWN]


def overview(user: AbstractBaseUser | AnonymousUser, now: datetime) -> Overview:
    """The page for `user`, as things stand at `now`."""
    may = _permissions(user)
    standings = [Standing(row, health(row, now)) for row in looked_at()] if may["accounts.view_oauthcredential"] else None
    seen = _traffic(now) if may[_SEEN_WITH["exchanges"]] else None
    conversations = scopes.recent() if may[_SEEN_WITH["conversations"]] else []
    workers = list(fleet.standing()[:_SHOWN]) if may[_SEEN_WITH["workers"]] else None
    steps = _first_run(standings, seen) if all(may.values()) else []
    alerts = list(_of_credentials(standings or []))
    if seen is not None:
        alerts += _of_the_hour(traffic.last_hour(now))
    return Overview(now, standings, alerts, seen, conversations, workers, steps, _curl())


def _permissions(user: AbstractBaseUser | AnonymousUser) -> dict[str, bool]:
    names = ("accounts.view_oauthcredential", "accounts.view_apikey", *_SEEN_WITH.values())
    return {name: isinstance(user, User) and user.has_perm(name) for name in names}


def _of_credentials(standings: Sequence[Standing]) -> Iterator[Alert]:
    for standing in standings:
        if standing.health.tone in _ALERTING:
            url = reverse("admin:accounts_oauthcredential_change", args=[standing.credential.pk])
            yield Alert(f"{standing.credential}: {standing.health.word}", url)
    if standings and not any(standing.health.tone in {"ok", "warn"} for standing in standings):
        yield Alert("No credential is usable: requests are answered 503.", reverse("admin:accounts_oauthcredential_changelist"))


def _of_the_hour(hour: traffic.Hour) -> Iterator[Alert]:
    """While requests fail, not all is well, however the credentials are."""
    url = reverse("admin:responses_app_exchange_changelist") + "?outcome=trouble"
    often = f", most often with {hour.code}" if hour.code else ""
    if hour.failed:
        tone: markup.Tone = "bad" if hour.failed >= _FAILING_SHARE * hour.ended else "warn"
        yield Alert(f"{_of(hour.failed, hour.ended)} of the last hour failed{often}.", url, tone)
    if hour.refused and hour.refused >= _REFUSED_SHARE * hour.ended:
        yield Alert(f"{_of(hour.refused, hour.ended)} of the last hour {_were(hour.refused)} refused{often}.", url, "warn")


def _of(part: int, whole: int) -> str:
    return f"{markup.figure(part)} of {markup.figure(whole)} request{'' if whole == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _traffic(now: datetime) -> Traffic:
    return Traffic(traffic.last_day(now), traffic.cache_misses(now), live(now))


def live(now: datetime) -> Sequence[Exchange]:
    """What runs, then what has just ended: the part of the page that is fetched again and again."""
    return [*traffic.running(now), *traffic.finished()]


def _first_run(standings: Sequence[Standing] | None, seen: Traffic | None) -> Sequence[Step]:
    answered = bool(seen and seen.day.completed) or Exchange.objects.filter(status=Exchange.Status.COMPLETED).exists()
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
