"""Tells the operator when a login dies and when it is back: by webhook and e-mail, from outbox rows, once.

What is to be told is read off the credentials' states, so that it doesn't matter who changed them. A row is claimed by a
conditional update before it is sent: two processes never send one. A process killed between sending and saying so sends it
again; a webhook's delivery id lets its receiver notice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from accounts import states, webhook
from accounts.models import Notice, OAuthCredential
from floway.markup import clean
from floway.wire.json import JSONObject

log = logging.getLogger(__name__)
Event, Channel = Notice.Event, Notice.Channel

_RETRY_SECONDS = (30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
_AT_ONCE = 20


def channels() -> Sequence[Notice.Channel]:
    """Those that the settings configure."""
    configured = {Channel.WEBHOOK: bool(settings.FLOWAY_WEBHOOK_URL), Channel.EMAIL: bool(settings.FLOWAY_NOTICE_EMAILS)}
    return [channel for channel, on in configured.items() if on]


def note() -> None:
    """Write what is to be told and isn't written yet."""
    _note_deaths()
    _note_recoveries()


def _note_deaths() -> None:
    dead = OAuthCredential.objects.filter(state=OAuthCredential.State.NEEDS_SIGN_IN)
    for channel in channels():
        told = Notice.objects.filter(
            event=Event.DIED, channel=channel, credential=OuterRef("pk"), since=OuterRef("state_since")
        )
        _write(
            Notice(credential=row, event=Event.DIED, channel=channel, since=row.state_since, reason=row.state_reason)
            for row in dead.filter(~Exists(told))
        )


def _note_recoveries() -> None:
    """Of every death that was told: its credential can be used again."""
    told = Notice.objects.filter(event=Event.DIED).exclude(sent_at=None)
    same = {name: OuterRef(name) for name in ("credential", "channel", "since")}
    alive = told.filter(
        ~Exists(Notice.objects.filter(event=Event.RECOVERED, **same)),
        credential__state__in=[OAuthCredential.State.ACTIVE, *OAuthCredential.State.timed()],
    )
    _write(
        Notice(credential_id=death.credential_id, event=Event.RECOVERED, channel=death.channel, since=death.since)
        for death in alive
    )


def _write(notices: Iterable[Notice]) -> None:
    if rows := list(notices):
        with transaction.atomic():
            Notice.objects.bulk_create(rows, ignore_conflicts=True)


def deliver() -> None:
    """Send what is due, a few at a time."""
    now = timezone.now()
    due = Notice.objects.filter(sent_at=None, given_up_at=None, next_try_at__lte=now, channel__in=channels())
    for notice in due.select_related("credential").order_by("created_at")[:_AT_ONCE]:
        if _claim(notice, now):
            _send(notice)


def _claim(notice: Notice, now: datetime) -> bool:
    wait = _RETRY_SECONDS[min(notice.attempts, len(_RETRY_SECONDS) - 1)]
    rows = Notice.objects.filter(pk=notice.pk, attempts=notice.attempts, sent_at=None)
    with transaction.atomic():
        return bool(rows.update(attempts=notice.attempts + 1, next_try_at=now + timedelta(seconds=wait)))


def _send(notice: Notice) -> None:
    last = notice.attempts + 1 >= len(_RETRY_SECONDS)
    try:
        if notice.channel == Channel.WEBHOOK:
            webhook.post(message(notice), delivery=str(notice.pk), now=timezone.now())
        else:
            _mail(notice)
    except (webhook.NotDelivered, OSError) as error:
        said = f"{type(error).__name__}: {error}" if isinstance(error, webhook.NotDelivered) else type(error).__name__
        log.warning("notice %s by %s was not delivered: %s", notice.pk, notice.channel, said)
        _finish(notice, last_error=said[:500], **({"given_up_at": timezone.now()} if last else {}))
    else:
        log.info("notice %s by %s: delivered", notice.pk, notice.channel)
        _finish(notice, sent_at=timezone.now(), last_error="")


def _finish(notice: Notice, **columns: object) -> None:
    with transaction.atomic():
        Notice.objects.filter(pk=notice.pk).update(**columns)


def message(notice: Notice) -> JSONObject:
    """What a webhook is sent: nothing that would be a secret."""
    credential = notice.credential
    return {
        "id": str(notice.pk),
        "event": notice.event,
        "since": notice.since.isoformat(),
        "credential": {"id": credential.pk, "name": clean(credential)},
        "reason": clean(notice.reason),
        "what_to_do": _what_to_do(notice),
        "admin_url": _page(credential),
    }


def _what_to_do(notice: Notice) -> str:
    return states.ADVICE[OAuthCredential.State.NEEDS_SIGN_IN] if notice.event == Event.DIED else ""


def _page(credential: OAuthCredential) -> str:
    path = reverse("admin:accounts_oauthcredential_change", args=[credential.pk])
    return f"{settings.FLOWAY_PUBLIC_URL}{path}"


def _mail(notice: Notice) -> None:
    credential = notice.credential
    name = " ".join(clean(credential).split())
    died = notice.event == Event.DIED
    subject = f"[Floway] {name}: {'needs sign-in' if died else 'is back'}"
    since = f"{notice.since:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"The login {name} needs you since {since}." if died else f"The login {name}, dead since {since}, can be used again.",
        clean(notice.reason),
        _what_to_do(notice),
        _page(credential),
    ]
    mail = EmailMessage(subject, "\n\n".join(line for line in lines if line), to=list(settings.FLOWAY_NOTICE_EMAILS))
    mail.extra_headers["Message-ID"] = f"<{notice.pk}.{notice.attempts}@floway>"
    mail.send()
