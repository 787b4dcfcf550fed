"""`manage.py sign_in`: sign in from this machine, with a listener on the loopback for the browser's return, or with a code."""

from __future__ import annotations

import secrets
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts import audit, importing, proxies
from accounts.importing import AnotherLogin, Imported
from accounts.models import OAuthCredential
from floway.loopback import Listener, PortTaken, Reply
from floway.management.keyed import KeyedCommand
from floway.providers import registry
from floway.providers.contract import NotYet, SignInMethod, SignInRefused, SignInStart, UpstreamUnreachable

_LONGEST_SECONDS = 600
_POLL_SECONDS = 5.0
_NOBODY = "Nobody signed in within ten minutes."


class Command(KeyedCommand):
    """See the module."""

    help = "Sign in with a provider from this machine; prints the credential's id. In the admin: Credentials, Sign in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which provider, for which credential, and how."""
        parser.add_argument("--provider", help="default: the first configured, or the credential's")
        parser.add_argument("--credential", type=int, metavar="ID", help="renew the login of this credential")
        parser.add_argument("--device", action="store_true", help="with a code that you type in on another device")

    def handle(self, *args: Any, provider: str | None, credential: int | None, device: bool, **options: Any) -> None:
        """Sign in, store, print the id."""
        renewed = self._credential(credential)
        slug = renewed.provider if renewed else provider or registry.default_slug()
        try:
            method = _method(slug, device=device)
            stored = self._by_code(slug, method, renewed) if device else self._by_browser(slug, method, renewed)
        except registry.UnknownProvider as error:
            raise CommandError(f"No provider is configured as {error}.") from error
        except (SignInRefused, UpstreamUnreachable) as error:
            raise CommandError(str(error)) from error
        audit.record("signed in" if stored.created else "signed in again: tokens replaced", stored.credential)
        self.stderr.write(f"{'signed in' if stored.created else 'signed in again'}: {stored.credential}")
        self.stdout.write(str(stored.credential.pk))

    def _credential(self, pk: int | None) -> OAuthCredential | None:
        if pk is None:
            return None
        found = OAuthCredential.objects.filter(pk=pk).first()
        if found is None:
            raise CommandError(f"There is no credential {pk}.")
        return found

    def _by_browser(self, slug: str, method: SignInMethod, renewed: OAuthCredential | None) -> Imported:
        try:
            with Listener(str(method.redirect_uri)) as listener:
                return self._listen(listener, slug, method, renewed)
        except PortTaken as taken:
            hint = "End the program that does (a client that is signing in?), use --device, or sign in in the admin."
            raise CommandError(f"{taken} {hint}") from taken

    def _listen(self, listener: Listener, slug: str, method: SignInMethod, renewed: OAuthCredential | None) -> Imported:
        start = registry.get(slug).begin_sign_in(
            method.slug, method.redirect_uri, secrets.token_bytes, proxy=proxies.of_renewed(renewed)
        )
        self.stderr.write(f"Open this address in a browser on this machine and sign in:\n\n    {start.url}\n")
        ended: list[Imported | Exception] = []

        def handle(callback: str) -> Reply:
            try:
                stored = _finish(slug, method, start, callback, renewed)
            except (SignInRefused, UpstreamUnreachable) as error:
                if isinstance(error, SignInRefused) and error.again:
                    return Reply(400, error.message, done=False)
                ended.append(error)
                return Reply(400, f"The sign-in was not finished. {error}", done=True)
            ended.extend([stored] if stored else [])
            return Reply(200, "Signed in. You may close this page.", done=True)

        if not listener.serve(handle, _LONGEST_SECONDS) or not ended:
            raise CommandError(_NOBODY)
        if isinstance(ended[0], Exception):
            raise ended[0]
        return ended[0]

    def _by_code(self, slug: str, method: SignInMethod, renewed: OAuthCredential | None) -> Imported:
        start = registry.get(slug).begin_sign_in(
            method.slug, method.redirect_uri, secrets.token_bytes, proxy=proxies.of_renewed(renewed)
        )
        self.stderr.write(f"Open {start.url} on any device, sign in, and type in this code:\n\n    {start.user_code}\n")
        pause = start.poll.total_seconds() if start.poll else _POLL_SECONDS
        give_up_at = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < give_up_at:
            try:
                stored = _finish(slug, method, start, None, renewed)
            except SignInRefused as refused:
                if not refused.again:
                    raise
                stored = None
            if stored is not None:
                return stored
            time.sleep(pause)
        raise CommandError(_NOBODY)


def _finish(
    slug: str, method: SignInMethod, start: SignInStart, callback: str | None, renewed: OAuthCredential | None
) -> Imported | None:
    """The login that it came to, stored; None while the person is not done."""
    came = registry.get(slug).finish_sign_in(method.slug, start.state, callback, proxy=proxies.of_renewed(renewed))
    if isinstance(came, NotYet):
        return None
    try:
        return importing.store(slug, came, only=renewed)
    except AnotherLogin as other:
        raise SignInRefused(
            f"You signed in as {other}, which is another account than {renewed}'s. Nothing was changed."
        ) from other


def _method(slug: str, *, device: bool) -> SignInMethod:
    for method in registry.get(slug).sign_in_methods():
        if (method.redirect_uri is None) == device:
            return method
    raise CommandError("This provider has no such way to sign in.")
