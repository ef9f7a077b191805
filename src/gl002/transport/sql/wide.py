"""The wide layout in PostgreSQL: one row per moment, a column for each tag.

    boiler_data  timestamp timestamptz, boiler_id text, efficiency double precision, ...
                 unique (timestamp, boiler_id)

With a key column the part of a tag before its first dot goes there, and the rest names the column:
'B001.efficiency'. Without one the whole tag names it. A sample that is bad or has no value leaves
its place empty; the narrow layout keeps qualities, this one cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, TypeAlias

from gl002.errors import ConfigError, DataError
from gl002.model import Batch, Sample, Tag, Value, is_bad, to_datetime
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.migrations import alone, migrate
from gl002.transport.sql.names import checked_column, checked_name, identifier
from gl002.transport.sql.narrow import Written
from gl002.transport.sql.tags import TagRows
from gl002.wire.narrow import columns as checked

if TYPE_CHECKING:
    from psycopg.sql import Composed

_MOST_COLUMNS = 1500  # PostgreSQL allows 1600, dropped ones included
_NO_WORD = re.compile(r"\W+")
_SYSTEM = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}  # every table has them

_TABLE: LiteralString = "CREATE TABLE IF NOT EXISTS {table} ({time} timestamptz NOT NULL)"
_KEY: LiteralString = "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {key} text"
_COLUMN: LiteralString = "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}"
_UNIQUE: LiteralString = "CREATE UNIQUE INDEX ON {table} ({places})"
_HAS_COLUMNS = """
SELECT attname, format_type(atttypid, NULL), attnotnull AND NOT atthasdef
FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_HAS_KEY = """
SELECT EXISTS (
    SELECT FROM pg_index WHERE indrelid = %s::regclass AND indisunique AND indpred IS NULL
    AND indexprs IS NULL
    AND (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
         WHERE attrelid = indrelid AND attnum = ANY (indkey)) = %s
)
"""
# Which tag a column is of, so that two tags never share one, also over restarts.
_STEPS: Sequence[LiteralString] = (
    """
CREATE TABLE IF NOT EXISTS {owners} (
    place text NOT NULL, "column" text NOT NULL, tag text NOT NULL,
    PRIMARY KEY (place, "column")
)
""",
)
_OWNERS: LiteralString = 'SELECT "column", tag FROM {owners} WHERE place = %s'
_OWN: LiteralString = """
INSERT INTO {owners} (place, "column", tag) SELECT %s, * FROM unnest(%s::text[], %s::text[])
ON CONFLICT DO NOTHING
"""
_INCOMING: LiteralString = """
CREATE TEMPORARY TABLE gl002_wide ON COMMIT DROP AS SELECT {places} FROM {table} WITH NO DATA
"""
_COPY: LiteralString = "COPY gl002_wide ({places}) FROM STDIN"
_MERGE: LiteralString = """
INSERT INTO {table} AS kept ({places}) SELECT {places} FROM gl002_wide
ON CONFLICT ({unique}) DO UPDATE SET {changes}
WHERE ({kept}) IS DISTINCT FROM ({merged})
"""
_DROP = "DROP TABLE gl002_wide"

NUMBERS = {"double precision", "real", "numeric"}
WHOLE = {"bigint": 2**63, "integer": 2**31, "smallint": 2**15}
TEXTS = {"text", "character varying"}

Rows: TypeAlias = dict[tuple[int, str], dict[str, Value]]
"""Microsecond and key -> column -> value."""


class _Place(NamedTuple):
    """Where a tag's values go."""

    key: str
    column: str


class WideTable:
    """One table with a column for each tag.

    Args:
        name: 'boiler_data' or 'schema.boiler_data'.
        time_column: of its times.
        key_column: takes the part of a tag before its first dot; '' where there is none.

    Raises:
        DataError: one of them is no name.
    """

    def __init__(self, name: str, *, time_column: str, key_column: str = "") -> None:
        self.name = name
        self._parts = checked_name(name)
        self._time = checked_column(time_column)
        self._key = checked_column(key_column) if key_column else ""
        self._tags = TagRows(self._parts[:-1])
        self._types: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    def _sql(self, template: LiteralString, **more: Any) -> Composed:
        from psycopg.sql import SQL

        names = {
            "table": identifier(*self._parts),
            "owners": identifier(*self._parts[:-1], "gl002_column"),
            "time": identifier(self._time),
            **more,
        }
        return SQL(template).format(**names)

    @property
    def _quoted(self) -> str:
        return identifier(*self._parts).as_string()

    @property
    def _unique(self) -> list[str]:
        return [self._time, self._key] if self._key else [self._time]

    # ---- making -----------------------------------------------------------------------------

    async def prepare(self, connection: Connection) -> None:
        """Make the table, its unique key and what stands beside it; safe to call again.

        Raises:
            ConfigError: a table is there that cannot take rows of ours; says why.
        """
        await alone(connection)
        await connection.execute(self._sql(_TABLE))
        if self._key:
            await connection.execute(self._sql(_KEY, key=identifier(self._key)))
        await self._learn_columns(connection)
        if differences := list(self._differences()):
            raise ConfigError(
                f"the table '{self.name}' is no wide table: {'; '.join(differences)}",
                hint="name another 'table', or set 'time_column' and 'key_column'",
            )
        await self._make_unique(connection)
        owners = (*self._parts[:-1], "gl002_column")
        await migrate(connection, owners, _STEPS, {"owners": identifier(*owners)})
        await self._tags.prepare(connection)
        await self._learn_owners(connection)

    async def _learn_columns(self, connection: Connection) -> None:
        rows = await (await connection.execute(_HAS_COLUMNS, (self._quoted,))).fetchall()
        self._types = {name: kind for name, kind, _ in rows}
        self._must = [name for name, _, must in rows if must and name not in self._unique]

    async def _learn_owners(self, connection: Connection) -> None:
        rows = await connection.execute(self._sql(_OWNERS), (self.name,))
        self._owners = dict(await rows.fetchall())

    def _differences(self) -> Iterable[str]:
        kind = self._types[self._time]
        if kind != "timestamp with time zone":
            yield f"'{self._time}' is {kind}, not timestamp with time zone"
        if self._key and self._types[self._key] not in TEXTS:
            yield f"'{self._key}' is {self._types[self._key]}, not text"
        for name in self._must:
            yield f"'{name}' must be given a value, and we have none"

    async def _make_unique(self, connection: Connection) -> None:
        from psycopg.errors import UniqueViolation

        wanted = (self._quoted, sorted(self._unique))
        row = await (await connection.execute(_HAS_KEY, wanted)).fetchone()
        if row is not None and row[0]:
            return
        try:
            await connection.execute(self._sql(_UNIQUE, places=_list(self._unique)))
        except UniqueViolation as error:
            raise ConfigError(
                f"the table '{self.name}' has several rows of one {' and '.join(self._unique)}: "
                f"{error.diag.message_detail or ''}",
                hint="set 'key_column' to what tells them apart, or name another 'table'",
            ) from None

    # ---- writing ----------------------------------------------------------------------------

    def forget(self) -> None:
        """What a transaction taught that may have been undone. Call it when one failed."""
        self._tags.forget()
        self._types, self._owners = {}, {}

    async def write(
        self, connection: Connection, batch: Batch, about: Mapping[str, Tag]
    ) -> Written:
        """Upsert a batch: what it says of a moment is added to what the row has.

        Args:
            connection: a connection inside a transaction.
            batch: any order; of the same tag and microsecond the later sample stays.
            about: unit, description and type of tags.
        """
        if not self._types:
            await self._learn_columns(connection)
            await self._learn_owners(connection)
        learnt = await self._tags.learn(connection, batch, about)
        places, refused = self._places(batch, learnt.refused)
        notes = learnt.notes + await self._make_room(connection, batch, places)
        rows, rejected = self._rows(batch, places, refused)
        await self._put(connection, rows)
        return Written(rejected, 0, notes)

    def _places(
        self, batch: Batch, refused: Mapping[str, str]
    ) -> tuple[dict[str, _Place], dict[str, str]]:
        """Column and key of each tag, and tags that can have none."""
        places: dict[str, _Place] = {}
        reasons = dict(refused)
        for tag in dict.fromkeys(sample.tag for sample in batch):
            if tag in reasons:
                continue
            try:
                places[tag] = self._place(tag)
            except DataError as error:
                reasons[tag] = str(error.args[0])
        return places, reasons

    def _place(self, tag: str) -> _Place:
        key, dot, rest = tag.partition(".") if self._key else ("", ".", tag)
        if not dot or (not key and self._key) or not rest:
            raise DataError(f"it has no part before a dot for the column '{self._key}'")
        column = checked_column(_NO_WORD.sub("_", rest))
        if column in self._unique or column in _SYSTEM:
            raise DataError(f"its column would be '{column}', which is taken")
        owner = self._owners.get(column, rest)
        if owner != rest:
            raise DataError(f"its column '{column}' is that of '{owner}' already")
        self._owners.setdefault(column, rest)
        return _Place(key, column)

    async def _make_room(
        self, connection: Connection, batch: Batch, places: Mapping[str, _Place]
    ) -> list[str]:
        """Add the columns that are missing, of the type of their first value; says which."""
        from psycopg.sql import SQL

        notes, fresh = [], {}
        for sample in batch:
            place = places.get(sample.tag)
            if place is None or place.column in self._types or _is_empty(sample):
                continue
            kind = _kind(sample.value)
            if len(self._types) < _MOST_COLUMNS:
                names = {"column": identifier(place.column), "kind": SQL(kind)}
                await connection.execute(self._sql(_COLUMN, **names))
                self._types[place.column] = kind
                fresh[place.column] = self._owners[place.column]
                notes.append(f"new column {self.name}.{place.column} {kind}")
        if fresh:
            lists = (self.name, list(fresh), list(fresh.values()))
            await connection.execute(self._sql(_OWN), lists)
        return notes

    def _rows(
        self, batch: Batch, places: Mapping[str, _Place], refused: Mapping[str, str]
    ) -> tuple[Rows, dict[int, str]]:
        rows: Rows = {}
        rejected = {}
        for i, sample in enumerate(batch):
            if sample.tag in refused:
                rejected[i] = refused[sample.tag]
                continue
            try:
                checked(sample, exact=2**63)
                if not _is_empty(sample):
                    place = places[sample.tag]
                    value = _fitting(sample.value, self._types.get(place.column, ""), place.column)
                    rows.setdefault((sample.time // 1000, place.key), {})[place.column] = value
            except DataError as error:
                rejected[i] = str(error.args[0])
        return rows, rejected

    async def _put(self, connection: Connection, rows: Rows) -> None:
        columns = sorted({column for row in rows.values() for column in row})
        if not columns:
            return
        names = {"places": _list([*self._unique, *columns]), "unique": _list(self._unique)}
        await connection.execute(self._sql(_INCOMING, **names))
        statement = self._sql(_COPY, **names)
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for (micros, key), row in sorted(rows.items()):  # one order for all writers
                first = (_moment(micros), key) if self._key else (_moment(micros),)
                await copy.write_row((*first, *(row.get(column) for column in columns)))
        await connection.execute(self._sql(_MERGE, **names, **_changes(columns)))
        await connection.execute(_DROP)


def _changes(columns: Sequence[str]) -> dict[str, Any]:
    """What a row becomes: the new value where there is one, else the one it has."""
    from psycopg.sql import SQL

    comma = SQL(", ")
    quoted = [identifier(column) for column in columns]
    merged = [SQL("coalesce(excluded.{c}, kept.{c})").format(c=c) for c in quoted]
    changes = [SQL("{c} = {m}").format(c=c, m=m) for c, m in zip(quoted, merged, strict=True)]
    kept = [SQL("kept.{c}").format(c=c) for c in quoted]
    return {"changes": comma.join(changes), "kept": comma.join(kept), "merged": comma.join(merged)}


def _list(names: Iterable[str]) -> Any:
    from psycopg.sql import SQL

    return SQL(", ").join(identifier(name) for name in names)


def _moment(micros: int) -> datetime:
    return to_datetime(micros * 1000).astimezone(UTC)


def _is_empty(sample: Sample) -> bool:
    return sample.value is None or is_bad(sample.quality) or sample.value != sample.value


def _kind(value: Value) -> LiteralString:
    """The type of a new column."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "double precision"


def _fitting(value: Value, kind: str, column: str) -> Value:
    """A value as its column takes it, without loss.

    Raises:
        DataError: it would be lost or changed.
    """
    if isinstance(value, str):
        if kind in TEXTS:
            return value
    elif isinstance(value, bool):
        if kind == "boolean":
            return value
        if kind in NUMBERS or kind in WHOLE:
            return int(value)
    elif value is not None:
        if kind in NUMBERS:
            return value
        limit = WHOLE.get(kind, 0)
        if float(value).is_integer() and -limit <= value < limit:
            return int(value)
    if not kind:
        raise DataError(f"the table has no room for its column '{column}'")
    raise DataError(f"its column '{column}' is {kind}, and cannot hold {value!r:.40}")
