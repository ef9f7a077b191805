"""Values of devices as a stream: reports of changes, and readings where there are none.

Every device is watched by a task of its own, so that a dead one delays no other. What is to be
reported is subscribed and read once; what the device refuses to report is polled. A report may be
lost and a device may forget its subscriptions, so what is reported is also read from time to time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass

from gl002.errors import ConnectFailed, GL002Error
from gl002.model import Batch, Quality, Sample, Tag, TagTable, now_ns
from gl002.retry import FOREVER
from gl002.source import Source
from gl002.transport.bacnet.device import Device, Exchange
from gl002.transport.bacnet.failures import described
from gl002.transport.bacnet.inbox import Inbox
from gl002.transport.bacnet.points import Point, by_device, flags_in, read_points, units_of
from gl002.transport.bacnet.session import Session
from gl002.transport.bacnet.station import Refusal, Station
from gl002.wire.bacnet import ObjectId
from gl002.wire.bacnet_services import (
    PRESENT_VALUE,
    STATUS_FLAGS,
    SUBSCRIBE_COV,
    Notification,
    subscribe,
    unsubscribe,
)

log = logging.getLogger("gl002.bacnet")

_FAREWELL = 0.5  # seconds to end the subscriptions of a device
_RENEW_EARLY = 60.0  # seconds at least between renewals because a report was missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What a source needs of its connector.

    Attributes:
        name: connector instance, 'bacnet.boiler_house'.
        tags: table to declare tags in.
        current: gives the open session, opened if need be.
        stands: whether a session is still the open one.
        exchange: makes a request.
        in_use: keeps the session from being given to another connector.
    """

    name: str
    tags: TagTable
    current: Callable[[], Awaitable[Session]]
    stands: Callable[[Session], bool]
    exchange: Exchange
    in_use: Callable[[], AbstractContextManager[None]]


class BacnetSource(Source):
    """Watches the points of one input. Ends when no device answers; the flow starts it again.

    Args:
        sessions: where to get one.
        points: what to watch; the samples carry their tags.
    """

    by_exception = True

    def __init__(self, sessions: Sessions, points: Sequence[Point]) -> None:
        self.name = sessions.name
        self._sessions = sessions
        self._points = list(points)

    def tags(self) -> Sequence[Tag]:
        """One a point; units that devices give are added when they are read."""
        return [point.as_tag(self.name) for point in self._points]

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches until no device answers or the session is lost; then raises why."""
        session = await self._sessions.current()
        with self._sessions.in_use():
            async with aclosing(self._watch(session)) as batches:
                async for batch in batches:
                    yield batch

    async def _watch(self, session: Session) -> AsyncGenerator[Batch, None]:
        inbox = Inbox()
        watches = [
            Watch(self._sessions, session, device, points, inbox)
            for device, points in by_device(self._points)
        ]
        tasks = [
            asyncio.create_task(watch.run(), name=f"gl002-{self.name}-{watch.device.label}")
            for watch in watches
        ]
        for task in tasks:
            task.add_done_callback(lambda _: inbox.put(()))
        try:
            while True:
                batch = await inbox.take()
                self.skipped += inbox.lost()
                if batch:
                    yield batch
                for task in tasks:
                    if task.done():
                        task.result()  # it never ends but by an error that nobody foresaw
                errors = [watch.error for watch in watches if watch.error is not None]
                if len(errors) == len(watches):
                    raise errors[0]
                if not self._sessions.stands(session):
                    raise ConnectFailed(f"{self.name}: the session has ended")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Watch:
    """One device of a source.

    Attributes:
        device: which.
        error: why it is silent; None while it answers.
    """

    def __init__(
        self,
        sessions: Sessions,
        session: Session,
        device: Device,
        points: Sequence[Point],
        inbox: Inbox,
    ) -> None:
        self.device = device
        self.error: GL002Error | None = None
        self._sessions = sessions
        self._session = session
        self._inbox = inbox
        self._points = list(points)
        self._by_object: dict[ObjectId, list[Point]] = {}
        for point in self._points:
            if point.ask.property == PRESENT_VALUE:
                self._by_object.setdefault(point.ask.object, []).append(point)
        self._reported: list[Point] = []
        self._polled: list[Point] = []
        self._last: dict[str, object] = {}
        self._process = 0
        self._renewed = self._renew_at = 0.0
        self._told: set[str] = set()

    async def run(self) -> None:
        """Watch it until cancelled; while it is silent, look again after growing waits."""
        delays = FOREVER.delays()
        try:
            while True:
                try:
                    await self._begin()
                    delays = FOREVER.delays()
                    await self._go_on()
                except GL002Error as error:
                    self._fell_silent(error)
                await self._end()
                await asyncio.sleep(next(delays))
        except asyncio.CancelledError:
            await self._end()
            raise

    def _fell_silent(self, error: GL002Error) -> None:
        if self.error is None:
            log.info("%s", error)
        self.error = error
        self.device.start_afresh()  # it may be another one when it comes back
        now, bad = now_ns(), int(Quality.BAD_NO_COMMUNICATION)
        self._inbox.put([Sample(point.tag, None, now, bad) for point in self._points])

    # ---- the round --------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Read everything, then subscribe what is to be reported."""
        await self._declare()
        await self._read(self._points)
        self.error = None
        await self._subscribe()

    async def _declare(self) -> None:
        units = await units_of(self.device, self._points)
        for point in self._points:
            unit = units.get(point.tag, "")
            self._sessions.tags.declare(point.as_tag(self._sessions.name, unit))

    async def _go_on(self) -> None:
        settings = self.device.settings
        poll, refresh = settings.polling_interval / 1000, settings.cov.refresh
        start = time.monotonic()
        polls, refreshes = start + poll, start + refresh
        self._renewed, self._renew_at = start, start + settings.cov.lifetime / 2
        while True:
            due = min(
                polls if self._polled else float("inf"),
                refreshes if self._reported or not self._polled else float("inf"),
                self._renew_at if self._process else float("inf"),
            )
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if now >= self._renew_at and self._process:
                await self._subscribe()
                self._renewed, self._renew_at = now, now + settings.cov.lifetime / 2
            wanted: list[Point] = []
            if now >= polls:
                wanted += self._polled
                polls = self._next(polls, poll, now)
            if now >= refreshes:
                wanted += self._reported
                refreshes = self._next(refreshes, refresh, now)
            await self._read(wanted)

    def _next(self, due: float, interval: float, now: float) -> float:
        """The next point of the grid that is not past."""
        if interval <= 0:
            return now
        return due + interval * (int((now - due) // interval) + 1)

    async def _read(self, points: Sequence[Point]) -> None:
        if not points:
            return
        samples = await read_points(self.device, points)
        reported = {point.tag for point in self._reported}
        for sample in samples:
            if sample.tag in reported and self._last.get(sample.tag, sample.value) != sample.value:
                self._renew_at = min(self._renew_at, self._renewed + _RENEW_EARLY)
            self._last[sample.tag] = sample.value
        self._inbox.put(samples)

    # ---- reports ----------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        """Subscribe, or renew, object by object; what is refused is polled."""
        wanted = [point for point in self._points if point.cov and self.device.subscribes]
        if wanted and not self._process:
            self._process = random.randrange(1, 1 << 22)  # noqa: S311 (no secret)
            self._session.listen(self._process, self._hear)
        refused: set[str] = set()
        for target in {point.ask.object: point for point in wanted}.values():
            said = await self._subscribe_one(target)
            if isinstance(said, Refusal):
                self._tell(target, said)
                refused |= {p.tag for p in wanted if p.ask.object == target.ask.object}
        self._reported = [point for point in wanted if point.tag not in refused]
        reported = {point.tag for point in self._reported}
        self._polled = [point for point in self._points if point.tag not in reported]

    async def _subscribe_one(self, point: Point) -> bytes | Refusal:
        cov = self.device.settings.cov
        data = subscribe(
            self._process, point.ask.object, confirmed=cov.confirmed, lifetime=int(cov.lifetime)
        )
        return await self._sessions.exchange(
            self.device, SUBSCRIBE_COV, data, f"subscribe {point.tag}"
        )

    def _tell(self, point: Point, refusal: Refusal) -> None:
        """Log once what is polled although it was to be reported."""
        if point.tag not in self._told:
            self._told.add(point.tag)
            log.info(
                "%s: %s: no reports of changes (%s), so it is polled",
                self._sessions.name, point.tag, described(refusal),
            )  # fmt: skip

    def _hear(self, station: Station, report: Notification) -> None:
        """A change that the device reports."""
        if station != self.device.station or report.device != self.device.id.instance:
            return
        value = report.values.get(PRESENT_VALUE)
        if value is None:
            return
        flags, now = flags_in(report.values.get(STATUS_FLAGS)), now_ns()
        samples = [
            point.sample(value, flags, now) for point in self._by_object.get(report.object, ())
        ]
        self._last.update((sample.tag, sample.value) for sample in samples)
        self._inbox.put(samples)

    async def _end(self) -> None:
        """End the subscriptions, as far as the device answers quickly."""
        process, self._process = self._process, 0
        reported, self._reported = self._reported, []
        if not process:
            return
        self._session.unlisten(process)
        if self.device.silent or not self._sessions.stands(self._session):
            return
        with suppress(GL002Error, TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                for target in {point.ask.object for point in reported}:
                    await self._sessions.exchange(
                        self.device, SUBSCRIBE_COV, unsubscribe(process, target), "unsubscribe"
                    )
