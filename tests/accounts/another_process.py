"""Run as a program: another process on the test's database that wants a fresh token, and may be told where to be killed.

Arguments: credential id, and a step. It says "ready", waits for a line, then prints the access token, or why there is none.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

STEPS = ("before_lease", "after_lease", "marked", "answered", "on_disk", "committed")


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def after(work: Callable[..., Any]) -> Callable[..., Any]:
    def done(*args: Any, **kwargs: Any) -> Any:
        work(*args, **kwargs)
        die()

    return done


def arm(step: str) -> None:
    """From now on this process is killed when it comes to `step`."""
    from accounts import quarantine, tokens
    from floway.providers.codex.provider import CodexProvider

    places: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "before_lease": (tokens, "_lease", die),
        "after_lease": (tokens, "_lease", after(tokens._lease)),
        "marked": (CodexProvider, "refresh", die),
        "answered": (CodexProvider, "refresh", after(CodexProvider.refresh)),
        "on_disk": (quarantine, "keep", after(quarantine.keep)),
        "committed": (tokens, "commit", after(tokens.commit)),
    }
    if step in places:
        place, name, instead = places[step]
        setattr(place, name, instead)


def main() -> None:
    """See the module."""
    import django

    django.setup()
    from django.utils import timezone

    from accounts import tokens
    from accounts.models import OAuthCredential
    from floway.wire.errors import Unavailable

    credential = OAuthCredential.objects.select_related("tokens").get(pk=int(sys.argv[1]))
    arm(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print(tokens.fresh(credential, timezone.now()).account.access_token, flush=True)
    except Unavailable:
        print("unavailable", flush=True)


if __name__ == "__main__":
    main()
