"""PostgreSQL: samples upserted on tag and time; queries and inserts for people.

from gl002.integrations.databases import PostgreSQLConnector

database = PostgreSQLConnector({
    "host": "localhost", "database": "gl002", "user": "gl002user", "password": "password",
})
database.query("SELECT time, value FROM samples WHERE tag = %s", ["boiler1.efficiency"])
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.blocks import TlsSettings
from gl002.config.flow import OutputSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.connector import Capability, Connector, Found
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, PartialWrite, RequestFailed
from gl002.model import Batch, Sample, Tag
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.sink import Sink
from gl002.transport.narrow import PAGE, found, in_order, paged
from gl002.transport.sql import rows
from gl002.transport.sql.connections import Connection, Connections, Login
from gl002.transport.sql.errors import meaning
from gl002.transport.sql.names import checked_name
from gl002.transport.sql.narrow import NarrowTable, Written

R = TypeVar("R")

log = logging.getLogger("gl002.postgresql")

_SCHEMES = ("postgresql", "postgres", "timescale")
_MARGIN = 0.8  # share of the time-out the server gets, so that its answer still arrives


def _table(name: str) -> str:
    checked_name(name)
    return name


TableName = Annotated[str, AfterValidator(_table)]


class PostgreSQLConfig(Settings):
    """One database on one server."""

    url: str | None = Field(
        None,
        description="Instead of host, port, database, user and password: "
        "postgresql://user:password@host:5432/database. It is taken apart when it is read.",
    )
    host: str = Field(min_length=1, description="Server, by name or address.")
    port: Port = Field(5432, description="TCP port.")
    database: str = Field(min_length=1, description="Database on it.")
    user: str = Field(min_length=1, description="Role to log in as.")
    password: Secret | None = Field(None, description="Its password.")
    tls: TlsSettings | Literal[False] | None = Field(
        None,
        description="The server's certificate is always verified. Absent: TLS, except to this "
        "machine. false: everything in clear, for a network you trust.",
    )
    table: TableName = Field(
        "samples", description="Table that is read, and written where an output names no other."
    )
    timeout: Seconds = Field(10.0, gt=0, description="Longest time one request may take.")
    max_connections: int = Field(4, ge=1, le=100, description="Connections at the same time.")
    max_rows: int = Field(100_000, ge=1, description="Most rows a query may give.")

    def request_timeout(self) -> float:
        """The key `timeout`."""
        return self.timeout

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, data: Any) -> Any:
        """Split the URL, so that the password in it is a secret like any other."""
        url = data.get("url") if isinstance(data, Mapping) else None
        if url is None:
            return data
        rest = {key: value for key, value in data.items() if key != "url"}
        parts = _parts(str(url))
        for key in sorted(parts.keys() & rest.keys()):
            raise ValueError(f"'url' and '{key}' say the same thing: keep one")
        return parts | rest


def _parts(url: str) -> dict[str, Any]:
    """The settings in a URL. What is wrong is said without showing it.

    Raises:
        ValueError: it is no URL of a database.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("url: expected postgresql://user:password@host:5432/database")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("url: its port is no number up to 65535") from None
    found = {
        "host": parts.hostname,
        "port": port,
        "database": unquote(parts.path.removeprefix("/")),
        "user": unquote(parts.username or ""),
        "password": Secret(unquote(parts.password)) if parts.password else None,
    }
    return {key: value for key, value in found.items() if value} | _encryption(parts.query)


def _encryption(query: str) -> dict[str, Any]:
    """`sslmode` and `sslrootcert` of a URL; every mode with TLS verifies."""
    options = dict(parse_qsl(query))
    mode, ca = options.pop("sslmode", None), options.pop("sslrootcert", None)
    for name in options:
        raise ValueError(f"url: the parameter '{name}' is not known here: sslmode, sslrootcert are")
    if mode == "disable":
        return {"tls": False}
    return {"tls": {"ca": ca}} if mode in {"require", "verify-ca", "verify-full"} or ca else {}


class PostgreSQLOutput(OutputSettings):
    """Where an output writes."""

    table: TableName | None = Field(
        None, description="Table to write, made where missing; the connection's where absent."
    )


class AsyncPostgreSQLConnector(Connector[PostgreSQLConfig]):
    """Connections with one database."""

    kind = "postgresql"
    can = Capability.READ | Capability.HISTORY | Capability.BROWSE | Capability.STORE
    Config = PostgreSQLConfig
    Output = PostgreSQLOutput
    environment = {"GL002_POSTGRESQL_URL": "url"}  # noqa: RUF012 (declared a ClassVar above)

    _connections: Connections | None = None

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
        latest = partial(NarrowTable(self.config.table).latest, names=tags)
        return in_order(tags, await self._change(latest, what=f"read {len(tags)} tags"))

    def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), tag by tag, oldest first.

        In batches of one tag each. PostgreSQL keeps microseconds.
        """
        return paged(self._page, tags, start, end)

    async def _page(self, tag: str, start: int, end: int) -> Batch:
        table = NarrowTable(self.config.table)
        read = partial(table.page, name=tag, start=start, end=end, limit=PAGE)
        return await self._change(read, what=f"history of {tag}")

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """The tags whose names begin with `address`; they are no tree, so `depth` is of no use."""
        tags = await self._change(NarrowTable(self.config.table).tags, what="browse")
        for thing in found(tags, address):
            yield thing

    def sink(self, spec: OutputSettings) -> Sink:
        """A narrow table as a destination."""
        named = spec.table if isinstance(spec, PostgreSQLOutput) else None
        table = NarrowTable(named or self.config.table)
        about = self.context.tags
        return PostgreSQLSink(self.name, table, table.prepare, change=self._change, about=about)


class Change(Protocol):
    """`AsyncPostgreSQLConnector._change`: work in one transaction."""

    async def __call__(
        self, work: Callable[[Connection], Awaitable[R]], *, what: str, repeatable: bool = True
    ) -> R:
        """Do it."""
        ...


class PostgreSQLSink(Sink):
    """One output to one narrow table.

    Attributes:
        merged: samples whose place another of the same tag and microsecond took.
    """

    def __init__(
        self,
        name: str,
        table: NarrowTable,
        prepare: Callable[[Connection], Awaitable[object]],
        *,
        change: Change,
        about: Mapping[str, Tag],
    ) -> None:
        self.name = name
        self.merged = 0
        self._table = table
        self._prepare = prepare
        self._change = change
        self._about = about

    async def prepare(self) -> None:
        """Make the tables where they are missing, and check that they fit."""
        await self._change(self._prepare, what=f"prepare {self._table.name}")

    async def write(self, batch: Batch) -> None:
        """Upsert the batch in one transaction."""
        try:
            written: Written = await self._change(
                partial(self._table.write, batch=batch, about=self._about),
                what=f"store {len(batch)} samples in {self._table.name}",
                repeatable=False,  # the flow repeats it, and prepares again before
            )
        except BaseException:
            self._table.forget()
            raise
        self._note(written)
        if written.rejected:
            message = f"{self.name}: {len(written.rejected)} samples refused"
            raise PartialWrite(message, written.rejected)

    def _note(self, written: Written) -> None:
        if written.merged and not self.merged:
            log.warning(
                "%s: samples less than a microsecond apart: PostgreSQL keeps the later", self.name
            )
        self.merged += written.merged


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
    query = blocking(AsyncPostgreSQLConnector.query)
    insert_data = blocking(AsyncPostgreSQLConnector.insert_data)
    read = blocking(AsyncPostgreSQLConnector.read)
    history = iterating(AsyncPostgreSQLConnector.history)
    browse = iterating(AsyncPostgreSQLConnector.browse)
