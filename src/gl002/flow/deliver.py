"""One output: takes from the store, writes to its sink, keeps its place. The only delivery loop.

What happens to an error depends on nothing but its kind:

    retryable            the batch stays and comes again, after growing waits
    PartialWrite         the named samples become dead letters, the rest is delivered
    DataError            the batch is taken apart until the sample at fault is alone
    any other            a person must act (password, rights, missing table): the batch stays
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gl002.config.flow import OutputSettings
from gl002.errors import DataError, GL002Error, PartialWrite
from gl002.flow.deadletter import DeadLetters
from gl002.flow.hub import Hub
from gl002.flow.ledger import Ledger
from gl002.flow.meter import Meter
from gl002.flow.store import Lease, Store
from gl002.model import Batch, Sample
from gl002.retry import RetryPolicy
from gl002.sink import Sink

log = logging.getLogger("gl002.deliver")

_AGAIN_INTERVAL = 2.0  # seconds between looks for dead letters to try again
_AGAIN_BATCH = 500


class OutputStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of one output for people and metrics.

    Attributes:
        name: of the output.
        state: 'up', 'retrying' or 'failed' (needs a person).
        delivered: samples, since start.
        rate: samples per second.
        pending: samples in the store.
        dead: its dead letters.
        error: what is wrong, '' while up.
        retry_in: seconds to the next try, 0 while up.
    """

    name: str
    state: str
    delivered: int
    rate: float
    pending: int
    dead: int
    error: str
    retry_in: float


async def write_or_refuse(sink: Sink, batch: Batch) -> list[tuple[Sample, str]]:
    """Write a batch; returns the samples the sink refused for good, with its reasons.

    Raises:
        GL002Error: what keeps the whole batch from being delivered.
    """
    try:
        await sink.write(batch)
    except PartialWrite as error:
        return [(batch[i], reason) for i, reason in sorted(error.rejected.items())]
    except DataError as error:
        if len(batch) == 1:
            return [(batch[0], str(error))]
        half = len(batch) // 2
        return await write_or_refuse(sink, batch[:half]) + await write_or_refuse(sink, batch[half:])
    return []


class Delivery:
    """Delivers to one sink for ever, whatever other outputs do.

    Args:
        name: of the output, also of its cursor.
        sink: where to deliver.
        settings: batch size, interval, retry, choice of tags.
        store: where to take from.
        letters: where refused samples go.
        hub: shown what was delivered.
        ledger: counts what was delivered; None where nobody asks.

    Attributes:
        tags: patterns of the tags it takes; None takes all.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        settings: OutputSettings,
        *,
        store: Store,
        letters: DeadLetters,
        hub: Hub,
        ledger: Ledger | None = None,
    ) -> None:
        self.name = name
        self.tags = settings.tags
        self._ledger = ledger
        self._sink = sink
        self._settings = settings
        self._store = store
        self._letters = letters
        self._hub = hub
        self._policy = settings.retry_policy.policy()
        self._delays: Iterator[float] = iter(())
        self._meter = Meter()
        self._dead = 0
        self._state, self._error, self._retry_at = "up", "", 0.0
        self._prepared = False
        self._draining = asyncio.Event()
        self._writing = asyncio.Lock()  # a sink is written by one task at a time

    async def run(self) -> None:
        """Deliver until cancelled, or until empty after `drain` was called."""
        self._delays = self._policy.delays()
        try:
            async with asyncio.TaskGroup() as tasks:
                again = tasks.create_task(self._try_again_for_ever())
                while not (self._draining.is_set() and not self._store.pending(self.name)):
                    await self._turn()
                again.cancel()
        finally:
            await self._sink.close()

    def drain(self) -> None:
        """Deliver what is there without waiting for batches to fill, then end."""
        self._draining.set()

    async def _turn(self) -> None:
        """Wait for a batch and deliver it, or wait after a failure."""
        await self._batch_due()
        if self._draining.is_set() and not self._store.pending(self.name):
            return
        try:
            async with (
                self._writing,
                self._store.lease(self.name, self._settings.batch_size) as lease,
            ):
                start = self._store.offset(self.name)
                refused = await self._deliver(self._chosen(lease.batch))
            self._note(start, lease, refused)
        except GL002Error as error:
            await self._wait_after(error)
        else:
            self._recovered()

    async def _batch_due(self) -> None:
        """Return when a batch is full, or the interval is over and there is something."""
        deadline = time.monotonic() + self._settings.interval
        while not self._draining.is_set():
            await self._first(self._store.wait(self.name), self._draining.wait())
            left = deadline - time.monotonic()
            if left <= 0 or self._store.pending(self.name) >= self._settings.batch_size:
                return
            await self._first(asyncio.sleep(min(left, 0.1)), self._draining.wait())

    async def _first(self, *waits: object) -> None:
        """Return when one of the waits is over; the others are cancelled."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _chosen(self, batch: Batch) -> Batch:
        patterns = self._settings.tags
        if patterns is None:
            return batch
        return [s for s in batch if any(fnmatch.fnmatchcase(s.tag, p) for p in patterns)]

    # ---- delivering -------------------------------------------------------------------------

    def _note(self, start: int, lease: Lease, refused: Iterable[Sample]) -> None:
        if self._ledger is not None:
            self._ledger.delivered(self.name, start, lease.end, lease.batch, refused)

    async def _deliver(self, batch: Batch) -> Batch:
        """Deliver a batch, or raise what keeps the whole of it in the store; those refused."""
        if not batch:
            return []
        await self._prepare()
        refused = await write_or_refuse(self._sink, batch)
        if refused:
            await self._bury(refused)
        self._meter.add(len(batch) - len(refused))
        self._hub.publish(f"output:{self.name}", batch)
        return [sample for sample, _ in refused]

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._sink.prepare()
            self._prepared = True

    async def _bury(self, refused: Sequence[tuple[Sample, str]]) -> None:
        await asyncio.to_thread(self._letters.add, self.name, refused)
        self._dead += len(refused)
        sample, reason = refused[0]
        log.warning(
            "%s: %d samples refused and kept as dead letters, first %s: %s",
            self.name, len(refused), sample.tag, reason,
        )  # fmt: skip

    # ---- trouble ----------------------------------------------------------------------------

    async def _wait_after(self, error: GL002Error) -> None:
        """Note the failure, and wait as long as the policy says; a drain cuts no wait short."""
        again = RetryPolicy.worth_it(error)
        delay = next(self._delays, None) if again else self._policy.most
        if delay is None:
            try:
                await self._give_up(error)
            except GL002Error as not_kept:  # too many dead letters, or no disk: the batch stays
                error, delay = not_kept, self._policy.most
            else:
                return
        delay = max(delay, error.retry_after)
        state = "retrying" if again else "failed"
        if self._state == "up":
            log.warning("%s: %s", self.name, error)
        elif self._state != state or self._error != str(error):
            log.info("%s: still down: %s", self.name, error)
        self._state, self._error, self._prepared = state, str(error), False
        self._retry_at = time.monotonic() + delay
        await asyncio.sleep(delay)

    async def _give_up(self, error: GL002Error) -> None:
        """The configured number of attempts is used up: keep the batch as dead letters."""
        reason = f"given up after {self._policy.max_attempts} attempts: {error}"
        async with self._store.lease(self.name, self._settings.batch_size) as lease:
            start = self._store.offset(self.name)
            chosen = self._chosen(lease.batch)
            await self._bury([(sample, reason) for sample in chosen])
        self._note(start, lease, chosen)
        self._delays = self._policy.delays()

    def _recovered(self) -> None:
        if self._state != "up":
            log.info("%s: delivering again", self.name)
            self._delays = self._policy.delays()
            self._state, self._error, self._retry_at = "up", "", 0.0

    # ---- dead letters -----------------------------------------------------------------------

    async def _try_again_for_ever(self) -> None:
        """Count the dead letters, and deliver those that a person asked to retry."""
        while True:
            try:
                self._dead = await asyncio.to_thread(self._letters.count, self.name)
                if self._dead and self._state == "up":
                    await self._try_again()
            except GL002Error as error:  # of the sink, or of the file they are in
                log.info("%s: dead letters wait: %s", self.name, error)
            await asyncio.sleep(_AGAIN_INTERVAL)

    async def _try_again(self) -> None:
        letters = await asyncio.to_thread(
            self._letters.list, self.name, limit=_AGAIN_BATCH, again=True
        )
        if not letters:
            return
        try:
            async with self._writing:
                await self._prepare()
                refused = dict(await self._write_each([letter.sample for letter in letters]))
        except GL002Error:
            self._prepared = False
            raise
        done = [letter.id for i, letter in enumerate(letters) if i not in refused]
        await asyncio.to_thread(self._letters.drop, None, done)
        if self._ledger is not None:
            delivered = [x.sample for i, x in enumerate(letters) if i not in refused]
            self._ledger.delivered_after_all(self.name, delivered)
        failed = [(letters[i].id, reason) for i, reason in refused.items()]
        await asyncio.to_thread(self._letters.refused_again, failed)
        log.info(
            "%s: %d dead letters delivered, %d refused again", self.name, len(done), len(failed)
        )

    async def _write_each(self, batch: Batch) -> list[tuple[int, str]]:
        """Write samples one by one; positions and reasons of those refused."""
        refused = []
        for i, sample in enumerate(batch):
            refused += [(i, reason) for _, reason in await write_or_refuse(self._sink, [sample])]
        return refused

    def status(self) -> OutputStatus:
        """The state now."""
        return OutputStatus(
            name=self.name,
            state=self._state,
            delivered=self._meter.total,
            rate=self._meter.rate,
            pending=self._store.pending(self.name),
            dead=self._dead,
            error=self._error,
            retry_in=max(0.0, self._retry_at - time.monotonic()),
        )
