"""The tag table beside tables of samples: name, unit, description, type of each tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, LiteralString, NamedTuple

from gl002.errors import DataError
from gl002.model import Batch, Tag
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.migrations import migrate
from gl002.transport.sql.names import identifier
from gl002.wire.narrow import Kind, checked_tag, kind_of, wider

if TYPE_CHECKING:
    from psycopg.sql import Composed

# Bytewise comparison keeps the key small to compare, and right when the system's sort order
# changes with an upgrade.
_STEPS: Sequence[LiteralString] = (
    """
CREATE TABLE IF NOT EXISTS {tags} (
    name text COLLATE "C" PRIMARY KEY,
    unit text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    type text
)
""",
)
_KNOWN: LiteralString = "SELECT name, unit, type FROM {tags} WHERE name = ANY (%s)"
_DESCRIBE: LiteralString = """
INSERT INTO {tags} AS kept (name, unit, description, type)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
ON CONFLICT (name) DO UPDATE
SET unit = coalesce(nullif(excluded.unit, ''), kept.unit),
    description = coalesce(nullif(excluded.description, ''), kept.description),
    type = excluded.type
"""

_News = Mapping[tuple[str, type], Kind]


class Learnt(NamedTuple):
    """What a batch taught.

    Attributes:
        refused: tags that no row can have, and why.
        notes: what changed about tags that were known, for people.
    """

    refused: dict[str, str]
    notes: list[str]


class TagRows:
    """The tag table of one schema.

    Args:
        schema: its parts; empty for the first of the search path.
    """

    def __init__(self, schema: Sequence[str]) -> None:
        self._parts = (*schema, "gl002_tag")
        self._learnt: dict[tuple[str, type], Tag | None] = {}

    def _sql(self, template: LiteralString) -> Composed:
        from psycopg.sql import SQL

        return SQL(template).format(tags=identifier(*self._parts))

    async def prepare(self, connection: Connection) -> None:
        """Make the table where it is missing; safe to call again."""
        await migrate(connection, self._parts, _STEPS, {"tags": identifier(*self._parts)})

    def forget(self) -> None:
        """What a transaction taught that may have been undone. Call it when one failed."""
        self._learnt.clear()

    async def learn(self, connection: Connection, batch: Batch, about: Mapping[str, Tag]) -> Learnt:
        """Note tags that are new, have a new type, unit or description.

        Args:
            connection: a connection inside a transaction.
            batch: what is to be written.
            about: unit, description and type of tags.
        """
        news, refused = self._news(batch, about)
        notes = await self._describe(connection, news, about) if news else []
        self._learnt.update({known: about.get(known[0]) for known in news})
        return Learnt(refused, notes)

    def _news(
        self, batch: Batch, about: Mapping[str, Tag]
    ) -> tuple[dict[tuple[str, type], Kind], dict[str, str]]:
        news, refused = {}, {}
        seen = {(sample.tag, type(sample.value)): sample.value for sample in batch}
        for known, value in seen.items():
            if known in self._learnt and self._learnt[known] is about.get(known[0]):
                continue
            try:
                checked_tag(known[0])
                news[known] = kind_of(value)
            except DataError as error:
                refused[known[0]] = str(error)
        return news, refused

    async def _describe(
        self, connection: Connection, news: _News, about: Mapping[str, Tag]
    ) -> list[str]:
        names = sorted({name for name, _ in news})
        rows = await (await connection.execute(self._sql(_KNOWN), (names,))).fetchall()
        known: dict[str, tuple[str, Kind]] = {name: (unit, kind) for name, unit, kind in rows}
        kinds: dict[str, Kind] = {name: known.get(name, ("", None))[1] for name in names}
        notes = []
        for (name, _), kind in news.items():
            notes += _type_drift(name, kinds[name], kind)
            kinds[name] = wider(kinds[name], kind)
        described = [_row(name, about.get(name), kind) for name, kind in kinds.items()]
        for name, unit, _, _ in described:
            notes += _unit_drift(name, known.get(name, ("", None))[0], unit)
        lists = [list(column) for column in zip(*described, strict=True)]
        await connection.execute(self._sql(_DESCRIBE), lists)
        return notes


def _row(name: str, tag: Tag | None, kind: Kind) -> tuple[str, str, str, Kind]:
    if tag is None:
        return name, "", "", kind
    return name, tag.unit, tag.description, wider(tag.type, kind)


def _type_drift(name: str, known: Kind, seen: Kind) -> list[str]:
    if not known or not seen or known == seen:
        return []
    return [f"'{name}' had values of type {known}, and now has one of type {seen}"]


def _unit_drift(name: str, known: str, unit: str) -> list[str]:
    if not known or not unit or known == unit:
        return []
    return [f"'{name}' was in {known}, and now is in {unit}: its older values keep the old unit"]
