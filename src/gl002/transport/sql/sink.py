"""An output to a table of the PostgreSQL family."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from gl002.errors import PartialWrite, RequestFailed
from gl002.model import Batch, Tag
from gl002.sink import Sink
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.names import checked_name, identifier
from gl002.transport.sql.narrow import NarrowTable, Written
from gl002.transport.sql.settings import PostgreSQLOutput
from gl002.transport.sql.wide import WideTable

R = TypeVar("R")

log = logging.getLogger("gl002.postgresql")

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""


class Change(Protocol):
    """`AsyncPostgreSQLConnector._change`: work in one transaction."""

    async def __call__(
        self, work: Callable[[Connection], Awaitable[R]], *, what: str, repeatable: bool = True
    ) -> R:
        """Do it."""
        ...


Table = NarrowTable | WideTable
"""What an output writes to."""


async def table_of(connection: Connection, spec: PostgreSQLOutput, name: str) -> Table:
    """The table of an output in its layout, prepared.

    Args:
        connection: a connection inside a transaction.
        spec: layout, columns.
        name: of the table.

    Raises:
        ConfigError: there is such a table, but of another form; says how it differs.
    """
    layout = spec.layout or await layout_of(connection, name, spec.time_column)
    table: Table = NarrowTable(name)
    if layout == "wide":
        key = spec.key_column or ""
        table = WideTable(name, time_column=spec.time_column, key_column=key)
    await table.prepare(connection)
    return table


async def layout_of(connection: Connection, name: str, time_column: str) -> str:
    """Wide only where a wide table is there already."""
    quoted = identifier(*checked_name(name)).as_string()
    rows = await (await connection.execute(_COLUMNS, (quoted,))).fetchall()
    there = {column for (column,) in rows}
    return "wide" if time_column in there and "tag" not in there else "narrow"


class PostgreSQLSink(Sink):
    """One output to one table.

    Args:
        name: connector instance.
        table: its name, for messages.
        choose: the table, prepared; called in a transaction, by `prepare`.
        change: makes transactions.
        about: unit, description and type of tags.

    Attributes:
        merged: samples whose place another of the same tag and microsecond took.
    """

    def __init__(
        self,
        name: str,
        table: str,
        choose: Callable[[Connection], Awaitable[Table]],
        *,
        change: Change,
        about: Mapping[str, Tag],
    ) -> None:
        self.name = name
        self.merged = 0
        self._name = table
        self._choose = choose
        self._change = change
        self._about = about
        self._table: Table | None = None
        self._said: set[str] = set()

    async def prepare(self) -> None:
        """Make the tables where they are missing, and check that they fit."""
        self._table = await self._change(self._choose, what=f"prepare {self._name}")

    async def write(self, batch: Batch) -> None:
        """Upsert the batch in one transaction."""
        table = self._table
        if table is None:
            raise RequestFailed(f"{self.name}: {self._name} was not prepared")
        try:
            written: Written = await self._change(
                partial(self._store, table, batch=batch),
                what=f"store {len(batch)} samples in {self._name}",
                repeatable=False,  # the flow repeats it, and prepares again before
            )
        except BaseException:
            table.forget()
            raise
        self._note(written)
        if written.rejected:
            message = f"{self.name}: {len(written.rejected)} samples refused"
            raise PartialWrite(message, written.rejected)

    async def _store(self, table: Table, connection: Connection, batch: Batch) -> Written:
        """What is done in the transaction."""
        return await table.write(connection, batch, self._about)

    def _note(self, written: Written) -> None:
        """Say once what people should know."""
        for note in written.notes:
            if note not in self._said:
                self._said.add(note)
                log.warning("%s: %s: %s", self.name, self._name, note)
        if written.merged and not self.merged:
            log.warning(
                "%s: samples less than a microsecond apart: PostgreSQL keeps the later", self.name
            )
        self.merged += written.merged
