"""The second factor: codes of an authenticator by RFC 6238, each good once, and recovery codes for the day it is lost.

The secret is sealed and recovery codes are kept as keyed hashes: a copy of the database alone proves nobody's identity.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import RecoveryCode, SecondFactor
from floway.sealing import lookup_hash, seal_text, unseal_text

PURPOSE = "second-factor"
_STEP_SECONDS = 30
_DIGITS = 6
_OFFERED_FOR = timedelta(minutes=10)
_DRIFT_STEPS = 1
_SECRET_BYTES = 20
_RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
"""80 bits: a keyed hash of it cannot be found by trying."""
_SESSION = "second_factor_proved"


def offer(user: User, now: datetime) -> str:
    """A new secret in base32, to be confirmed by a code; one that was offered and not confirmed is replaced.

    :raises AlreadyEnrolled: there is a confirmed one.
    """
    text = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    with transaction.atomic():
        row = SecondFactor.objects.select_for_update().filter(pk=user.pk).first() or SecondFactor(user=user)
        if row.confirmed_at is not None:
            raise AlreadyEnrolled
        row.sealed = seal_text(text, purpose=PURPOSE, owner=str(user.pk))
        row.created_at, row.last_step = now, 0
        row.save()
    return text


class AlreadyEnrolled(Exception):
    """This person has a second factor: it is taken away before there is another."""


def _offers(user: User, now: datetime) -> QuerySet[SecondFactor]:
    # An offer is made to whoever has just proved the password; a session found open later must not get hold of it.
    return SecondFactor.objects.filter(pk=user.pk, confirmed_at=None, created_at__gt=now - _OFFERED_FOR)


def offered(user: User, now: datetime) -> str | None:
    """The secret on offer, in base32, while it waits for its first code; for ten minutes."""
    row = _offers(user, now).first()
    return None if row is None else unseal_text(row.sealed, purpose=PURPOSE, owner=str(user.pk))


def uri(user: User, secret: str) -> str:
    """What an authenticator reads from the square."""
    label = quote(f"Floway:{user.get_username()}", safe="")
    rest = urlencode({"secret": secret, "issuer": "Floway", "digits": _DIGITS, "period": _STEP_SECONDS})
    return f"otpauth://totp/{label}?{rest}"


def confirm(user: User, code: str, now: datetime) -> list[str] | None:
    """Begin to ask for it; returns the recovery codes, shown this once. None: that is not its code."""
    with transaction.atomic():
        row = _offers(user, now).select_for_update().first()
        if row is None or not _use(row, code, now):
            return None
        row.confirmed_at = now
        row.save(update_fields=["confirmed_at"])
        return _new_recovery_codes(user)


def is_enrolled(user: User | AnonymousUser) -> bool:
    """Is this person asked for a code?"""
    return user.pk is not None and SecondFactor.objects.filter(pk=user.pk, confirmed_at__isnull=False).exists()


def verify(user: User, code: str, now: datetime) -> bool:
    """Is `code` the authenticator's now, or an unused recovery code? Either is used up by it. Count the try first."""
    with transaction.atomic():
        row = SecondFactor.objects.select_for_update().filter(pk=user.pk, confirmed_at__isnull=False).first()
        return row is not None and (_use(row, code, now) or _use_recovery(user, code, now))


def reset(user: User) -> bool:
    """Take the second factor away; False where there was none."""
    RecoveryCode.objects.filter(user=user).delete()
    return bool(SecondFactor.objects.filter(pk=user.pk).delete()[0])


def replace_recovery_codes(user: User) -> list[str]:
    """New recovery codes, shown this once; the old ones end."""
    with transaction.atomic():
        return _new_recovery_codes(user)


def recovery_codes_left(user: User) -> int:
    """How many are unused."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


# --- sessions -------------------------------------------------------------------------------------------------------------


def note_proved(session: SessionBase, user: User) -> None:
    """This session has shown the second factor that `user` has now."""
    row = SecondFactor.objects.get(pk=user.pk)
    session[_SESSION] = row.confirmed_at.isoformat() if row.confirmed_at else ""


def lacks(session: SessionBase, user: User | AnonymousUser) -> str | None:
    """What is missing before this session may do anything: "proof" of a second factor, an "enrolment", or nothing."""
    row = SecondFactor.objects.filter(pk=user.pk, confirmed_at__isnull=False).only("confirmed_at").first()
    if row is not None and row.confirmed_at is not None:
        return None if session.get(_SESSION) == row.confirmed_at.isoformat() else "proof"
    return "enrolment" if settings.FLOWAY_REQUIRE_TOTP else None


# --- codes ----------------------------------------------------------------------------------------------------------------


def code_at(secret: str, step: int) -> str:
    """The code of a time step (RFC 6238 with SHA-1, six digits, as every authenticator has it)."""
    mac = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1)
    at = mac[-1] & 0x0F
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def step_at(now: datetime) -> int:
    """The time step that `now` lies in."""
    return int(now.timestamp()) // _STEP_SECONDS


def _use(row: SecondFactor, code: str, now: datetime) -> bool:
    digits = code.replace(" ", "")
    if len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return False
    secret = unseal_text(row.sealed, purpose=PURPOSE, owner=str(row.pk))
    current = step_at(now)
    for step in range(max(current - _DRIFT_STEPS, row.last_step + 1), current + _DRIFT_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step), digits):
            row.last_step = step
            row.save(update_fields=["last_step"])
            return True
    return False


def _new_recovery_codes(user: User) -> list[str]:
    RecoveryCode.objects.filter(user=user).delete()
    texts = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(_RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=_digest(user, text)) for text in texts)
    return ["-".join(text[n : n + 4] for n in range(0, len(text), 4)) for text in texts]


def _use_recovery(user: User, code: str, now: datetime) -> bool:
    mine = RecoveryCode.objects.filter(user=user, digest=_digest(user, code), used_at=None)
    return mine.update(used_at=now) == 1


def _digest(user: User, code: str) -> bytes:
    plain = "".join(code.split()).replace("-", "").lower()
    return lookup_hash("recovery-code", str(user.pk).encode(), plain.encode("utf-8", "surrogatepass"))
