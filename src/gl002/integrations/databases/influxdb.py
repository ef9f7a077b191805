"""InfluxDB 2, 1 and 3: points written and queried; samples as series of one tag each.

from gl002.integrations.databases import InfluxDBConnector

influx = InfluxDBConnector({
    "url": "http://localhost:8086", "token": "your-token", "org": "gl002", "bucket": "boiler_data",
})
influx.write_points([{"measurement": "boiler", "tags": {"id": "B001"}, "fields": {"value": 85.4}}])
influx.query('from(bucket: "boiler_data") |> range(start: -1h)')
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability, Found
from gl002.context import Context
from gl002.errors import DataError, GL002Error, PartialWrite, RequestFailed, TagNotFound
from gl002.model import Batch, Sample, Tag, now_ns, to_ns
from gl002.pool import ConnectionPool
from gl002.sink import Sink
from gl002.source import Source
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Auth
from gl002.transport.http.client import Request
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.influxdb.interfaces import Interface, Row, interface
from gl002.transport.influxdb.settings import InfluxDBConfig, InfluxDBInput, InfluxDBOutput
from gl002.transport.influxdb.source import InfluxDBSource
from gl002.transport.influxdb.writing import about_points, deliver
from gl002.transport.narrow import PAGE, found, in_order, paged
from gl002.wire.flux import Parameter
from gl002.wire.influx_query import Question, Series
from gl002.wire.influx_sample import TAG, SampleLines, sample_of
from gl002.wire.line_protocol import EARLIEST, NANOSECONDS, Precision, line

R = TypeVar("R")

_KEYS = {"measurement", "tags", "fields", "timestamp"}
_AT_ONCE = 100  # tags in one query
_SECOND = 1_000_000_000


class AsyncInfluxDBConnector(HTTPConnection[InfluxDBConfig]):
    """One bucket or database."""

    kind = "influxdb"
    can = (
        Capability.READ
        | Capability.HISTORY
        | Capability.BROWSE
        | Capability.STREAM
        | Capability.STORE
    )
    Config = InfluxDBConfig
    Input = InfluxDBInput
    Output = InfluxDBOutput
    environment = {"GL002_INFLUX_URL": "url"}  # noqa: RUF012 (declared a ClassVar above)

    def __init__(
        self,
        config: InfluxDBConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._interface: Interface = interface(self.config)
        self._version = ""
        self._kept: str | None = None

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'influxdb://host:8086?org=...&bucket=...' is plain http, 'influxdbs://...' https."""
        scheme, _, rest = url.partition("://")
        return {"url": f"{'https' if scheme.lower() == 'influxdbs' else 'http'}://{rest}"}

    # ---- the session ------------------------------------------------------------------------

    def _auth(self) -> Auth:
        return self._interface.auth()

    async def _greet(self) -> None:
        answer = await self._exchange(self._interface.greeting())
        if not answer.ok and answer.status not in self._interface.missing:
            raise self._refusal(answer, f"connect: {self.config.endpoint}")
        self._version = answer.headers.get("x-influxdb-version", "")

    async def _ping(self) -> str:
        await self._greet()
        version = f"InfluxDB {self._version}" if self._version else "it does not name its version"
        return f"{version}, {self.config.api}, {'TLS' if self.config.secure else 'not encrypted'}"

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        """In the server's own words; a bucket or database that is not there says how to get one."""
        error = refusal(answer, what, self._interface.said(answer))
        absent = "not found" in str(error)
        if isinstance(error, RequestFailed) and absent and answer.status == 404:  # noqa: PLR2004 (HTTP)
            where = "org and bucket" if self.config.api == "v2" else "database"
            return TagNotFound(str(error.args[0]), hint=f"make it there, or check {where}")
        return error

    # ---- for people -------------------------------------------------------------------------

    async def write_points(self, points: Sequence[Mapping[str, Any]]) -> int:
        """Write points; one with measurement, tags and time of another is merged with it.

        Args:
            points: dicts of 'measurement', 'tags', 'fields' and 'timestamp': a datetime (UTC where
                it has no zone), text in ISO 8601, or a number in the connection's `precision`.
                Without a timestamp: now. A tag or field that is None is left out.

        Returns:
            How many were written. Safe to repeat where each point has a timestamp.

        Raises:
            PartialWrite: names by place those that were refused, and why (NaN, a type that the
                field has not); all others were written.
        """
        now = now_ns()
        rejected: dict[int, str] = {}
        lines: dict[int, str] = {}
        for place, point in enumerate(points):
            try:
                lines[place] = _line(point, self.config.precision, now)
            except DataError as error:
                rejected[place] = str(error)
        places = list(lines)
        for first in range(0, len(places), self.config.batch_size):
            some = places[first : first + self.config.batch_size]
            refused = await self._write([lines[place] for place in some], repeatable=True)
            rejected |= {some[i]: reason for i, reason in refused.items()}
        if rejected:
            raise _partial(self.name, "points", dict(sorted(rejected.items())))
        return len(points)

    async def query(
        self, text: str, params: Mapping[str, Parameter] | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a query as dicts; values typed, times in UTC.

        Args:
            text: Flux (v2) or InfluxQL (v1). What a Flux query may do is a matter of the token:
                give one that may only read.
            params: values of it: `name` in Flux, `$name` in InfluxQL. Put values here, never into
                the text.

        Raises:
            RequestFailed: the server refused it, or it gave more than `max_rows` rows.
            DataError: a parameter that the language has no value for.
            Unsupported: InfluxDB 3.
        """
        request = self._interface.query(text, params or {})
        return await self._read(request, self._rows, what="query")

    def _rows(self, answer: Answer) -> list[Row]:
        most = self.config.max_rows
        rows = list(islice(self._interface.rows(answer), most + 1))
        if len(rows) > most:
            raise RequestFailed(
                f"query: more than {most} rows",
                hint="ask for a shorter time, aggregate, or raise 'max_rows'",
            )
        return rows

    # ---- for the flow -----------------------------------------------------------------------

    async def _write(self, lines: Sequence[str], *, repeatable: bool) -> dict[int, str]:
        """Write lines at once; places of those that were refused, with the reason."""
        what = f"write {len(lines)} points"

        async def post(some: Sequence[str]) -> Answer:
            request = self._interface.write(some, self.config.precision)
            answer = await self._exchange(request)
            if not answer.ok and not about_points(answer, self._interface.said(answer)):
                raise self._refusal(answer, f"{what}: {self.config.endpoint}")
            return answer

        async def send(some: Sequence[str]) -> Answer:
            return await self._call(partial(post, some), what=what, repeatable=repeatable)

        return await deliver(send, lines, self._interface) if lines else {}

    async def _look(self, question: Question) -> list[Series]:
        """The points of a question."""
        request = self._interface.ask(question)
        reader = partial(self._interface.found, question=question)
        return await self._read(request, reader, what=f"read {question.measurement}")

    async def _read(self, request: Request, reader: Callable[[Answer], R], *, what: str) -> R:
        """What `reader` makes of the answer."""

        async def ask() -> R:
            return reader(await self._send(request, what=what))

        return await self._call(ask, what=what)

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """The newest sample of each tag within `lookback`, in the order of `tags`; BAD where there
        is none.
        """  # noqa: D205 (one sentence)
        newest: dict[str, Sample] = {}
        names = list(dict.fromkeys(tags))
        for first in range(0, len(names), _AT_ONCE):
            question = Question(
                measurement=self._measurement,
                tags={TAG: names[first : first + _AT_ONCE]},
                start=self._oldest(),
            )
            for series in await self._look(question):
                for time, fields in series.points[-1:]:
                    newest[series.tags[TAG]] = sample_of(series.tags[TAG], time, fields)
        return in_order(tags, newest)

    def _oldest(self) -> int:
        return now_ns() - round(self.config.lookback * _SECOND)

    def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), tag by tag, oldest first.

        In batches of one tag each.
        """
        return paged(self._page, tags, start, end)

    async def _page(self, tag: str, start: int, end: int) -> Batch:
        question = Question(
            measurement=self._measurement,
            tags={TAG: [tag]},
            start=start,
            stop=end,
            limit=PAGE,
        )
        series = await self._look(question)
        return [sample_of(tag, *point) for one in series for point in one.points]

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """The tags whose names begin with `address`; they are no tree, so `depth` is of no use."""
        request = self._interface.ask_tags(self._measurement, TAG, EARLIEST)
        names = await self._read(request, self._interface.tags_found, what="browse")
        about = self.context.tags
        for thing in found((about.get(name) or Tag(name=name) for name in names), address):
            yield thing

    def source(self, spec: InputSettings) -> Source:
        """What is new in a measurement as a stream."""
        if not isinstance(spec, InfluxDBInput):
            raise TypeError("an input of this connector is an InfluxDBInput")
        return InfluxDBSource(
            self.name,
            spec,
            measurement=self.config.measurement,
            lookback=self.config.lookback,
            ask=self._look,
            tags=self.context.tags,
        )

    def keeps(self, spec: OutputSettings) -> None:
        """The first output's measurement is read back, where the connection names none."""
        named = spec.measurement if isinstance(spec, InfluxDBOutput) else None
        if self._kept is None and "measurement" not in self.config.model_fields_set:
            self._kept = named or self.config.measurement

    @property
    def _measurement(self) -> str:
        """What is read back."""
        return self._kept or self.config.measurement

    def sink(self, spec: OutputSettings) -> Sink:
        """A measurement as a destination."""
        named = spec.measurement if isinstance(spec, InfluxDBOutput) else None
        return InfluxDBSink(self, named or self.config.measurement)

    async def write_lines(self, lines: Sequence[str]) -> dict[int, str]:
        """Write lines of line protocol as they are; a failure is not tried again here.

        Returns:
            Places of those that were refused, with the reason. Safe to repeat.
        """
        return await self._write(lines, repeatable=False)


class InfluxDBSink(Sink):
    """One output to one measurement."""

    def __init__(self, connector: AsyncInfluxDBConnector, measurement: str) -> None:
        self.name = connector.name
        self._connector = connector
        self._lines = SampleLines(measurement, connector.config.precision)

    async def prepare(self) -> None:
        """Connect. A bucket that is not there is said by the first write."""
        await self._connector.connect()

    async def write(self, batch: Batch) -> None:
        """Write the batch in one request."""
        rejected: dict[int, str] = {}
        lines: list[str] = []
        places: list[int] = []
        for place, sample in enumerate(batch):
            try:
                lines.append(self._lines.line(sample))
            except DataError as error:
                rejected[place] = str(error)
            else:
                places.append(place)
        refused = await self._connector.write_lines(lines)
        rejected |= {places[i]: reason for i, reason in refused.items()}
        if rejected:
            raise _partial(self.name, "samples", rejected)


def _partial(name: str, what: str, rejected: Mapping[int, str]) -> PartialWrite:
    place, reason = next(iter(rejected.items()))
    message = f"{name}: {len(rejected)} {what} refused, first number {place}: {reason}"
    return PartialWrite(message, rejected)


def _line(point: Mapping[str, Any], precision: Precision, now: int) -> str:
    """A point as a person gives it, as a line."""
    if not isinstance(point, Mapping):
        raise DataError(f"a point is a dict, and this is a {type(point).__name__}")
    unknown = sorted(set(point) - _KEYS)
    if unknown:
        raise DataError(f"a point has no '{unknown[0]}': {', '.join(sorted(_KEYS))}")
    if "measurement" not in point:
        raise DataError("the measurement is missing")
    tags, fields = _given(point, "tags"), _given(point, "fields")
    moment = point.get("timestamp")
    time = now if moment is None else _nanoseconds(moment, precision)
    return line(point["measurement"], tags, fields, time, precision)


def _given(point: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Tags or fields that have a value."""
    pairs = point.get(part) or {}
    if not isinstance(pairs, Mapping):
        raise DataError(f"'{part}' is a {type(pairs).__name__}: no dict")
    return {name: value for name, value in pairs.items() if value is not None}


def _nanoseconds(moment: object, precision: Precision) -> int:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise DataError(f"the timestamp {moment!r} is no time of ISO 8601") from None
    if isinstance(moment, datetime):
        return to_ns(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    if isinstance(moment, int) and not isinstance(moment, bool):
        return moment * NANOSECONDS[precision]
    raise DataError(f"the timestamp is a {type(moment).__name__}: no datetime, text or integer")


class InfluxDBConnector(Blocking[AsyncInfluxDBConnector]):
    """InfluxDB for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: InfluxDBConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncInfluxDBConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncInfluxDBConnector.connect)
    close = blocking(AsyncInfluxDBConnector.close)
    check = blocking(AsyncInfluxDBConnector.check)
    set_timeout = plain(AsyncInfluxDBConnector.set_timeout)
    try_at_once = plain(AsyncInfluxDBConnector.try_at_once)
    write_points = blocking(AsyncInfluxDBConnector.write_points)
    query = blocking(AsyncInfluxDBConnector.query)
    read = blocking(AsyncInfluxDBConnector.read)
    history = iterating(AsyncInfluxDBConnector.history)
    browse = iterating(AsyncInfluxDBConnector.browse)
    write_lines = blocking(AsyncInfluxDBConnector.write_lines)
