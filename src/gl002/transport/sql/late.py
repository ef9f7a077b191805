"""Samples that come after their aggregates were computed: noted, and the aggregates refreshed.

A continuous aggregate whose policy looks back a week never sees what arrives for the week before.
So a batch with samples that old notes their range, in its own transaction, and some time later
those ranges are computed anew.

    gl002_late    id bigint, place text, since timestamptz, until timestamptz; one per schema
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, LiteralString, NamedTuple

from gl002.model import Batch, now_ns, to_datetime
from gl002.transport.sql import hypertables
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.migrations import migrate
from gl002.transport.sql.names import checked_name, identifier

if TYPE_CHECKING:
    from psycopg.sql import Composed

_STEPS: Sequence[LiteralString] = (
    """
CREATE TABLE IF NOT EXISTS {late} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place text NOT NULL, since timestamptz NOT NULL, until timestamptz NOT NULL
)
""",
)
_NOTE: LiteralString = "INSERT INTO {late} (place, since, until) VALUES (%s, %s, %s)"
_NOTED: LiteralString = """
SELECT max(id), min(since), max(until) FROM {late} WHERE place = %s HAVING count(*) > 0
"""
_DONE: LiteralString = "DELETE FROM {late} WHERE place = %s AND id <= %s"


class Noted(NamedTuple):
    """What is to be computed anew.

    Attributes:
        upto: the newest note.
        since: oldest late sample.
        until: behind the newest one.
    """

    upto: int
    since: datetime
    until: datetime


class LateRanges:
    """The late samples of one hypertable.

    Args:
        table: 'samples' or 'schema.samples'.
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self._parts = (*checked_name(table)[:-1], "gl002_late")
        self._windows: list[hypertables.Windowed] = []

    def _sql(self, template: LiteralString) -> Composed:
        from psycopg.sql import SQL

        return SQL(template).format(late=identifier(*self._parts))

    @property
    def watched(self) -> bool:
        """Whether there is an aggregate that would miss late samples."""
        return bool(self._windows)

    async def prepare(self, connection: Connection) -> None:
        """Learn how far aggregates look back; make the table of notes where one needs it."""
        self._windows = await hypertables.windowed(connection, self.table)
        if self._windows:
            await migrate(connection, self._parts, _STEPS, {"late": identifier(*self._parts)})

    async def note(self, connection: Connection, batch: Batch) -> None:
        """Note the range of what is too old for a policy, in the transaction that stores it."""
        oldest = now_ns() - int(min(window.seconds for window in self._windows) * 1e9)
        late = [sample.time for sample in batch if sample.time < oldest]
        if late:
            ends = (to_datetime(min(late)), to_datetime(max(late) + 1000))
            await connection.execute(self._sql(_NOTE), (self.table, *ends))

    async def noted(self, connection: Connection) -> Noted | None:
        """Everything noted so far, as one range."""
        row = await (await connection.execute(self._sql(_NOTED), (self.table,))).fetchone()
        return None if row is None else Noted(*row)

    async def refresh(self, connection: Connection, noted: Noted) -> None:
        """Compute a range of every aggregate anew, and forget it. Outside of a transaction.

        A policy looks back at least two buckets of its aggregate, so that far around the range
        lie whole buckets. What has not changed in them the server leaves alone.
        """
        now = to_datetime(now_ns())
        for window in self._windows:
            around = timedelta(seconds=window.seconds)
            end = min(noted.until + around, now)
            await hypertables.refresh(connection, window.name, noted.since - around, end)
        await connection.execute(self._sql(_DONE), (self.table, noted.upto))
