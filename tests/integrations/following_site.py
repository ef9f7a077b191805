"""What a followed history delivers, taken batch by batch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from gl002.model import Batch, Sample


class Reader:
    """What a source delivers in one session, batch by batch."""

    def __init__(self, batches: AsyncIterator[Batch]) -> None:
        self._batches = batches
        self.batches: list[Batch] = []

    async def until(self, last: Sample) -> Batch:
        """Everything of this session once a sample is among it."""
        async with asyncio.timeout(30):
            while last not in self.all():
                self.batches.append(await anext(self._batches))
        return self.all()

    def all(self) -> Batch:
        return [sample for batch in self.batches for sample in batch]


def doubled(samples: Batch) -> list[tuple[str, int]]:
    """Tag and time of what came more than once."""
    return [key for key, n in Counter((s.tag, s.time) for s in samples).items() if n > 1]
