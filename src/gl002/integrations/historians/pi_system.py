r"""OSIsoft (AVEVA) PI System over PI Web API: points, AF attributes, history, event frames.

    from gl002.integrations.historians import PIConnector

    pi = PIConnector({"server": "pi-server.local", "username": "piuser", "password": "..."})
    value = pi.read_tag("BA:BOILER1.EFFICIENCY")
    history = pi.read_history("BA:BOILER1.STEAM_FLOW", "*-1d", "*", interval="1h")
    pi.write_tag("BA:BOILER1.SETPOINT", 485.0)

A tag is a point, 'BA:BOILER1.EFFICIENCY', or an attribute of AF, 'Boilers\Boiler1|Steam Flow';
see `gl002.wire.pi_path`. Times without a zone are local time; `gl002.wire.pi_time`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, get_args

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability, Found, check_several
from gl002.context import Context
from gl002.errors import DataError, PartialWrite, TagNotFound
from gl002.model import Batch, Sample, Value, now_ns
from gl002.pool import ConnectionPool
from gl002.session import before_sending
from gl002.transport.pi_web_api import browsing
from gl002.transport.pi_web_api.frames import EventFrame, event_frames
from gl002.transport.pi_web_api.history import History, Mode, Summary, readings_in
from gl002.transport.pi_web_api.omf import OMFSink
from gl002.transport.pi_web_api.session import PIWebAPISession
from gl002.transport.pi_web_api.settings import PIConfig, PIInput, PIOutput, UpdateOption
from gl002.transport.pi_web_api.sink import Entry, PISink, Writer
from gl002.transport.pi_web_api.source import PISource
from gl002.transport.pi_web_api.streams import About, Streams, Unknown, error_of, why
from gl002.wire.pi_batch import Sub
from gl002.wire.pi_time import RESOLUTION, parameter, tick, to_text
from gl002.wire.pi_time import interval as as_interval
from gl002.wire.pi_values import as_item, fitting

_VALUE = "Timestamp;Value;Good;Questionable;Substituted;UnitsAbbreviation;Errors;WebException"
_VALUES = "Items.Name;" + ";".join(f"Items.Value.{field}" for field in _VALUE.split(";"))
_NOW = "*"
_MOST_FRAMES = 10_000
_SHOWN = 5  # tags that the audit entry of many writes names


class AsyncPIConnector(PIWebAPISession):
    """A PI System behind one PI Web API."""

    kind = "pi_system"
    can = (
        Capability.READ | Capability.WRITE | Capability.STREAM
        | Capability.HISTORY | Capability.BROWSE | Capability.STORE
    )  # fmt: skip
    Config = PIConfig
    Input = PIInput
    Output = PIOutput
    environment: ClassVar = {"GL002_PI_SERVER": "server"}

    def __init__(
        self,
        config: PIConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._streams = Streams(self._api)

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'pi://host/piwebapi' is 'https://host/piwebapi'."""
        return {"server": f"https{url[url.index(':') :]}"}

    # ---- current values ---------------------------------------------------------------------

    async def read_tag(self, tag: str) -> Value:
        """The current value of a tag; None where its quality is bad.

        Raises:
            TagNotFound: PI has no such tag.
        """
        (found,) = await self._read([tag])
        if isinstance(found, Unknown):
            raise error_of(found, self.name)
        return found.value

    async def read_tags(self, tags: Sequence[str]) -> list[Value]:
        """The current values in the order of `tags`, in one request.

        None where one is bad or PI has no such tag; `read` tells which, with time and quality.
        """
        found = await self._read(tags)
        return [None if isinstance(one, Unknown) else one.value for one in found]

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Current samples in the order of `tags`; one that PI does not give is a bad sample."""
        found = await self._read(tags)
        for unknown in (one for one in found if isinstance(one, Unknown)):
            self.log.debug("%s: %s", self.name, unknown.reason)
        return [
            Sample(tag, None, now_ns(), one.quality) if isinstance(one, Unknown) else one
            for tag, one in zip(tags, found, strict=True)
        ]

    async def _read(self, tags: Sequence[str]) -> list[Sample | Unknown]:
        check_several(tags)
        found: list[Any] = list(await self._streams.web_ids(tags))
        asked = [n for n, web_id in enumerate(found) if not isinstance(web_id, Unknown)]
        requests = [Sub(f"streams/{found[n]}/value", [("selectedFields", _VALUE)]) for n in asked]
        answers = await self._api.batch(requests, f"read {len(requests)} tags")
        for n, answer in zip(asked, answers, strict=True):
            if answer.ok:
                (reading,) = readings_in({"Items": [answer.content]})
                found[n] = reading.sample(tags[n])
            else:
                found[n] = why(answer, tags[n])
        await self._streams.gone(
            tag
            for tag, answer in zip((tags[n] for n in asked), answers, strict=True)
            if answer.missing
        )
        return found

    async def read_attributes(self, element: str) -> dict[str, Value]:
        r"""The current values of all attributes of an element of AF; None where one is bad.

        Args:
            element: 'Boilers\Boiler1', or its whole path.

        Raises:
            TagNotFound: there is no such element.
        """
        path = await self._api.asset_path(element)
        attributes = [f async for f in browsing.assets(self._api, path, 1) if "|" in f.address]
        values = await self.read_tags([found.address for found in attributes])
        return {found.name: value for found, value in zip(attributes, values, strict=True)}

    # ---- the past ---------------------------------------------------------------------------

    async def read_history(
        self,
        tag: str,
        start_time: str | datetime | int,
        end_time: str | datetime | int = _NOW,
        interval: str | float | None = None,
        *,
        mode: Mode | None = None,
        summary: Summary = "Average",
        intervals: int = 500,
    ) -> list[Sample]:
        """Values of a tag in a time range.

        Args:
            tag: point or attribute.
            start_time: datetime, nanoseconds, '2025-01-01 00:00:00' (local time), '*-1d'.
            end_time: the same; earlier than the start for newest first.
            interval: of the grid, or of the summaries: '1h', or seconds.
            mode: recorded: what the archive has. interpolated: on a grid. plot: what draws the
                same picture. summary: one value for each interval, its time that of the start.
                Absent: interpolated with an interval, else recorded.
            summary: what to sum up, time-weighted.
            intervals: of a plot: pixels.

        Raises:
            TagNotFound: PI has no such tag.
            DataError: no time, no interval, or no mode.
            RequestFailed: PI refused it, or there are more than `max_values`.
        """
        start, end = parameter(start_time), parameter(end_time)
        step = None if interval is None else as_interval(interval)
        mode = mode or ("recorded" if step is None else "interpolated")
        if mode not in get_args(Mode):
            raise DataError(f"mode: '{mode}' is none", hint=f"one of: {', '.join(get_args(Mode))}")
        past = History(self._api, await self._streams.web_id(tag), tag)
        match mode:
            case "recorded":
                return await past.samples(start, end)
            case "interpolated":
                if step is None:
                    raise DataError("interpolated values take an interval", hint="interval='1h'")
                return await past.interpolated(start, end, step)
            case "plot":
                return await past.plot(start, end, intervals)
            case _:
                return await past.summary(start, end, step, summary)

    async def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), tag by tag, oldest first."""
        check_several(tags)
        if start >= end:
            return
        first, last = max(0, start - RESOLUTION), end + RESOLUTION
        found = await self._streams.web_ids(tags)
        for tag, web_id in zip(tags, found, strict=True):
            if isinstance(web_id, Unknown):
                continue
            try:
                pages = History(self._api, web_id, tag).recorded(to_text(first), to_text(last))
                async for page in pages:
                    batch = [r.sample(tag) for r in page if start <= r.time < end]
                    if batch:
                        yield batch
            except TagNotFound:
                continue  # what PI does not have has no past

    async def read_event_frames(
        self,
        start_time: str | datetime | int,
        end_time: str | datetime | int = _NOW,
        *,
        element: str = "",
        template: str = "",
    ) -> list[EventFrame]:
        """Event frames that overlap a time range, oldest first; ten thousand at most.

        Args:
            start_time: as in `read_history`.
            end_time: as in `read_history`.
            element: only those of this element of AF.
            template: only those of this template.
        """
        return await event_frames(
            self._api, parameter(start_time), parameter(end_time),
            element=element, template=template, most=_MOST_FRAMES,
        )  # fmt: skip

    # ---- writing ----------------------------------------------------------------------------

    async def write_tag(
        self,
        tag: str,
        value: Value,
        time: str | datetime | int | None = None,
        *,
        update: UpdateOption = "Replace",
    ) -> None:
        """Write one value; audited, and never repeated by itself.

        Args:
            tag: point, or attribute with a point behind it.
            value: must fit the type of the point exactly; the name of a state for a digital one.
            time: of the value; now where absent.
            update: what happens to a value at that time.

        Raises:
            DataError: the value does not fit; nothing was sent.
            TagNotFound: PI has no such tag.
            RequestFailed: PI refused it.
        """
        request = partial(self._write_now, tag, value, time, update)
        await self._write_to_plant(request, address=tag, value=value)

    async def write(self, tag: str, value: Value) -> None:
        """The same as `write_tag`, for those who write whatever the connector."""
        await self.write_tag(tag, value)

    async def _write_now(
        self, tag: str, value: Value, time: str | datetime | int | None, update: UpdateOption
    ) -> None:
        with before_sending():
            about = await self._streams.about_one(tag)
        body: dict[str, Any] = {"Value": fitting(value, about.type, tag)}
        if time is not None:
            body["Timestamp"] = parameter(time)
        query = [("updateOption", update), ("bufferOption", "DoNotBuffer")]
        path = f"streams/{about.web_id}/value"
        try:
            await self._api.post(path, query, body, what=f"write {tag}", repeatable=False)
        except TagNotFound:
            await self._streams.gone([tag])  # since it was looked for
            raise

    async def write_tags(
        self, values: Mapping[str, Value] | Sequence[Sample], *, update: UpdateOption = "Replace"
    ) -> None:
        """Write values of several tags in one request; audited, and never repeated by itself.

        Args:
            values: tag -> value of now, or samples with times and qualities of their own.
            update: what happens to values at those times.

        Raises:
            PartialWrite: `rejected` says which were refused, by their place, and why.
            DataError: a value does not fit; nothing was sent.
        """
        now = now_ns()
        samples = (
            [Sample(tag, value, now) for tag, value in values.items()]
            if isinstance(values, Mapping)
            else list(values)
        )
        names = list(dict.fromkeys(s.tag for s in samples))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        await self._write_to_plant(
            partial(self._write_all, samples, update),
            address=f"{', '.join(names[:_SHOWN])}{more}",
            value=[sample.value for sample in samples],
        )

    async def _write_all(self, samples: Sequence[Sample], update: UpdateOption) -> None:
        with before_sending():
            paths = {s.tag: await self._api.path_of(s.tag) for s in samples}
            about = await self._streams.about(paths.values())
        rejected: dict[int, str] = {}
        entries: list[Entry] = []
        for place, sample in enumerate(samples):
            known = about[paths[sample.tag]]
            if isinstance(known, Unknown):
                rejected[place] = known.reason
                continue
            value = fitting(sample.value, known.type, sample.tag)
            item = as_item(Sample(sample.tag, value, sample.time, sample.quality))
            entries.append(Entry(place, paths[sample.tag], tick(sample.time), item))
        web_ids = {path: a.web_id for path, a in about.items() if isinstance(a, About)}
        writer = Writer(self._api, self._streams, update=update)
        rejected |= await writer.write(entries, web_ids, repeatable=False)
        if rejected:
            raise PartialWrite(f"{self.name}: {len(rejected)} values refused", rejected)

    # ---- for the flow -----------------------------------------------------------------------

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        r"""Points whose names begin with `address`, or what lies below it in AF.

        Args:
            address: 'BA:*', or in AF 'Boilers\Boiler1', '\\server\database', '\' for the database.
            depth: levels, in AF.
        """
        found = (
            browsing.assets(self._api, address, depth)
            if browsing.in_assets(address)
            else browsing.points(self._api, address)
        )
        async for thing in found:
            yield thing

    def source(self, spec: InputSettings) -> PISource:
        """One entry of `data_flow.input` as a stream."""
        assert isinstance(spec, PIInput)
        return PISource(
            self._api, self._streams, spec.tags, prefix=spec.prefix, interval=spec.interval
        )

    def sink(self, spec: OutputSettings) -> PISink | OMFSink:
        """Points as a destination."""
        assert isinstance(spec, PIOutput)
        points = PISink(self._api, self._streams, spec, self.context.tags)
        if spec.through == "omf":
            return OMFSink(self._api, spec, self.context.tags, points)
        return points


class PIConnector(Blocking[AsyncPIConnector]):
    """A PI System for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: PIConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncPIConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncPIConnector.connect)
    close = blocking(AsyncPIConnector.close)
    check = blocking(AsyncPIConnector.check)
    set_timeout = plain(AsyncPIConnector.set_timeout)
    try_at_once = plain(AsyncPIConnector.try_at_once)
    read_tag = blocking(AsyncPIConnector.read_tag)
    read_tags = blocking(AsyncPIConnector.read_tags)
    read = blocking(AsyncPIConnector.read)
    read_attributes = blocking(AsyncPIConnector.read_attributes)
    read_history = blocking(AsyncPIConnector.read_history)
    read_event_frames = blocking(AsyncPIConnector.read_event_frames)
    history = iterating(AsyncPIConnector.history)
    write_tag = blocking(AsyncPIConnector.write_tag)
    write_tags = blocking(AsyncPIConnector.write_tags)
    write = blocking(AsyncPIConnector.write)
    browse = iterating(AsyncPIConnector.browse)
