"""Polling the devices of one line, each in its turn, and those that do not answer in its pauses."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from gl002.errors import ConnectFailed
from gl002.model import Batch, Quality, Tag
from gl002.retry import FOREVER, RetryPolicy
from gl002.source import Source
from gl002.transport.modbus.reader import Outcome, Reader, bad
from gl002.transport.modbus.session import GarbledReply

log = logging.getLogger("gl002.modbus")

_LONGER = 5  # times the first wait: the second
_SHARE_OF_SILENCE = 0.04  # of the line's time that one silent device may take in the long run
_SILENT_PAUSE = 0.1  # seconds at least between two reports that a device is silent
_LONGEST_PUT_OFF = 5.0  # seconds a silent device waits for a pause of the line


class Polled:
    """A device of a source: how often it is read, and its patience while it is silent.

    Args:
        reader: reads it.
        interval: seconds between two readings.
        timeout: seconds a silent device costs the line each time it is asked. Its waits grow until
            that is a small share of the line's time.
        rest: seconds at least before a device that did not answer is asked again: on a line without
            numbers its late answer must have come or be lost by then, or the others wait for it.
        disturbed: whether the request just made followed one that another device left unanswered;
            a device that answered before is then asked once more before it counts as silent.

    Attributes:
        put_off: whether its last turn passed because the line had no time for it.
    """

    def __init__(
        self,
        reader: Reader,
        interval: float,
        *,
        timeout: float = 0.0,
        rest: float = 0.0,
        disturbed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.reader = reader
        self.interval = interval
        self._timeout = timeout
        self._rest = rest
        self._disturbed = disturbed
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget that it was silent, and what it refused before that."""
        self._waits = self._growing()
        self._again = self._latest = 0.0
        self.put_off = False
        self.reader.forget()

    def _growing(self) -> Iterator[float]:
        """Waits while it is silent: soon for a lost frame, once more, and then rarely."""
        first = max(FOREVER.first, 2 * self._timeout)
        last = max(FOREVER.most, self._timeout / _SHARE_OF_SILENCE)
        for wait in (first, _LONGER * first):
            yield from RetryPolicy(max_attempts=2, first=wait, most=last).delays()
        yield from RetryPolicy(
            max_attempts=None, backoff="constant", first=last, most=last
        ).delays()

    @property
    def silent(self) -> bool:
        """Whether it did not answer when it was last asked."""
        return self._again > 0

    async def poll(self, spare: float = math.inf) -> Outcome:
        """Read it; while it is silent, only after growing waits, and not at all in between.

        Args:
            spare: seconds until another device has its turn. A silent device is put off while that
                is less than it would cost, as long again as it has waited, and 5 s at most.
        """
        now = time.monotonic()
        self.put_off = self._again <= now < self._latest and spare < self._timeout
        if self.put_off:
            return Outcome([], None)
        if now < self._again:
            return Outcome(bad(self.reader.tags, Quality.BAD_NO_COMMUNICATION), None)
        outcome = await self.reader.read()
        if outcome.error is not None and not self.silent and self._disturbed():
            outcome = await self.reader.read()
        if outcome.error is not None:
            wait = max(next(self._waits), self._rest)
            self._again = time.monotonic() + wait
            self._latest = self._again + min(wait, _LONGEST_PUT_OFF)
        elif self.silent:
            self.start_afresh()
        return outcome

    def pause(self) -> float:
        """Seconds to the next turn."""
        if self.put_off:
            return _SILENT_PAUSE
        return max(self.interval, _SILENT_PAUSE) if self.silent else self.interval


class ModbusSource(Source):
    """Polls the devices of one connection, each on a grid of its own.

    A device that does not answer costs one time-out per back-off period, in a pause of the line
    where there is one, and its tags are bad at once. When no device answers, or the connection is
    lost, the source ends with that error.

    Args:
        name: connector instance.
        devices: what to poll.
        tags: what they deliver.
    """

    def __init__(self, name: str, devices: Sequence[Polled], tags: Sequence[Tag]) -> None:
        self.name = name
        self._devices = list(devices)
        self._tags = list(tags)

    def tags(self) -> Sequence[Tag]:
        """The tags given at construction."""
        return self._tags

    async def batches(self) -> AsyncIterator[Batch]:
        """One batch for each reading of a device."""
        start = time.monotonic()
        turns = [(start, i) for i in range(len(self._devices))]
        for device in self._devices:
            device.start_afresh()
        while turns:
            due, i = turns[0]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            batch = await self._turn(self._devices[i], self._spare(turns, i))
            heapq.heapreplace(turns, (self._next(due, self._devices[i].pause()), i))
            if batch:
                yield batch

    def _spare(self, turns: Sequence[tuple[float, int]], i: int) -> float:
        """Seconds until another device, one that answers, has its turn; for a silent one only."""
        if not self._devices[i].silent:
            return math.inf
        others = (due for due, k in turns if k != i and not self._devices[k].silent)
        return min(others, default=math.inf) - time.monotonic()

    async def _turn(self, device: Polled, spare: float) -> Batch:
        before = device.silent
        batch, error = await device.poll(spare)
        if error is None:
            if before and not device.silent:
                log.info("%s: unit %d answers again", self.name, device.reader.unit)
            return batch
        link_lost = isinstance(error, ConnectFailed) and not isinstance(error, GarbledReply)
        if link_lost or all(other.silent for other in self._devices):
            raise error
        level = logging.DEBUG if before else logging.WARNING
        log.log(level, "%s; the other devices go on", error)
        return batch

    def _next(self, due: float, pause: float) -> float:
        """The next point of the grid that is not past; points missed are counted."""
        due += pause
        late = time.monotonic() - due
        if late < 0:
            return due
        if not pause:
            return due + late
        missed = int(late // pause) + 1
        self.skipped += missed
        return due + missed * pause
