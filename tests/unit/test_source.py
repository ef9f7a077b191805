"""Polling on a grid, and the proper end of a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from gl002.errors import ConnectFailed
from gl002.model import Batch, Sample, Tag
from gl002.source import PolledSource, Source
from virtual_time import in_virtual_time

INTERVAL = 0.1


class Reader:
    """Reads numbers; each read takes as long as `durations` says, one after the other."""

    def __init__(self, *durations: float) -> None:
        self.durations = list(durations)
        self.starts: list[float] = []

    async def __call__(self) -> Batch:
        self.starts.append(time.monotonic())
        await asyncio.sleep(self.durations.pop(0) if self.durations else 0)
        return [Sample("t", len(self.starts), 1)]


async def _take(source: Source, count: int) -> list[Batch]:
    taken: list[Batch] = []
    async with asyncio.timeout(30), source.open() as batches:
        async for batch in batches:
            taken.append(batch)
            if len(taken) == count:
                break
    return taken


def _polled(reader: Reader, interval: float = INTERVAL) -> PolledSource:
    return PolledSource("plc", reader, [Tag(name="t")], interval)


def _steps(reader: Reader) -> list[float]:
    return [(start - reader.starts[0]) / INTERVAL for start in reader.starts]


@in_virtual_time
async def test_cycles_lie_on_a_grid_and_do_not_drift() -> None:
    reader = Reader(0.01, 0.02, 0.03, 0.0, 0.02, 0.01)
    source = _polled(reader)
    await _take(source, 7)
    assert _steps(reader) == pytest.approx([0, 1, 2, 3, 4, 5, 6])
    assert source.skipped == 0


@in_virtual_time
async def test_a_long_cycle_is_not_made_up_for_and_its_points_are_counted() -> None:
    reader = Reader(0, 2.4 * INTERVAL)
    source = _polled(reader)
    await _take(source, 4)
    assert source.skipped == 2
    assert _steps(reader) == pytest.approx([0, 1, 4, 5]), "the next point of the grid"


@in_virtual_time
async def test_a_slow_consumer_skips_points_too() -> None:
    reader = Reader()
    source = _polled(reader)
    async with source.open() as batches:
        await anext(batches)
        await asyncio.sleep(3.5 * INTERVAL)
        await anext(batches)
    assert source.skipped == 3
    assert _steps(reader) == pytest.approx([0, 4])


@in_virtual_time
async def test_an_interval_of_nothing_reads_without_pause() -> None:
    reader = Reader()
    await _take(_polled(reader, 0), 100)
    assert reader.starts[-1] == reader.starts[0]


async def test_a_cycle_without_samples_yields_nothing() -> None:
    batches = iter([[], [], [Sample("t", 1, 1)]])

    async def read() -> Batch:
        return next(batches)

    assert await _take(PolledSource("plc", read, [], 0), 1) == [[Sample("t", 1, 1)]]


async def test_an_error_ends_the_stream_and_the_next_one_begins_anew() -> None:
    failures = [ConnectFailed("cut")]

    async def read() -> Batch:
        if failures:
            raise failures.pop()
        return [Sample("t", 1, 1)]

    source = PolledSource("plc", read, [Tag(name="t")], 0)
    with pytest.raises(ConnectFailed):
        await _take(source, 1)
    assert await _take(source, 1) == [[Sample("t", 1, 1)]]
    assert [tag.name for tag in source.tags()] == ["t"]


class Stream(Source):
    """Says when its iterator was ended."""

    name = "stream"

    def __init__(self) -> None:
        self.ended = False

    def tags(self) -> Sequence[Tag]:
        return []

    async def batches(self) -> AsyncIterator[Batch]:
        try:
            while True:
                yield [Sample("t", 1, 1)]
        finally:
            self.ended = True


async def test_leaving_the_block_ends_the_iterator_at_once() -> None:
    source = Stream()
    await _take(source, 3)
    assert source.ended


async def test_a_cancelled_reader_ends_the_iterator_at_once() -> None:
    source, got = Stream(), asyncio.Event()

    async def read() -> None:
        async with source.open() as batches:
            async for _ in batches:
                got.set()
                await asyncio.sleep(60)

    task = asyncio.create_task(read())
    await got.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.ended


async def test_a_source_without_a_position_has_none() -> None:
    source = Stream()
    assert source.position() == b""
    source.resume(b"ignored")
    await source.close()
