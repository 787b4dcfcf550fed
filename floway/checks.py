"""System checks: what must hold before a request is served."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name

from floway.providers import registry
from floway.providers.contract import ResponsesProvider


@register()
def providers_resolve(**_: Any) -> list[CheckMessage]:
    """Every configured provider can be built and speaks the contract."""
    if not registry.slugs():
        return [Error("FLOWAY_PROVIDERS is empty: the gateway would serve nobody.", id="floway.E001")]
    found: list[CheckMessage] = []
    for slug in registry.slugs():
        try:
            provider = registry.get(slug)
        except Exception as error:  # noqa: BLE001 - whatever a provider's constructor raises is the finding
            found.append(Error(f"Provider {slug!r} cannot be built: {error}", id="floway.E002"))
            continue
        if not _speaks(provider, slug):
            found.append(Error(f"Provider {slug!r} does not speak the contract.", id="floway.E003"))
    return found


def _speaks(provider: object, slug: str) -> bool:
    return isinstance(provider, ResponsesProvider) and provider.slug == slug


@register()
def names_are_known(**_: Any) -> list[CheckMessage]:
    """A setting that nothing reads is a setting that somebody believes in."""
    known = [name for name in settings.FLOWAY_KNOWN_NAMES if name.startswith("FLOWAY_")]
    found: list[CheckMessage] = []
    for name in settings.FLOWAY_UNKNOWN_NAMES:
        near = get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]}?" if near else "Nothing reads it."
        found.append(Warning(f"{name} is set, and there is no such setting.", hint=hint, id="floway.W001"))
    return found


@register(Tags.security, deploy=True)
def any_host_is_served(**_: Any) -> list[CheckMessage]:
    """A gateway that answers to every name can be reached through a name that is somebody else's."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Warning("FLOWAY_ALLOWED_HOSTS allows every name.", hint="Name the hosts it is served under.", id="floway.W002")]
