"""System checks: what must hold before a request is served."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

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
