"""TimescaleDB: PostgreSQL with hypertables and continuous aggregates.

from gl002.integrations.databases import TimescaleConnector

timescale = TimescaleConnector({
    "host": "localhost", "database": "gl002", "user": "gl002user", "password": "password",
})
timescale.create_hypertable("boiler_data", "timestamp", chunk_time_interval="1 day")
timescale.insert_data("boiler_data", [{"timestamp": datetime.now(), "efficiency": 85.4}])

As an output it writes the same narrow table as `postgresql`, which it makes a hypertable. Without
the extension that is a plain table, and a warning.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import Field

from gl002.bridge import blocking
from gl002.config.flow import OutputSettings
from gl002.errors import GL002Error, RequestFailed, Unsupported
from gl002.integrations.databases.postgresql import AsyncPostgreSQLConnector, PostgreSQLConnector
from gl002.model import Batch
from gl002.sink import Sink
from gl002.transport.sql import hypertables, rows
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.hypertables import Interval
from gl002.transport.sql.late import LateRanges
from gl002.transport.sql.narrow import Written
from gl002.transport.sql.settings import PostgreSQLOutput
from gl002.transport.sql.sink import PostgreSQLSink, Table, table_of
from gl002.transport.sql.wide import WideTable

_REFRESH_INTERVAL = 60.0  # seconds between two looks for late samples


class TimescaleOutput(PostgreSQLOutput):
    """Where an output writes."""

    chunk_time_interval: str = Field(
        "1 day", description="Time span of one chunk of the hypertable, where it is made anew."
    )
    compress_after: str | None = Field(
        None, description="Age at which chunks are compressed: '7 days'. Never where absent."
    )
    retention: str | None = Field(
        None, description="Age at which chunks are dropped: '2 years'. Never where absent."
    )


class AsyncTimescaleConnector(AsyncPostgreSQLConnector):
    """Connections with one database that has the TimescaleDB extension."""

    kind = "timescale"
    Output = TimescaleOutput
    environment = {"GL002_TIMESCALE_URL": "url"}  # noqa: RUF012 (declared a ClassVar above)

    _warned = False

    async def create_hypertable(
        self, table_name: str, time_column: str = "time", chunk_time_interval: Interval = "7 days"
    ) -> None:
        """Make a table a hypertable; make the table too, with its time column, where missing.

        Safe to repeat: a new interval holds for chunks made from then on.

        Args:
            table_name: 'name' or 'schema.name'; other columns come with `insert_data`.
            time_column: of type timestamptz where the table is made.
            chunk_time_interval: as PostgreSQL writes intervals, '1 day', or a timedelta.

        Raises:
            Unsupported: the database has not the extension.
            RequestFailed: the table has rows already, or is a hypertable on another column.
        """

        async def create(connection: Connection) -> None:
            version = await self._extension(connection)
            await hypertables.make_table(connection, table_name, time_column)
            await hypertables.make_hypertable(
                connection, version, table_name, time_column, chunk_time_interval
            )

        await self._change(create, what=f"create hypertable {table_name}")

    async def create_continuous_aggregate(
        self,
        name: str,
        query: str,
        refresh_interval: Interval = "1 hour",
        *,
        start_offset: Interval | None = None,
        compress_after: Interval | None = None,
        retention: Interval | None = None,
    ) -> None:
        """Keep the result of a grouping query up to date, as a view.

        The view is right at any time: what is younger than `refresh_interval` is computed when it
        is read, all else has been stored. A view that is there already is left as it is, also
        when its query is another one.

        Args:
            name: of the view, 'name' or 'schema.name'.
            query: SELECT ... time_bucket(...) ... GROUP BY; trusted text, as it becomes part of a
                statement that changes the database.
            refresh_interval: how often what is new is stored.
            start_offset: how far back that looks for changes, at least two buckets; to the
                beginning where absent. Give it where raw rows are dropped sooner than aggregates.
            compress_after: age at which what is stored is compressed; never where absent.
            retention: age at which it is dropped; never where absent.

        Raises:
            Unsupported: the database has not the extension, or its edition cannot do this.
        """

        async def create(connection: Connection) -> None:
            version = await self._extension(connection)
            await hypertables.make_aggregate(connection, name, query)
            await hypertables.set_aggregate_policies(
                connection, version, name, every=refresh_interval, start=start_offset,
                compress_after=compress_after, retention=retention,
            )  # fmt: skip

        await self._change(create, what=f"create continuous aggregate {name}")

    async def refresh_continuous_aggregate(
        self, name: str, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Compute a range of a continuous aggregate anew, now; safe to repeat.

        Args:
            name: of the view.
            start: a time without a zone is local; the beginning where absent.
            end: not included; the end where absent. At least one bucket must lie between both.
        """
        first, last = (
            None if moment is None else moment.astimezone(UTC) for moment in (start, end)
        )
        quoted = hypertables.quoted(name)

        async def refresh(connection: Connection) -> None:
            await hypertables.refresh(connection, quoted, first, last)

        await self._call(partial(self._run, refresh), what=f"refresh {name}")

    async def add_compression_policy(
        self, table_name: str, compress_after: Interval, segment_by: Sequence[str] = ()
    ) -> None:
        """Compress the chunks of a hypertable at an age (columnstore); safe to repeat.

        Args:
            table_name: of the hypertable.
            compress_after: age; another one than before takes its place.
            segment_by: columns by whose value rows are kept together, ['tag'].

        Raises:
            RequestFailed: it is no hypertable, or has compressed chunks in another order.
        """

        async def add(connection: Connection) -> None:
            version = await self._extension(connection)
            await hypertables.set_compression(
                connection, version, table_name, compress_after, segment_by
            )

        await self._change(add, what=f"compression of {table_name}")

    async def add_retention_policy(self, table_name: str, drop_after: Interval) -> None:
        """Drop the chunks of a hypertable at an age; safe to repeat.

        Args:
            table_name: of the hypertable.
            drop_after: age; another one than before takes its place.
        """

        async def add(connection: Connection) -> None:
            await self._extension(connection)
            await hypertables.set_retention(connection, table_name, drop_after)

        await self._change(add, what=f"retention of {table_name}")

    async def _make_room(
        self, connection: Connection, table: str, data: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add the columns that the rows have and the table has not; they may be empty."""
        missing = await rows.missing_columns(connection, table, data)
        if missing is None:
            raise RequestFailed(
                f"{self.name}: {self._where}: there is no table '{table}'",
                hint=f"create_hypertable('{table}', 'timestamp') makes it",
            )
        await rows.add_columns(connection, table, missing)
        for name, kind in missing.items():
            self.log.info("%s: new column %s.%s %s", self.name, table, name, kind)

    async def _extension(self, connection: Connection) -> hypertables.Version:
        """Version of the extension.

        Raises:
            Unsupported: there is none; the hint says what is missing.
        """
        version = await hypertables.version_of(connection)
        if version is not None:
            return version
        raise Unsupported(
            f"{self.name}: {self._where}: this database has not the extension timescaledb",
            hint="an administrator makes it: CREATE EXTENSION timescaledb"
            if await hypertables.is_available(connection)
            else "it is not installed on that server: use 'postgresql', or install TimescaleDB",
        )

    async def _ping(self) -> str:
        version = await self._run(hypertables.version_of)
        known = "without TimescaleDB" if version is None else "TimescaleDB "
        return f"{await super()._ping()}, {known}{'.'.join(map(str, version or ()))}"

    # ---- for the flow -----------------------------------------------------------------------

    def sink(self, spec: OutputSettings) -> Sink:
        """A hypertable as a destination, narrow or wide."""
        assert isinstance(spec, TimescaleOutput)
        name = spec.table or self.config.table
        late = LateRanges(name)

        async def choose(connection: Connection) -> Table:
            table = await table_of(connection, spec, name)
            if await self._prefer_hypertable(connection, spec, table):
                await late.prepare(connection)
            return table

        return TimescaleSink(self, name, choose, late)

    async def _prefer_hypertable(
        self, connection: Connection, spec: TimescaleOutput, table: Table
    ) -> bool:
        """Make a table of samples a hypertable, if that can be done; warn where not."""
        wide = isinstance(table, WideTable)
        try:
            version = await self._extension(connection)
            if not await hypertables.is_hypertable(connection, table.name):
                time_column = spec.time_column if wide else "time"
                await hypertables.make_hypertable(
                    connection, version, table.name, time_column, spec.chunk_time_interval
                )
        except RequestFailed as error:
            if not self._warned:
                self.log.warning("%s: '%s' stays a plain table: %s", self.name, table.name, error)
            self._warned = True
            return False
        if spec.compress_after is not None:
            segments = [spec.key_column] if spec.key_column else []
            await hypertables.set_compression(
                connection, version, table.name, spec.compress_after, segments if wide else ["tag"]
            )
        if spec.retention is not None:
            await hypertables.set_retention(connection, table.name, spec.retention)
        return True

    async def _refresh_late(self, late: LateRanges) -> None:
        """Compute anew what late samples have changed; what fails is left for the next time."""

        async def refresh(connection: Connection) -> None:
            noted = await late.noted(connection)
            if noted is not None:
                async with rows.limited(connection, self._patience):
                    await late.refresh(connection, noted)
                self.log.info("%s: aggregates of %s computed anew", self.name, late.table)

        try:
            await self._call(partial(self._run, refresh), what=f"refresh for {late.table}")
        except GL002Error as error:
            self.log.warning("%s: aggregates of %s are not up to date: %s", self.name, late.table,
                             error)  # fmt: skip


class TimescaleSink(PostgreSQLSink):
    """One output to one hypertable. Aggregates that looked away before late samples came are told.

    Args:
        connector: whose connections are used.
        table: its name.
        choose: the table, prepared.
        late: notes of late samples.
    """

    def __init__(
        self,
        connector: AsyncTimescaleConnector,
        table: str,
        choose: Callable[[Connection], Awaitable[Table]],
        late: LateRanges,
    ) -> None:
        super().__init__(
            connector.name, table, choose, change=connector._change,  # noqa: SLF001 (its own sink)
            about=connector.context.tags,
        )  # fmt: skip
        self._connector = connector
        self._late = late
        self._refresh_at = 0.0

    async def _store(self, table: Table, connection: Connection, batch: Batch) -> Written:
        written = await super()._store(table, connection, batch)
        if self._late.watched:
            await self._late.note(connection, batch)
        return written

    async def write(self, batch: Batch) -> None:
        """Upsert the batch in one transaction; now and then refresh what late samples changed."""
        try:
            await super().write(batch)
        finally:
            if self._late.watched and time.monotonic() >= self._refresh_at:
                self._refresh_at = time.monotonic() + _REFRESH_INTERVAL
                await self._connector._refresh_late(self._late)  # noqa: SLF001 (its own sink)


class TimescaleConnector(PostgreSQLConnector):
    """A TimescaleDB for scripts and notebooks; every call waits for its result."""

    _twin = AsyncTimescaleConnector

    create_hypertable = blocking(AsyncTimescaleConnector.create_hypertable)
    create_continuous_aggregate = blocking(AsyncTimescaleConnector.create_continuous_aggregate)
    refresh_continuous_aggregate = blocking(AsyncTimescaleConnector.refresh_continuous_aggregate)
    add_compression_policy = blocking(AsyncTimescaleConnector.add_compression_policy)
    add_retention_policy = blocking(AsyncTimescaleConnector.add_retention_policy)
