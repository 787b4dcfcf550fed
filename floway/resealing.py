"""Every sealed column there is, and moving what is sealed under older keys to the current one, row by row, while all is in use.

An app lists its columns in a module `sealed`. A row is replaced only if it is still as it was read, so that a writer in between
wins; what is under the current key is passed over, so that a run that was cut short goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Func, Q, Value
from django.utils.module_loading import module_has_submodule

from floway.sealing import CannotUnseal, head_of, key_id_of, sealer

_BATCH = 200


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column that holds envelopes.

    :param owner: the owner that a row's envelope is bound to, from the values of the columns `known_by`.
    """

    model: type[models.Model]
    column: str
    purpose: str
    known_by: tuple[str, ...]
    owner: Callable[..., str]

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.column}"

    def rows(self) -> models.QuerySet[Any]:
        """Those that hold something; `head` is how the envelope begins under the current key, for as long as that is."""
        begins = head_of(current_key())
        head = Func(F(self.column), Value(1), Value(len(begins)), function="SUBSTR", output_field=models.BinaryField())
        empty = Q(**{self.column: b""}) | Q(**{self.column: None})
        rows: models.QuerySet[Any] = self.model._base_manager.exclude(empty).annotate(head=head)
        return rows

    def unseal(self, row: Sequence[Any]) -> bytes:
        """The plaintext of a row of (pk, envelope, *known_by). :raises CannotUnseal: see there."""
        return sealer().unseal(row[1], purpose=self.purpose, owner=self.owner(*row[2:]))


@dataclass(slots=True)
class Tally:
    """What a run over one column came to. `moved` were sealed anew; `lost` could not be unsealed and are as they were."""

    column: SealedColumn
    moved: int = 0
    lost: int = 0


def current_key() -> str:
    """The id of the key that is sealed under."""
    return str(next(iter(settings.FLOWAY_ENCRYPTION_KEYS)))


def columns() -> list[SealedColumn]:
    """Those of every app."""
    found: list[SealedColumn] = []
    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, "sealed"):
            found.extend(import_module(f"{app.name}.sealed").COLUMNS)
    return found


def by_key(column: SealedColumn) -> Counter[str]:
    """How many rows of it are sealed under which key id."""
    rows = column.rows().order_by()
    counted: Counter[str] = Counter()
    seen = models.Q()
    for key_id in settings.FLOWAY_ENCRYPTION_KEYS:
        begins = head_of(key_id)
        here = Func(F(column.column), Value(1), Value(len(begins)), function="SUBSTR", output_field=models.BinaryField())
        name = f"head_{len(counted)}"
        rows = rows.annotate(**{name: here})
        counted[key_id] = rows.filter(**{name: begins}).count()
        seen |= models.Q(**{name: begins})
    for envelope in rows.exclude(seen).values_list(column.column, flat=True).iterator():
        counted[key_id_of(envelope) or "(no envelope)"] += 1
    return counted


def move(column: SealedColumn, progress: Callable[[Tally], None]) -> Tally:
    """Seal every row of it anew that is not under the current key; `progress` is told after each batch."""
    tally = Tally(column)
    for batch in _batches(column):
        for row in batch:
            try:
                plaintext = column.unseal(row)
            except CannotUnseal:
                tally.lost += 1
                continue
            tally.moved += _replace(column, row, plaintext)
        progress(tally)
    return tally


def _batches(column: SealedColumn) -> Iterator[list[Any]]:
    wanted = column.rows().exclude(head=head_of(current_key())).order_by("pk")
    last = None
    while batch := list(
        (wanted if last is None else wanted.filter(pk__gt=last)).values_list("pk", column.column, *column.known_by)[:_BATCH]
    ):
        yield batch
        last = batch[-1][0]


def _replace(column: SealedColumn, row: Sequence[Any], plaintext: bytes) -> int:
    sealed = sealer().seal(plaintext, purpose=column.purpose, owner=column.owner(*row[2:]))
    with transaction.atomic():
        return column.model._base_manager.filter(pk=row[0], **{column.column: row[1]}).update(**{column.column: sealed})
