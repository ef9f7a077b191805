"""What a device has recorded: its trend logs, read from a moment on (ReadRange, 15.8).

The clock of a log is the device's own and tells local time, in the zone that is configured, else in
that of this machine. The offset from UTC that some devices state is not used: it is today's, and
says nothing about a record of last winter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, tzinfo

from gl002.errors import TagNotFound, Unsupported
from gl002.model import Batch, Quality, Sample, to_datetime, to_ns
from gl002.transport.bacnet.device import Device, Exchange, Profile
from gl002.transport.bacnet.failures import GARBLED, answers_too_long, explained
from gl002.transport.bacnet.points import Point
from gl002.transport.bacnet.station import LONGEST, Refusal
from gl002.wire.bacnet import ANY, Date, Malformed, ObjectId, Time
from gl002.wire.bacnet_names import TREND_LOG, object_name
from gl002.wire.bacnet_services import (
    READ_RANGE,
    Ask,
    LogRecord,
    Range,
    range_answer,
    read_range_by_sequence,
    read_range_by_time,
    reference_of,
)

_LOG_BUFFER, _WHAT_IT_LOGS = 131, 132
_MOST_AT_ONCE = 100  # records in one answer
_HEAD, _RECORD = 40, 32  # octets of an answer without records, and of a record with a number
_MOST_REQUESTS = 100_000
_WRAPS = 1 << 32


async def log_of(device: Device, point: Point) -> ObjectId:
    """The trend log that records a point: the configured one, else the one that says so.

    Raises:
        TagNotFound: there is none.
    """
    if point.trend_log is not None:
        return point.trend_log
    logs = [target for target in await device.objects() if target.type == TREND_LOG]
    answers = await device.read([Ask(target, _WHAT_IT_LOGS) for target in logs])
    for target, answer in zip(logs, answers, strict=True):
        if not isinstance(answer, Refusal):
            try:
                recorded = reference_of(answer)
            except Malformed:
                continue
            if recorded[:2] == point.ask[:2]:
                return target
    raise TagNotFound(
        f"{device}: no trend log records {object_name(point.ask.object)}",
        hint="name one with 'trend_log' at the object",
    )


async def recorded(
    exchange: Exchange, point: Point, log: ObjectId, bounds: tuple[int, int], zone: tzinfo | None
) -> AsyncIterator[Batch]:
    """Samples of a trend log with start <= time < end, oldest first.

    Args:
        exchange: makes a request.
        point: what is recorded.
        log: where.
        bounds: start and end, ns since 1970 UTC.
        zone: of the device's clock; None for ours.
    """
    start, end = bounds
    reading = _Reading(exchange, point, Ask(log, _LOG_BUFFER), await point.device.learn())
    # ReadRange by time gives what comes after the moment: ask from just before the start
    part = await reading.after(_local(start, zone) - timedelta(seconds=1))
    for _ in range(_MOST_REQUESTS):
        samples = [_sample(point, record, zone) for record in part.records]
        wanted = [s for s in samples if s is not None and start <= s.time < end]
        if wanted:
            yield wanted
        beyond = any(s is not None and s.time >= end for s in samples)
        if beyond or part.last or not part.records:
            return
        if not part.first:
            raise Unsupported(f"{point.device}: does not number its records, so none can follow")
        part = await reading.from_number((part.first + len(part.records)) % _WRAPS or 1)


class _Reading:
    """Reads one log in parts that the device can answer."""

    def __init__(self, exchange: Exchange, point: Point, ask: Ask, profile: Profile) -> None:
        self._exchange = exchange
        self._device = point.device
        self._ask = ask
        room = min(profile.max_apdu, LONGEST) - _HEAD
        self._at_once = max(1, min(_MOST_AT_ONCE, room // _RECORD))

    async def after(self, moment: datetime) -> Range:
        """The records after a moment."""
        date, time = _parts(moment)
        return await self._part(lambda n: read_range_by_time(self._ask, date, time, n))

    async def from_number(self, first: int) -> Range:
        """The records from a sequence number on."""
        return await self._part(lambda n: read_range_by_sequence(self._ask, first, n))

    async def _part(self, request: Callable[[int], bytes]) -> Range:
        what = f"read {object_name(self._ask.object)}"
        said = await self._exchange(self._device, READ_RANGE, request(self._at_once), what)
        while isinstance(said, Refusal) and answers_too_long(said) and self._at_once > 1:
            self._at_once //= 2
            said = await self._exchange(self._device, READ_RANGE, request(self._at_once), what)
        if isinstance(said, Refusal):
            raise explained(said, f"{self._device}: {what}")
        try:
            return range_answer(self._ask, said)
        except Malformed:
            raise explained(Refusal(GARBLED, 0), f"{self._device}: {what}") from None


def _sample(point: Point, record: LogRecord, zone: tzinfo | None) -> Sample | None:
    """A record as a sample; None for one without a moment, and for status of the log."""
    time = _time_of(record, zone)
    if time is None:
        return None
    if record.value is None:
        failed = record.event.startswith("error")
        return Sample(point.tag, None, time, int(Quality.BAD_NO_DATA)) if failed else None
    return point.sample((record.value,), record.flags, time)


def _time_of(record: LogRecord, zone: tzinfo | None) -> int | None:
    date, time = record.date, record.time
    if ANY in {date.year, date.month, date.day, *time}:
        return None
    try:
        moment = datetime(
            date.year, date.month, date.day, time.hour, time.minute, time.second,
            time.hundredths * 10_000, tzinfo=zone,
        )  # fmt: skip
    except ValueError:
        return None
    return to_ns(moment)


def _local(time: int, zone: tzinfo | None) -> datetime:
    earliest = datetime(1970, 1, 2, tzinfo=UTC)
    return max(to_datetime(time), earliest).astimezone(zone)


def _parts(moment: datetime) -> tuple[Date, Time]:
    date = Date(moment.year, moment.month, moment.day, moment.isoweekday())
    hundredths = moment.microsecond // 10_000
    return date, Time(moment.hour, moment.minute, moment.second, hundredths)
