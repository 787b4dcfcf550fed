"""Which credentials may serve a request, and in which order they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import editions, statements
from accounts.models import ApiKey, OAuthCredential, Pool
from floway import sql
from floway.wire.errors import Unavailable

_RETRY_AFTER_SECONDS = 60
_Credentials = Sequence[OAuthCredential]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Credentials whose login stands, the one to ask first in front; they may rest: ask `cooling.admits` of each.

    :param moves_on: a limit is reason to pass one over.
    """

    credentials: _Credentials
    moves_on: bool


def candidates(key: ApiKey, preferred: int | None, now: datetime) -> Candidates:
    """Who may serve `key`; tokens, proxies and facts are joined.

    :param preferred: the one that the conversation has run on, for only it can read what it encrypted.
    :raises Unavailable: there is nobody.
    """
    usable, pool = _usable(key)
    if len(usable) == 1:
        return Candidates(usable, moves_on=False)
    known = next((credential for credential in usable if credential.pk == preferred), None)
    if known is None:
        return Candidates(_ordered(pool, usable, now), pool.moves_on_usage_limit)
    others = (credential for credential in usable if credential is not known)
    return Candidates([known, *others], pool.moves_on_usage_limit)


def first(key: ApiKey) -> OAuthCredential:
    """The first in order, whether or not it rests: for questions that are no turns.

    :raises Unavailable: there is nobody.
    """
    usable, _ = _usable(key)
    return usable[0]


def _usable(key: ApiKey) -> tuple[_Credentials, Pool]:
    read, pool = editions.answer(key.mark, ("logins", key.provider), lambda: statements.credentials(key.provider))
    chosen = editions.answer(key.mark, ("chosen", key.pk), lambda: statements.chosen(key.pk))
    usable = [sql.copied(credential) for credential in read if not chosen or credential.pk in chosen]
    if not usable:
        raise Unavailable(
            "The gateway has no usable login for this request; its operator must sign in.", retry_after=_RETRY_AFTER_SECONDS
        )
    return usable, pool


def _ordered(pool: Pool, usable: _Credentials, now: datetime) -> _Credentials:
    match pool.policy:
        case Pool.Policy.MOST_LEFT:
            return _by_quota_left(usable, now)
        case Pool.Policy.ROUND_ROBIN:
            return _from(usable, _drawn(pool) % len(usable))
        case Pool.Policy.WEIGHTS:
            return _by_weight(pool, usable)
        case _:
            return usable


def _by_quota_left(usable: _Credentials, now: datetime) -> _Credentials:
    """By the fullest of each one's windows; who rests counts as spent, who never told anything as fresh."""
    fullest = dict.fromkeys((credential.pk for credential in usable), 0.0)
    readings = OAuthCredential.objects.filter(pk__in=fullest, quota__resets_at__gt=now)
    for pk, used in readings.values_list("pk", "quota__used_percent"):
        fullest[pk] = max(fullest[pk], used)
    for credential in usable:
        if credential.state_until is not None and credential.state_until > now:
            fullest[credential.pk] = max(fullest[credential.pk], 100.0)
    return sorted(usable, key=lambda credential: fullest[credential.pk])


def _by_weight(pool: Pool, usable: _Credentials) -> _Credentials:
    total = sum(credential.weight for credential in usable)
    if total == 0:
        return usable
    # Dealt out one by one in rounds, so that a heavy one does not get all its share at a stretch.
    heaviest = max(credential.weight for credential in usable)
    rounds = [place for turn in range(heaviest) for place, one in enumerate(usable) if one.weight > turn]
    return _from(usable, rounds[_drawn(pool) % total])


def _from(usable: _Credentials, place: int) -> _Credentials:
    return [*usable[place:], *usable[:place]]


def _drawn(pool: Pool) -> int:
    with transaction.atomic():
        return statements.drawn(pool)
