"""The embedded history: a SQLite file on this machine, where outputs go when no other is named.

from gl002.integrations.databases import SQLiteConnector

with SQLiteConnector({"path": "/var/lib/gl002/history.sqlite"}) as history:
    for tag in history.browse():
        print(tag.name, tag.unit, history.read([tag.name]))

Other processes may read the file meanwhile; for people there is the view `history`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Seconds, Settings
from gl002.connector import Capability, Connector, Found
from gl002.context import Context
from gl002.errors import Busy, ConnectFailed, GL002Error, PartialWrite, RequestFailed
from gl002.model import Batch, Sample, now_ns
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.sink import Sink
from gl002.source import Source
from gl002.transport.following import FollowingSource, FollowInput
from gl002.transport.narrow import PAGE, found, in_order, paged
from gl002.transport.sqlite import HistoryFile
from gl002.trend import Bucket, width_of

P = ParamSpec("P")
R = TypeVar("R")

_TRIM_INTERVAL = 3600.0  # seconds between two looks for what has become too old
_TRIM_SECONDS = 0.2  # how long one look may hold up writing


class SQLiteConfig(Settings):
    """Where the history is kept, and for how long."""

    path: str | None = Field(
        None,
        description="The file, made where missing; relative to the state folder. "
        "'history.sqlite' there where absent.",
    )
    retention: Seconds | None = Field(
        None, gt=0, description="Samples older than this are deleted: '90 days'. Never if absent."
    )
    minute_retention: Seconds | None = Field(
        None, gt=0, description="The same for lows, highs and means by minute: '1000 days'."
    )
    hour_retention: Seconds | None = Field(
        None, gt=0, description="The same for lows, highs and means by hour."
    )
    create: bool = Field(True, description="Make the file where it is missing.")

    @model_validator(mode="after")
    def _coarse_outlives_fine(self) -> SQLiteConfig:
        """A trend takes what is too old for samples from minutes, and then from hours."""
        order = ("retention", "minute_retention", "hour_retention")
        for fine, coarse in pairwise(order):
            shorter, longer = getattr(self, fine), getattr(self, coarse)
            if longer is not None and (shorter is None or shorter > longer):
                raise ValueError(f"'{coarse}' must not be shorter than '{fine}'")
        return self

    def kept(self) -> dict[str, float]:
        """Table of the file -> seconds its rows are kept, where there is a limit."""
        limits = {
            "sample": self.retention,
            "minute": self.minute_retention,
            "hour": self.hour_retention,
        }
        return {table: limit for table, limit in limits.items() if limit is not None}


class AsyncSQLiteConnector(Connector[SQLiteConfig]):
    """One history file, used from one worker thread. Samples are upserted on tag and time."""

    kind = "sqlite"
    can = (
        Capability.READ | Capability.STREAM | Capability.HISTORY | Capability.BROWSE
        | Capability.STORE
    )  # fmt: skip
    Config = SQLiteConfig
    Input = FollowInput
    Output = OutputSettings

    def __init__(
        self,
        config: SQLiteConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self.path = self.context.state_dir / Path(self.config.path or "history.sqlite")
        self._file = HistoryFile(self.path, create=self.config.create)
        self._thread: ThreadPoolExecutor | None = None
        self._trim_at = 0.0

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'sqlite:///var/lib/gl002/history.sqlite'."""
        return {"path": unquote(urlsplit(url).path), "create": False}

    def endpoints(self) -> Iterable[Endpoint]:
        """None: a file is no network."""
        return ()

    async def _open(self) -> None:
        self._thread = ThreadPoolExecutor(1, "gl002-sqlite")
        # A new one: SQLite wants one thread from opening to closing.
        self._file = HistoryFile(self.path, create=self.config.create)
        await self._in_thread(self._file.open)

    async def _shut(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._file.interrupt()
            closed = thread.submit(self._file.close)
            thread.shutdown(wait=False)
            await asyncio.wrap_future(closed)

    async def _in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._thread is None:
            raise ConnectFailed(f"{self.name}: {self.path}: closed meanwhile")
        return await asyncio.wrap_future(self._thread.submit(call, *args, **kwargs))

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        if not isinstance(error, sqlite3.Error | OSError):
            return None
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind, hint = _MEANINGS.get(code, (RequestFailed, ""))
        if isinstance(error, OSError) or (not code and isinstance(error, sqlite3.ProgrammingError)):
            kind, hint = ConnectFailed, ""
        return kind(f"{self.name}: {what}: {self.path}: {error}", hint=hint)

    async def _ask(self, work: Callable[[HistoryFile], R], *, what: str) -> R:
        """Do some work on the file, in its thread."""

        async def request() -> R:
            return await self._in_thread(work, self._file)

        return await self._call(request, what=what)

    async def _ping(self) -> str:
        tags = await self._in_thread(self._file.tags)
        return f"SQLite {sqlite3.sqlite_version}, {self.path}, {len(tags)} tags"

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """The newest sample of each tag, in the order of `tags`; BAD where there is none."""
        newest = await self._ask(lambda file: file.latest(tags), what=f"read {len(tags)} tags")
        return in_order(tags, newest)

    def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), tag by tag, oldest first.

        In batches of one tag each; what is written meanwhile may or may not be in them.
        """
        return paged(self._page, tags, start, end)

    async def _page(self, tag: str, start: int, end: int) -> Batch:
        return await self._ask(
            lambda file: file.page(tag, start, end, PAGE), what=f"history of {tag}"
        )

    async def trend(self, tag: str, start: int, end: int, *, points: int = 2000) -> list[Bucket]:
        """A tag over a range (nanoseconds UTC) in about `points` stretches, oldest first.

        Lowest and highest value of each stretch are kept. Long ones are made of minutes or hours,
        and then begin and end on whole ones; so do those that are too old for samples. There may
        be fewer than asked for, but not fewer than 1,000 where the tag has samples all the time.

        Raises:
            ValueError: there is no range, or no point.
        """
        width_of(start, end, points)
        return await self._ask(
            lambda file: file.trend(tag, start, end, points), what=f"trend of {tag}"
        )

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """The tags whose names begin with `address`; they are no tree, so `depth` is of no use."""
        for thing in found(await self._ask(HistoryFile.tags, what="browse"), address):
            yield thing

    def source(self, spec: InputSettings) -> Source:
        """What others store in the file, as a stream."""
        assert isinstance(spec, FollowInput)

        async def newest(tags: Sequence[str]) -> Iterable[Sample]:
            found = await self._ask(lambda file: file.latest(tags), what="newest samples")
            return found.values()

        async def pages(tags: Sequence[str], start: int, end: int, limit: int) -> Batch:
            return await self._ask(
                lambda file: file.pages(tags, start, end, limit), what="new samples"
            )

        return FollowingSource(
            self.name, spec, browse=self.browse, newest=newest, pages=pages,
            about=self.context.tags,
        )  # fmt: skip

    def sink(self, spec: OutputSettings) -> Sink:
        """The history as a destination."""
        return SQLiteSink(self)

    async def store(self, batch: Batch) -> None:
        """Add samples; one with the tag and time of another takes its place.

        On disk when it returns. Twice is harmless.

        Raises:
            PartialWrite: names those that no row can hold; the others are stored.
        """
        rejected = await self._ask(
            partial(self._write, batch=batch), what=f"store {len(batch)} samples"
        )
        if rejected:
            raise PartialWrite(f"{self.name}: {len(rejected)} samples refused", rejected)

    def _write(self, file: HistoryFile, batch: Batch) -> dict[int, str]:
        rejected = file.write(batch, self.context.tags)
        kept = self.config.kept()
        if kept and time.monotonic() >= self._trim_at:
            now = now_ns()
            before = {table: now - int(limit * 1e9) for table, limit in kept.items()}
            if file.trim(before, seconds=_TRIM_SECONDS):
                self._trim_at = time.monotonic() + _TRIM_INTERVAL
        return rejected


_MEANINGS: dict[int, tuple[type[RequestFailed | ConnectFailed], str]] = {
    sqlite3.SQLITE_BUSY: (Busy, "another process is writing to it"),
    sqlite3.SQLITE_LOCKED: (Busy, "another process is writing to it"),
    sqlite3.SQLITE_FULL: (Busy, "make room on the disk, or set 'retention'"),
    sqlite3.SQLITE_IOERR: (Busy, "look at the disk and its cable, and at the system log"),
    sqlite3.SQLITE_INTERRUPT: (ConnectFailed, ""),
    sqlite3.SQLITE_CANTOPEN: (ConnectFailed, "is it there, and may we write to its folder?"),
    sqlite3.SQLITE_READONLY: (RequestFailed, "let the user that runs the gateway write to it"),
    sqlite3.SQLITE_CORRUPT: (RequestFailed, "move the file away: a new one is made"),
    sqlite3.SQLITE_NOTADB: (RequestFailed, "change 'path', or move the file away"),
}


class SQLiteSink(Sink):
    """One output to the history."""

    def __init__(self, connector: AsyncSQLiteConnector) -> None:
        self.name = connector.name
        self._connector = connector

    async def prepare(self) -> None:
        """Open the file."""
        await self._connector.connect()

    async def write(self, batch: Batch) -> None:
        """Upsert the batch in one transaction."""
        await self._connector.store(batch)


class SQLiteConnector(Blocking[AsyncSQLiteConnector]):
    """The embedded history for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: SQLiteConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncSQLiteConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncSQLiteConnector.connect)
    close = blocking(AsyncSQLiteConnector.close)
    check = blocking(AsyncSQLiteConnector.check)
    set_timeout = plain(AsyncSQLiteConnector.set_timeout)
    try_at_once = plain(AsyncSQLiteConnector.try_at_once)
    read = blocking(AsyncSQLiteConnector.read)
    history = iterating(AsyncSQLiteConnector.history)
    trend = blocking(AsyncSQLiteConnector.trend)
    browse = iterating(AsyncSQLiteConnector.browse)
    store = blocking(AsyncSQLiteConnector.store)
