"""AVEVA (Wonderware) Historian over its SQL Server: queries, history, live values, manual tags.

    from gl002.integrations.historians import WonderwareConnector

    ww = WonderwareConnector({"server": "historian.local", "username": "gl002", "password": "..."})
    rows = ww.query("SELECT TagName, Value FROM Live WHERE TagName LIKE %s", ["Boiler%"])
    for batch in ww.history(["Boiler1.SteamFlow"], "2025-01-01", "2025-01-02", resolution=60_000):
        print(batch)
    ww.write("Boiler1.Remark", "gauge glass cleaned")

Times without a zone are local time in `history` and its like, and the historian's in `query`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability, Found
from gl002.context import Context
from gl002.errors import DataError, TagNotFound
from gl002.model import Batch, Quality, Sample, Value, now_ns
from gl002.pool import ConnectionPool
from gl002.session import before_sending
from gl002.sink import Sink
from gl002.source import PolledSource, Source
from gl002.transport.following import FollowingSource
from gl002.transport.narrow import in_order, paged
from gl002.transport.tds.statements import check_reads
from gl002.transport.wonderware.session import WonderwareSession, change, parts
from gl002.transport.wonderware.settings import (
    WonderwareConfig,
    WonderwareInput,
    WonderwareOutput,
)
from gl002.transport.wonderware.sink import WonderwareSink, writable
from gl002.wire import wonderware as wire
from gl002.wire.instants import instant
from gl002.wire.wonderware import (
    AS_STORED,
    STATES,
    Cycles,
    Interpolation,
    Mode,
    QualityRule,
    Query,
    StateCalc,
    TimestampRule,
    Version,
)


class AsyncWonderwareConnector(WonderwareSession):
    """A historian behind one SQL Server."""

    kind = "wonderware"
    can = (
        Capability.READ | Capability.WRITE | Capability.STREAM
        | Capability.HISTORY | Capability.BROWSE | Capability.STORE
    )  # fmt: skip
    Config = WonderwareConfig
    Input = WonderwareInput
    Output = WonderwareOutput
    environment: ClassVar = {"GL002_WW_SERVER": "server"}

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'wonderware://host:port' is that server, with integrated security."""
        return {"server": url.partition("://")[2].rstrip("/")}

    # ---- for people -------------------------------------------------------------------------

    async def query(
        self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a query as dicts, times as the historian gives them: naive, in its own zone.

        One SELECT statement, at most `max_rows` rows. The time domain extensions stand in its
        WHERE clause; `wwTimeZone = 'UTC'` makes its times UTC.

        Args:
            sql: `%s` and `%(name)s` stand for parameters, if there are any.
            params: their values. Put values here, never into the text.

        Raises:
            RequestFailed: it is no SELECT, the server refused it, or it gave too many rows.
        """
        check_reads(sql)
        values = dict(params) if isinstance(params, Mapping) else tuple(params)
        query = Query(sql, values)  # type: ignore[arg-type]  # the driver takes both forms
        return await self._ask(query, "query")

    async def history(
        self,
        tags: Sequence[str],
        start: int | datetime | str,
        end: int | datetime | str,
        mode: Mode | None = None,
        *,
        cycles: int | None = None,
        resolution: int | None = None,
        version: Version = "Latest",
        quality_rule: QualityRule | None = None,
        timestamp_rule: TimestampRule | None = None,
        interpolation: Interpolation | None = None,
    ) -> AsyncIterator[Batch]:
        """Samples with start <= time < end, tag by tag, oldest first. Tags not there give none.

        Args:
            tags: names.
            start: nanoseconds UTC, a datetime or ISO text; local time where it has no zone.
            end: the same.
            mode: how values are retrieved; any but ValueState and RoundTrip, see `states`. Absent:
                Full, every stored value; Cyclic with `cycles` or `resolution`.
            cycles: number of cycles, for all modes but Full and Delta; 100 where both are absent.
            resolution: or the length of a cycle, milliseconds.
            version: of values that were put right later.
            quality_rule: which values computed modes use.
            timestamp_rule: which end of its cycle a computed value is stamped with.
            interpolation: between two stored values.

        Raises:
            DataError: no such mode, or both `cycles` and `resolution`.
            RequestFailed: the historian refused it.
        """
        chosen = mode or ("Full" if cycles is None and resolution is None else "Cyclic")
        chosen = wire.word("mode", chosen, Mode)  # type: ignore[assignment]
        first, last = instant(start), instant(end)
        if chosen in STATES:
            raise DataError(f"{chosen} gives times in states, not values", hint="call states()")
        if first >= last or not tags:
            return
        if chosen in AS_STORED:
            if cycles is not None or resolution is not None:
                raise DataError(f"{chosen} has no cycles", hint="mode='Cyclic'")
            batches = paged(partial(self._page, mode=chosen, version=version), tags, first, last)
            async for batch in batches:
                yield batch
            return
        asked = partial(
            wire.cyclic, start=first, end=last, mode=chosen, cycles=Cycles(cycles, resolution),
            version=_chosen("version", version, Version),
            quality_rule=_chosen("quality_rule", quality_rule, QualityRule),
            timestamp_rule=_chosen("timestamp_rule", timestamp_rule, TimestampRule),
            interpolation=_chosen("interpolation", interpolation, Interpolation), zone=self._zone,
        )  # fmt: skip
        for tag in await self._about(tags):
            read = partial(wire.computed, name=tag)
            batch = await self._ask_for(asked([tag]), f"history of {tag}", read)
            if batch:
                yield batch

    async def states(
        self,
        tags: Sequence[str],
        start: int | datetime | str,
        end: int | datetime | str,
        mode: Mode = "ValueState",
        *,
        cycles: int | None = None,
        resolution: int | None = None,
        calculation: StateCalc = "Total",
    ) -> list[dict[str, Any]]:
        """How long tags were in each state: rows with TagName, DateTime, vValue, StateTime, ...

        Args:
            tags: names.
            start: as in `history`.
            end: as in `history`.
            mode: ValueState, or RoundTrip: from one entering of a state to the next.
            cycles: as in `history`.
            resolution: as in `history`.
            calculation: of the times in each cycle; milliseconds, or percent.

        Raises:
            DataError: another mode, or both `cycles` and `resolution`.
        """
        if mode not in STATES:
            raise DataError(f"{mode} gives values", hint="call history()")
        calc = _chosen("calculation", calculation, StateCalc)
        found: list[dict[str, Any]] = []
        for part in parts(list(dict.fromkeys(tags))):
            asked = wire.cyclic(
                part, instant(start), instant(end), mode=mode,
                cycles=Cycles(cycles, resolution), state_calc=calc, zone=self._zone,
            )  # fmt: skip
            found += await self._ask(asked, f"states of {len(part)} tags")
        return found

    async def summaries(
        self,
        tags: Sequence[str],
        start: int | datetime | str,
        end: int | datetime | str,
        *,
        cycles: int | None = None,
        resolution: int | None = None,
    ) -> list[dict[str, Any]]:
        """Statistics of each cycle from AnalogSummaryHistory, time-weighted; times in UTC, naive.

        Rows have TagName, StartDateTime, EndDateTime, OPCQuality, PercentGood, First, Last,
        Minimum, Maximum, Average, StdDev, Integral and ValueCount.

        Args:
            tags: analog tags, or analog summary tags.
            start: as in `history`.
            end: as in `history`.
            cycles: as in `history`.
            resolution: as in `history`.
        """
        found: list[dict[str, Any]] = []
        for part in parts(list(dict.fromkeys(tags))):
            first, last = instant(start), instant(end)
            asked = wire.summaries(part, first, last, Cycles(cycles, resolution), zone=self._zone)
            found += await self._ask(asked, f"summaries of {len(part)} tags")
        return found

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Current samples in the order of `tags`; a tag that is not there is a bad sample."""
        newest = {sample.tag: sample for sample in await self._newest(tags)}
        return in_order(tags, newest)

    async def write(self, tag: str, value: Value) -> None:
        """Insert a value of now into a manual tag; audited, and never repeated by itself.

        The historian stamps it with its own clock.

        Raises:
            DataError: it does not fit the tag, or the tag's values come from an I/O server;
                nothing was sent.
            TagNotFound: there is no such tag.
            RequestFailed: the historian refused it.
        """
        await self._write_to_plant(partial(self._write, tag, value), address=tag, value=value)

    async def _write(self, tag: str, value: Value) -> None:
        with before_sending():
            known = await self._about([tag])
        if tag not in known:
            raise TagNotFound(f"there is no tag '{tag}'")
        about = known[tag]
        writable(about)
        wire.stored_value(value, about.kind)
        asked = wire.insert(
            self.config.database, Sample(about.name, value, now_ns(), Quality.GOOD), about.kind,
            now=True, zone=self._zone,
        )  # fmt: skip
        try:
            await self._work(partial(change, queries=[asked]))
        except BaseException:
            self._forget([tag])  # it may be another one by now
            raise

    # ---- for the flow -----------------------------------------------------------------------

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """Tags whose names begin with `address`, or fit it where it has a '*'.

        They are no tree, so `depth` is of no use.
        """
        for tag in await self._ask_for(wire.tags_like(address), "browse", wire.about):
            self._known[tag.name.casefold()] = tag
            yield Found(
                address=tag.name, name=tag.name, path=tag.name, type=tag.type or "", unit=tag.unit,
                description=tag.description, writable=tag.by_hand and tag.type is not None,
            )  # fmt: skip

    def source(self, spec: InputSettings) -> Source:
        """One entry of `data_flow.input` as a stream."""
        assert isinstance(spec, WonderwareInput)
        if spec.read == "live":
            return _LiveSource(self, spec)

        async def newest(tags: Sequence[str]) -> Iterable[Sample]:
            return await self._newest(tags)

        return FollowingSource(
            self.name, spec, browse=self.browse, newest=newest, pages=self._pages,
            about=self.context.tags,
        )  # fmt: skip

    def sink(self, spec: OutputSettings) -> Sink:
        """Manual tags as a destination."""
        assert isinstance(spec, WonderwareOutput)

        async def changed(queries: Sequence[Query], what: str) -> None:
            work = partial(self._work, partial(change, queries=queries))
            await self._call(work, what=what)

        return WonderwareSink(
            self.name, spec, database=self.config.database, zone=lambda: self._zone,
            about=self._about, change=changed, forget=self._forget, tags=self.context.tags,
        )  # fmt: skip


class _LiveSource(PolledSource):
    """What tags are at the moment of asking."""

    def __init__(self, connector: AsyncWonderwareConnector, spec: WonderwareInput) -> None:
        self._connector = connector
        self._names = list(dict.fromkeys(spec.tags or ()))
        self._prefix = spec.prefix
        tags = [wire.as_tag(None, spec.prefix + name, connector.name, name) for name in self._names]
        super().__init__(connector.name, self._cycle, tags, spec.interval)

    async def batches(self) -> AsyncIterator[Batch]:
        """One batch a cycle; first the tag table is told what the historian knows."""
        about = await self._connector._about(self._names)  # noqa: SLF001 (of the same module)
        for name in self._names:
            self._connector.context.tags.declare(
                wire.as_tag(about.get(name), self._prefix + name, self.name, name)
            )
        async for batch in super().batches():
            yield batch

    async def _cycle(self) -> Batch:
        return [
            Sample(self._prefix + s.tag, s.value, s.time, s.quality)
            for s in await self._connector.read(self._names)
        ]


def _chosen(name: str, value: str | None, known: Any) -> Any:
    """One of the words of a parameter, or None."""
    return None if value is None else wire.word(name, value, known)


class WonderwareConnector(Blocking[AsyncWonderwareConnector]):
    """A historian for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: WonderwareConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncWonderwareConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncWonderwareConnector.connect)
    close = blocking(AsyncWonderwareConnector.close)
    check = blocking(AsyncWonderwareConnector.check)
    set_timeout = plain(AsyncWonderwareConnector.set_timeout)
    try_at_once = plain(AsyncWonderwareConnector.try_at_once)
    query = blocking(AsyncWonderwareConnector.query)
    history = iterating(AsyncWonderwareConnector.history)
    states = blocking(AsyncWonderwareConnector.states)
    summaries = blocking(AsyncWonderwareConnector.summaries)
    read = blocking(AsyncWonderwareConnector.read)
    write = blocking(AsyncWonderwareConnector.write)
    browse = iterating(AsyncWonderwareConnector.browse)
