"""A measurement as a source: what is new is read again and again, from where the last query ended.

Points are written late: their time lies before the moment at which they can be read. So each query
begins a little (`overlap`) before the end of the last one, and what has been met is left out. The
place kept with each batch is the end of what is complete; after a restart the overlap is read
again, which does no harm, as it is the same samples.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence

from gl002.model import Batch, Sample, Tag, TagTable, now_ns
from gl002.source import Source
from gl002.transport.influxdb.settings import InfluxDBInput
from gl002.wire.influx_query import PointFound, Question, Series
from gl002.wire.influx_sample import TAG, sample_of
from gl002.wire.mqtt_payload import bounded

Ask = Callable[[Question], Awaitable[Sequence[Series]]]

PAGE = 5_000
"""Points of each series in one answer."""
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
        self._seen: dict[tuple[str, int], None] = {}  # delivered and not older than the overlap
        self._since: int | None = None  # everything before is complete, but for what is late
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

    async def batches(self) -> AsyncIterator[Batch]:
        """What is new, oldest first; then the newest value of each tag that had nothing new.

        A session begins with the newest values, so that they are known again after an outage.
        """
        begun = False
        due = time.monotonic()
        fresh: set[str] = set()
        while True:
            until = now_ns()
            if self._since is None:
                self._since = until - round(self._spec.start * _SECOND)
            async for batch in self._news(until):
                fresh.update(sample.tag for sample in batch)
                yield batch
            if not begun:
                newest = [s for s in await self._newest(until) if s.tag not in fresh]
                if newest:
                    yield newest
                self._delivered(newest)
                begun = True
            due = max(due + self._spec.interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _news(self, until: int) -> AsyncIterator[Batch]:
        """Everything up to a moment that was not delivered, page by page.

        A batch counts when the next is asked for; until then it comes again after a failure.
        """
        assert self._since is not None
        start = self._since - self._overlap
        while start < until:
            found = await self._ask(self._question(start=start, stop=until, limit=PAGE))
            complete = min((s.full_until for s in found if s.full_until is not None), default=None)
            end = until if complete is None else complete + 1
            batch = [s for s in self._samples(found, end) if (s.tag, s.time) not in self._seen]
            since = max(self._since, end)
            self._position = str(since).encode()
            if batch:
                yield batch
            self._since = since
            self._delivered(batch)
            start = end

    async def _newest(self, until: int) -> Batch:
        found = await self._ask(self._question(start=until - self._lookback, stop=until, limit=0))
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
        begin = self._since - self._overlap
        self._seen.update(dict.fromkeys((sample.tag, sample.time) for sample in batch))
        self._seen = {key: None for key in self._seen if key[1] >= begin}
