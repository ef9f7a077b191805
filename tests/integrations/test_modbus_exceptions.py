"""Modbus: what a device answers when it refuses, and what is polled all the same."""

from __future__ import annotations

import asyncio
import time

import pytest

from gl002.connector import State
from gl002.errors import RequestFailed, TagNotFound, Unsupported
from gl002.model import Quality, is_good
from integrations.modbus_site import (
    GOOD,
    PATIENCE,
    SILENT,
    UNKNOWN,
    context,
    device,
    make,
    peer,
    polled,
    polls,
    qualities,
    registers,
    server,
    source,
)
from peers.modbus_units import ModbusUnits
from virtual_time import in_virtual_time

fixtures = server, peer, context, make


@pytest.mark.parametrize(
    ("code", "error", "retryable"),
    [
        (1, Unsupported, False), (2, TagNotFound, False), (3, RequestFailed, False),
        (4, RequestFailed, True), (5, RequestFailed, True), (6, RequestFailed, True),
        (7, RequestFailed, False), (8, RequestFailed, False), (10, RequestFailed, True),
        (11, RequestFailed, True),
    ],
)  # fmt: skip
async def test_each_exception_code_is_an_error_of_ours_that_says_what_and_where(
    peer, make, code, error, retryable
):
    peer.tell("deny", 1, "holding", 0, 9, code)
    connector = make()
    with pytest.raises(error) as caught:
        await connector.read_holding_registers(4)
    message = str(caught.value)
    assert f"exception {code:02X}" in message
    assert "holding 4 (40005)" in message
    assert "unit 1" in message
    assert caught.value.retryable is retryable
    assert connector.state is State.UP, "a refusal is an answer"
    assert await connector.read_holding_registers(20) == [0]


async def test_a_busy_device_is_asked_again(peer, make):
    peer.set(1, "holding", 4, 44, 45)
    peer.tell("limit", 1, 1, 6)
    connector = make(retry_count=20)
    reading = asyncio.create_task(connector.read_holding_registers(4, 2))
    while not peer.asked():
        await asyncio.sleep(0.01)
    peer.tell("limit", 1, 0, 0)
    assert await reading == [44, 45]


async def test_one_refused_register_does_not_spoil_its_neighbours_and_is_asked_once(peer, make):
    peer.set(1, "holding", 0, *range(100))
    peer.tell("deny", 1, "holding", 41, 41, 2)
    connector = make(devices=[device(1, *range(100))])
    first, second, third = await polls(connector, 3)
    for batch in (first, second, third):
        values = {s.tag: s.value for s in batch if is_good(s.quality)}
        assert values == {f"d1.r{i}": i for i in range(100) if i != 41}
        assert qualities(batch)["d1.r41"] == UNKNOWN
    asked = peer.asked()
    touching = [r for r in asked if r.address <= 41 < r.address + r.count]
    assert len(touching) <= 8, "halving 100 takes seven more"
    assert [(r.address, r.count) for r in asked[-4:]] == [(0, 41), (42, 58)] * 2


async def test_a_hole_that_must_not_be_read_is_left_out(peer, make):
    peer.tell("deny", 1, "holding", 5, 8, 2)
    connector = make(devices=[device(1, *range(5), *range(9, 15))])
    batches = await polls(connector, 3)
    assert all(is_good(sample.quality) for batch in batches for sample in batch)
    assert [(r.address, r.count) for r in peer.asked()[-2:]] == [(0, 5), (9, 6)]


async def test_a_device_that_takes_fewer_registers_than_the_protocol_allows_is_served_so(
    peer, make
):
    peer.tell("limit", 1, 40, 3)
    connector = make(devices=[device(1, *range(120))])
    batches = await polls(connector, 3)
    assert all(is_good(sample.quality) for batch in batches for sample in batch)
    assert all(request.count <= 40 for request in peer.asked()[-4:])


@in_virtual_time
async def test_a_device_that_comes_back_is_asked_again_for_what_it_refused(context):
    async with (
        ModbusUnits() as units,
        polled(units, context, device(1, 1, 2), device(2, 1)) as (_, batches),
    ):
        units.refusals[1, 2] = 2
        while qualities(await anext(batches)).get("d1.r2") != UNKNOWN:
            pass
        units.refusals.clear()
        units.silent = {1}
        while qualities(await anext(batches)).get("d1.r2") != SILENT:
            pass
        units.silent = set()
        while qualities(await anext(batches)).get("d1.r2") != GOOD:
            pass


async def test_a_refused_register_is_asked_for_again_in_the_end(peer, make, monkeypatch):
    monkeypatch.setattr("gl002.transport.modbus.reader._RELEARN", 0.1)
    peer.tell("deny", 1, "holding", 2, 2, 2)
    async with source(make(devices=[device(1, 1, 2)])).open() as batches:
        assert qualities(await anext(batches))["d1.r2"] == UNKNOWN
        peer.clear()
        deadline = time.monotonic() + PATIENCE
        while qualities(await anext(batches))["d1.r2"] != GOOD:
            assert time.monotonic() < deadline


async def test_a_table_the_device_does_not_know_harms_no_other_table(peer, make):
    peer.tell("deny", 1, "input", 0, 65535, 1)
    both = device(1, 1, 2)
    both["registers"] += [{"name": f"i{i}", "address": i, "type": "input"} for i in (1, 2, 3, 300)]
    batches = await polls(make(devices=[both]), 3)
    for batch in batches:
        seen = qualities(batch)
        assert [seen[f"d1.r{i}"] for i in (1, 2)] == [GOOD] * 2
        assert [seen[f"d1.i{i}"] for i in (1, 2, 3, 300)] == [UNKNOWN] * 4
    assert sum(request.function == 4 for request in peer.asked()) <= 2


async def test_a_block_that_fails_for_now_is_bad_for_now(peer, make):
    peer.tell("deny", 1, "holding", 100, 110, 4)
    connector = make(devices=[device(1, 1, 105)])
    async with source(connector).open() as batches:
        assert qualities(await anext(batches)) == {
            "d1.r1": GOOD, "d1.r105": int(Quality.BAD_DEVICE_FAILURE),
        }  # fmt: skip
        peer.clear()
        assert qualities(await anext(batches)) == {"d1.r1": GOOD, "d1.r105": GOOD}


async def test_bytes_that_are_no_value_are_bad_and_say_so(peer, make):
    peer.set(1, "holding", 1, 0x12AB)
    only = {"name": "b", "registers": registers(1, format="bcd16") + registers(2)}
    (sample, other) = await make(**only).read(["b.r1", "b.r2"])
    assert (sample.value, sample.quality) == (None, int(Quality.BAD_DECODING_ERROR))
    assert is_good(other.quality)
