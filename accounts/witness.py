"""Are these the secrets that this database was written with? Asked before anything is written with them.

For each encryption key the database keeps something sealed under it, and for the lookup key a hash. Wrong keys fail here, at
the start, and nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import connection, transaction

from accounts.models import KeyWitness
from floway import resealing
from floway.sealing import CannotUnseal, Sealer, lookup_hash, sealer

_LOOKUP = "lookup"
_ENCRYPTION = "encryption:"
_WORD = b"floway"
_REMEDY = "Restore the secrets that belong to this database (the secrets file from your backup, or the environment's)."


def problems() -> Iterator[str]:
    """What is wrong with the configured keys, in sentences for the operator; nothing where the tables are not there yet."""
    if KeyWitness._meta.db_table not in connection.introspection.table_names():
        return
    witnesses = dict(KeyWitness.objects.values_list("name", "value"))
    if _LOOKUP in witnesses and bytes(witnesses[_LOOKUP]) != _lookup():
        yield f"FLOWAY_LOOKUP_KEY is not the one that this database was written with: no API key would be found. {_REMEDY}"
    for name, value in sorted(witnesses.items()):
        if name.startswith(_ENCRYPTION):
            yield from _about_key(name.removeprefix(_ENCRYPTION), bytes(value))
    if not witnesses:
        yield from _about_rows()


def _about_key(key_id: str, value: bytes) -> Iterator[str]:
    if key_id not in settings.FLOWAY_ENCRYPTION_KEYS:
        yield (
            f"FLOWAY_ENCRYPTION_KEYS has no key {key_id!r}, and this database holds what was sealed under it. Put it "
            "back, after the current one; `manage.py rotate_keys` tells when it is no longer needed."
        )
        return
    try:
        sealer().unseal(value, purpose="witness", owner=key_id)
    except CannotUnseal:
        yield f"FLOWAY_ENCRYPTION_KEYS: the key {key_id!r} is not the one that this database was sealed with. {_REMEDY}"


def _about_rows() -> Iterator[str]:
    """A database from before there were witnesses: the newest row of each column must open."""
    tables = connection.introspection.table_names()
    for column in resealing.columns():
        if column.model._meta.db_table not in tables:
            continue
        row = column.rows().order_by("-pk").values_list("pk", column.column, *column.known_by).first()
        try:
            if row is not None:
                column.unseal(row)
        except CannotUnseal:
            yield f"FLOWAY_ENCRYPTION_KEYS does not open what stands in {column}. {_REMEDY}"


def establish() -> None:
    """Write the witnesses that are missing, if nothing is wrong."""
    if KeyWitness._meta.db_table not in connection.introspection.table_names() or any(problems()):
        return
    known = set(KeyWitness.objects.values_list("name", flat=True))
    values = {_LOOKUP: _lookup(), **{_ENCRYPTION + key_id: _sealed(key_id) for key_id in settings.FLOWAY_ENCRYPTION_KEYS}}
    new = [KeyWitness(name=name, value=value) for name, value in values.items() if name not in known]
    if new:
        with transaction.atomic():
            KeyWitness.objects.bulk_create(new, ignore_conflicts=True)


def dismiss(key_id: str) -> None:
    """Nothing is sealed under this key any more."""
    with transaction.atomic():
        KeyWitness.objects.filter(name=_ENCRYPTION + key_id).delete()


def retired() -> list[str]:
    """The keys with a witness that are not the current one."""
    names = KeyWitness.objects.filter(name__startswith=_ENCRYPTION).values_list("name", flat=True)
    return sorted({name.removeprefix(_ENCRYPTION) for name in names} - {resealing.current_key()})


def _lookup() -> bytes:
    return lookup_hash("witness", _WORD)


def _sealed(key_id: str) -> bytes:
    return Sealer({key_id: settings.FLOWAY_ENCRYPTION_KEYS[key_id]}).seal(_WORD, purpose="witness", owner=key_id)
