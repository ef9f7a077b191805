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

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, LiteralString

from pydantic import Field

from gl002.bridge import blocking
from gl002.config.flow import OutputSettings
from gl002.errors import RequestFailed, Unsupported
from gl002.integrations.databases.postgresql import (
    AsyncPostgreSQLConnector,
    PostgreSQLConnector,
)
from gl002.sink import Sink
from gl002.transport.sql import rows
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.names import checked_column, checked_name, identifier
from gl002.transport.sql.narrow import NarrowTable
from gl002.transport.sql.settings import PostgreSQLOutput
from gl002.transport.sql.sink import PostgreSQLSink, Table, table_of

Interval = str | timedelta

_BY_RANGE_SINCE = (2, 13)  # version with create_hypertable(relation, by_range(column))

_VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_AVAILABLE = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"
_TABLE: LiteralString = "CREATE TABLE IF NOT EXISTS {table} ({time} timestamptz NOT NULL)"
_COLUMN: LiteralString = "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}"
_HYPERTABLE = """
SELECT create_hypertable(%s::regclass, by_range(%s, %s::interval), if_not_exists => true)
"""
_HYPERTABLE_BEFORE = """
SELECT create_hypertable(%s::regclass, %s, chunk_time_interval => %s::interval,
                         if_not_exists => true)
"""
_CHUNKS = "SELECT set_chunk_time_interval(%s::regclass, %s::interval)"
_IS_HYPERTABLE = """
SELECT EXISTS (SELECT FROM timescaledb_information.hypertables
               WHERE format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = %s::regclass)
"""
_HAS_ROWS: LiteralString = "SELECT EXISTS (SELECT FROM {table})"
_AGGREGATE: LiteralString = """
CREATE MATERIALIZED VIEW IF NOT EXISTS {name}
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS {query} WITH NO DATA
"""
_POLICY = """
SELECT add_continuous_aggregate_policy(%(name)s::regclass, start_offset => NULL,
    end_offset => %(every)s::interval, schedule_interval => %(every)s::interval,
    if_not_exists => true)
"""


class TimescaleOutput(PostgreSQLOutput):
    """Where an output writes."""

    chunk_time_interval: str = Field(
        "1 day", description="Time span of one chunk of the hypertable, where it is made anew."
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
            RequestFailed: the table has rows already.
        """

        async def create(connection: Connection) -> None:
            version = await self._extension(connection)
            await _create_table(connection, table_name, time_column)
            await _make_hypertable(
                connection, version, table_name, time_column, chunk_time_interval
            )

        await self._change(create, what=f"create hypertable {table_name}")

    async def create_continuous_aggregate(
        self, name: str, query: str, refresh_interval: Interval = "1 hour"
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

        Raises:
            Unsupported: the database has not the extension, or its edition cannot do this.
        """

        async def create(connection: Connection) -> None:
            await self._extension(connection)
            await _create_aggregate(connection, name, query)
            quoted = identifier(*checked_name(name)).as_string()
            await connection.execute(_POLICY, {"name": quoted, "every": refresh_interval})

        await self._change(create, what=f"create continuous aggregate {name}")

    async def _make_room(
        self, connection: Connection, table: str, data: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add the columns that the rows have and the table has not; they may be empty."""
        from psycopg.sql import SQL

        missing = await rows.missing_columns(connection, table, data)
        if missing is None:
            raise RequestFailed(
                f"{self.name}: {self._where}: there is no table '{table}'",
                hint=f"create_hypertable('{table}', 'timestamp') makes it",
            )
        for name, kind in missing.items():
            names = {"table": identifier(*checked_name(table)), "name": identifier(name)}
            await connection.execute(SQL(_COLUMN).format(**names, kind=SQL(kind)))
            self.log.info("%s: new column %s.%s %s", self.name, table, name, kind)

    async def _extension(self, connection: Connection) -> tuple[int, ...]:
        """Version of the extension.

        Raises:
            Unsupported: there is none; the hint says what is missing.
        """
        row = await (await connection.execute(_VERSION)).fetchone()
        if row is not None:
            numbers = row[0].partition("-")[0].split(".")
            return tuple(int(number) for number in numbers)
        available = await (await connection.execute(_AVAILABLE)).fetchone()
        raise Unsupported(
            f"{self.name}: {self._where}: this database has not the extension timescaledb",
            hint="an administrator makes it: CREATE EXTENSION timescaledb"
            if available is not None and available[0]
            else "it is not installed on that server: use 'postgresql', or install TimescaleDB",
        )

    async def _ping(self) -> str:
        async def version(connection: Connection) -> str:
            row = await (await connection.execute(_VERSION)).fetchone()
            return f"TimescaleDB {row[0]}" if row is not None else "without TimescaleDB"

        return f"{await super()._ping()}, {await self._run(version)}"

    def sink(self, spec: OutputSettings) -> Sink:
        """A hypertable as a destination, narrow or wide."""
        assert isinstance(spec, TimescaleOutput)
        name = spec.table or self.config.table

        async def choose(connection: Connection) -> Table:
            table = await table_of(connection, spec, name)
            time_column = "time" if isinstance(table, NarrowTable) else spec.time_column
            await self._prefer_hypertable(connection, name, time_column, spec.chunk_time_interval)
            return table

        return PostgreSQLSink(self.name, name, choose, change=self._change, about=self.context.tags)

    async def _prefer_hypertable(
        self, connection: Connection, table: str, time_column: str, interval: Interval
    ) -> None:
        """Make a table of samples a hypertable, if that can be done; warn where not."""
        try:
            version = await self._extension(connection)
            if not await _is_hypertable(connection, table):
                await _make_hypertable(connection, version, table, time_column, interval)
        except RequestFailed as error:
            if not self._warned:
                self.log.warning("%s: '%s' stays a plain table: %s", self.name, table, error)
            self._warned = True


async def _create_table(connection: Connection, table: str, time_column: str) -> None:
    from psycopg.sql import SQL

    names = {
        "table": identifier(*checked_name(table)),
        "time": identifier(checked_column(time_column)),
    }
    await connection.execute(SQL(_TABLE).format(**names))


async def _is_hypertable(connection: Connection, table: str) -> bool:
    quoted = identifier(*checked_name(table)).as_string()
    row = await (await connection.execute(_IS_HYPERTABLE, (quoted,))).fetchone()
    return row is not None and bool(row[0])


async def _make_hypertable(
    connection: Connection,
    version: tuple[int, ...],
    table: str,
    time_column: str,
    interval: Interval,
) -> None:
    """Raises RequestFailed where the table has rows: to move them takes a lock, maybe for hours."""
    quoted = identifier(*checked_name(table)).as_string()
    if await _is_hypertable(connection, table):
        await connection.execute(_CHUNKS, (quoted, interval))
        return
    if await _has_rows(connection, table):
        raise RequestFailed(
            f"the table '{table}' has rows already",
            hint="an administrator moves them: create_hypertable(..., migrate_data => true)",
        )
    statement = _HYPERTABLE if version >= _BY_RANGE_SINCE else _HYPERTABLE_BEFORE
    await connection.execute(statement, (quoted, time_column, interval))


async def _has_rows(connection: Connection, table: str) -> bool:
    from psycopg.sql import SQL

    question = SQL(_HAS_ROWS).format(table=identifier(*checked_name(table)))
    row = await (await connection.execute(question)).fetchone()
    return row is not None and bool(row[0])


async def _create_aggregate(connection: Connection, name: str, query: str) -> None:
    from psycopg.sql import SQL

    names = {"name": identifier(*checked_name(name)), "query": SQL(query.strip().rstrip(";"))}
    # The protocol for binary results takes one statement only.
    await connection.execute(SQL(_AGGREGATE).format(**names), binary=True)


class TimescaleConnector(PostgreSQLConnector):
    """A TimescaleDB for scripts and notebooks; every call waits for its result."""

    _twin = AsyncTimescaleConnector

    create_hypertable = blocking(AsyncTimescaleConnector.create_hypertable)
    create_continuous_aggregate = blocking(AsyncTimescaleConnector.create_continuous_aggregate)
