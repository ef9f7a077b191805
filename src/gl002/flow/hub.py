"""Live values for people: what passes a stage right now, and the last value of each tag.

Nothing here is durable or waits: a listener that does not keep up loses the oldest values it has
not read, and is told how many.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from gl002.model import Batch, Sample

_MOST_UNREAD = 10_000  # samples a listener may be behind


class Listener:
    """One reader of one stage.

    Attributes:
        missed: samples lost because it did not keep up.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.missed = 0
        self._patterns = patterns
        self._unread: deque[Sample] = deque()
        self._arrived = asyncio.Event()

    def offer(self, batch: Batch) -> None:
        """Take a batch; never waits."""
        for sample in batch:
            if self._wants(sample.tag):
                self._unread.append(sample)
        while len(self._unread) > _MOST_UNREAD:
            self._unread.popleft()
            self.missed += 1
        if self._unread:
            self._arrived.set()

    def _wants(self, tag: str) -> bool:
        return not self._patterns or any(fnmatch.fnmatchcase(tag, p) for p in self._patterns)

    def take(self) -> Batch:
        """What has arrived since the last look; empty where nothing has."""
        self._arrived.clear()
        batch, self._unread = list(self._unread), deque()
        return batch

    async def batches(self) -> AsyncIterator[Batch]:
        """What has arrived since the last batch, for ever."""
        while True:
            await self._arrived.wait()
            yield self.take()


class Hub:
    """Stages of the flow that can be listened to: 'source', 'store', 'output:<name>'.

    Attributes:
        latest: tag -> the last accepted sample.
        by_exception: tags whose last value holds until another one comes, however old it is.
    """

    def __init__(self) -> None:
        self.latest: dict[str, Sample] = {}
        self.by_exception: set[str] = set()
        self._listeners: dict[str, list[Listener]] = {}

    def publish(self, stage: str, batch: Batch) -> None:
        """Show a batch to whoever listens at a stage; costs nothing where nobody does."""
        for listener in self._listeners.get(stage, ()):
            listener.offer(batch)

    def accepted(self, batch: Batch) -> None:
        """A batch is durable: it is the latest now."""
        latest = self.latest
        for sample in batch:
            known = latest.get(sample.tag)
            if known is None or sample.time >= known.time:  # late data is history, not news
                latest[sample.tag] = sample
        self.publish("store", batch)

    def forget(self, tags: Iterable[str]) -> None:
        """Tags that nothing delivers any more have no latest value."""
        for tag in tags:
            self.latest.pop(tag, None)
            self.by_exception.discard(tag)

    @contextmanager
    def listen(self, stage: str, patterns: Sequence[str] = ()) -> Iterator[Listener]:
        """Listen at a stage while in the block, to tags that match one of the patterns ('b1.*')."""
        listener = Listener(patterns)
        self._listeners.setdefault(stage, []).append(listener)
        try:
            yield listener
        finally:
            self._listeners[stage].remove(listener)
