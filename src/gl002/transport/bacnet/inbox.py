"""Samples on their way from the devices to the flow: bounded, and what is lost is said."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from gl002.model import Batch, Quality, Sample

_MOST = 50_000  # samples that wait while the flow takes none
_JUST_BEFORE = 1_000  # ns; one microsecond, the resolution of most databases


class Inbox:
    """Takes samples without waiting, and gives them away in order.

    When it is full the oldest gives way; the next sample of its tag then follows one that says
    BAD_DATA_LOST.

    Args:
        most: samples it holds.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._samples: deque[Sample] = deque()
        self._most = most
        self._gaps: set[str] = set()
        self._lost = 0
        self._there = asyncio.Event()

    def put(self, samples: Iterable[Sample]) -> None:
        """Add samples; also none, to let whoever waits look around."""
        for sample in samples:
            if len(self._samples) >= self._most:
                self._gaps.add(self._samples.popleft().tag)
                self._lost += 1
            self._samples.append(sample)
        self._there.set()

    async def take(self) -> Batch:
        """Everything that waits; waits for something if there is nothing."""
        await self._there.wait()
        self._there.clear()
        batch: Batch = []
        for sample in self._samples:
            if sample.tag in self._gaps:
                self._gaps.discard(sample.tag)
                before = sample.time - _JUST_BEFORE
                batch.append(Sample(sample.tag, None, before, int(Quality.BAD_DATA_LOST)))
            batch.append(sample)
        self._samples.clear()
        return batch

    def lost(self) -> int:
        """Samples that gave way since the last look."""
        lost, self._lost = self._lost, 0
        return lost
