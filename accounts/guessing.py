"""Against guessing: tries are counted before they are made, per name and address and per address, and more of them wait longer.

A name alone is never locked, so nobody can lock out an operator from elsewhere. A try is counted before the secret is looked
at: guesses sent at once are counted too. Only keyed hashes are kept, for people type passwords into the wrong field.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from accounts.models import GuessCount
from floway.sealing import lookup_hash

_WITHIN = timedelta(minutes=15)
_LOCKED_FOR = timedelta(minutes=15)
_LONGEST_LOCK = timedelta(hours=24)
_FORGOTTEN_AFTER = timedelta(hours=48)
_IPV6_SITE = 64


@dataclass(frozen=True, slots=True)
class Subject:
    """Who tries: `parts` name it, `most` tries are left to it within a quarter of an hour."""

    kind: str
    parts: tuple[str, ...]
    most: int

    @property
    def digest(self) -> bytes:
        """What it is counted under."""
        return lookup_hash(f"guess-{self.kind}", *(part.encode("utf-8", "surrogatepass") for part in self.parts))


@dataclass(frozen=True, slots=True)
class LockedOut(Exception):
    """Too many tries.

    :param until: when the next one may be made.
    """

    until: datetime

    def seconds(self, now: datetime) -> int:
        """How long that is from `now`, at least one second."""
        return max(1, int((self.until - now).total_seconds()) + 1)


def of_name(name: str, address: str) -> Subject:
    """Somebody who tries to be `name`, at `address`."""
    return Subject("name", (name.strip().casefold(), _site(address)), 5)


def of_address(address: str) -> Subject:
    """Whoever is at `address`."""
    return Subject("address", (_site(address),), 30)


def of_person(user_id: int) -> Subject:
    """Somebody signed in who is asked again."""
    return Subject("person", (str(user_id),), 5)


def _site(address: str) -> str:
    """One IPv4 address, or what one IPv6 customer has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), _IPV6_SITE), strict=False))


def begin(subjects: Iterable[Subject], now: datetime) -> None:
    """Count one try of each; call `succeeded` when it was no guess.

    :raises LockedOut: one of them has tried too often; nothing was counted.
    """
    wanted = {subject.digest: subject for subject in subjects}
    with transaction.atomic():
        GuessCount.objects.filter(touched_at__lt=now - _FORGOTTEN_AFTER).delete()
        GuessCount.objects.bulk_create(
            (GuessCount(digest=digest, began_at=now, touched_at=now) for digest in wanted), ignore_conflicts=True
        )
        rows = list(GuessCount.objects.select_for_update().filter(digest__in=list(wanted)).order_by("pk"))
        shut = [row for row in rows if row.locked_until and row.locked_until > now] or _shut(rows, wanted, now)
        for row in [] if shut else rows:
            row.tries, row.touched_at = row.tries + 1, now
            row.save()
    if shut:
        raise LockedOut(max(row.locked_until for row in shut if row.locked_until))


def _shut(rows: Iterable[GuessCount], wanted: dict[bytes, Subject], now: datetime) -> list[GuessCount]:
    """Those that have no try left lock with the one too many, not with the last, which may have been right."""
    for row in rows:
        if row.began_at <= now - _WITHIN:
            row.tries, row.began_at = 0, now
    shut = [row for row in rows if row.tries >= wanted[bytes(row.digest)].most]
    for row in shut:
        row.locked_until = now + min(_LOCKED_FOR * 2 ** min(row.locks, 10), _LONGEST_LOCK)
        row.locks, row.tries, row.began_at, row.touched_at = row.locks + 1, 0, now, now
        row.save()
    return shut


def succeeded(subjects: Sequence[Subject]) -> None:
    """It was no guess: what was counted against a name is forgotten; an address gets back this one try."""
    shared = [subject.digest for subject in subjects if subject.kind == "address"]
    own = [subject.digest for subject in subjects if subject.kind != "address"]
    GuessCount.objects.filter(digest__in=own).delete()
    GuessCount.objects.filter(digest__in=shared, tries__gt=0).update(tries=F("tries") - 1)


def forget(*, name: str | None = None, address: str | None = None) -> int:
    """Unlock: `name` at `address`, everybody at `address`, or all; how many locks or counts that were."""
    if address is None:
        return GuessCount.objects.all().delete()[0]
    subjects = [of_address(address)] + ([of_name(name, address)] if name else [])
    return GuessCount.objects.filter(digest__in=[subject.digest for subject in subjects]).delete()[0]
