"""One input: from a source through the steps into the store, reconnecting for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from gl002.errors import BufferFull, DataError, GL002Error, Untrusted
from gl002.flow.deadletter import DeadLetters
from gl002.flow.hub import Hub
from gl002.flow.meter import Meter
from gl002.flow.steps import Steps
from gl002.flow.store import Store
from gl002.model import Batch, Quality, Sample, is_bad, now_ns
from gl002.retry import FOREVER, RetryPolicy
from gl002.source import Source

log = logging.getLogger("gl002.intake")

RECONNECT = RetryPolicy(max_attempts=None, first=0.5, most=4.0)
"""How a lost source is opened again: what was mended is heard of within five seconds."""

_AHEAD = 8  # batches a source that acknowledges nothing may be ahead of the store
_STEADY = 10.0  # seconds a source must have been up before its waits start small again
_LAST_WORDS = 10.0  # seconds to make durable what was read before the source failed or we stop
_MOST_TAGS = 100_000  # tags remembered per source, for the record of its outages


class InputStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of one input for people and metrics.

    Attributes:
        name: connector instance, numbered where it has several inputs.
        state: 'starting', 'up', 'retrying' or 'failed' (needs a person).
        tags: tags delivered so far.
        received: samples, since start.
        rate: samples per second.
        bad: tags whose last value is bad.
        last: time of the newest sample, nanoseconds UTC; 0 where there is none.
        skipped: points known to be missed.
        error: what is wrong, '' while up.
        retry_in: seconds to the next try, 0 while up.
    """

    name: str
    state: str
    tags: int
    received: int
    rate: float
    bad: int
    last: int
    skipped: int
    error: str
    retry_in: float


_Ahead: TypeAlias = asyncio.Queue[tuple[Batch, bytes]]  # batches, and where the source stood


class Intake:
    """Drives one source.

    Args:
        name: of the input; its position in the stream is kept under it.
        source: what to drive.
        steps: applied to every batch.
        store: where batches become durable.
        letters: where a value goes that cannot be stored.
        hub: shown what was received and what was accepted.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        steps: Steps,
        store: Store,
        letters: DeadLetters,
        hub: Hub,
    ) -> None:
        self.name = name
        self.source = source
        self._steps = steps
        self._store = store
        self._letters = letters
        self._hub = hub
        self._meter = Meter()
        self._seen: dict[str, None] = dict.fromkeys(tag.name for tag in source.tags())
        self._last = 0
        self._state, self._error = "starting", ""
        self._retry_at = self._up_since = 0.0

    async def run(self) -> None:
        """Take in until cancelled."""
        delays: Iterator[float] = RECONNECT.delays()
        if position := self._store.position(self.name):
            self.source.resume(position)
        try:
            while True:
                error = await self._one_session()
                if self._state == "up" and time.monotonic() - self._up_since > _STEADY:
                    delays = RECONNECT.delays()
                again = RetryPolicy.worth_it(error)
                delay = next(delays, RECONNECT.most) if again else _without_help(error)
                delay = max(delay, error.retry_after)
                await self._down("retrying" if again else "failed", error, delay)
        finally:
            await self.source.close()

    async def _one_session(self) -> GL002Error:
        """Take in until the source fails; returns why."""
        try:
            async with self.source.open() as batches:
                if self.source.acknowledges:
                    await self._in_step(batches)
                else:
                    await self._running_ahead(batches)
        except GL002Error as error:
            return error
        return GL002Error("the source has ended")

    async def _in_step(self, batches: AsyncIterator[Batch]) -> None:
        """Ask for a batch only when the one before is durable.

        One of which the steps leave nothing costs no write to the disk, unless the source asks.
        """
        async for batch in batches:
            self._up()
            judged = self._judged(batch)
            if judged or not batch or self.source.exact:
                await _to_its_end(self._accept(judged, self.source.position()))

    async def _running_ahead(self, batches: AsyncIterator[Batch]) -> None:
        """Read on while earlier batches are being made durable, a few at most, in order."""
        ahead: _Ahead = asyncio.Queue(_AHEAD)
        accepting = asyncio.create_task(self._accept_from(ahead), name=f"gl002-{self.name}")
        try:
            async for batch in batches:
                self._up()
                await ahead.put((self._judged(batch), self.source.position()))
                if accepting.done():
                    break
        finally:
            if not accepting.done():
                with suppress(TimeoutError):  # wait_for loses a cancellation in its last turn
                    async with asyncio.timeout(_LAST_WORDS):
                        await ahead.join()
            accepting.cancel()
            await asyncio.wait([accepting])
        if not accepting.cancelled():
            accepting.result()  # it never ends by itself but by a fault of ours: show it

    async def _accept_from(self, ahead: _Ahead) -> None:
        while True:
            (batch, position), taken = await ahead.get(), 1
            while not ahead.empty():
                more, position = ahead.get_nowait()
                batch, taken = batch + more, taken + 1
            await self._accept(batch, position)
            for _ in range(taken):
                ahead.task_done()

    def _judged(self, batch: Batch) -> Batch:
        self._hub.publish("source", batch)
        self._meter.add(len(batch))
        if batch:
            self._last = max(self._last, batch[-1].time)
        if len(self._seen) < _MOST_TAGS:
            self._seen.update(dict.fromkeys(sample.tag for sample in batch))
        if self.source.by_exception:
            self._hub.by_exception.update(self._seen)
        return self._steps.apply(batch)

    async def _accept(self, batch: Batch, position: bytes) -> None:
        """Make a batch durable, waiting for room as long as it takes."""
        for delay in FOREVER.delays():
            try:
                await self._store.put(batch, source=self.name, position=position)
                break
            except BufferFull as error:
                self._note("retrying", str(error))
                await asyncio.sleep(delay)
            except DataError as error:
                batch = await self._without_misfits(batch, error)
        self._hub.accepted(batch)

    async def _without_misfits(self, batch: Batch, error: DataError) -> Batch:
        """Put what cannot be stored among the dead letters; returns the rest."""
        fitting = [sample for sample in batch if self._store.takes(sample)]
        misfits = [_readable(sample) for sample in batch if not self._store.takes(sample)]
        refused = [(sample, str(error)) for sample in misfits]
        await asyncio.to_thread(self._letters.add, f"input:{self.name}", refused)
        return fitting

    # ---- state ------------------------------------------------------------------------------

    @property
    def seen(self) -> Collection[str]:
        """Tags it has delivered, or said that it will."""
        return self._seen.keys()

    def _up(self) -> None:
        if self._state != "up":
            if self._state != "starting":
                log.info("%s: values again", self.name)
            self._state, self._error, self._retry_at = "up", "", 0.0
            self._up_since = time.monotonic()

    async def _down(self, state: str, error: GL002Error, delay: float) -> None:
        """Note the failure once, mark its tags bad once, and wait."""
        first = self._note(state, str(error))
        self._retry_at = time.monotonic() + delay
        if first and self._seen:
            now = now_ns()
            outage = [
                Sample(tag, None, now, Quality.BAD_NO_COMMUNICATION)
                for tag in self._seen
                if self._good_until_now(tag)
            ]
            await self._accept(outage, b"")
            self.source.outage_recorded(now)
        await asyncio.sleep(max(0.0, self._retry_at - time.monotonic()))

    def _good_until_now(self, tag: str) -> bool:
        last = self._hub.latest.get(tag)
        return last is None or not is_bad(last.quality)

    def _note(self, state: str, error: str) -> bool:
        """Remember what is wrong; logs and answers True when it is news."""
        news = self._state in {"up", "starting"}
        if news:
            log.warning("%s: %s", self.name, error)
        elif error != self._error:
            log.info("%s: still down: %s", self.name, error)
        self._state, self._error = state, error
        return news

    def status(self) -> InputStatus:
        """The state now."""
        latest = self._hub.latest
        return InputStatus(
            name=self.name,
            state=self._state,
            tags=len(self._seen),
            received=self._meter.total,
            rate=self._meter.rate,
            bad=sum(1 for tag in self._seen if tag in latest and is_bad(latest[tag].quality)),
            last=self._last,
            skipped=self.source.skipped,
            error=self._error,
            retry_in=max(0.0, self._retry_at - time.monotonic()),
        )


def _without_help(error: GL002Error) -> float:
    """Seconds until what needs a person is tried again.

    A certificate is trusted on this machine, and what was mended is heard of within five seconds.
    """
    return RECONNECT.most if isinstance(error, Untrusted) else FOREVER.most


async def _to_its_end(accepting: Coroutine[Any, Any, None]) -> None:
    """Finish what has begun to become durable, also when cancelled, for a while.

    Who takes up the stream behind it then finds where it stands.
    """
    task = asyncio.ensure_future(accepting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_WORDS)
        raise
    finally:
        task.cancel()


def _readable(sample: Sample) -> Sample:
    """A sample that cannot be stored, in a form a person can read."""
    text = str(sample.value).encode("ascii", "backslashreplace").decode()
    return Sample(sample.tag, text, sample.time, sample.quality)
