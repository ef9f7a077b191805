"""A measurement as a source: what is new is read again and again, from where the last query ended.

Points are written late: their time lies before the moment at which they can be read. Each query
begins a little (`overlap`) before the newest point that was met, and what was delivered is left
out. The place kept with each batch is the end of what is complete; after a restart the overlap is
read again, which does no harm, as it is the same samples.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence

from gl002.model import Batch, Sample, Tag, TagTable, now_ns
from gl002.source import Source
from gl002.transport.influxdb.settings import InfluxDBInput
from gl002.transport.remembered import Remembered
from gl002.wire.influx_query import PointFound, Question, Series
from gl002.wire.influx_sample import TAG, sample_of
from gl002.wire.mqtt_payload import bounded

Ask = Callable[[Question], Awaitable[Sequence[Series]]]

PAGE = 5_000
"""Most points of a series in one answer."""
MOST_POINTS = 50_000
"""Values in one answer, of all series together: some 10 MB of text."""
_LEAST_PAGE = 10  # points of a series, however many series there are
_MOST_SEEN = 1_000_000  # samples remembered, so as not to deliver them twice
_SECOND = 1_000_000_000

log = logging.getLogger("gl002.influxdb")


class InfluxDBSource(Source):
    """One entry of `data_flow.input`.

    Args:
        name: connector instance.
        spec: what to read.
        measurement: of the connection, for an input that names none.
        lookback: seconds, how far back the newest values are looked for.
        ask: asks the server.
        tags: where the tags it meets are declared.
    """

    acknowledges = True  # the place is kept with each batch

    def __init__(
        self,
        name: str,
        spec: InfluxDBInput,
        *,
        measurement: str,
        lookback: float,
        ask: Ask,
        tags: TagTable,
    ) -> None:
        self.name = name
        self._spec = spec
        self._own = measurement
        self._lookback = round(lookback * _SECOND)
        self._overlap = round(spec.overlap * _SECOND)
        self._template = spec.template()
        self._ask = ask
        self._table = tags
        self._met: dict[str, Tag] = {}
        self._seen = Remembered(_MOST_SEEN)  # delivered and not older than the overlap
        self._since: int | None = None  # everything before is complete, but for what is late
        self._width = 1  # fields of all series, as far as they are known
        self._position = b""

    def tags(self) -> Sequence[Tag]:
        """The tags met so far."""
        return list(self._met.values())

    def position(self) -> bytes:
        """The time up to which all was delivered with the batch just yielded, nanoseconds UTC."""
        return self._position

    def resume(self, position: bytes) -> None:
        """Go on from there."""
        self._since = int(position)
        self._seen.clear()  # what was read behind it may never have reached the disk

    async def batches(self) -> AsyncIterator[Batch]:
        """What is new, oldest first; then the newest value of each tag that had nothing new.

        A session begins with the newest values, so that they are known again after an outage.
        """
        begun = False
        due = time.monotonic()
        while True:
            until = now_ns()
            newest = [] if begun else await self._newest(until)
            if self._since is None:
                self._since = self._first(newest, until)
            fresh: set[str] = set()
            async for batch in self._news(until):
                fresh.update(sample.tag for sample in batch)
                yield batch
            again = [sample for sample in newest if sample.tag not in fresh]
            if again:
                yield again
            self._delivered(again)
            begun = True
            due = max(due + self._spec.interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _first(self, newest: Batch, until: int) -> int:
        """Where the very first query begins: at the newest point, or as far back as is wanted."""
        if self._spec.start:
            return until - round(self._spec.start * _SECOND)
        return max((sample.time + 1 for sample in newest), default=until)

    async def _news(self, until: int) -> AsyncIterator[Batch]:
        """Everything up to a moment that was not delivered, page by page.

        A batch counts when the next is asked for; until then it comes again after a failure.
        """
        assert self._since is not None
        since = min(self._since, until)  # it may be from a time when our clock was ahead
        start = max(since - self._overlap, self._seen.floor)
        while start < until:
            limit = max(_LEAST_PAGE, min(PAGE, MOST_POINTS // self._width))
            found = await self._ask(self._question(start=start, stop=until, limit=limit))
            self._width = max(self._width, _width(found))
            complete = min((s.full_until for s in found if s.full_until is not None), default=None)
            end = until if complete is None else complete + 1
            samples = list(self._samples(found, end))
            batch = [sample for sample in samples if sample not in self._seen]
            # Not up to `until`: a writer that is always late is late from its newest point on.
            met = max((sample.time + 1 for sample in samples), default=since)
            since = max(since, met if complete is None else end)
            self._position = str(since).encode()
            if batch:
                yield batch
            self._since = since
            self._delivered(batch)
            start = end

    async def _newest(self, until: int) -> Batch:
        found = await self._ask(self._question(start=until - self._lookback, stop=until, limit=0))
        self._width = max(1, _width(found))
        last = [Series(series.tags, series.points[-1:]) for series in found]
        return list(self._samples(last, until))

    def _question(self, *, start: int, stop: int, limit: int) -> Question:
        return Question(
            measurement=self._spec.measurement or self._own,
            tags=self._spec.only(),
            fields=self._spec.fields or (),
            start=start,
            stop=stop,
            limit=limit,
        )

    # ---- samples ----------------------------------------------------------------------------

    def _samples(self, found: Iterable[Series], end: int) -> Iterator[Sample]:
        """The samples of all points before a moment, oldest first."""
        points = [(p.time, series, p) for series in found for p in series.points if p.time < end]
        for _, series, point in sorted(points, key=lambda entry: entry[0]):
            yield from self._samples_of(series, point)

    def _samples_of(self, series: Series, point: PointFound) -> Iterator[Sample]:
        if not self._spec.measurement:
            tag = series.tags.get(TAG, "")
            if tag and self._admit(self._spec.prefix + tag, tag):
                yield sample_of(self._spec.prefix + tag, point.time, point.fields)
            return
        for field, value in point.fields.items():
            name = self._name(series, field)
            if self._admit(name, f"{self._spec.measurement} {field}"):
                yield Sample(name, value, point.time)

    def _name(self, series: Series, field: str) -> str:
        values = {**dict.fromkeys(self._template.fields, ""), **series.tags}
        together = ".".join(value for _, value in sorted(series.tags.items()))
        values |= {"field": field, "measurement": self._spec.measurement, "tags": together}
        name = self._template.fill(values)
        while ".." in name:  # a series without tags
            name = name.replace("..", ".")
        return bounded(self._spec.prefix + (name.strip(".") or field))

    def _admit(self, name: str, address: str) -> bool:
        """Whether the tag is delivered; declares it when it is met first."""
        if name in self._met:
            return True
        if len(self._met) >= self._spec.max_tags:
            if not self.skipped:
                log.warning(
                    "%s: more than %d tags: '%s' and further ones are left out",
                    self.name, self._spec.max_tags, name,
                )  # fmt: skip
            self.skipped += 1
            return False
        tag = Tag(name=name, source=self.name, address=address)
        self._met[name] = tag
        self._table.declare(tag)
        return True

    def _delivered(self, batch: Batch) -> None:
        """Remember what the next query can meet again, and no more."""
        assert self._since is not None
        known = self._seen.floor
        self._seen.add(batch)
        self._seen.forget(self._since - self._overlap)
        if self._seen.floor > known == 0:
            log.warning(
                "%s: more than %d samples within the 'overlap' of %g s: it is shortened",
                self.name, _MOST_SEEN, self._spec.overlap,
            )  # fmt: skip


def _width(found: Iterable[Series]) -> int:
    """Values of one moment of all series."""
    return sum(len(series.points[-1].fields) for series in found if series.points)
