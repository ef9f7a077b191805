"""Modbus devices that do not answer: what they cost, and whom."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

import pytest

from gl002.connector import State
from gl002.errors import ConnectFailed, RequestTimeout
from gl002.model import is_good
from integrations.modbus_site import (
    GOOD,
    SILENT,
    context,
    device,
    make,
    peer,
    polled,
    polls,
    qualities,
    server,
    source,
)
from peers.modbus_units import ModbusUnits
from virtual_time import in_virtual_time

fixtures = server, peer, context, make


@in_virtual_time
async def test_a_dead_slave_costs_one_time_out_per_backoff_and_the_others_go_on(context):
    devices = [device(unit, 1, interval=50) for unit in (1, 2, 3)]
    seen = {f"d{unit}.r1": [] for unit in (1, 2, 3)}
    async with ModbusUnits() as units, polled(units, context, *devices) as (_, batches):
        units.silent = {2}
        start = time.monotonic()
        async for batch in batches:
            for sample in batch:
                seen[sample.tag].append(sample.quality)
            if time.monotonic() - start > 2.5:
                break
    tried = units.units().count(2)
    # waits of 0.5, 2.5, 30 s, each up to half shorter
    assert 2 <= tried <= 4
    assert set(seen["d2.r1"]) == {SILENT}
    assert len(seen["d2.r1"]) > 10, "bad at once and again, not silence"
    nominal, lost = 2.5 / 0.05, 0.2 * tried / 0.05
    for tag in ("d1.r1", "d3.r1"):
        assert set(seen[tag]) == {GOOD}
        assert len(seen[tag]) >= nominal - lost


@in_virtual_time
async def test_one_silent_slave_among_twenty_hardly_delays_the_p95_of_the_others(context):
    """Without the back-off the p95 is 2.5 times as long."""
    well = await poll_latencies(context, silent=set())
    ill = await poll_latencies(context, silent={7})
    p95 = [statistics.quantiles(late, n=20)[-1] for late in (well, ill)]
    assert p95[1] < 1.05 * p95[0], p95


async def poll_latencies(context, silent, cycles=40, interval=1.0):
    """Seconds from when all 20 slaves of a line are due to each value of a living one.

    Less what the quickest answer took. The slave falls silent within the time that is measured.
    """
    devices = [device(unit, *range(10), interval=1000 * interval) for unit in range(1, 21)]
    times = []
    async with ModbusUnits() as units, polled(units, context, *devices) as (_, batches):
        units.delay, units.silent = 0.005, silent
        end = time.monotonic() + cycles * interval
        async for batch in batches:
            if is_good(batch[0].quality):
                times.append(batch[0].time / 1e9)
            if time.monotonic() > end:
                break
    assert len(times) >= 19 * cycles
    phases = [(t - times[0] + interval / 2) % interval for t in times]
    return [phase - min(phases) for phase in phases]


async def test_a_slave_that_speaks_again_is_heard_again(peer, make):
    connector = make(devices=[device(1, 1), device(2, 1)])
    await connector.connect()
    connector.set_timeout(250)
    peer.tell("silent", 2)
    async with contextlib.aclosing(flow(source(connector))) as batches:
        while qualities(await anext(batches)).get("d2.r1") != SILENT:
            pass
        peer.tell("speak", 2)
        while qualities(await anext(batches)).get("d2.r1") != GOOD:
            pass


async def flow(stream):
    """Batches of a source, started again after an error as the flow does it."""
    while True:
        with contextlib.suppress(ConnectFailed, RequestTimeout):
            async with stream.open() as batches:
                async for batch in batches:
                    yield batch
        await asyncio.sleep(0.05)


@in_virtual_time
async def test_a_dead_slave_is_said_once_and_is_no_lost_connection(context, caplog):
    caplog.set_level("INFO", "gl002")
    devices = device(1, 1), device(2, 1)
    states = set()
    async with ModbusUnits() as units, polled(units, context, *devices) as (connector, batches):
        await anext(batches)
        units.silent = {2}
        end = time.monotonic() + 1.5
        async for _ in batches:
            states.add(connector.state)
            if time.monotonic() > end:
                units.silent = set()
            if any("answers again" in record.message for record in caplog.records):
                break
    assert states == {State.UP}
    assert units.units().count(2) >= 3, "and once more when it answers"
    said = [record for record in caplog.records if "unit 2" in record.message]
    assert [record.levelname for record in said] == ["WARNING", "INFO"]


@in_virtual_time
async def test_when_no_device_answers_the_source_ends_with_the_reason(context):
    async with ModbusUnits() as units:
        units.silent = {1, 2}
        async with polled(units, context, device(1, 1), device(2, 1)) as (connector, batches):
            assert set(qualities(await anext(batches)).values()) == {SILENT}
            with pytest.raises(RequestTimeout):
                await anext(batches)
            units.silent = set()
            async with source(connector).open() as again:  # the flow starts it again
                assert qualities(await anext(again)) == {"d1.r1": GOOD}


async def test_a_gateway_without_an_answer_from_its_device_is_a_silent_device(peer, make):
    peer.tell("deny", 2, "holding", 0, 4999, 11)
    connector = make(devices=[device(1, 1), device(2, 1)])
    for batch in await polls(connector, 20):
        for tag, quality in qualities(batch).items():
            assert quality == (GOOD if tag == "d1.r1" else SILENT)
    assert sum(request.unit == 2 for request in peer.asked()) <= 2
    assert connector.state is State.UP, "the line itself is well"


@in_virtual_time
async def test_reading_several_devices_fails_only_when_all_are_silent(context):
    async with ModbusUnits() as units:
        units.silent = {2}
        async with polled(units, context, device(1, 1), device(2, 1)) as (connector, _):
            seen = qualities(await connector.read(["d2.r1", "d1.r1"]))
            assert seen == {"d2.r1": SILENT, "d1.r1": GOOD}
            with pytest.raises(RequestTimeout):
                await connector.read(["d2.r1"])


@in_virtual_time
async def test_a_check_asks_every_device_and_names_the_silent_ones(context):
    devices = [device(unit, 1) for unit in (1, 2, 3)]
    async with ModbusUnits() as units, polled(units, context, *devices) as (connector, _):
        units.silent = {2}
        units.refusals[3, 1] = 2
        health = await connector.check()
        assert health.ok
        assert health.detail.startswith(
            "unit 1 answers, unit 3 answers (holding 1 (40002): exception 02"
        )
        (note,) = health.notes
        assert "unit 2" in note
        assert "no answer" in note
        units.silent = {1, 2, 3}
        health = await connector.check()
        assert not health.ok
        assert len(health.notes) == 2
