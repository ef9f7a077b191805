"""Polling on a grid, and the proper end of a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

import clock
from gl002.errors import ConnectFailed
from gl002.model import Batch, Sample, Tag
from gl002.source import PolledSource, Source

INTERVAL = 0.1
Run = Callable[[Callable[["Reader"], Coroutine[Any, Any, None]], "Reader"], None]


class Reader:
    """Reads numbers; each read takes as long as `durations` says, one after the other.

    Attributes:
        time: what it looks at to note when it began.
    """

    def __init__(self, *durations: float) -> None:
        self.durations = list(durations)
        self.starts: list[float] = []
        self.time: Any = time

    async def __call__(self) -> Batch:
        self.starts.append(self.time.monotonic())
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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test while time passes only where something waits for it."""

    def run(test: Callable[[Reader], Coroutine[Any, Any, None]], reader: Reader) -> None:
        async def timed(time: SimpleNamespace) -> None:
            monkeypatch.setattr("gl002.source.time", time)
            reader.time = time
            await test(reader)

        clock.run(timed)

    return run


def _steps(reader: Reader) -> list[float]:
    return [(start - reader.starts[0]) / INTERVAL for start in reader.starts]


def test_cycles_lie_on_a_grid_and_do_not_drift(run: Run) -> None:
    async def test(reader: Reader) -> None:
        source = _polled(reader)
        await _take(source, 7)
        assert _steps(reader) == pytest.approx([0, 1, 2, 3, 4, 5, 6])
        assert source.skipped == 0

    run(test, Reader(0.01, 0.02, 0.03, 0.0, 0.02, 0.01))


def test_a_long_cycle_is_not_made_up_for_and_its_points_are_counted(run: Run) -> None:
    async def test(reader: Reader) -> None:
        source = _polled(reader)
        await _take(source, 4)
        assert source.skipped == 2
        assert _steps(reader) == pytest.approx([0, 1, 4, 5]), "the next point of the grid"

    run(test, Reader(0, 2.4 * INTERVAL))


def test_a_slow_consumer_skips_points_too(run: Run) -> None:
    async def test(reader: Reader) -> None:
        source = _polled(reader)
        async with source.open() as batches:
            await anext(batches)
            await asyncio.sleep(3.5 * INTERVAL)
            await anext(batches)
        assert source.skipped == 3
        assert _steps(reader) == pytest.approx([0, 4])

    run(test, Reader())


def test_an_interval_of_nothing_reads_without_pause(run: Run) -> None:
    async def test(reader: Reader) -> None:
        await _take(_polled(reader, 0), 100)
        assert reader.starts[-1] == reader.starts[0]

    run(test, Reader())


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
