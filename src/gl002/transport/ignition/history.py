"""The database of Ignition's SQL historian, read and never written.

Which tables hold a tag's values between two times stands in tables itself: the lives of the tag
(sqlth_te), the gateway and provider that stored it (sqlth_scinfo, sqlth_drv), the partitions of
that driver that cover the range (sqlth_partitions). Names of partitions come from the database
and are quoted as any other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from gl002.connector import Health
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error
from gl002.model import Batch, Quality, Sample, now_ns
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.session import Session
from gl002.transport.ignition.settings import HistorySettings
from gl002.transport.narrow import PAGE
from gl002.transport.sql import rows
from gl002.transport.sql.connections import Connection, Connections, Login
from gl002.transport.sql.errors import meaning
from gl002.transport.sql.names import identifier
from gl002.wire import ignition as wire
from gl002.wire.ignition import MILLISECOND, Entry, Path, Stretch, Table

if TYPE_CHECKING:
    from psycopg.sql import Composed

R = TypeVar("R")

_MARGIN = 0.8  # share of the time-out the server gets, so that its answer still arrives

_ENTRIES: LiteralString = """
SELECT te.id, te.tagpath, te.scid, te.datatype, te.created, te.retired, drv.id, drv.provider
FROM sqlth_te te
JOIN sqlth_scinfo sc ON sc.id = te.scid JOIN sqlth_drv drv ON drv.id = sc.drvid
WHERE (%(gateway)s::text IS NULL OR lower(drv.name) = lower(%(gateway)s::text))
"""
_CALLED: LiteralString = """
AND lower(te.tagpath) = ANY (%(paths)s) AND lower(drv.provider) = ANY (%(providers)s)
"""
_GATEWAYS: LiteralString = "SELECT DISTINCT name FROM sqlth_drv ORDER BY name LIMIT 10"
_PARTITIONS: LiteralString = """
SELECT pname, min(coalesce(start_time, 0)), max(coalesce(end_time, %(forever)s))
FROM sqlth_partitions
WHERE drvid = ANY (%(drivers)s) AND coalesce(start_time, 0) < %(end)s
AND coalesce(end_time, %(forever)s) >= %(start)s
AND to_regclass(quote_ident(pname)) IS NOT NULL
GROUP BY pname
"""
_COLUMNS: LiteralString = (
    "tagid, t_stamp, intvalue, floatvalue, stringvalue, datevalue, dataintegrity"
)
# One tag and one table each, so that the server goes along the index (tagid, t_stamp) of each.
_BETWEEN: LiteralString = (
    "(SELECT " + _COLUMNS + " FROM {table} WHERE tagid = {id}"  # noqa: S608 (literals)
    " AND t_stamp >= %(start)s AND t_stamp < %(end)s ORDER BY t_stamp LIMIT %(most)s)"
)
_LAST: LiteralString = (
    "(SELECT " + _COLUMNS + " FROM {table} WHERE tagid = {id}"  # noqa: S608 (literals)
    " AND t_stamp < %(end)s ORDER BY t_stamp DESC LIMIT 1)"
)
_EXECUTIONS: LiteralString = """
SELECT scid, start_time, end_time, rate FROM sqlth_sce
WHERE scid = ANY (%s) AND end_time >= %s AND start_time < %s ORDER BY start_time
"""
_FOREVER = 2**62


class TagHistory(Session):
    """A session with the database.

    Args:
        settings: where it is.
        name: of the connector; its own is '<name>.history'.
        kind: of the connector: names the extra.
        provider: tag provider of paths that name none.
        context: what the gateway shares.
        pool: a shared limit on open connections.
        log: where changes of state are noted.
    """

    def __init__(
        self,
        settings: HistorySettings,
        *,
        name: str,
        kind: str,
        provider: str,
        context: Context,
        pool: ConnectionPool | None,
        log: logging.Logger,
    ) -> None:
        super().__init__(
            name=f"{name}.history", log=log, context=context, pool=pool,
            timeout=settings.request_timeout(), retry=settings.retry(),
        )  # fmt: skip
        self._settings = settings
        self._kind = kind
        self._provider = provider
        self._connections: Connections | None = None
        for endpoint in self.endpoints():
            context.network.name(endpoint)

    # ---- life -------------------------------------------------------------------------------

    def endpoints(self) -> Iterable[Endpoint]:
        """The database server."""
        return [Endpoint(self._settings.host, self._settings.port)]

    async def _open(self) -> None:
        s = self._settings
        login = Login(
            host=s.host, port=s.port, database=s.database, user=s.user, password=s.password,
            tls=s.tls, application=self.context.name,
        )  # fmt: skip
        self._connections = Connections(
            login, self.context.network, size=s.max_connections, extra=self._kind, log=self.log
        )
        await self._connections.open(timeout=self.timeout)

    async def _shut(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        where = f"{self._settings.host}:{self._settings.port}/{self._settings.database}"
        return meaning(error, f"{self.name}: {what}: {where}")

    async def look(self, work: Callable[[Connection], Awaitable[R]], *, what: str) -> R:
        """Do some work in one transaction that cannot write, and that the server ends in time."""

        async def transaction(connection: Connection) -> R:
            async with connection.transaction():
                await connection.execute("SET TRANSACTION READ ONLY")
                await rows.limit(connection, self.timeout * _MARGIN)
                return await work(connection)

        async def request() -> R:
            if self._connections is None:
                raise ConnectFailed(f"{self.name}: {self._settings.host}: closed meanwhile")
            return await self._connections.run(transaction, timeout=self.timeout)

        return await self._call(request, what=what)

    async def check(self) -> Health:
        """One cheap round trip; answers instead of raising."""
        start = time.perf_counter()
        try:
            detail = await self._describe()
        except GL002Error as error:
            return Health(ok=False, detail=str(error), latency=time.perf_counter() - start)
        return Health(ok=True, detail=detail, latency=time.perf_counter() - start)

    async def _describe(self) -> str:
        async def count(connection: Connection) -> str:
            row = await (await connection.execute("SELECT count(*) FROM sqlth_te")).fetchone()
            cursor = await connection.execute(_GATEWAYS)
            names = [str(name) for (name,) in await cursor.fetchall()]
            stored = f", stored by {', '.join(names)}" if names else ""
            return f"history of {row[0] if row else 0} tags{stored}"

        return await self.look(count, what="check")

    # ---- which tags -------------------------------------------------------------------------

    async def living(self) -> list[tuple[Path, Entry]]:
        """Every tag that is not retired, by path, each once: of two lives the later one."""
        found = await self.look(self._entries, what="browse")
        alive = sorted((e for e in found if e.retired is None), key=lambda e: e.id)
        by_path = {(e.provider.lower(), e.path.lower()): e for e in alive}
        return [(Path(e.provider, e.path), e) for _, e in sorted(by_path.items())]

    async def _lives(self, tags: Iterable[str]) -> dict[str, list[Entry]]:
        """Every life of each tag that ever had one; within a `look`, or as one."""
        paths = {tag: wire.parse(tag, self._provider) for tag in dict.fromkeys(tags)}
        if not paths:
            return {}
        found = await self.look(partial(self._entries, paths=list(paths.values())), what="tags")
        lives: dict[tuple[str, str], list[Entry]] = {}
        for entry in found:
            lives.setdefault((entry.provider.lower(), entry.path.lower()), []).append(entry)
        by_tag = {tag: lives.get((p.provider.lower(), p.key), []) for tag, p in paths.items()}
        return {tag: entries for tag, entries in by_tag.items() if entries}

    async def _entries(
        self, connection: Connection, paths: Sequence[Path] | None = None
    ) -> list[Entry]:
        asked: dict[str, Any] = {"gateway": self._settings.gateway}
        question: LiteralString = _ENTRIES
        if paths is not None:
            question = _ENTRIES + _CALLED
            asked["paths"] = sorted({path.key for path in paths})
            asked["providers"] = sorted({path.provider.lower() for path in paths})
        return [Entry(*row) for row in await (await connection.execute(question, asked)).fetchall()]

    # ---- values -----------------------------------------------------------------------------

    async def page(self, tag: str, start: int, end: int, limit: int = PAGE) -> Batch:
        """At most `limit` samples with start <= time < end (nanoseconds UTC), oldest first.

        One for each time, where two lives of the tag have a value at the same one.
        """
        lives = (await self._lives([tag])).get(tag, [])
        first, last = _millisecond(start), _millisecond(end)
        # Not by when they were created: what is stored late (backfill) may be from before it.
        lives = [e for e in lives if e.retired is None or e.retired >= first]
        if not lives or first >= last:
            return []

        async def read(connection: Connection) -> Batch:
            found: list[tuple[Any, ...]] = []
            for tables in wire.in_turn(await _partitions(connection, lives, first, last)):
                asked = {"start": first, "end": last, "most": limit - len(found)}
                found += await _page(connection, tables, lives, asked)
                if len(found) >= limit:
                    break
            return [wire.sample(tag, row[1:]) for row in found]

        return await self.look(read, what=f"history of {tag}")

    async def pages(self, tags: Sequence[str], start: int, end: int, limit: int = PAGE) -> Batch:
        """The same of several tags, of each at most `limit`."""
        found: Batch = []
        for tag in tags:
            found += await self.page(tag, start, end, limit)
        return found

    async def before(self, tags: Sequence[str], end: int | None = None) -> dict[str, Sample]:
        """The last sample of each tag before a time (nanoseconds UTC); the newest without one."""
        until = _millisecond(now_ns() + 3600 * 10**9 if end is None else end)
        newest: dict[str, Sample] = {}
        for tag, lives in (await self._lives(tags)).items():
            last = partial(_last, lives=lives, until=until)
            row = await self.look(last, what=f"last value of {tag}")
            if row is not None:
                newest[tag] = wire.sample(tag, row[1:])
        return newest

    async def gaps(self, tag: str, start: int, end: int) -> Batch:
        """Where the tag's group was not executed between two times (nanoseconds UTC).

        One sample without a value for each, at its beginning.
        """
        lives = (await self._lives([tag])).get(tag, [])
        first, last = _millisecond(start), _millisecond(min(end, now_ns()))
        if not lives or first >= last:
            return []
        lives = [e for e in lives if e.lived(first, last)]
        groups = sorted({e.group for e in lives})

        async def read(connection: Connection) -> list[tuple[int, Stretch]]:
            cursor = await connection.execute(_EXECUTIONS, (groups, first, last))
            return [(row[0], Stretch(*row[1:])) for row in await cursor.fetchall()]

        executed = await self.look(read, what=f"executions of {tag}")
        return [
            Sample(tag, None, begin * MILLISECOND, int(Quality.BAD_NO_DATA))
            for begin, _ in wire.gaps(wire.of_lives(executed, lives), first, last)
        ]


def _millisecond(nanoseconds: int) -> int:
    """The first millisecond that is not before a time."""
    return -(-nanoseconds // MILLISECOND)


async def _partitions(
    connection: Connection, lives: Sequence[Entry], start: int, end: int
) -> list[Table]:
    """Tables that may have values between two times."""
    asked = {
        "drivers": sorted({e.driver for e in lives}), "start": start, "end": end,
        "forever": _FOREVER,
    }  # fmt: skip
    cursor = await connection.execute(_PARTITIONS, asked)
    return [Table(*row) for row in await cursor.fetchall()]


def _each(question: LiteralString, tables: Sequence[Table], lives: Sequence[Entry]) -> Composed:
    """The question about every life of a tag in every table."""
    from psycopg.sql import SQL, Literal

    ids = sorted({e.id for e in lives})
    parts = [
        SQL(question).format(table=identifier(table.name), id=Literal(id_))
        for table in tables
        for id_ in ids
    ]
    return SQL(" UNION ALL ").join(parts)


async def _page(
    connection: Connection,
    tables: Sequence[Table],
    lives: Sequence[Entry],
    asked: Mapping[str, int],
) -> list[tuple[Any, ...]]:
    """Rows of some tables together, oldest first, one for each time: that of the latest life."""
    from psycopg.sql import SQL

    statement = SQL(
        "SELECT DISTINCT ON (t_stamp) * FROM ({}) every ORDER BY t_stamp, tagid DESC LIMIT %(most)s"
    ).format(_each(_BETWEEN, tables, lives))
    return await (await connection.execute(statement, asked)).fetchall()


async def _last(
    connection: Connection, lives: Sequence[Entry], until: int
) -> tuple[Any, ...] | None:
    """The last row before a time; tables that end before the best one so far are not looked at."""
    from psycopg.sql import SQL

    newest = SQL("SELECT * FROM ({}) every ORDER BY t_stamp DESC, tagid DESC LIMIT 1")
    best: tuple[Any, ...] | None = None
    tables = await _partitions(connection, lives, 0, until)
    for table in sorted(tables, key=lambda t: -t.end):
        if best is not None and best[1] >= table.end:
            break
        statement = newest.format(_each(_LAST, [table], lives))
        row = await (await connection.execute(statement, {"end": until})).fetchone()
        if row is not None and (best is None or row[1] > best[1]):
            best = row
    return best
