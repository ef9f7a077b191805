"""Polling over Modbus, and the line: grids, time-outs, connections that end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from gl002.bridge import portal
from gl002.connector import State, first_of
from gl002.errors import ConnectFailed
from gl002.integrations.industrial import AsyncModbusConnector, ModbusConnector
from integrations.modbus_site import (
    context,
    device,
    make,
    peer,
    polled,
    polls,
    registers,
    server,
    source,
)
from peers.modbus_units import ModbusUnits
from virtual_time import in_virtual_time

fixtures = server, peer, context, make


# ---- polling ----------------------------------------------------------------------------------


@in_virtual_time
async def test_each_device_is_polled_on_a_grid_of_its_own(context):
    devices = device(1, 1, interval=20), device(2, 1, interval=100)
    async with ModbusUnits() as units, polled(units, context, *devices) as (_, batches):
        await first_of(batches, 60)
    for unit, interval in ((1, 0.02), (2, 0.1)):
        moments = [question.moment for question in units.asked if question.unit == unit]
        grid = [moments[0] + i * interval for i in range(len(moments))]
        assert moments == pytest.approx(grid, abs=1e-6)
    assert units.units().count(2) == 10, "one in five"


@in_virtual_time
async def test_a_poll_that_takes_longer_than_its_interval_skips_and_counts(context):
    async with ModbusUnits() as units:
        units.delay = 0.035
        async with polled(units, context, device(1, 1, interval=10)) as (connector, _):
            stream = source(connector)
            async with stream.open() as batches:
                await first_of(batches, 4)
    assert stream.skipped == 12, "each reading takes 35 ms: three points of the grid"


async def test_a_poll_reads_blocks_and_not_registers(peer, make):
    connector = make(devices=[device(1, *range(0, 1000, 4))])
    (batch,) = await polls(connector, 1)
    assert len(batch) == 250
    requests = peer.asked()
    assert len(requests) == 8, "997 registers in requests of at most 125"
    assert all(request.count <= 125 for request in requests)


async def test_samples_carry_the_moment_their_reply_came(peer, make):
    before = time.time_ns()
    first, second = await polls(make(devices=[device(1, 1, 2)]), 2)
    assert before < first[0].time == first[1].time < second[0].time < time.time_ns()


# ---- the line ---------------------------------------------------------------------------------


@contextlib.contextmanager
def port_that_never_accepts():
    """Its backlog is full: the kernel leaves a new connection without an answer."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@in_virtual_time
async def test_the_time_out_limits_connecting(context):
    with port_that_never_accepts() as port:
        connector = AsyncModbusConnector(
            {"host": "127.0.0.1", "port": port, "timeout": 0.2}, context=context
        )
        start = time.monotonic()
        with pytest.raises(ConnectFailed, match=r"no answer within 0\.2 s"):
            await connector.connect()
        assert time.monotonic() - start == pytest.approx(0.2)
        await connector.close()
        context.audit.close()


async def test_closing_or_cancelling_while_it_connects_leaves_nothing(make):
    with port_that_never_accepts() as port:
        for end in ("close", "cancel"):
            connector = make(port=port)
            connecting = asyncio.create_task(connector.connect())
            await asyncio.sleep(0.02)
            if end == "close":
                await connector.close()
            else:
                connecting.cancel()
            with pytest.raises((ConnectFailed, asyncio.CancelledError)):
                await connecting


@in_virtual_time
async def test_requests_follow_each_other_and_each_has_the_whole_time_out(context):
    async with ModbusUnits() as units:
        units.delay = 0.149
        async with polled(units, context, device(1, 1), seconds=0.15) as (connector, _):
            answers = await asyncio.gather(*(connector.read_holding_registers(i) for i in range(8)))
    assert answers == [[i] for i in range(8)]
    assert [question.address for question in units.asked] == list(range(8))


async def test_a_cancelled_request_leaves_no_reply_for_the_next(peer, make):
    peer.set(1, "holding", 1, 11)
    peer.set(1, "holding", 2, 22)
    connector = make()
    await connector.connect()
    peer.freeze()
    try:
        reading = asyncio.create_task(connector.read_holding_registers(1))
        await asyncio.sleep(0.03)  # it is sent meanwhile
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    finally:
        peer.thaw()
    assert await connector.read_holding_registers(2) == [22]


async def test_a_connection_closed_while_idle_is_noticed_and_mended(server, peer, make):
    connector = make()
    await connector.connect()
    await asyncio.to_thread(server.restart)
    while connector.state is State.UP:
        await asyncio.sleep(0.01)
    assert connector.state is State.RETRYING
    assert await connector.read_holding_registers(1) == [0]
    assert connector.state is State.UP


def test_a_blocking_connector_browses_and_reads_what_it_found(peer, context):
    peer.set(1, "holding", 5, 55)
    config = {"host": "127.0.0.1", "port": peer.port, "name": "b", "registers": registers(4, 5)}
    with ModbusConnector(config, context=context) as modbus:
        found = list(modbus.browse())
        assert [thing.address for thing in found] == ["b.r4", "b.r5"]
        assert all(thing.writable for thing in found)
        assert [s.value for s in modbus.read([thing.address for thing in found])] == [0, 55]
        assert modbus.check().detail == "unit 1 answers"
    assert portal().usable
