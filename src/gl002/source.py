"""Where samples come from: the contract between a connector and the flow."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from gl002.model import Batch, Tag


class Source(ABC):
    """A stream of batches from one connector. The flow drives it and starts it again when it ends.

    Guarantees to the author: one task at a time iterates `batches()`; `tags()` and `resume()` are
    called before it. After an error the flow waits with growing delays and calls `batches()`
    again, so a source has no reconnect loop of its own.

    Attributes:
        name: connector instance it belongs to, 'opc_ua.primary'.
        acknowledges: asking for the next batch tells the other side to forget the last one. The
            flow may run a few batches ahead of the store for sources that do not.
        by_exception: it delivers a value only when it has changed, and watches its session: while
            it is up, silence means "as before", and values do not grow stale.
        skipped: batches or points known to be missed, since start.
    """

    name: str
    acknowledges: bool = False
    by_exception: bool = False
    skipped: int = 0

    @abstractmethod
    def tags(self) -> Sequence[Tag]:
        """The tags this source delivers, as far as they are known before it connects."""

    @abstractmethod
    def batches(self) -> AsyncIterator[Batch]:
        """Yield batches until cancelled, oldest first.

        Asking for the next batch means that the last one is durable: only then acknowledge it to
        a broker. Raises a `GL002Error` when the session is lost; `retryable` decides what follows.
        """

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[Batch]]:
        """`batches()`, ended properly when the block is left."""
        batches = self.batches()
        try:
            yield batches
        finally:
            end = getattr(batches, "aclose", None)
            if end is not None:
                await end()

    def position(self) -> bytes:
        """Where the stream stands after the batch just yielded; kept in the store with that batch.

        b'' where the other side needs none. At most a few kilobytes.
        """
        return b""

    def resume(self, position: bytes) -> None:
        """Told once before `batches()`: the position kept with the last durable batch."""

    def outage_recorded(self, time: int) -> None:
        """Told after a failure: samples of this time, ns UTC, say that nothing is known any more.

        A source by exception then tells anew what holds since before that time; the record would
        else remain the newest of its tags until they change. Nothing to do for others.
        """

    async def close(self) -> None:
        """Free what `batches()` holds; safe to call twice, never raises."""


class PolledSource(Source):
    """Reads at a fixed interval on a grid, so that cycles do not drift.

    A cycle that takes longer than the interval is not made up for: the next one starts on the
    next point of the grid, and `skipped` counts the points missed.

    Args:
        name: connector instance.
        read: reads once and returns the samples.
        tags: what `read` delivers.
        interval: seconds between two reads; 0 reads without pause.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Awaitable[Batch]],
        tags: Sequence[Tag],
        interval: float,
    ) -> None:
        self.name = name
        self.interval = interval
        self.skipped = 0
        self._read = read
        self._tags = list(tags)

    def tags(self) -> Sequence[Tag]:
        """The tags given at construction."""
        return self._tags

    async def batches(self) -> AsyncIterator[Batch]:
        """One batch a cycle; a cycle without samples yields nothing."""
        due = time.monotonic()
        while True:
            batch = await self._read()
            if batch:
                yield batch
            due += self.interval
            late = time.monotonic() - due
            if late >= 0 and self.interval > 0:
                missed = int(late // self.interval) + 1
                self.skipped += missed
                due += missed * self.interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
