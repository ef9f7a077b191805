"""The session with one historian: connecting, asking, what its refusals mean."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gl002.connector import Connector
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestFailed
from gl002.model import Batch, Sample, now_ns
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.transport.narrow import PAGE
from gl002.transport.tds.connection import Login, TdsConnection
from gl002.transport.tds.errors import meaning
from gl002.transport.tds.statements import columns
from gl002.transport.wonderware.settings import WonderwareConfig
from gl002.wire import wonderware as wire
from gl002.wire.wonderware import About, Mode, Query, Version

if TYPE_CHECKING:
    from pytds import Connection

R = TypeVar("R")
Row = Mapping[str, Any]

_MICROSECOND = 1000
_AHEAD = 3600 * 10**9  # nanoseconds that the historian's clock may be ahead of ours
TOGETHER = 200
"""Tags asked for in one statement; SQL Server takes 2100 parameters."""


def parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    """Names, as many at a time as one statement takes."""
    return (names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER))


class WonderwareSession(Connector[WonderwareConfig], ABC):
    """One connection to the historian's SQL Server, and what is known of its tags."""

    def __init__(
        self,
        config: WonderwareConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._connection: TdsConnection | None = None
        self._known: dict[str, About] = {}
        self._zone = wire.UTC_NAME

    def endpoints(self) -> Iterable[Endpoint]:
        """The SQL Server."""
        return [self.config.endpoint]

    async def _open(self) -> None:
        c = self.config
        login = Login(
            host=c.endpoint.host, port=c.endpoint.port, database=c.database, user=c.username,
            password=c.password, integrated=c.integrated, tls=c.tls, application=self.context.name,
        )  # fmt: skip
        self._known.clear()
        self._connection = TdsConnection(login, self.context.network, extra=self.kind)
        await self._connection.open(timeout=self.timeout)
        rows = await self._rows(wire.utc_there())
        self._zone = str(rows[0]["TimeZone"]) if rows else wire.UTC_NAME

    async def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        return meaning(error, f"{self.name}: {what}: {self.config.endpoint}/{self.config.database}")

    async def _ping(self) -> str:
        query = Query("SELECT @@VERSION AS Version", ())
        (row,) = await self._rows(query, most=1)
        encrypted = self._connection is not None and self._connection.encrypted
        version = str(row["Version"]).splitlines()[0]
        return f"{version}, {'TLS' if encrypted else 'not encrypted'}"

    # ---- asking -----------------------------------------------------------------------------

    async def _work(self, work: Callable[[Connection], R]) -> R:
        """Do some work with the driver; within a `_call`."""
        if self._connection is None:
            raise ConnectFailed(f"{self.name}: {self.config.endpoint}: closed meanwhile")
        return await self._connection.run(work, timeout=self.timeout)

    async def _rows(self, query: Query, *, most: int | None = None) -> list[dict[str, Any]]:
        """The rows of a query; within a `_call`."""
        return await self._work(partial(_select, query=query, most=most or self.config.max_rows))

    async def _ask(
        self, query: Query, what: str, *, most: int | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a query, as a request of its own."""
        return await self._call(partial(self._rows, query, most=most), what=what)

    async def _ask_for(
        self, query: Query, what: str, read: Callable[[Row], R], *, most: int | None = None
    ) -> list[R]:
        """What the rows of a query mean. Rows that mean nothing are a failure of the line."""

        async def request() -> list[R]:
            return [read(row) for row in await self._rows(query, most=most)]

        return await self._call(request, what=what)

    # ---- tags -------------------------------------------------------------------------------

    async def _about(self, names: Iterable[str]) -> dict[str, About]:
        """What is known of tags, by the name they were asked for; without those that are not there.

        The historian does not tell upper and lower case apart.
        """
        wanted = list(dict.fromkeys(names))
        # Apart from what the session knows: one that is opened anew meanwhile has forgotten all.
        known = {key: self._known[key] for n in wanted if (key := n.casefold()) in self._known}
        for part in parts([name for name in wanted if name.casefold() not in known]):
            asked = wire.tags_called(part)
            for tag in await self._ask_for(asked, f"look for {len(part)} tags", wire.about):
                known[tag.name.casefold()] = self._known[tag.name.casefold()] = tag
        return {n: known[n.casefold()] for n in wanted if n.casefold() in known}

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._known.pop(name.casefold(), None)

    # ---- values -----------------------------------------------------------------------------

    async def _newest(self, tags: Sequence[str]) -> list[Sample]:
        """The newest sample of each tag that is there, in no order."""
        about = await self._about(tags)
        found: list[Sample] = []
        for part in parts(list(about)):
            read = partial(_sample, names=_spelled(part), about=about)
            answer = await self._ask_for(
                wire.live(part, zone=self._zone), f"read {len(part)} tags", read
            )
            found += [sample for sample in answer if sample is not None]
        return found

    async def _pages(
        self,
        tags: Sequence[str],
        start: int,
        end: int,
        limit: int = PAGE,
        *,
        version: Version = "Latest",
    ) -> Batch:
        """Stored samples with start <= time < end, oldest first, of each tag about `limit`.

        Less than that only where there are no more.
        """
        about = await self._about(tags)
        found: Batch = []
        for part in parts(list(about)):
            batch, more = await self._stored(part, about, start, end, PAGE, version=version)
            if more and len(part) > 1:
                batch = []
                for tag in part:
                    batch += await self._page(tag, start, end, limit, version=version)
            found += batch
        return found

    async def _page(
        self,
        tag: str,
        start: int,
        end: int,
        limit: int = PAGE,
        *,
        version: Version = "Latest",
        mode: Mode = "Full",
    ) -> Batch:
        """A page of one tag, oldest first; less than a page only where there is no more.

        The historian keeps tenths of a microsecond, of which the driver gives whole ones: a row
        at the edge may belong to the page before, so that a full answer is less than a page.
        """
        about = await self._about([tag])
        if tag not in about:
            return []
        stored = partial(self._stored, [tag], about, version=version, mode=mode)
        found, more = await stored(start, end, limit)
        since = start
        while more and len(found) < limit:
            since = max(since + _MICROSECOND, found[-1].time + 1 if found else 0)
            batch, more = await stored(since, end, limit)
            found += batch
        return found

    async def _stored(
        self,
        tags: Sequence[str],
        about: Mapping[str, About],
        start: int,
        end: int,
        most: int,
        *,
        version: Version,
        mode: Mode = "Full",
    ) -> tuple[Batch, bool]:
        """At most so many of several tags together, and whether there may be more."""
        end = min(end, now_ns() + _AHEAD)  # nothing is stored later; the end of a stream is not
        query = wire.stored(
            tags, start, end, mode=mode, version=version, most=most, zone=self._zone
        )
        read = partial(_sample, names=_spelled(tags), about=about)
        answer = await self._ask_for(query, f"history of {len(tags)} tags", read, most=most)
        batch = [s for s in answer if s is not None and start <= s.time < end]
        return batch, len(answer) >= most


def _spelled(tags: Sequence[str]) -> dict[str, str]:
    """How a tag was asked for, by its name without regard to upper and lower case."""
    return {tag.casefold(): tag for tag in tags}


def _sample(row: Row, names: Mapping[str, str], about: Mapping[str, About]) -> Sample | None:
    """A row as a sample under the name it was asked for; None where it is none."""
    name = names.get(str(row["TagName"]).casefold())
    return None if name is None else wire.sample(row, about[name], name)


def _select(driver: Connection, *, query: Query, most: int) -> list[dict[str, Any]]:
    """The rows of a query, on the driver's thread.

    Raises:
        RequestFailed: more than `most`, or columns that make no dict. The connection is given up:
            the rest of the answer is under way.
    """
    with driver.cursor() as cursor:
        cursor.execute(query.sql, query.parameters or None)
        if cursor.description is None:
            return []
        names = columns(cursor.description)
        rows = cursor.fetchmany(most + 1)
    if len(rows) > most:
        raise RequestFailed(f"more than {most} rows", hint="ask for less, or raise 'max_rows'")
    return [dict(zip(names, row, strict=True)) for row in rows]


def change(driver: Connection, *, queries: Sequence[Query]) -> None:
    """Make changes in one request, on the driver's thread. The first that is refused ends it."""
    sql = ";\n".join(["SET NOCOUNT ON", "SET XACT_ABORT ON", *(query.sql for query in queries)])
    with driver.cursor() as cursor:
        cursor.execute(sql, tuple(value for query in queries for value in query.parameters) or None)
        while cursor.nextset():
            pass  # where there is an error it is raised
