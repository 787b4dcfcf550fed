"""The tokens of a credential: sealed, read, and replaced under a lease, so that a single-use refresh token is used once.

Refresh tokens are single-use: whoever sends an old one twice loses the login. So one process at a time exchanges it, under a
lease on the database's clock; that it is about to be sent is committed before, and the new pair goes to disk before it is
used; and the write compares the token that was exchanged, so that a sign-in meanwhile is never overwritten. A pair that was
had and not committed waits in quarantine. No transaction is open while the network is in use. `docs/keeping-logins-alive.md`
goes through what is left at every moment at which a process may be killed.
"""

from __future__ import annotations

import contextvars
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import proxies, quarantine, states
from accounts.models import CredentialTokens, OAuthCredential
from floway import transport
from floway.durability import durable_commits
from floway.providers import registry
from floway.providers.contract import Account, FailureKind, RefreshRefused, TokenGrant, UpstreamUnreachable
from floway.sealing import lookup_hash, seal_text, unseal_text
from floway.wire.errors import Unavailable

log = logging.getLogger(__name__)

STALE_BEFORE = timedelta(seconds=60)
"""An access token is replaced this long before it expires: a request must not outlive it on the way."""
EXCHANGE_SECONDS = 75
"""An exchange that takes longer is given up."""
LEASE = timedelta(seconds=120)
"""Longer than any exchange may take, so that a living holder is never overtaken."""
_COMMIT_PAUSES_SECONDS = (0.1, 0.5, 1, 5, 15, 60)
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 5, 300
_POLL_SECONDS = 0.1
_RETRY_AFTER_SECONDS = 10


_SETTLED = {"exchange_began_at": None, "refresh_failure": "", "refresh_failures": 0, "retry_refresh_at": None}
_RELEASED = {"lease_holder": "", "lease_until": None}


@dataclass(frozen=True, slots=True)
class Held:
    """A credential's account view, and the refresh token it came with: its mark, and it, sealed."""

    account: Account
    fingerprint: bytes = field(repr=False)
    sealed_refresh_token: bytes = field(repr=False)

    @property
    def refresh_token(self) -> str:
        """Empty where there is none; few who hold a credential ever need it. :raises CannotUnseal: it is damaged."""
        sealed, owner = self.sealed_refresh_token, owner_of(self.account.credential_id)
        return unseal_text(sealed, purpose="refresh_token", owner=owner) if sealed else ""


def owner_of(credential_id: int) -> str:
    """Whose the envelopes are."""
    return f"credential:{credential_id}"


def fingerprint(refresh_token: str) -> bytes:
    """A keyed hash that tells refresh tokens apart."""
    return lookup_hash("refresh-token", refresh_token.encode())


def sealed_columns(credential_id: int, grant: TokenGrant) -> dict[str, object]:
    """The columns of `CredentialTokens` that a grant fills; what it does not bring is left out."""
    columns: dict[str, object] = {"access_expires_at": grant.access_expires_at, "refreshed_at": timezone.now(), **_SETTLED}
    for name in ("access_token", "refresh_token", "id_token"):
        token = getattr(grant, name)
        if token is not None:
            columns[name] = seal_text(token, purpose=name, owner=owner_of(credential_id))
    if grant.refresh_token is not None:
        columns["refresh_fingerprint"] = fingerprint(grant.refresh_token)
    return columns


def held(credential: OAuthCredential) -> Held:
    """The credential as its row stands; `credential.tokens` is read if it was not joined."""
    row = credential.tokens
    account = Account(
        credential_id=credential.pk,
        account_id=credential.account_id,
        user_id=credential.user_id,
        email=credential.email,
        plan=credential.plan,
        device_id=str(credential.openai_device_id),
        access_token=unseal_text(row.access_token, purpose="access_token", owner=owner_of(credential.pk)),
        access_expires_at=row.access_expires_at,
        proxy=proxies.of(credential),
    )
    return Held(account, bytes(row.refresh_fingerprint), bytes(row.refresh_token))


def kept(row: CredentialTokens) -> TokenGrant:
    """Everything that the row holds, unsealed."""
    opened = {
        name: unseal_text(sealed, purpose=name, owner=owner_of(row.pk)) if sealed else None
        for name, sealed in (("refresh_token", row.refresh_token), ("id_token", row.id_token))
    }
    access_token = unseal_text(row.access_token, purpose="access_token", owner=owner_of(row.pk))
    return TokenGrant(access_token, opened["refresh_token"], opened["id_token"], row.access_expires_at)


def _read(credential_id: int) -> OAuthCredential:
    return OAuthCredential.objects.select_related("tokens", "proxy").get(pk=credential_id)


def is_stale(account: Account, now: datetime) -> bool:
    """Should it be refreshed before it is used at `now`?"""
    return account.access_expires_at is not None and account.access_expires_at - now < STALE_BEFORE


def _lasts(account: Account, now: datetime) -> bool:
    return account.access_expires_at is not None and account.access_expires_at > now


def fresh(credential: OAuthCredential, now: datetime) -> Held:
    """The credential with an access token that will last for a request, refreshed first if need be.

    :raises Unavailable: it could not be refreshed and has run out.
    """
    current = held(credential)
    return current if not is_stale(current.account, now) else renewed(current, now)


def renewed(current: Held, now: datetime) -> Held:
    """The same with newer tokens; as it is, where it cannot be refreshed now and its access token still lasts at `now`.

    :raises Unavailable: it could not be refreshed and has run out.
    """
    lasts = _lasts(current.account, now)
    try:
        return _refreshed(current, lasts=lasts)
    except Unavailable:
        if not lasts:
            raise
        log.info("credential %s: not refreshed now, its access token still lasts", current.account.credential_id)
        return current


def refresh(refused: Held) -> Held:
    """A newer token than one that the upstream has refused, from whichever process gets it first.

    :raises Unavailable: the login is dead or the authority gave no answer; the credential's state says which.
    """
    return _refreshed(refused, lasts=False)


def _refreshed(expired: Held, *, lasts: bool) -> Held:
    credential_id = expired.account.credential_id
    holder = secrets.token_hex(16)
    give_up_at = time.monotonic() + LEASE.total_seconds()
    while True:
        credential = _read(credential_id)
        if credential.state in {OAuthCredential.State.NEEDS_SIGN_IN, OAuthCredential.State.DISABLED}:
            raise unavailable()
        current = held(credential)
        if current.fingerprint != expired.fingerprint or current.account.access_token != expired.account.access_token:
            return current
        retry_at = credential.tokens.retry_refresh_at
        if retry_at is not None and retry_at > timezone.now():
            raise unavailable()
        if _lease(credential_id, expired.fingerprint, holder):
            return _apart(_Exchange(credential, current, holder, lasts).run)
        connection.close()
        if lasts or time.monotonic() > give_up_at:
            raise unavailable()
        time.sleep(_POLL_SECONDS)


def _lease(credential_id: int, expected: bytes, holder: str) -> bool:
    until = models.ExpressionWrapper(Now() + LEASE, output_field=models.DateTimeField())
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    rows = CredentialTokens.objects.filter(free, pk=credential_id, refresh_fingerprint=expected)
    with transaction.atomic():
        return bool(rows.update(lease_holder=holder, lease_until=until))


def _apart(work: Callable[[Future[Held]], None]) -> Held:
    """Run in a thread of its own: neither a caller who leaves nor a worker that ends takes a token along that is used up."""
    answer: Future[Held] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            context.run(work, answer)
        except BaseException as error:  # noqa: BLE001 - the caller is told, whatever it is
            if not answer.done():
                answer.set_exception(error)
        finally:
            connection.close()

    connection.close()
    # Not a daemon: a process that ends waits for it.
    threading.Thread(target=run, name="refresh", daemon=False).start()
    return answer.result()


class _Exchange:
    """One exchange of a refresh token, by the holder of its lease."""

    def __init__(self, credential: OAuthCredential, current: Held, holder: str, lasts: bool) -> None:
        self.credential, self.current, self.lasts = credential, current, lasts
        self.refused = not lasts and not is_stale(current.account, timezone.now())
        self.id = credential.pk
        self._held = CredentialTokens.objects.filter(
            pk=credential.pk, lease_holder=holder, refresh_fingerprint=current.fingerprint
        )

    def run(self, answer: Future[Held]) -> None:
        """Exchange, keep, commit; `answer` gets the new tokens as soon as they are safe.

        :raises Unavailable: there are none.
        """
        kept = quarantine.find(self.id, self.current.fingerprint)
        if kept is not None:
            log.warning("credential %s: tokens that were rotated before are taken from quarantine", self.id)
        grant = kept or self._ask()
        if grant is None:
            answer.set_result(self._latest())
            return
        on_disk = kept is not None or quarantine.keep(self.id, self.current.fingerprint, grant)
        try:
            commit(self.id, self.current.fingerprint, grant)
        except DatabaseError:
            log.exception("credential %s: refreshed, but not committed yet; on disk: %s", self.id, on_disk)
            answer.set_result(self._in_memory(grant))
            self._commit_late(grant)
        else:
            quarantine.forget(self.id, self.current.fingerprint)
            log.info("credential %s: refreshed", self.id)
            answer.set_result(self._latest())

    def _ask(self) -> TokenGrant | None:
        """The authority's grant, or None where somebody signed in meanwhile."""
        interrupted = self._interrupted()
        if not self.current.refresh_token:
            self._give_up("The login holds no refresh token.")
            raise unavailable()
        self._mark()
        try:
            return self._send()
        except RefreshRefused as refusal:
            self._refused(refusal, interrupted)
            return None
        except UpstreamUnreachable as error:
            self._note_failure(f"No answer: {error}", answered=not error.sent)
            raise unavailable() from error

    def _interrupted(self) -> datetime | None:
        """When an exchange of this very token was begun whose outcome nobody knows.

        :raises Unavailable: there was one, and the access token still lasts: sending the token again could end that too.
        """
        began = CredentialTokens.objects.filter(pk=self.id).values_list("exchange_began_at", flat=True).first()
        if began is not None and self.lasts:
            self._release()
            log.info("credential %s: a refresh was cut off; tried again when the access token has run out", self.id)
            raise unavailable()
        return began

    def _mark(self) -> None:
        with durable_commits(), transaction.atomic():
            if not self._held.update(exchange_began_at=Now()):
                raise unavailable()
        connection.close()

    def _send(self) -> TokenGrant:
        cancellation = transport.Cancellation()
        timer = threading.Timer(EXCHANGE_SECONDS, cancellation.cancel)
        timer.daemon = True
        timer.start()
        try:
            with transport.cancellable(cancellation):
                provider = registry.get(self.credential.provider)
                return provider.refresh(self.current.account, self.current.refresh_token, refused=self.refused)
        finally:
            timer.cancel()

    def _refused(self, refusal: RefreshRefused, interrupted: datetime | None) -> None:
        latest = self._latest()
        if latest.fingerprint != self.current.fingerprint:
            return
        reason = f"Refresh refused ({refusal.code}): {refusal.message}"
        if interrupted is not None:
            reason += f" An exchange begun {interrupted:%Y-%m-%d %H:%M:%S} UTC was cut off before its answer was kept."
        log.warning("credential %s: %s", self.id, reason)
        if refusal.terminal:
            self._give_up(reason)
        else:
            self._note_failure(reason, answered=True)
            if refusal.kind is FailureKind.EDGE_BLOCKED and not self.lasts:
                self._outcome(FailureKind.EDGE_BLOCKED, reason)
        raise unavailable() from refusal

    def _give_up(self, reason: str) -> None:
        self._release()
        self._outcome(FailureKind.NEEDS_SIGN_IN, reason)

    def _outcome(self, kind: FailureKind, reason: str) -> None:
        states.outcome(self.id, kind, reason, expected=self.current.fingerprint, now=timezone.now())

    def _note_failure(self, reason: str, *, answered: bool) -> None:
        """Let go of the lease, and say when to try again. :param answered: the token is certainly not used up."""
        log.warning("credential %s: not refreshed: %s", self.id, reason)
        failures = self.credential.tokens.refresh_failures
        wait = min(_FIRST_RETRY_SECONDS << min(failures - 1, 10), _LAST_RETRY_SECONDS) if failures else 0
        known: dict[str, object] = {"exchange_began_at": None} if answered else {}
        with transaction.atomic():
            self._held.update(
                **known,
                **_RELEASED,
                refresh_failure=reason[:500],
                refresh_failures=F("refresh_failures") + 1,
                retry_refresh_at=timezone.now() + timedelta(seconds=wait),
            )

    def _release(self) -> None:
        with transaction.atomic():
            self._held.update(**_RELEASED)

    def _latest(self) -> Held:
        return held(_read(self.id))

    def _in_memory(self, grant: TokenGrant) -> Held:
        account = replace(self.current.account, access_token=grant.access_token, access_expires_at=grant.access_expires_at)
        return replace(self.current, account=account)

    def _commit_late(self, grant: TokenGrant) -> None:
        for pause in _COMMIT_PAUSES_SECONDS:
            connection.close()
            time.sleep(pause)
            try:
                commit(self.id, self.current.fingerprint, grant)
            except DatabaseError as error:
                log.warning("credential %s: its tokens are still not committed: %s", self.id, type(error).__name__)
            else:
                quarantine.forget(self.id, self.current.fingerprint)
                return


def commit(credential_id: int, expected: bytes, grant: TokenGrant) -> bool:
    """Put a grant in the place of the tokens that were given for it; False where these stand there no more.

    :raises DatabaseError: nothing was written.
    """
    columns = sealed_columns(credential_id, grant)
    with durable_commits(), transaction.atomic():
        rows = CredentialTokens.objects.filter(pk=credential_id, refresh_fingerprint=expected)
        if rows.update(**columns, **_RELEASED):
            return True
    log.warning("credential %s: signed in anew during a refresh; the refreshed pair is dropped", credential_id)
    return False


def unavailable() -> Unavailable:
    """What a caller is told of a login that does not work: nothing that is the operator's alone to know."""
    return Unavailable(
        "The gateway has no working login for this request now; its operator can see why.",
        retry_after=_RETRY_AFTER_SECONDS,
    )
