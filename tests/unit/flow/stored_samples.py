"""Samples into a store and out of it."""

from __future__ import annotations

from gl002.config.sections import StoreSettings
from gl002.flow.store import Store
from gl002.model import Sample

MIB = 1024 * 1024
SMALL = StoreSettings(max_bytes=4 * MIB, segment_bytes=1 * MIB, commit_interval=0)


def samples(first: int, count: int, tag: str = "b1.counter") -> list[Sample]:
    return [Sample(tag, i, 1_000 + i) for i in range(first, first + count)]


async def fill(store: Store, total: int = 0) -> None:
    """Put counters until the store refuses."""
    while total < 5_000_000:
        await store.put(samples(total, 2000))
        total += 2000


async def taken(store: Store, output: str, limit: int = 1000) -> list[int]:
    """Every value an output has still to deliver, taken in leases of `limit`."""
    values: list[int] = []
    while store.pending(output):
        async with store.lease(output, limit) as lease:
            values += [s.value for s in lease.batch]
    return values
