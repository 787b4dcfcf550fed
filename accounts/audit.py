"""The audit log: who did what to which row, from where. Whatever acts for an operator says so here.

`record("purged", key, items=12)` is all that is asked of a caller. It belongs into the transaction of what it tells of.
"""

from __future__ import annotations

import contextvars
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import AuditEntry
from floway import logs, markup, origin

COMMAND_LINE = "command line"
NOBODY = "nobody signed in"

_request: contextvars.ContextVar[HttpRequest | None] = contextvars.ContextVar("operators_request", default=None)
_somebody: contextvars.ContextVar[tuple[str, int | None] | None] = contextvars.ContextVar("somebody", default=None)
_WORDS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}


@contextmanager
def on_behalf_of(request: HttpRequest) -> Iterator[None]:
    """Inside, whatever is recorded was done by who sent `request`."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


@contextmanager
def for_somebody(actor: str, actor_id: int | None) -> Iterator[None]:
    """Inside, what nobody's request does is recorded as done for who asked for it earlier."""
    token = _somebody.set((actor, actor_id))
    try:
        yield
    finally:
        _somebody.reset(token)


def record(action: str, subject: Model | None = None, /, **detail: Any) -> AuditEntry:
    """Write one entry.

    :param action: what was done, in a few constant words: "disabled", "issued".
    :param subject: the row it was done to.
    :param detail: anything JSON that helps to understand it; no secret, no content.
    """
    request = _request.get()
    actor, actor_id = _actor(request)
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor=actor,
        actor_id=actor_id,
        address=_address(request),
        action=action[:120],
        object_type=str(subject._meta.verbose_name)[:100] if subject is not None else "",
        object_id=str(subject.pk)[:64] if subject is not None else "",
        object_label=markup.clean(subject)[:300].replace("\0", "") if subject is not None else "",
        detail=detail,
        request_id=logs.request_id.get() if request is not None else "",
    )


def _actor(request: HttpRequest | None) -> tuple[str, int | None]:
    if request is None:
        return _somebody.get() or (COMMAND_LINE, None)
    user = getattr(request, "user", None)
    return (user.get_username(), user.pk) if isinstance(user, User) else (NOBODY, None)


def _address(request: HttpRequest | None) -> str | None:
    found = origin.address_of(request.META) if request is not None else ""
    try:
        return str(ipaddress.ip_address(found.partition("%")[0]))
    except ValueError:
        return None


# --- what the admin and the sign-in tell of themselves --------------------------------------------------------------------


def listen() -> None:
    """From now on every entry of the admin's own log, every sign-in and every change of a person is recorded."""
    post_save.connect(_of_admin, sender=LogEntry, dispatch_uid="audit-admin")
    post_save.connect(_of_person, sender=User, dispatch_uid="audit-person")
    user_logged_in.connect(_of_sign_in, dispatch_uid="audit-sign-in")
    user_logged_out.connect(_of_sign_out, dispatch_uid="audit-sign-out")
    user_login_failed.connect(_of_failure, dispatch_uid="audit-failure")


def _of_admin(instance: LogEntry, created: bool, **_: Any) -> None:
    if not created:
        return
    told, said = instance.get_change_message(), instance.change_message
    # Our own pages say in a sentence what they did; the admin's forms leave JSON that names the fields.
    own = bool(said) and not said.startswith("[")
    action = told.rstrip(".").lower() if own else _WORDS.get(instance.action_flag, "touched")
    model = instance.content_type.model_class() if instance.content_type else None
    row = model._default_manager.filter(pk=instance.object_id).first() if model and instance.action_flag != DELETION else None
    entry_detail = {} if own else {"told": told}
    if row is not None:
        record(action, row, **entry_detail)
    else:
        kind = str(model._meta.verbose_name) if model else ""
        gone = {"kind": kind, "id": instance.object_id, "label": markup.clean(instance.object_repr)}
        record(action, **entry_detail, **gone)


def _of_person(instance: User, created: bool, raw: bool = False, **_: Any) -> None:
    """From the machine itself; in the admin the forms tell."""
    if _request.get() is None and not raw:
        record("added" if created else "changed", instance, superuser=instance.is_superuser)


def _of_sign_in(user: User, **_: Any) -> None:
    if _request.get() is not None:
        record("signed in", user)


def _of_sign_out(user: User | None, **_: Any) -> None:
    if user is not None and _request.get() is not None:
        record("signed out", user)


def _of_failure(credentials: dict[str, Any], **_: Any) -> None:
    """The name that was typed is told only if somebody has it: people type their password into the wrong field."""
    typed = str(credentials.get("username") or "")
    record("sign-in failed", User.objects.filter(username=typed.replace("\0", "")).first())
