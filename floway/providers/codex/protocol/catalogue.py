"""The catalogue of models, kept whole for clients of the dialect and listed for everybody else."""

from __future__ import annotations

from dataclasses import replace

from floway.providers.contract import Catalogue, Model
from floway.wire.json import InvalidJSON, loads

QUERY = "client_version"
_OWNER = "openai"
# The backend's catalogue has no dates, and the public list demands one: the beginning of Unix time says "unknown".
_CREATED = 0


def read(body: bytes, etag: str | None) -> Catalogue | None:
    """The catalogue in an answer's body, or None where it is none. Entries without a slug are no models."""
    try:
        parsed = loads(body)
    except InvalidJSON:
        return None
    entries = parsed.get("models") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        return None
    slugs = [entry.get("slug") for entry in entries if isinstance(entry, dict)]
    models = tuple(Model(slug, _CREATED, _OWNER) for slug in dict.fromkeys(slugs) if isinstance(slug, str) and slug)
    return Catalogue(models, dialect_query=QUERY, dialect_body=parsed, etag=etag)


def narrowed(catalogue: Catalogue) -> Catalogue:
    """The catalogue, its body without the entries that are not among its models."""
    body, listed = catalogue.dialect_body, {model.id for model in catalogue.models}
    entries = body.get("models") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(entries, list):
        return replace(catalogue, dialect_body=None, dialect_query=None)
    kept = [entry for entry in entries if isinstance(entry, dict) and entry.get("slug") in listed]
    return replace(catalogue, dialect_body={**body, "models": kept})
