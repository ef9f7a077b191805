"""Reading a wide table in PostgreSQL: each column as if its samples stood in a narrow one.

A column has neither qualities nor texts beside its numbers: what it holds is good, what it lacks is
no sample. See `wide` for what is in which column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from gl002.errors import DataError
from gl002.model import Batch, Sample, Tag
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.migrations import exists
from gl002.transport.sql.names import identifier
from gl002.transport.sql.reading import NarrowReading
from gl002.transport.sql.settings import PostgreSQLOutput
from gl002.transport.sql.sink import layout_of
from gl002.transport.sql.wide import NUMBERS, TEXTS, WHOLE, WideTable
from gl002.trend import Bucket
from gl002.wire.narrow import Kind

if TYPE_CHECKING:
    from psycopg.sql import Composed

# A literal may hold a per cent sign; where parameters are given that must stand doubled.
_COLUMN: LiteralString = """
(SELECT {tag}::text AS tag, {time} AS time, {number}::double precision AS value,
    {text}::text AS text, 0::bigint AS quality
FROM {table} WHERE {column} IS NOT NULL AND {key} = {wanted}) AS wide
"""


async def reading_of(
    connection: Connection, spec: PostgreSQLOutput, name: str
) -> NarrowReading | WideReading:
    """What reads the table of an output, in whichever layout it is.

    Args:
        connection: any.
        spec: layout, columns.
        name: of the table.
    """
    layout = spec.layout or await layout_of(connection, name, spec.time_column)
    if layout == "narrow":
        return NarrowReading(name)
    wide = WideReading(name, time_column=spec.time_column, key_column=spec.key_column or "")
    await wide.learn(connection)
    return wide


class _Column(NarrowReading):
    """The samples of one tag.

    Args:
        name: of the table.
        samples: what stands for the narrow table.
        kind: type of the tag.
    """

    def __init__(self, name: str, samples: Composed, kind: Kind) -> None:
        super().__init__(name)
        self._samples_sql, self._kind = samples, kind

    def _sql(self, template: LiteralString) -> Composed:
        from psycopg.sql import SQL

        return SQL(template).format(table=self._samples_sql)

    async def _kinds(self, connection: Connection, names: Sequence[str]) -> dict[str, Kind]:
        return dict.fromkeys(names, self._kind)


class WideReading(WideTable):
    """One table with a column for each tag, as far as it is read. Call `learn` first."""

    async def learn(self, connection: Connection) -> None:
        """Which columns there are, which tags they are of, and what is known about those."""
        await self._learn_columns(connection)
        if await exists(connection, (*self._parts[:-1], "gl002_column")):
            await self._learn_owners(connection)
        known: list[Tag] = []
        if await exists(connection, (*self._parts[:-1], "gl002_tag")):
            known = await NarrowReading(self.name).tags(connection)
        self._known = {tag.name: tag for tag in known}

    async def latest(self, connection: Connection, names: Sequence[str]) -> dict[str, Sample]:
        """The newest sample of each tag that has one."""
        found: dict[str, Sample] = {}
        for name in dict.fromkeys(names):
            if column := self._column(name):
                found |= await column.latest(connection, [name])
        return found

    async def page(
        self, connection: Connection, name: str, start: int, end: int, *, limit: int
    ) -> Batch:
        """Samples of one tag with start <= time < end, oldest first, at most `limit`."""
        column = self._column(name)
        return await column.page(connection, name, start, end, limit=limit) if column else []

    async def trend(
        self, connection: Connection, name: str, start: int, end: int, width: int
    ) -> list[Bucket]:
        """One tag in stretches of `width` nanoseconds from `start` on, oldest first."""
        column = self._column(name)
        return await column.trend(connection, name, start, end, width) if column else []

    async def tags(self, connection: Connection) -> list[Tag]:
        """Every tag that has a column here, in alphabetical order.

        With a key column those that were written as samples: the others nobody can list.
        """
        found = {name: tag for name, tag in self._known.items() if self._column(name)}
        if not self._key:
            named = {self._owners.get(column, column) for column in self._types}
            found |= {n: Tag(name=n) for n in named - found.keys() if self._column(n)}
        return [found[name] for name in sorted(found)]

    def _column(self, tag: str) -> _Column | None:
        """What is read of a tag; None where it has no column."""
        from psycopg.sql import NULL, SQL, Literal

        try:
            place = self._place(tag)
        except DataError:
            return None
        kind = self._types.get(place.column, "")
        if not (kind in NUMBERS or kind in WHOLE or kind in TEXTS or kind == "boolean"):
            return None
        column = identifier(place.column)
        number: Any = SQL("{}::int").format(column) if kind == "boolean" else column
        samples = SQL(_COLUMN).format(
            tag=Literal(tag.replace("%", "%%")), time=identifier(self._time), column=column,
            number=NULL if kind in TEXTS else number, text=column if kind in TEXTS else NULL,
            table=identifier(*self._parts),
            key=identifier(self._key) if self._key else Literal(""),
            wanted=Literal(place.key.replace("%", "%%")),
        )  # fmt: skip
        known = self._known[tag].type if tag in self._known else None
        return _Column(self.name, samples, "bool" if kind == "boolean" else known)
