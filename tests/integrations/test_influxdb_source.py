"""InfluxDB as an input: what is new comes once, over restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gl002.config.load import load
from gl002.flow.gateway import Gateway
from gl002.integrations.databases import AsyncInfluxDBConnector
from gl002.model import Batch, Sample, now_ns
from gl002.transport.influxdb import source as source_module
from gl002.transport.influxdb.settings import InfluxDBInput
from integrations.influxdb_site import SECOND, connected, either, measurement, one, ours, two

fixtures = one, two, either, measurement, connected


@asynccontextmanager
async def following(connector: AsyncInfluxDBConnector, position: bytes = b"", **spec: Any):
    """Batches of a source as they come, and the source."""
    given = {"source": "influxdb", "interval": 0.05, **spec}
    source = connector.source(InfluxDBInput.parse(given))
    if position:
        source.resume(position)
    queue: asyncio.Queue[Sample] = asyncio.Queue()

    async def run() -> None:
        async for batch in source.batches():
            for sample in batch:
                queue.put_nowait(sample)

    task = asyncio.create_task(run())
    try:
        yield source, queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def received(queue: asyncio.Queue[Sample], count: int) -> Batch:
    async with asyncio.timeout(30):
        return [await queue.get() for _ in range(count)]


async def test_what_is_new_is_delivered_once_also_when_it_was_written_late(
    connected, either, measurement
) -> None:
    influx = connected(either, measurement=measurement)
    sink = ours(influx, measurement)
    now = now_ns()
    await sink.write([Sample("a", 1.0, now - 10 * SECOND), Sample("b", 1.0, now - 9 * SECOND)])
    async with following(influx, overlap=60) as (_, queue):
        assert {(s.tag, s.value) for s in await received(queue, 2)} == {("a", 1.0), ("b", 1.0)}
        await sink.write([Sample("a", 2.0, now_ns())])
        assert [s.value for s in await received(queue, 1)] == [2.0]
        await sink.write([Sample("a", 1.5, now - 5 * SECOND)])
        assert [s.value for s in await received(queue, 1)] == [1.5]
        await asyncio.sleep(0.3)
        assert queue.empty()


async def test_after_a_restart_it_goes_on_where_it_stood(connected, either, measurement) -> None:
    influx = connected(either, measurement=measurement)
    sink = ours(influx, measurement)
    await sink.write([Sample("a", 1.0, now_ns())])
    async with following(influx, overlap=0) as (source, queue):
        await received(queue, 1)
        await asyncio.sleep(0.1)
        position = source.position()
    missed = [Sample("a", float(i), now_ns() + i) for i in range(2, 6)]
    await sink.write(missed)
    async with following(influx, position, overlap=0) as (_, queue):
        assert await received(queue, 4) == missed


async def test_what_was_not_asked_beyond_comes_again(connected, one, measurement) -> None:
    """The flow asks for the next batch when the last is durable; if it fails before, it is not."""
    influx = connected(one, measurement=measurement)
    await ours(influx, measurement).write([Sample("a", 1.0, now_ns())])
    source = influx.source(InfluxDBInput.parse({"source": "influxdb", "interval": 0.05}))
    for _ in range(2):
        async with source.open() as batches:
            assert [s.value for s in await anext(batches)] == [1.0]
    assert int(source.position()) <= now_ns()


async def test_a_backlog_is_delivered_page_by_page_in_order(
    connected, either, measurement, monkeypatch
) -> None:
    monkeypatch.setattr(source_module, "PAGE", 10)
    influx = connected(either, measurement=measurement)
    begin = now_ns() - 1000 * SECOND
    batch = [Sample(f"t{i % 3}", float(i), begin + i * SECOND) for i in range(100)]
    batch += [Sample("slow", 1.0, begin), Sample("slow", None, begin + 99 * SECOND, 0x80000000)]
    await ours(influx, measurement).write(batch)
    async with following(influx, start=2000, overlap=0) as (_, queue):
        found = await received(queue, 102)
    assert [s.time for s in found] == sorted(s.time for s in found)
    assert {(s.tag, s.time, s.value) for s in found} == {(s.tag, s.time, s.value) for s in batch}


async def test_through_the_flow_nothing_is_lost_over_a_restart_of_the_gateway(
    connected, one, measurement, tmp_path
) -> None:
    """From a measurement of others, through the durable store, into one of ours."""
    arrived = f"{measurement}_arrived"
    entry = {"source": "influxdb", "measurement": measurement, "tag": "{id}", "interval": 0.1}
    file = tmp_path / "integrations.yaml"
    file.write_text(
        json.dumps(
            {
                "gateway": {"state_dir": "state"},
                "web": {"enabled": False},
                "integrations": {
                    "enabled": ["influxdb"],
                    "influxdb": one.config,
                    "data_flow": {
                        "input": [{**entry, "overlap": 900}],
                        "output": [
                            {"destination": "influxdb", "measurement": arrived, "interval": 0}
                        ],
                    },
                },
            }
        )
    )
    writer = connected(one)
    begin, written = now_ns() - 300 * SECOND, 0
    for _ in range(2):
        gateway = asyncio.create_task(Gateway(load(file)).run())
        for _ in range(20):
            points = [
                {"measurement": measurement, "tags": {"id": f"B{i % 3}"},
                 "fields": {"value": float(i)}, "timestamp": begin + i}
                for i in range(written, written + 50)
            ]  # fmt: skip
            await writer.write_points(points)
            written += 50
            await asyncio.sleep(0.02)
        count = f'SELECT count(value), sum(value) FROM "{arrived}"'
        async with asyncio.timeout(30):
            while (rows := one.query(count)) == [] or rows[0]["count"] < written:
                assert not gateway.done(), gateway
                await asyncio.sleep(0.1)
        assert (rows[0]["count"], rows[0]["sum"]) == (written, written * (written - 1) / 2)
        gateway.cancel()
        await asyncio.gather(gateway, return_exceptions=True)


async def test_points_of_others_become_tags_by_a_template(connected, either, measurement) -> None:
    influx = connected(either)
    now = now_ns()
    await influx.write_points([
        {"measurement": measurement, "tags": {"boiler": f"B{i}", "plant": "P"}, "timestamp": now,
         "fields": {"value": 85.5 + i, "count": i, "mode": "auto"}}
        for i in range(3)
    ])  # fmt: skip
    only = {"measurement": measurement, "where": {"boiler": ["B1", "B2"]}}
    async with following(influx, **only, fields=["value", "count"], tag="{boiler}/{field}") as (
        source,
        queue,
    ):
        found = {s.tag: s.value for s in await received(queue, 4)}
        assert found == {"B1/value": 86.5, "B1/count": 1, "B2/value": 87.5, "B2/count": 2}
        assert {tag.name for tag in source.tags()} == set(found)
        assert type(found["B1/count"]) is int
    async with following(influx, measurement=measurement, prefix="x.") as (_, queue):
        names = {s.tag for s in await received(queue, 9)}
        assert f"x.{measurement}.B0.P.value" in names


async def test_more_tags_than_allowed_are_counted_and_told(
    connected, one, measurement, caplog
) -> None:
    influx = connected(one, measurement=measurement)
    await ours(influx, measurement).write([Sample(f"t{i}", 1.0, now_ns()) for i in range(5)])
    async with following(influx, max_tags=3) as (source, queue):
        await received(queue, 3)
        await asyncio.sleep(0.1)
        assert queue.empty()
        assert source.skipped >= 2
    assert sum("more than 3 tags" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"fields": ["v"]}, "needs a 'measurement'"),
        ({"measurement": "m", "tags": ["t"]}, "use 'where' and 'fields'"),
        ({"measurement": "m", "where": {"a": []}}, "no value at all"),
        ({"measurement": "m", "tag": "{"}, "no template"), ({"interval": 0}, "interval"),
        ({"overlap": "2 days"}, "overlap"),
    ],
)  # fmt: skip
def test_an_input_that_makes_no_sense_is_refused(spec: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        InfluxDBInput.parse({"source": "influxdb", **spec})
