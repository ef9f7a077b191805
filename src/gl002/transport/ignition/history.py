"""The database of Ignition's SQL historian, read and never written.

Which tables hold a tag's values between two times stands in tables itself: the lives of the tag
(sqlth_te), the gateway and provider that stored it (sqlth_scinfo, sqlth_drv), the partitions of
that driver that cover the range (sqlth_partitions). Names of partitions come from the database
and are quoted as any other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, LiteralString, TypeVar

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
from gl002.wire.ignition import MILLISECOND, Entry, Path, Stretch

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
_PARTITIONS: LiteralString = """
SELECT pname, min(start_time) FROM sqlth_partitions
WHERE drvid = ANY (%s) AND start_time < %s AND end_time >= %s
AND to_regclass(quote_ident(pname)) IS NOT NULL
GROUP BY pname ORDER BY min(start_time) DESC
"""
_COLUMNS: LiteralString = (
    "tagid, t_stamp, intvalue, floatvalue, stringvalue, datevalue, dataintegrity"
)
_BETWEEN: LiteralString = (
    "SELECT " + _COLUMNS + " FROM {table} WHERE tagid = ANY (%(ids)s)"  # noqa: S608 (literals)
    " AND t_stamp >= %(start)s AND t_stamp < %(end)s"
)
_LAST: LiteralString = (
    "SELECT " + _COLUMNS + " FROM {table} WHERE tagid = ANY (%(ids)s)"  # noqa: S608 (literals)
    " AND t_stamp < %(end)s ORDER BY t_stamp DESC LIMIT 1"
)
_EXECUTIONS: LiteralString = """
SELECT start_time, end_time, rate FROM sqlth_sce
WHERE scid = ANY (%s) AND end_time >= %s AND start_time < %s ORDER BY start_time
"""


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
            return f"history of {row[0] if row else 0} tags"

        return await self.look(count, what="check")

    # ---- which tags -------------------------------------------------------------------------

    async def living(self) -> list[tuple[Path, Entry]]:
        """Every tag that is not retired, by path."""
        found = await self.look(self._entries, what="browse")
        alive = [(Path(e.provider, e.path), e) for e in found if e.retired is None]
        return sorted(alive, key=lambda pair: (pair[0].provider.lower(), pair[0].key))

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

    async def page(self, tag: str, start: int, end: int) -> Batch:
        """At most a page of samples with start <= time < end (nanoseconds UTC), oldest first."""
        lives = (await self._lives([tag])).get(tag, [])
        first, last = _millisecond(start), _millisecond(end)
        lives = [entry for entry in lives if entry.lived(first, last)]
        if not lives:
            return []
        ids, drivers = [e.id for e in lives], sorted({e.driver for e in lives})

        async def read(connection: Connection) -> Batch:
            tables = await _partitions(connection, drivers, first, last)
            asked = {"ids": ids, "start": first, "end": last}
            found = await _union(connection, _BETWEEN, tables, asked)
            return [wire.sample(tag, row[1:]) for row in found]

        return await self.look(read, what=f"history of {tag}")

    async def pages(self, tags: Sequence[str], start: int, end: int) -> Batch:
        """The same of several tags, of each at most a page."""
        found: Batch = []
        for tag in tags:
            found += await self.page(tag, start, end)
        return found

    async def before(self, tags: Sequence[str], end: int | None = None) -> dict[str, Sample]:
        """The last sample of each tag before a time (nanoseconds UTC); the newest without one."""
        until = _millisecond(now_ns() + 3600 * 10**9 if end is None else end)
        newest: dict[str, Sample] = {}
        for tag, lives in (await self._lives(tags)).items():
            known = [e for e in lives if e.created < until]
            last = partial(_last, ids=[e.id for e in known], until=until,
                           drivers=sorted({e.driver for e in known}))  # fmt: skip
            row = await self.look(last, what=f"last value of {tag}") if known else None
            if row is not None:
                newest[tag] = wire.sample(tag, row[1:])
        return newest

    async def gaps(self, tag: str, start: int, end: int) -> Batch:
        """Where the tag's group was not executed between two times (nanoseconds UTC).

        One sample without a value for each, at its beginning.
        """
        lives = (await self._lives([tag])).get(tag, [])
        first, last = _millisecond(start), _millisecond(min(end, now_ns()))
        groups = sorted({e.group for e in lives if e.lived(first, last)})
        if not groups or first >= last:
            return []

        async def read(connection: Connection) -> list[Stretch]:
            cursor = await connection.execute(_EXECUTIONS, (groups, first, last))
            return [Stretch(*row) for row in await cursor.fetchall()]

        stretches = await self.look(read, what=f"executions of {tag}")
        return [
            Sample(tag, None, begin * MILLISECOND, int(Quality.BAD_NO_DATA))
            for begin, _ in wire.gaps(stretches, first, last)
        ]


def _millisecond(nanoseconds: int) -> int:
    """The first millisecond that is not before a time."""
    return -(-nanoseconds // MILLISECOND)


async def _partitions(
    connection: Connection, drivers: Sequence[int], start: int, end: int
) -> list[str]:
    """Tables of these drivers that cover a range, newest first."""
    cursor = await connection.execute(_PARTITIONS, (list(drivers), end, start))
    return [str(row[0]) for row in await cursor.fetchall()]


async def _union(
    connection: Connection, question: LiteralString, tables: Sequence[str], asked: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """A page of all tables together, oldest first."""
    from psycopg.sql import SQL

    if not tables:
        return []
    parts = [SQL(question).format(table=identifier(table)) for table in tables]
    end = SQL(" ORDER BY t_stamp, tagid LIMIT %(limit)s")
    statement = SQL(" UNION ALL ").join(parts) + end
    return await (await connection.execute(statement, {**asked, "limit": PAGE})).fetchall()


async def _last(
    connection: Connection, ids: Sequence[int], until: int, drivers: Sequence[int]
) -> tuple[Any, ...] | None:
    """The last row before a time: the newest table that has one."""
    from psycopg.sql import SQL

    for table in await _partitions(connection, drivers, 0, until):
        statement = SQL(_LAST).format(table=identifier(table))
        cursor = await connection.execute(statement, {"ids": list(ids), "end": until})
        row = await cursor.fetchone()
        if row is not None:
            return row
    return None
