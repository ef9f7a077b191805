"""PostgreSQL: samples upserted on tag and time; queries and inserts for people.

from gl002.integrations.databases import PostgreSQLConnector

database = PostgreSQLConnector({
    "host": "localhost", "database": "gl002", "user": "gl002user", "password": "password",
})
database.query("SELECT time, value FROM samples WHERE tag = %s", ["boiler1.efficiency"])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability, Connector, Found
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestFailed
from gl002.model import Batch, Sample, Tag
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.sink import Sink
from gl002.source import Source
from gl002.transport.following import FollowingSource
from gl002.transport.narrow import PAGE, found, in_order, paged
from gl002.transport.sql import rows
from gl002.transport.sql.connections import Connection, Connections, Login
from gl002.transport.sql.errors import meaning
from gl002.transport.sql.narrow import NarrowTable
from gl002.transport.sql.querying import QuerySource
from gl002.transport.sql.reading import NarrowReading
from gl002.transport.sql.settings import PostgreSQLConfig, PostgreSQLInput, PostgreSQLOutput
from gl002.transport.sql.sink import PostgreSQLSink, table_of
from gl002.transport.sql.wide_reading import WideReading, reading_of
from gl002.trend import Bucket, width_of

R = TypeVar("R")

_MARGIN = 0.8  # share of the time-out the server gets, so that its answer still arrives


class AsyncPostgreSQLConnector(Connector[PostgreSQLConfig]):
    """Connections with one database."""

    kind = "postgresql"
    can = (
        Capability.READ | Capability.STREAM | Capability.HISTORY | Capability.BROWSE
        | Capability.STORE
    )  # fmt: skip
    Config = PostgreSQLConfig
    Input = PostgreSQLInput
    Output = PostgreSQLOutput
    environment = {"GL002_POSTGRESQL_URL": "url"}  # noqa: RUF012 (declared a ClassVar above)

    _connections: Connections | None = None
    _kept: PostgreSQLOutput | None = None

    def endpoints(self) -> Iterable[Endpoint]:
        """The server."""
        return [Endpoint(self.config.host, self.config.port)]

    async def _open(self) -> None:
        c = self.config
        login = Login(
            host=c.host, port=c.port, database=c.database, user=c.user, password=c.password,
            tls=c.tls, application=self.context.name,
        )  # fmt: skip
        self._connections = Connections(
            login, self.context.network, size=c.max_connections, extra=self.kind, log=self.log
        )
        await self._connections.open(timeout=self.timeout)

    async def _shut(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        return meaning(error, f"{self.name}: {what}: {self._where}")

    @property
    def _where(self) -> str:
        return f"{self.config.host}:{self.config.port}/{self.config.database}"

    async def _run(self, work: Callable[[Connection], Awaitable[R]]) -> R:
        """Do some work on a connection."""
        if self._connections is None:
            raise ConnectFailed(f"{self.name}: {self._where}: closed meanwhile")
        return await self._connections.run(work, timeout=self.timeout)

    async def _change(
        self, work: Callable[[Connection], Awaitable[R]], *, what: str, repeatable: bool = True
    ) -> R:
        """Do some work in one transaction that the server ends when it takes too long."""

        async def transaction(connection: Connection) -> R:
            async with connection.transaction():
                await rows.limit(connection, self._patience)
                return await work(connection)

        return await self._call(partial(self._run, transaction), what=what, repeatable=repeatable)

    async def _look(self, work: Callable[[Connection], Awaitable[R]], *, what: str) -> R:
        """Do some work in one transaction that cannot write, and that the server ends in time."""

        async def transaction(connection: Connection) -> R:
            async with connection.transaction():
                await connection.execute("SET TRANSACTION READ ONLY")
                await rows.limit(connection, self._patience)
                return await work(connection)

        return await self._call(partial(self._run, transaction), what=what)

    @property
    def _patience(self) -> float:
        """Seconds a statement may take on the server."""
        return self.timeout * _MARGIN

    async def _ping(self) -> str:
        async def version(connection: Connection) -> str:
            row = await (await connection.execute("SHOW server_version")).fetchone()
            encrypted = "TLS" if connection.pgconn.ssl_in_use else "not encrypted"
            return f"PostgreSQL {row[0] if row else '?'}, {encrypted}"

        return await self._run(version)

    # ---- for people -------------------------------------------------------------------------

    async def query(self, sql: str, params: rows.Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a query as dicts; times are in UTC.

        Read only: the transaction cannot write, one statement at a time, at most `max_rows` rows.

        Args:
            sql: one statement; `%s` and `%(name)s` stand for parameters, if there are any.
            params: their values. Put values here, never into the text.

        Raises:
            RequestFailed: the server refused it, it took too long, or gave too many rows.
        """

        async def select(connection: Connection) -> list[dict[str, Any]]:
            return await rows.select(
                connection, sql, params, most=self.config.max_rows, seconds=self._patience
            )

        return await self._call(partial(self._run, select), what="query")

    async def insert_data(self, table: str, data: Sequence[Mapping[str, Any]]) -> int:
        """Insert rows; one that is there already with all its values is left out.

        Args:
            table: 'name' or 'schema.name'; it must have the columns.
            data: rows as dicts, which may have different keys. A time without a zone is local.

        Returns:
            How many rows were new. Safe to repeat.

        Raises:
            DataError: a value that its column cannot hold; nothing was inserted.
            RequestFailed: no such table or column.
        """

        async def insert(connection: Connection) -> int:
            await self._make_room(connection, table, data)
            return await rows.insert(connection, table, data)

        return await self._change(insert, what=f"insert {len(data)} rows into {table}")

    async def _make_room(
        self, connection: Connection, table: str, data: Sequence[Mapping[str, Any]]
    ) -> None:
        """See to it that the table has the columns of the rows. Here: it must have them."""
        missing = await rows.missing_columns(connection, table, data)
        if missing is None:
            raise RequestFailed(f"{self.name}: {self._where}: there is no table '{table}'")
        for name, kind in missing.items():
            raise RequestFailed(
                f"{self.name}: {self._where}: the table '{table}' has no column '{name}'",
                hint=f'ALTER TABLE {table} ADD COLUMN "{name}" {kind}',
            )

    # ---- for the flow -----------------------------------------------------------------------

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """The newest sample of each tag, in the order of `tags`; BAD where there is none."""

        async def latest(connection: Connection) -> dict[str, Sample]:
            return await (await self._reading(connection)).latest(connection, tags)

        return in_order(tags, await self._look(latest, what=f"read {len(tags)} tags"))

    def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), tag by tag, oldest first.

        In batches of one tag each. PostgreSQL keeps microseconds.
        """
        return paged(self._page, tags, start, end)

    async def _page(self, tag: str, start: int, end: int) -> Batch:
        async def read(connection: Connection) -> Batch:
            table = await self._reading(connection)
            return await table.page(connection, tag, start, end, limit=PAGE)

        return await self._look(read, what=f"history of {tag}")

    async def trend(self, tag: str, start: int, end: int, *, points: int = 2000) -> list[Bucket]:
        """A tag over a range (nanoseconds UTC) in at most `points` stretches, oldest first.

        Lowest and highest value of each stretch are kept; the server computes them.

        Raises:
            ValueError: there is no range, or no point.
        """
        width = width_of(start, end, points)

        async def look(connection: Connection) -> list[Bucket]:
            table = await self._reading(connection)
            return await table.trend(connection, tag, start, end, width)

        return await self._look(look, what=f"trend of {tag}")

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """The tags whose names begin with `address`; they are no tree, so `depth` is of no use."""

        async def tags(connection: Connection) -> Iterable[Tag]:
            return await (await self._reading(connection)).tags(connection)

        for thing in found(await self._look(tags, what="browse"), address):
            yield thing

    def keeps(self, spec: OutputSettings) -> None:
        """The first output's table is read back, where the connection names none."""
        assert isinstance(spec, PostgreSQLOutput)
        named = "table" in self.config.model_fields_set
        if self._kept is None and (not named or spec.table in {None, self.config.table}):
            self._kept = spec

    async def _reading(self, connection: Connection) -> NarrowReading | WideReading:
        """The table that is read back, in whichever layout it is."""
        spec = self._kept or self.Output.parse({"destination": self.kind})
        return await reading_of(connection, spec, spec.table or self.config.table)

    def source(self, spec: InputSettings) -> Source:
        """What is stored in a narrow table, or what a query gives, as a stream."""
        assert isinstance(spec, PostgreSQLInput)
        if spec.query is not None:
            return QuerySource(self.name, spec, select=self.query, about=self.context.tags)
        table = NarrowTable(spec.table or self.config.table)

        async def newest(tags: Sequence[str]) -> Iterable[Sample]:
            found = await self._look(partial(table.latest, names=tags), what="newest samples")
            return found.values()

        async def pages(tags: Sequence[str], start: int, end: int, limit: int) -> Batch:
            read = partial(table.pages, names=tags, start=start, end=end, limit=limit)
            return await self._look(read, what=f"new samples in {table.name}")

        async def browse() -> AsyncIterator[Found]:
            for thing in found(await self._look(table.tags, what="browse"), ""):
                yield thing

        return FollowingSource(
            self.name, spec, browse=browse, newest=newest, pages=pages, about=self.context.tags
        )

    def sink(self, spec: OutputSettings) -> Sink:
        """A table as a destination, narrow or wide."""
        assert isinstance(spec, PostgreSQLOutput)
        name = spec.table or self.config.table
        choose = partial(table_of, spec=spec, name=name)
        return PostgreSQLSink(self.name, name, choose, change=self._change, about=self.context.tags)


class PostgreSQLConnector(Blocking[AsyncPostgreSQLConnector]):
    """A database for scripts and notebooks; every call waits for its result."""

    _twin: type[AsyncPostgreSQLConnector] = AsyncPostgreSQLConnector

    def __init__(
        self,
        config: PostgreSQLConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(self._twin(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncPostgreSQLConnector.connect)
    close = blocking(AsyncPostgreSQLConnector.close)
    check = blocking(AsyncPostgreSQLConnector.check)
    set_timeout = plain(AsyncPostgreSQLConnector.set_timeout)
    try_at_once = plain(AsyncPostgreSQLConnector.try_at_once)
    query = blocking(AsyncPostgreSQLConnector.query)
    insert_data = blocking(AsyncPostgreSQLConnector.insert_data)
    read = blocking(AsyncPostgreSQLConnector.read)
    history = iterating(AsyncPostgreSQLConnector.history)
    trend = blocking(AsyncPostgreSQLConnector.trend)
    browse = iterating(AsyncPostgreSQLConnector.browse)
