"""Slug → provider, built once per process from settings: the only place that turns an import string into a provider."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from floway.providers.contract import ResponsesProvider


class UnknownProvider(LookupError):
    """No provider is configured under that slug."""


@cache
def _built() -> dict[str, ResponsesProvider]:
    return {
        slug: import_string(spec["class"])(slug=slug, **spec.get("options", {}))
        for slug, spec in settings.FLOWAY_PROVIDERS.items()
    }


def get(slug: str) -> ResponsesProvider:
    """The provider configured as `slug`.

    :raises UnknownProvider: there is none.
    """
    try:
        return _built()[slug]
    except KeyError as error:
        raise UnknownProvider(slug) from error


def default_slug() -> str:
    """The first configured provider's slug: what a new key or import belongs to unless said otherwise."""
    return next(iter(settings.FLOWAY_PROVIDERS))


def slugs() -> tuple[str, ...]:
    """Every configured slug, in the order of the settings."""
    return tuple(settings.FLOWAY_PROVIDERS)


def forget() -> None:
    """Build anew at the next call; for settings that change while the process lives (tests)."""
    _built.cache_clear()
