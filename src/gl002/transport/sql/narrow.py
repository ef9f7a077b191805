"""The narrow table in PostgreSQL: one row per sample, upserted on tag and time.

    samples    time timestamptz, tag text, value double precision, text text, quality bigint,
               primary key (tag, time)
    gl002_tag  name text primary key, unit text, description text, type text

PostgreSQL keeps microseconds: of two samples of a tag within one microsecond the later stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, TypeAlias

from gl002.errors import ConfigError, DataError
from gl002.model import Batch, Tag
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.migrations import alone, exists, migrate
from gl002.transport.sql.names import identifier
from gl002.transport.sql.reading import NarrowReading
from gl002.transport.sql.tags import TagRows
from gl002.wire.narrow import (
    EXACT_IN_DOUBLE,
    columns,
)

if TYPE_CHECKING:
    from psycopg.sql import Composed

_EPOCH = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where PostgreSQL's binary time begins (its timestamp.h)."""

_COLUMNS = {
    "time": "timestamp with time zone",
    "tag": "text",
    "value": "double precision",
    "text": "text",
    "quality": "bigint",
}

# Bytewise comparison keeps the key small to compare, and right when the system's sort order
# changes with an upgrade.
_STEPS: Sequence[LiteralString] = (
    """
CREATE TABLE IF NOT EXISTS {table} (
    time timestamptz NOT NULL,
    tag text COLLATE "C" NOT NULL,
    value double precision,
    text text,
    quality bigint NOT NULL,
    PRIMARY KEY (tag, time)
)
""",
)
_HAS_COLUMNS = """
SELECT attname, format_type(atttypid, NULL), attnotnull AND NOT atthasdef
FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_HAS_KEY = """
SELECT EXISTS (
    SELECT FROM pg_index WHERE indrelid = %s::regclass AND indisunique AND indpred IS NULL
    AND (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
         WHERE attrelid = indrelid AND attnum = ANY (indkey)) = ARRAY['tag', 'time']
)
"""

_APPEND: LiteralString = """
COPY {table} (time, tag, value, text, quality) FROM STDIN (FORMAT BINARY)
"""
_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS gl002_incoming (
    time timestamptz, tag text COLLATE "C", value double precision, text text, quality bigint
) ON COMMIT DELETE ROWS
"""
_COPY: LiteralString = """
COPY gl002_incoming (time, tag, value, text, quality) FROM STDIN (FORMAT BINARY)
"""
_COPY_TYPES = ("int8", "text", "float8", "text", "int8")  # a binary time is an 8-byte integer
_MERGE: LiteralString = """
INSERT INTO {table} AS kept (time, tag, value, text, quality)
SELECT time, tag, value, text, quality FROM gl002_incoming
ON CONFLICT (tag, time) DO UPDATE
SET value = excluded.value, text = excluded.text, quality = excluded.quality
WHERE (kept.value, kept.text, kept.quality)
IS DISTINCT FROM (excluded.value, excluded.text, excluded.quality)
"""

Rows: TypeAlias = dict[tuple[str, int], tuple[Any, ...]]
"""Tag and microsecond -> row."""

_CAREFUL = 100  # batches that are merged after one that could not be appended


class Written(NamedTuple):
    """What became of a batch.

    Attributes:
        rejected: place in the batch -> why no row can hold it.
        merged: samples that another of the same tag and microsecond took the place of.
        notes: what changed about tags and columns, for people.
    """

    rejected: dict[int, str]
    merged: int
    notes: list[str]


class NarrowTable(NarrowReading):
    """One table of samples and the tag table beside it.

    Args:
        name: 'samples' or 'schema.samples'; the tag table is in the same schema.

    Raises:
        DataError: that is no name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._tags = TagRows(self._parts[:-1])
        self._newest: dict[str, int] = {}
        self._careful = 0

    # ---- making -----------------------------------------------------------------------------

    async def prepare(self, connection: Connection) -> None:
        """Make both tables where they are missing; safe to call again.

        Args:
            connection: a connection inside a transaction.

        Raises:
            ConfigError: there is a table of that name, but it has other columns; says which.
        """
        await alone(connection)
        if await exists(connection, self._parts):
            await self._check(connection)
        await migrate(connection, self._parts, _STEPS, {"table": identifier(*self._parts)})
        await self._tags.prepare(connection)

    async def _check(self, connection: Connection) -> None:
        found = await (await connection.execute(_HAS_COLUMNS, (self._quoted,))).fetchall()
        differences = list(_differences(found))
        if not differences:
            key = await (await connection.execute(_HAS_KEY, (self._quoted,))).fetchone()
            if key is None or not key[0]:
                differences = ["it has no unique key on (tag, time)"]
        if differences:
            raise ConfigError(
                f"the table '{self.name}' is no table for samples: {'; '.join(differences)}",
                hint="name another 'table': it is made where it is missing",
            )

    # ---- writing ----------------------------------------------------------------------------

    def forget(self) -> None:
        """What a transaction taught that may have been undone. Call it when one failed."""
        self._tags.forget()
        self._newest.clear()

    async def write(
        self, connection: Connection, batch: Batch, about: Mapping[str, Tag]
    ) -> Written:
        """Upsert a batch; of the same tag and time the later sample stays.

        Args:
            connection: a connection inside a transaction.
            batch: any order.
            about: unit, description and type of tags.
        """
        learnt = await self._tags.learn(connection, batch, about)
        rows, rejected = _rows(batch, learnt.refused)
        await self._put(connection, rows)
        accepted = len(batch) - len(rejected)
        merged = _merged(batch, rejected) if len(rows) < accepted else 0
        return Written(rejected, merged, learnt.notes)

    async def _put(self, connection: Connection, rows: Rows) -> None:
        """Append what is newer than all we have written of its tag; merge the rest, or everything.

        To append takes the server half the time. Another writer of the same rows shows as a double
        key: then everything is merged for a while.
        """
        late = keys = sorted(rows)  # one order for all writers
        if self._careful:
            self._careful -= 1
        else:
            late = [key for key in keys if key[1] <= self._newest.get(key[0], key[1])]
            fresh = [rows[key] for key in keys if key[1] > self._newest.get(key[0], key[1])]
            if fresh and not await self._append(connection, fresh):
                self._careful, late = _CAREFUL, keys
        if late:
            await self._merge(connection, [rows[key] for key in late])
        for tag, newest in dict(keys).items():  # the last of each tag
            self._newest[tag] = max(newest, self._newest.get(tag, newest))

    async def _append(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> bool:
        """Whether the rows are in; if not, nothing of them is."""
        from psycopg.errors import FeatureNotSupported, UniqueViolation

        try:
            async with connection.transaction():
                await _copy(connection, self._sql(_APPEND), rows)
        except (UniqueViolation, FeatureNotSupported):  # the second: row security of the table
            return False
        return True

    async def _merge(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        await connection.execute(_INCOMING)
        await _copy(connection, self._sql(_COPY), rows)
        await connection.execute(self._sql(_MERGE))


async def _copy(
    connection: Connection, statement: Composed, rows: Iterable[tuple[Any, ...]]
) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(_COPY_TYPES)
        for row in rows:
            await copy.write_row(row)


def _rows(batch: Batch, refused: Mapping[str, str]) -> tuple[Rows, dict[int, str]]:
    """Rows by key, the last of a key; and what cannot be a row."""
    rows: Rows = {}
    rejected = {}
    for i, sample in enumerate(batch):
        tag = sample.tag
        if tag in refused:
            rejected[i] = refused[tag]
            continue
        try:
            number, text, quality = columns(sample, exact=EXACT_IN_DOUBLE)
        except DataError as error:
            rejected[i] = str(error)
            continue
        micros = sample.time // 1000
        rows[tag, micros] = (micros - _EPOCH, tag, number, text, quality)
    return rows, rejected


def _merged(batch: Batch, rejected: Mapping[int, str]) -> int:
    """Samples that differ from another in less than a microsecond; a repeated one is no loss."""
    times = {(s.tag, s.time) for i, s in enumerate(batch) if i not in rejected}
    return len(times) - len({(tag, moment // 1000) for tag, moment in times})


def _differences(found: Sequence[tuple[Any, ...]]) -> Iterable[str]:
    """What keeps the columns found from being those of a table of samples."""
    types = {name: kind for name, kind, _ in found}
    missing = [f"{name} {kind}" for name, kind in _COLUMNS.items() if name not in types]
    if missing:
        yield f"it has {', '.join(types)}, but not {', '.join(missing)}"
    for name, wanted in _COLUMNS.items():
        kind = types.get(name, wanted)
        if kind != wanted and not (wanted == "text" and kind == "character varying"):
            yield f"'{name}' is {kind}, not {wanted}"
    for name, _, must_be_given in found:
        if must_be_given and name not in _COLUMNS:
            yield f"'{name}' must be given a value, and we have none"
