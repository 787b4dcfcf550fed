"""The loop that keeps logins alive: adopts rotated tokens, refreshes before expiry, and sends notices.

Any number of processes may run it; a lease on the database's clock lets one at a time do the work. Each job is safe by
itself, so that a lease that runs out under a slow one costs nothing.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import module_has_submodule

from accounts import notices, quarantine, quota, tokens
from accounts.models import CredentialTokens, OAuthCredential, Upkeep
from floway.wire.errors import Unavailable

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=150)
_NAME = "loop"
_OLD = timedelta(days=8)
"""A token that does not say when it expires is refreshed when it is this old."""


def run(stop: threading.Event, holder: str) -> None:
    """Come round until `stop` is set."""
    try:
        while not stop.is_set():
            try:
                once(holder)
            except DatabaseError as error:
                log.warning("maintenance: the database would not have it: %s", error)
            finally:
                connection.close()
            stop.wait(settings.FLOWAY_MAINTENANCE_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - so that no two come together
    finally:
        release(holder)


def new_holder() -> str:
    """A name for this process's hold on the lease."""
    return secrets.token_hex(16)


def once(holder: str) -> bool:
    """Do everything that is due, if nobody else does; False where somebody does."""
    if not renew(holder):
        return False
    for job in jobs():
        try:
            job(holder)
        except Exception:
            log.exception("maintenance: %s failed", job.__name__)
        finally:
            connection.close()
        if not renew(holder):
            return True
    with transaction.atomic():
        Upkeep.objects.filter(name=_NAME, holder=holder).update(ran_at=Now())
    return True


def renew(holder: str) -> bool:
    """Take the lease, or keep it. Asked between all strokes of work: whoever else the process serves goes first."""
    time.sleep(0)
    until = models.ExpressionWrapper(Now() + LEASE, output_field=models.DateTimeField())
    free = Q(holder=holder) | Q(lease_until=None) | Q(lease_until__lt=Now())
    with transaction.atomic():
        Upkeep.objects.bulk_create([Upkeep(name=_NAME)], ignore_conflicts=True)
        return bool(Upkeep.objects.filter(free, name=_NAME).update(holder=holder, lease_until=until))


def release(holder: str) -> None:
    """Let somebody else have the lease."""
    try:
        with transaction.atomic():
            Upkeep.objects.filter(name=_NAME, holder=holder).update(holder="", lease_until=None)
    except DatabaseError as error:
        log.warning("maintenance: the lease was not given back: %s", error)
    finally:
        connection.close()


def is_late(now: datetime) -> bool:
    """Has the loop not come round lately?"""
    ran_at = Upkeep.objects.filter(name=_NAME).values_list("ran_at", flat=True).first()
    return ran_at is None or now - ran_at > max(
        timedelta(minutes=5), timedelta(seconds=settings.FLOWAY_MAINTENANCE_SECONDS * 3)
    )


# --- the jobs ---


def adopt_rotated(_: str) -> None:
    """Put pairs from quarantine where they belong, unless whoever had them is still at it."""
    for credential_id, consumed in list(quarantine.waiting()):
        row = CredentialTokens.objects.filter(pk=credential_id).values_list("refresh_fingerprint", flat=True).first()
        if row is None or bytes(row) != consumed:
            quarantine.forget(credential_id, consumed)
        elif _is_free(credential_id) and (grant := quarantine.find(credential_id, consumed)) is not None:
            if tokens.commit(credential_id, consumed, grant):
                _revive(credential_id)
            quarantine.forget(credential_id, consumed)
            log.warning("credential %s: rotated tokens were taken from quarantine", credential_id)


def _is_free(credential_id: int) -> bool:
    held = Q(lease_until__gte=Now())
    return not CredentialTokens.objects.filter(held, pk=credential_id).exclude(lease_until=None).exists()


def _revive(credential_id: int) -> None:
    """A login that was given up for want of this very pair."""
    with transaction.atomic():
        rows = OAuthCredential.objects.filter(pk=credential_id, state=OAuthCredential.State.NEEDS_SIGN_IN)
        for credential in rows.select_for_update():
            credential.enter(OAuthCredential.State.ACTIVE, "")


def refresh_due(holder: str) -> None:
    """Refresh every login whose access token ends soon."""
    now = timezone.now()
    rows = OAuthCredential.objects.refreshable().select_related("tokens").order_by("pk")
    due = [row.pk for row in rows.filter(tokens__isnull=False) if is_due(row.tokens, now)]
    for pk in due:
        credential = OAuthCredential.objects.select_related("tokens").get(pk=pk)
        try:
            tokens.renewed(tokens.held(credential), now)
        except Unavailable:
            log.info("maintenance: credential %s has no working token", pk)
        if not renew(holder):
            return


def is_due(row: CredentialTokens, now: datetime) -> bool:
    """Is it time? A part of the moment is drawn from the token, so that logins don't come all at once."""
    if not row.refresh_token or (row.retry_refresh_at is not None and row.retry_refresh_at > now):
        return False
    lasts = row.access_expires_at is None or row.access_expires_at > now
    if row.exchange_began_at is not None and lasts:
        return False
    jitter = 1 + bytes(row.refresh_fingerprint)[0] / 1024
    if row.access_expires_at is None:
        return row.refreshed_at is not None and now - row.refreshed_at > _OLD * jitter
    ahead = timedelta(seconds=settings.FLOWAY_REFRESH_AHEAD_SECONDS)
    if row.refreshed_at is not None and row.refreshed_at < row.access_expires_at:
        ahead = min(ahead, (row.access_expires_at - row.refreshed_at) / 5)
    return row.access_expires_at - max(ahead * jitter, tokens.STALE_BEFORE) <= now


def tell(_: str) -> None:
    """Write the notices that are due, and send them."""
    notices.note()
    notices.deliver()


def ask_quota(_: str) -> None:
    """Ask for the allowances of logins that nobody has heard of for a while."""
    quota.poll_due()


JOBS: tuple[Callable[[str], None], ...] = (adopt_rotated, refresh_due, tell, ask_quota)
"""Each is given the lease's holder, to `renew` it where it takes long."""


def jobs() -> list[Callable[[str], None]]:
    """Those here, then those that other apps list in a module `chores`."""
    found = list(JOBS)
    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, "chores"):
            found.extend(import_module(f"{app.name}.chores").JOBS)
    return found
