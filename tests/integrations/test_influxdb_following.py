"""Following a measurement: nothing lost or doubled, however late, however much."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.databases import AsyncInfluxDBConnector
from gl002.model import Sample, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.transport.influxdb import source as source_module
from gl002.transport.influxdb.settings import InfluxDBInput, InfluxDBOutput
from integrations.following_site import Reader, doubled
from peers.influxdb import InfluxDB
from peers.influxdb2 import InfluxDB2

SECOND = 1_000_000_000
DAY = 86400 * SECOND
_numbers = count(1)


@pytest.fixture(scope="module")
def one() -> Iterator[InfluxDB]:
    with InfluxDB() as running:
        yield running


@pytest.fixture(scope="module")
def two() -> Iterator[InfluxDB2]:
    with InfluxDB2() as running:
        yield running


@pytest.fixture(params=["one", "two"])
async def influx(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[AsyncInfluxDBConnector]:
    """A connection by either language, with a measurement that no other test uses."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    config = {
        **request.getfixturevalue(request.param).config,
        "measurement": f"f{next(_numbers)}",
    }
    async with AsyncInfluxDBConnector(config, context=context) as connector:
        yield connector
    audit.close()


async def store(influx: AsyncInfluxDBConnector, *samples: Sample) -> None:
    await influx.sink(InfluxDBOutput.parse({"destination": "influxdb"})).write(list(samples))


def source(influx: AsyncInfluxDBConnector, **spec: Any) -> Source:
    given = {"source": "influxdb", "interval": 0.01, **spec}
    return influx.source(InfluxDBInput.parse(given))


async def test_a_writer_that_is_always_late_loses_nothing(influx: AsyncInfluxDBConnector) -> None:
    """An output with an interval of minutes writes what is minutes old."""
    begin = now_ns() - 600 * SECOND
    stored = [Sample("a", float(i), begin + i * SECOND) for i in range(200)]
    await store(influx, *stored[:50])
    one = source(influx, overlap=10)
    async with one.open() as batches:
        reader = Reader(batches)
        await reader.until(stored[49])
        await store(influx, *stored[50:100])
        await reader.until(stored[99])
        await store(influx, *stored[100:150])
        found = await reader.until(stored[149])
    assert doubled(found) == []
    assert {s.value for s in found} >= {float(i) for i in range(49, 150)}
    again = source(influx, overlap=10)
    again.resume(one.position())
    await store(influx, *stored[150:])
    async with again.open() as batches:
        found += await Reader(batches).until(stored[199])
    assert {s.value for s in found} >= {float(i) for i in range(49, 200)}


async def test_a_backlog_of_many_tags_comes_in_pieces_and_once(
    influx: AsyncInfluxDBConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the answer is larger than what is read of one, and the input stands still for ever."""
    monkeypatch.setattr(source_module, "MOST_POINTS", 600)
    begin = now_ns() - 1000 * SECOND
    stored = [
        Sample(f"t{n:02}", float(i), begin + i * SECOND + n) for n in range(20) for i in range(100)
    ]
    await store(influx, *stored)
    async with source(influx, start=2000, overlap=30).open() as batches:
        reader = Reader(batches)
        await reader.until(stored[-1])
        after = Sample("t00", -1.0, begin + 200 * SECOND)
        await store(influx, after)
        found = await reader.until(after)
    assert max(len(batch) for batch in reader.batches) <= 600
    assert doubled(found) == []
    assert {(s.tag, s.time) for s in found} == {(s.tag, s.time) for s in [*stored, after]}


async def test_more_than_can_be_remembered_is_not_delivered_again(
    influx: AsyncInfluxDBConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_MOST_SEEN", 100)
    begin = now_ns() - 500 * SECOND
    stored = [Sample(f"t{n}", float(i), begin + i * SECOND) for n in range(10) for i in range(50)]
    await store(influx, *stored)
    async with source(influx, start=2000, overlap=400).open() as batches:
        reader = Reader(batches)
        await reader.until(stored[-1])
        for second in (51, 52, 53):
            after = Sample("t0", -1.0, begin + second * SECOND)
            await store(influx, after)
            found = await reader.until(after)
    assert doubled(found) == []
    assert len(found) == len(stored) + 3


async def test_tags_that_were_silent_for_long_are_there_to_be_brought_over(
    influx: AsyncInfluxDBConnector,
) -> None:
    """An export or a backfill of everything misses none."""
    await store(
        influx, Sample("old", 1.0, now_ns() - 400 * DAY), Sample("new", 1.0, now_ns() - SECOND)
    )
    assert {thing.address async for thing in influx.browse()} == {"new", "old"}
