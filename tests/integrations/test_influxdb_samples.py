"""Samples in InfluxDB: none lost, none doubled, also in other makes and generations."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from gl002.errors import GL002Error, PartialWrite, Unsupported
from gl002.model import Batch, Sample, now_ns
from gl002.sink import Sink
from injection import CORPUS
from integrations.influxdb_site import (
    SECOND,
    START,
    connected,
    either,
    measurement,
    one,
    ours,
    point,
    recorded,
    samples,
    two,
)
from peers.influxdb import InfluxDB
from peers.victoria import VictoriaMetrics
from peers.web_server import Reply, Seen, WebServer

fixtures = one, two, either, measurement, connected


# ---- samples ----------------------------------------------------------------------------------


async def test_samples_of_every_type_come_back_by_either_language(
    connected, either, measurement
) -> None:
    influx = connected(either, measurement=measurement)
    batch = [
        Sample(f"{measurement}.{i}", value, START + i, quality)
        for i, (value, quality) in enumerate(
            [(1.5, 0), (5, 0), (2**62, 0), (True, 0), ("läuft ✓", 0), (None, 0x80310000),
             (-0.5, 0x40930000), ("", 0), (1e300, 0)]
        )
    ]  # fmt: skip
    await ours(influx, measurement).write(batch)
    tags = [sample.tag for sample in batch]
    found = await recorded(influx, *tags)
    assert found == batch
    assert [type(s.value) for s in found] == [type(s.value) for s in batch]
    assert {thing.address async for thing in influx.browse(measurement)} <= set(tags)


async def test_a_history_of_many_pages_is_complete(connected, either, measurement) -> None:
    influx = connected(either, measurement=measurement)
    batch = samples(measurement, 21_000, tags=1)
    batch[5] = Sample(batch[5].tag, None, batch[5].time, 0x80000000)  # one field fewer
    await ours(influx, measurement).write(batch)
    assert await recorded(influx, batch[0].tag) == batch


async def test_the_newest_value_is_looked_for_as_far_back_as_is_set(
    connected, either, measurement
) -> None:
    day = 86_400 * SECOND
    old, new = Sample("old", 1.0, now_ns() - 3 * day), Sample("new", 2.0, now_ns() - day // 2)
    await ours(connected(either), measurement).write([old, new])
    influx = connected(either, measurement=measurement, lookback="1 day")
    found = await influx.read(["new", "old"])
    if isinstance(either, InfluxDB):
        assert [s.value for s in found] == [2.0, None]
    assert found[0] == new
    patient = connected(either, measurement=measurement)
    assert await patient.read(["old", "new"]) == [old, new]


async def test_the_same_samples_again_change_nothing(connected, either, measurement) -> None:
    influx = connected(either, measurement=measurement)
    batch = samples(measurement, 50)
    sink = ours(influx, measurement)
    for _ in range(3):
        await sink.write(batch)
    assert sorted(await recorded(influx, *{s.tag for s in batch}), key=lambda s: s.time) == batch


@pytest.mark.parametrize(
    "kills", [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_kill_9_of_the_server_in_the_middle_of_batches_loses_and_doubles_nothing(
    connected, kills: int
) -> None:
    with InfluxDB(auth=False) as server:  # the hash of a password takes it longer than to start
        influx = connected(server, timeout=3, retry_policy={"max_attempts": 1})
        sink, written = ours(influx, "samples"), 0

        async def kill() -> None:
            for i in range(kills):
                await asyncio.sleep(0.05 + i * 0.037 % 0.2)
                await asyncio.to_thread(server.restart)

        killing = asyncio.create_task(kill())
        while not killing.done():
            batch = [Sample("t", float(i), START + i) for i in range(written, written + 500)]
            await _until_written(sink, batch)
            written += 500
        await killing
        (row,) = server.query("SELECT count(value), sum(value) FROM samples")
    assert (row["count"], row["sum"]) == (written, written * (written - 1) / 2)


async def _until_written(sink: Sink, batch: Batch) -> None:
    """Write as the flow does: prepare and try again until it is delivered."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(GL002Error):
                await sink.prepare()
                await sink.write(batch)
                return
            await asyncio.sleep(0.05)


async def test_no_name_of_a_tag_reaches_anything_else(connected, either, measurement) -> None:
    """300 strings as tags: each comes back alone or is refused, and nothing else changes."""
    influx = connected(either, measurement=measurement)
    await influx.write_points([point(f"{measurement}_other", 7.0)])
    batch = [Sample(tag, float(i), START + i) for i, tag in enumerate(CORPUS)]
    refused: set[int] = set()
    try:
        await ours(influx, measurement).write(batch)
    except PartialWrite as error:
        refused = set(error.rejected)
    assert len(refused) < len(batch) / 2
    kept = [sample for i, sample in enumerate(batch) if i not in refused]
    asked = kept if isinstance(either, InfluxDB) else kept[::8]  # each takes its compiler 50 ms
    assert await recorded(influx, *(s.tag for s in asked)) == asked
    storage = either if isinstance(either, InfluxDB) else either.storage
    database = either.database if isinstance(either, InfluxDB) else either.bucket
    found = {row["name"] for row in storage.query("SHOW MEASUREMENTS", database)}
    assert {name for name in found if name.startswith(measurement)} == {
        measurement, f"{measurement}_other",
    }  # fmt: skip
    assert not found & {"stolen", "v", "other"}


# ---- other makes and generations --------------------------------------------------------------


async def test_another_make_takes_the_writes_of_generation_two(connected) -> None:
    with VictoriaMetrics() as victoria:
        influx = connected({"url": victoria.url, "bucket": "b"})
        assert (await influx.check()).ok
        now = now_ns() // 10**6 * 10**6
        await influx.write_points([
            {"measurement": "boiler", "tags": {"id": "B 1,=x"}, "timestamp": now + i * 10**6,
             "fields": {"value": 85.0 + i, "on": True, "count": i}}
            for i in range(10)
        ])  # fmt: skip
        async with asyncio.timeout(30):  # it shows what is new after a moment, and in pieces
            while sum(len(one["values"]) for one in victoria.exported('{id="B 1,=x"}')) < 30:
                await asyncio.sleep(0.1)
        exported = victoria.exported('{id="B 1,=x"}')
        found = {one["metric"]["__name__"]: one for one in exported}
        assert len(exported) == len(found) == 3
    assert found["boiler_value"]["values"] == [85.0 + i for i in range(10)]
    assert found["boiler_value"]["timestamps"] == [now // 10**6 + i for i in range(10)]
    assert found["boiler_count"]["values"] == list(range(10))
    assert found["boiler_on"]["values"] == [1] * 10


def _three(seen: Seen) -> Reply:
    """The write interface of InfluxDB 3 as its reference describes it."""
    if seen.headers.get("authorization") != "Bearer token-of-three":
        return Reply(401, b'{"error": "the request was not authenticated"}')
    if seen.path == "/ping":
        return Reply(200, b'{"version": "3.0"}', {"X-Influxdb-Version": "3.0-of-the-tests"})
    wrong = [
        {"error_message": "invalid column type", "line_number": i, "original_line": text}
        for i, text in enumerate(seen.body.decode().split("\n"), start=1)
        if '"text"' in text
    ]
    if wrong:
        said = {"error": "partial write of line protocol occurred", "data": wrong}
        return Reply(400, json.dumps(said).encode())
    return Reply(204)


async def test_generation_three_names_refused_lines_by_number(connected) -> None:
    with WebServer(_three) as three:
        config = {"url": three.url, "api": 3, "token": "token-of-three", "database": "boilers"}
        influx = connected(config, precision="ms")
        assert "3.0-of-the-tests" in (await influx.check()).detail
        points = [point("m", "text" if i in {2, 5} else 1.0, i) for i in range(8)]
        with pytest.raises(PartialWrite) as caught:
            await influx.write_points(points)
        assert caught.value.rejected == dict.fromkeys((2, 5), "invalid column type")
        writes = [seen for seen in three.seen if seen.path == "/api/v3/write_lp"]
        assert writes[0].query == {
            "db": ["boilers"], "precision": ["millisecond"], "accept_partial": ["true"],
        }  # fmt: skip
        assert len(writes) == 2, "those that were not refused are sent once more"
        assert len(writes[1].body.split(b"\n")) == 6
        with pytest.raises(Unsupported, match="only written"):
            await influx.query("SELECT 1")
        with pytest.raises(Unsupported, match="only written"):
            await influx.read(["t"])
