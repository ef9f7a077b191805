"""Reading a narrow table in PostgreSQL. See `narrow` for its columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

from gl002.model import Batch, Sample, Tag, to_datetime
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.names import checked_name, identifier
from gl002.trend import Bucket
from gl002.wire.narrow import Kind, restored

if TYPE_CHECKING:
    from psycopg.sql import Composed

_KINDS: LiteralString = "SELECT name, type FROM {tags} WHERE name = ANY (%s)"
_LATEST: LiteralString = """
SELECT tag, (extract(epoch FROM time) * 1000000)::bigint, value, text, quality
FROM unnest(%s::text[]) AS wanted (name) CROSS JOIN LATERAL (
    SELECT * FROM {table} WHERE tag = wanted.name ORDER BY time DESC LIMIT 1
) AS newest
"""
_PAGE: LiteralString = """
SELECT tag, (extract(epoch FROM time) * 1000000)::bigint, value, text, quality
FROM {table} WHERE tag = %s AND time >= %s AND time < %s ORDER BY time LIMIT %s
"""
_PAGES: LiteralString = """
SELECT tag, (extract(epoch FROM time) * 1000000)::bigint, value, text, quality
FROM unnest(%s::text[]) AS wanted (name) CROSS JOIN LATERAL (
    SELECT * FROM {table} WHERE tag = wanted.name AND time >= %s AND time < %s
    ORDER BY time LIMIT %s
) AS page
"""
_TREND: LiteralString = """
SELECT place, count(*), count(usable), min(usable), max(usable), avg(usable), max(quality)
FROM (
    SELECT ((extract(epoch FROM time) * 1000000)::bigint - %(start)s) * 1000 / %(width)s AS place,
        CASE WHEN quality < 2147483648 THEN value END AS usable, quality
    FROM {table} WHERE tag = %(tag)s AND time >= %(since)s AND time < %(until)s
) AS placed GROUP BY place ORDER BY place
"""
_TAGS: LiteralString = "SELECT name, unit, description, type FROM {tags} ORDER BY name"


class NarrowReading:
    """One table of samples and the tag table beside it, as far as it is read.

    Args:
        name: 'samples' or 'schema.samples'; the tag table is in the same schema.

    Raises:
        DataError: that is no name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._parts = checked_name(name)

    def _sql(self, template: LiteralString) -> Composed:
        from psycopg.sql import SQL

        tags = identifier(*self._parts[:-1], "gl002_tag")
        return SQL(template).format(table=identifier(*self._parts), tags=tags)

    @property
    def _quoted(self) -> str:
        return identifier(*self._parts).as_string()

    async def _kinds(self, connection: Connection, names: Sequence[str]) -> dict[str, Kind]:
        """The type of each tag as far as the tag table knows it."""
        kinds: dict[str, Kind] = dict.fromkeys(names)
        kinds.update(await (await connection.execute(self._sql(_KINDS), (list(names),))).fetchall())
        return kinds

    async def latest(self, connection: Connection, names: Sequence[str]) -> dict[str, Sample]:
        """The newest sample of each tag that has one."""
        wanted = list(dict.fromkeys(names))
        return {s.tag: s for s in await self._samples(connection, wanted, _LATEST, (wanted,))}

    async def page(
        self, connection: Connection, name: str, start: int, end: int, *, limit: int
    ) -> Batch:
        """Samples of one tag with start <= time < end, oldest first, at most `limit`."""
        return await self._samples(connection, [name], _PAGE, (name, *_bounds(start, end), limit))

    async def pages(
        self, connection: Connection, names: Sequence[str], start: int, end: int, *, limit: int
    ) -> Batch:
        """Samples of several tags with start <= time < end, at most `limit` of each."""
        wanted = list(dict.fromkeys(names))
        since, until = _bounds(start, end)
        return await self._samples(connection, wanted, _PAGES, (wanted, since, until, limit))

    async def trend(
        self, connection: Connection, name: str, start: int, end: int, width: int
    ) -> list[Bucket]:
        """One tag in stretches of `width` nanoseconds from `start` on, oldest first."""
        since, until = _bounds(start, end)
        asked = {"tag": name, "since": since, "until": until, "start": start // 1000,
                 "width": width}  # fmt: skip
        rows = await (await connection.execute(self._sql(_TREND), asked)).fetchall()
        return [
            Bucket(start + place * width, start + (place + 1) * width, *figures)
            for place, *figures in rows
        ]

    async def _samples(
        self,
        connection: Connection,
        names: Sequence[str],
        question: LiteralString,
        wanted: Sequence[Any],
    ) -> Batch:
        kinds = await self._kinds(connection, names)
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(self._sql(question), wanted)
            return [
                Sample(tag, restored(kinds[tag], number, text), micros * 1000, quality)
                for tag, micros, number, text, quality in await cursor.fetchall()
            ]

    async def tags(self, connection: Connection) -> list[Tag]:
        """Every tag of the tag table, in alphabetical order."""
        rows = await (await connection.execute(self._sql(_TAGS))).fetchall()
        return [
            Tag(name=name, unit=unit, description=description, type=kind)
            for name, unit, description, kind in rows
        ]


def _bounds(start: int, end: int) -> tuple[datetime, datetime]:
    """The microseconds that are in a range of nanoseconds."""
    first, last = (to_datetime(-(-moment // 1000) * 1000) for moment in (start, end))
    return first, last
