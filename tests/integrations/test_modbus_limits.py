"""Registers of Modbus that may not be touched, and how much a device takes at once."""

from __future__ import annotations

import pytest

from gl002.errors import ConfigError, DataError
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.model import is_good
from integrations.modbus_site import context, device, make, peer, polls, server

fixtures = server, peer, context, make


async def test_no_request_touches_what_the_configuration_forbids(peer, make):
    peer.set(1, "holding", 0, *range(60))
    fenced = device(1, 0, 9, 20, 39, 41, 59, gap=125, forbidden=["10-19", 40])
    (batch,) = await polls(make(devices=[fenced]), 1)
    assert [s.value for s in batch] == [0, 9, 20, 39, 41, 59]
    assert [(r.address, r.count) for r in peer.asked()] == [(0, 10), (20, 20), (41, 19)]


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.read_holding_registers(5, count=10),
        lambda c: c.write_register(15, 1),
        lambda c: c.write_registers(8, [1, 2, 3]),
        lambda c: c.mask_write_register(19, 0, 1),
    ],
)
async def test_a_call_that_would_touch_it_is_refused_before_anything_is_sent(call, peer, make):
    connector = make(devices=[device(1, forbidden=["10-19"])])
    with pytest.raises(DataError, match="are forbidden"):
        await call(connector)
    assert peer.asked() == []


async def test_a_device_is_asked_for_no_more_at_once_than_its_limits_say(peer, make):
    peer.set(1, "holding", 0, *range(100))
    limits = {"max_registers": 10, "max_bits": 16}
    mixed = device(1, *range(40), **limits)
    mixed["registers"] += [{"name": f"c{i}", "address": i, "type": "coil"} for i in range(50)]
    connector = make(devices=[mixed])
    (batch,) = await polls(connector, 1)
    assert len(batch) == 90
    assert all(is_good(sample.quality) for sample in batch)
    assert await connector.read_holding_registers(0, 25) == list(range(25))
    asked = peer.asked()
    registers_asked = [r.count for r in asked if r.function == 3]
    bits_asked = [r.count for r in asked if r.function == 1]
    assert registers_asked == [10, 10, 10, 10, 10, 10, 5]
    assert (max(bits_asked), sum(bits_asked)) == (16, 50)


async def test_a_device_takes_as_many_registers_in_a_write_as_its_limit_says(peer, make):
    connector = make(devices=[device(1, max_registers_written=4)])
    await connector.write_registers(0, [1, 2, 3, 4])
    with pytest.raises(DataError, match="5 registers cannot be written at once"):
        await connector.write_registers(0, [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("write_register", (65535, 1.0, "float32")),
        ("write_registers", (65530, [1] * 7)),
        ("write_coils", (65530, [True] * 7)),
        ("read_write_registers", (0, 1, 65535, [1, 2])),
    ],
)
async def test_nothing_is_written_beyond_the_last_register(peer, make, call, arguments):
    """Some devices go on at register 0 behind it, and that is some other setpoint."""
    with pytest.raises(DataError, match="beyond the end of the table"):
        await getattr(make(), call)(*arguments)
    assert peer.asked() == []


@pytest.mark.parametrize(
    ("forbidden", "said"),
    [
        (["20-10"], "is no range of registers"),
        (["40001-30005"], "is no range of registers"),
        (["ten"], "no register number"),
        (["0-5"], "'r3' is forbidden"),
    ],
)
def test_a_range_that_makes_no_sense_or_holds_a_wanted_register_is_refused(forbidden, said):
    with pytest.raises(ConfigError, match=said):
        AsyncModbusConnector(
            {"connection": {"host": "h"}, "devices": [device(1, 3, forbidden=forbidden)]}
        )
