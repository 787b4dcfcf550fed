"""Raw statements for the few that every turn makes: the models' columns and values, without Django's building of SQL.

The statements stand in each app's `statements` and nowhere else. Columns come from the models, so that a new one is written and
read without anybody thinking of it; values go and come as Django's own fields would have them, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from uuid import UUID

import orjson
from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db import connections as _connections
from django.db.models.base import ModelState
from django.db.models.expressions import Col, DatabaseDefault, Value
from django.utils import timezone

connections: Any = _connections
"""Each thread's, which is one of ours: it can `run` a statement past Django's cursors."""
Row = tuple[Any, ...]
Convert = Callable[[Any], Any]
M = TypeVar("M", bound=models.Model)
_T = TypeVar("_T")
Tells = Callable[[], _T]
"""What a statement that is sent later gives: whoever calls it has all sent that waits. See `later`."""
IGNORE = "ON CONFLICT DO NOTHING"
_Field = Any
_Plan = tuple[list[int], list[tuple[int, Convert]], list[tuple[int, Callable[[], Any]]]]

_ROWS_AT_ONCE = 500
"""Of an INSERT: SQLite takes some 32,000 values a statement."""
_ROWS_OF_A_TURN = 8
"""Statements that insert so many are kept: a turn that goes on brings few items."""


def fetch(statement: str, params: Sequence[Any]) -> list[Row]:
    """The rows that a statement gives."""
    rows: list[Row] = connections[DEFAULT_DB_ALIAS].run(statement, params).fetchall()
    return rows


def change(statement: str, params: Sequence[Any]) -> int:
    """How many rows a statement changed."""
    return int(connections[DEFAULT_DB_ALIAS].run(statement, params).rowcount)


class Asked(Protocol):
    """A statement that was executed, or will be: whoever looks at what it gives has it executed first."""

    def fetchall(self) -> list[Row]:
        """The rows that it gives."""

    @property
    def rowcount(self) -> int:
        """How many rows it changes."""


def later(statement: str, params: Sequence[Any]) -> Asked:
    """A statement that is sent together with those that follow it in the open transaction, in their order.

    SQLite executes it at once. That it failed may be told by one that follows, or by the commit.
    """
    asked: Asked = connections[DEFAULT_DB_ALIAS].run_later(statement, params)
    return asked


def changed(asked: Asked) -> Tells[bool]:
    """Did it change a row?"""
    return lambda: bool(asked.rowcount)


def send_waiting() -> None:
    """Execute what `later` has left."""
    connections[DEFAULT_DB_ALIAS].run_waiting()


def places(count: int) -> str:
    """That many placeholders, in brackets."""
    return f"({', '.join(['%s'] * count)})"


@cache
def moment() -> str:
    """The time on the database's own clock, so many seconds from now: an expression with one placeholder."""
    if _on_sqlite():
        return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', %s || ' seconds')"
    return "(STATEMENT_TIMESTAMP() + %s * INTERVAL '1 second')"


@cache
def locking(how: str) -> str:
    """The end of a SELECT that locks rows. SQLite's writers come one by one and lock none."""
    return "" if _on_sqlite() else f" FOR {how}"


def timestamp(value: datetime) -> datetime | str:
    """A moment as a parameter."""
    return _text_of(value) if _on_sqlite() else value


@cache
def _on_sqlite() -> bool:
    return bool(connection.vendor == "sqlite")


def _text_of(value: datetime) -> str:
    return _text_of_utc(value if value.tzinfo is UTC else value.astimezone(UTC))


@lru_cache(maxsize=1024)
def _text_of_utc(value: datetime) -> str:
    """A turn writes the same few moments into several rows."""
    return value.isoformat(" ")[:-6]  # less +00:00


class Shape(Generic[M]):
    """The columns of a model, some left out: an instance reads those when it is asked for them."""

    def __init__(self, model: type[M], without: tuple[str, ...] = ()) -> None:
        fields: list[_Field] = [f for f in model._meta.concrete_fields if not f.generated and f.attname not in without]
        written = [field for field in fields if not isinstance(field, models.AutoField)]
        self.model = model
        self.table = f'"{model._meta.db_table}"'
        self.width = len(fields)
        self.written = [f'"{field.column}"' for field in written]
        self._all = [f'"{field.column}"' for field in fields]
        self._names = [field.attname for field in fields]
        self._key = next(place for place, field in enumerate(fields) if field.primary_key)
        self._readers = [(place, read) for place, field in enumerate(fields) if (read := _reader(field)) is not None]
        self._get = itemgetter(*(field.attname for field in written))  # of one name it would give no tuple
        self._getters = [(place, get) for place, field in enumerate(written) if (get := _getter(field)) is not None]
        self._writers = {place: write for place, field in enumerate(written) if (write := _writer(field)) is not None}
        self._places = {field.attname: place for place, field in enumerate(written)}
        self._makers = [(place, make) for place, field in enumerate(written) if (make := _maker(field)) is not None]
        self._usual = _written([_usual(field) for field in written], self._writers.items())
        self._blank = dict.fromkeys(self._names)
        self._blank |= {field.attname: _without_default(field.get_default()) for field in written if not _is_made(field)}
        self._made = [(field.attname, field.default) for field in written if _is_made(field)]
        self._each = places(len(written))
        self._plan = cache(self._planned)
        self._statements: dict[tuple[int, str, str], str] = {}

    def columns(self, alias: str) -> str:
        """All of them, for a SELECT from a table called `alias`."""
        return ", ".join(f"{alias}.{name}" for name in self._all)

    def instance(self, row: Row, start: int = 0) -> M:
        """The instance whose columns begin at `start`."""
        values = list(row[start : start + self.width])
        for place, read in self._readers:
            if values[place] is not None:
                values[place] = read(values[place])
        # As Django unpickles one: what `Model.__init__` does for values that come from anywhere is not needed here.
        instance = self.model.__new__(self.model)
        instance.__dict__ = dict(zip(self._names, values, strict=True))
        instance._state = _state()
        return instance

    def joined(self, row: Row, start: int) -> M | None:
        """The same, or None where an outer join found none."""
        return None if row[start + self._key] is None else self.instance(row, start)

    def new(self, **given: Any) -> M:
        """An instance that has no row yet, with these values, by the fields' attribute names.

        :raises TypeError: there is no such field.
        """
        instance = self.model.__new__(self.model)
        instance._state = ModelState()
        values = instance.__dict__
        values.update(self._blank)
        for name, make in self._made:
            values[name] = make()
        if not self._blank.keys() >= given.keys():
            raise TypeError(f"{self.model.__name__} has no {', '.join(given.keys() - self._blank.keys())}")
        values.update(given)
        return instance

    def values(self, instance: M) -> list[Any]:
        """What stands in the columns `written`, as the database takes it."""
        values = list(self._get(instance.__dict__))
        for place, get in self._getters:
            values[place] = get(instance)
        return _written(values, self._writers.items())

    def row(self, **given: Any) -> list[Any]:
        """The same of a new instance with these values, by the fields' attribute names, without making the instance.

        :raises TypeError: there is no such field.
        """
        places, writers, makers = self._plan(tuple(given))
        values = self._usual.copy()
        for place, value in zip(places, given.values(), strict=True):
            values[place] = value
        for place, make in makers:
            values[place] = make()
        return _written(values, writers)

    def _planned(self, names: tuple[str, ...]) -> _Plan:
        """Where values of these names go, how they are written, and what is made beside them."""
        if unknown := set(names) - self._places.keys():
            raise TypeError(f"{self.model.__name__} has no {', '.join(sorted(unknown))}")
        places = [self._places[name] for name in names]
        writers = [(place, self._writers[place]) for place in places if place in self._writers]
        return places, writers, [(place, make) for place, make in self._makers if place not in places]

    def add(self, rows: Sequence[Sequence[Any]], ending: str = "", *, returning: str = "") -> list[Asked]:
        """Insert them, some at a time; see `later`.

        :param ending: what to do on a conflict. :param returning: the columns to give of each that was inserted.
        """
        if len(rows) == 1:
            return [self._add(rows[0], 1, ending, returning)]
        asked = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            asked.append(self._add([value for row in some for value in row], len(some), ending, returning))
        return asked

    def _add(self, params: Sequence[Any], count: int, ending: str, returning: str) -> Asked:
        statement = self._statements.get((count, ending, returning)) or self._inserting(count, ending, returning)
        return later(statement, params)

    def _inserting(self, count: int, ending: str, returning: str) -> str:
        statement = f"INSERT INTO {self.table} ({', '.join(self.written)}) VALUES {', '.join([self._each] * count)} {ending}"
        statement += f" RETURNING {returning}" if returning else ""
        if count <= _ROWS_OF_A_TURN:
            self._statements[count, ending, returning] = statement
        return statement

    def add_one(self, row: Sequence[Any], ending: str = "") -> Any:
        """Insert it; its key, or None where a conflict left it out."""
        return self.key_of(self.add_one_later(row, ending))

    def add_one_later(self, row: Sequence[Any], ending: str = "") -> Asked:
        """Insert it; see `later`. What it gives is for `key_of`."""
        return self._add(row, 1, ending, self._all[self._key])

    @staticmethod
    def key_of(added: Asked) -> Any:
        """The key of what was inserted, or None where a conflict left it out."""
        rows = added.fetchall()
        return rows[0][0] if rows else None


def _written(values: list[Any], writers: Iterable[tuple[int, Convert]]) -> list[Any]:
    """As the database takes them, in place."""
    for place, write in writers:
        if values[place] is not None:
            values[place] = write(values[place])
    return values


def relate(instance: models.Model, **others: models.Model | None) -> None:
    """Let the instance refer to these, by the names of its foreign keys: without what Django asks about each."""
    for name, other in others.items():
        instance._state.fields_cache[name] = other
        instance.__dict__[f"{name}_id"] = None if other is None else other.pk


def copied(instance: M) -> M:
    """Another instance of the same row, and of the rows joined to it. What JSON columns hold is shared, to be read."""
    twin = instance.__class__.__new__(instance.__class__)
    twin.__dict__.update(instance.__dict__)
    twin._state = state = _state()
    state.fields_cache = {
        name: None if other is None else copied(other) for name, other in instance._state.fields_cache.items()
    }
    return twin


def stored(instance: models.Model, key: Any) -> None:
    """The instance has a row now, with this key."""
    instance.pk = key
    instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS


def _state() -> ModelState:
    state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    return state


if TYPE_CHECKING:

    def shape(model: type[M], without: tuple[str, ...] = ()) -> Shape[M]:
        """The columns of a model, found out once."""
else:
    shape = cache(Shape)


# --- values ---------------------------------------------------------------------------------------------------------------


_AS_THEY_ARE = (
    models.CharField,
    models.TextField,
    models.IntegerField,
    models.FloatField,
    models.BooleanField,
    models.BinaryField,
)


def _getter(field: _Field) -> Convert | None:
    """How a field's value is had of an instance; None where it is the attribute."""
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return lambda instance: field.pre_save(instance, add=True)
    if field.has_db_default() and not field.has_default():
        return lambda instance: _without_default(getattr(instance, field.attname))
    return None


def _maker(field: _Field) -> Callable[[], Any] | None:
    """What makes a field's value anew for each row that states none, ready to be written; None where it is always the same."""
    stamped = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    made = timezone.now if stamped else field.default
    if not stamped and not (field.has_default() and callable(made) and made not in {dict, list}):
        return None
    write = _writer(field)
    return made if write is None else lambda: write(made())


def _usual(field: _Field) -> Any:
    """A field's value where none is stated; None where that is made, by us or by the database."""
    value = None if _maker(field) else _without_default(field.get_default())
    return None if isinstance(value, DatabaseDefault) else value


def _is_made(field: _Field) -> bool:
    """Is a field's default made anew for each row?"""
    return field.has_default() and callable(field.default)


def _without_default(value: Any) -> Any:
    stated = getattr(value, "expression", None) if isinstance(value, DatabaseDefault) else None
    return stated.value if isinstance(stated, Value) else value


def _writer(field: _Field) -> Convert | None:
    """How a value goes to the database; None where it goes as it is."""
    target: Any = field.target_field if isinstance(field, models.ForeignKey) else field
    if type(target) is models.JSONField:
        return lambda value: orjson.dumps(value).decode()
    if isinstance(target, models.DateTimeField):
        return _text_of if _on_sqlite() else None
    if isinstance(target, _AS_THEY_ARE):
        return None
    return lambda value: target.get_db_prep_save(value, connection)


def _reader(field: _Field) -> Convert | None:
    """How a value comes from the database; None where it comes as it is."""
    target: Any = field.target_field if isinstance(field, models.ForeignKey) else field
    on_sqlite = _on_sqlite()
    if type(target) is models.JSONField:
        return _json
    if isinstance(target, models.DateTimeField):
        return _moment if on_sqlite else None
    if isinstance(target, models.BooleanField):
        return bool if on_sqlite else None
    if isinstance(target, models.UUIDField):
        return UUID if on_sqlite else None
    if isinstance(target, _AS_THEY_ARE):
        return None
    column = Col(target.model._meta.db_table, target)
    steps = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    return lambda value: _through(steps, value, column)


def _through(steps: Sequence[Callable[..., Any]], value: Any, column: Col) -> Any:
    for step in steps:
        value = step(value, column, connection)
    return value


@lru_cache(maxsize=1024)
def _moment(value: datetime | str) -> datetime:
    """SQLite says what type a column is, but not what an expression's is. A key's and a login's are the same in every turn."""
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).replace(tzinfo=UTC)


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
