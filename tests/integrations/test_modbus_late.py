"""Modbus replies that come late, on lines whose replies do not say which request they answer.

What must never happen: that a reply is taken for one to another request than its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from gl002.context import Context
from gl002.errors import ConnectFailed, RequestFailed, RequestTimeout
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from peers.libmodbus import RtuOverTcp, SerialLibModbus
from peers.slow_units import SlowUnit
from virtual_time import in_virtual_time

T = 0.1  # the time-out, seconds of virtual time
PATIENCE = 30_000  # ms
UNANSWERED = (ConnectFailed, RequestTimeout)


@contextlib.asynccontextmanager
async def connector(tmp_path, connection, **device):
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    settings = {
        "connection": {**connection, "retry_count": 0},
        "devices": [{"slave_id": 1, **device}],
    }
    modbus = AsyncModbusConnector(settings, context=context)
    try:
        yield modbus
    finally:
        await modbus.close()
        context.audit.close()


def behind_a_server(unit):
    return {"type": "rtu_over_tcp", "host": "127.0.0.1", "port": unit.port, "timeout": T}


# ---- a real serial line ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[SerialLibModbus, RtuOverTcp], ids=["rtu", "rtu_over_tcp"])
def server(request):
    with request.param() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.clear()
    server.set(1, "holding", 0, *range(100))
    return server


def line_to(server, **more):
    if isinstance(server, RtuOverTcp):
        return {"type": "rtu_over_tcp", "host": "127.0.0.1", "port": server.port, **more}
    return {"type": "rtu", "port": str(server.device), "baudrate": 115200, **more}


@pytest.mark.parametrize("count", [1, 4])
async def test_a_reply_that_comes_while_the_next_one_is_awaited_is_not_taken_for_it(
    peer, tmp_path, no_leaks, count
):
    """However late it is: the device sleeps until the next request is on the line."""
    async with connector(tmp_path, line_to(peer)) as modbus:
        for first in (10, 20):
            modbus.set_timeout(PATIENCE)
            await modbus.connect()
            modbus.set_timeout(150)
            peer.freeze()
            try:
                with pytest.raises(RequestTimeout):
                    await modbus.read_holding_registers(first, count)
                modbus.set_timeout(PATIENCE)
                modbus._line._given_up.clear()  # as if that wait were over
                reading = asyncio.create_task(modbus.read_holding_registers(first + 50, count))
                await eventually(
                    lambda: awaiting(modbus), "the next request on the line", within=30
                )
            finally:
                peer.thaw()
            assert await reading == [*range(first + 50, first + 50 + count)]


def awaiting(modbus):
    """Whether a request is on the line."""
    session = modbus._line._session
    return session is not None and session._reply is not None


@pytest.mark.parametrize("late", [1.5, 2.5])
async def test_a_slave_that_answers_late_gives_no_wrong_value(peer, tmp_path, no_leaks, late):
    """It answers one request so many time-outs late, and what was asked meanwhile behind it."""
    limit = 0.3
    async with connector(tmp_path, line_to(peer, timeout=limit)) as modbus:
        assert await until_answered(modbus, 5) == [5]
        for first in (10, 20):
            await asyncio.to_thread(peer.tell, "late", 1, round(1000 * limit * (1 + late)))
            with contextlib.suppress(*UNANSWERED):  # where we stood still ourselves, it may answer
                assert await modbus.read_holding_registers(first) == [first]
            assert await until_answered(modbus, first + 1) == [first + 1]


async def until_answered(modbus, address):
    """Ask again until there is an answer; each that comes is the right one."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(*UNANSWERED):
                return await modbus.read_holding_registers(address)


# ---- in time of its own ------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0.5, 1.5, 2.5, 3.5, 6.5, 8.5])
@pytest.mark.parametrize("count", [1, 2, 125])
@in_virtual_time
async def test_a_reply_so_many_time_outs_late_is_not_taken_for_the_next(tmp_path, late, count):
    waits = {10: (1 + late) * T}
    slow = SlowUnit(lambda request: waits.pop(request[3], 0.2 * T))
    async with slow as unit, connector(tmp_path, behind_a_server(unit)) as modbus:
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(10, count)
        for _ in range(20):
            with contextlib.suppress(*UNANSWERED):
                values = await modbus.read_holding_registers(300, count)
                assert values == [*range(300, 300 + count)]
        assert values


@in_virtual_time
async def test_a_device_that_always_answers_too_late_gives_no_value_at_all(tmp_path):
    async with (
        SlowUnit(lambda _: 1.5 * T) as unit,
        connector(tmp_path, behind_a_server(unit)) as modbus,
    ):
        for address in range(20):
            with pytest.raises(UNANSWERED):
                await modbus.read_holding_registers(address, 2)
        assert unit.answered > 10


@in_virtual_time
async def test_what_is_asked_to_tell_replies_apart_touches_nothing_that_is_forbidden(tmp_path):
    asked = []
    waits = {10: 2.5 * T}

    def wait(request):
        address, count = request[2] << 8 | request[3], request[4] << 8 | request[5]
        asked.extend(range(address, address + count))
        return waits.pop(request[3], 0.0)

    walls = {"forbidden": ["11-20", 9]}
    async with (
        SlowUnit(wait) as unit,
        connector(tmp_path, behind_a_server(unit), **walls) as modbus,
    ):
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(10)
        for _ in range(3):
            with contextlib.suppress(*UNANSWERED):
                assert await modbus.read_holding_registers(30) == [30]
    assert not set(asked) & {*range(11, 21), 9}


@in_virtual_time
async def test_a_late_confirmation_is_not_taken_for_that_of_the_next_write(tmp_path):
    """The replies to both are alike: function 16 repeats address and count, no values."""
    waits = iter([2.5 * T, 2.0 * T])
    async with (
        SlowUnit(lambda _: next(waits, 0.0)) as unit,
        connector(tmp_path, behind_a_server(unit)) as modbus,
    ):
        with pytest.raises(RequestTimeout) as lost:
            await modbus.write_registers(7, [1, 2])
        assert lost.value.maybe_done
        with pytest.raises(RequestTimeout) as unsent:
            await modbus.write_registers(7, [3, 4])
        assert not unsent.value.maybe_done, "what lies before it was asked first"
        await modbus.write_registers(7, [5, 6])
        assert unit.done == [(7, 1), (8, 2), (7, 5), (8, 6)]


@pytest.mark.parametrize("seed", range(12))
@in_virtual_time
async def test_whatever_is_late_every_answer_belongs_to_its_question(tmp_path, seed):
    """Reads, writes and refusals at random, of a device that is up to nine time-outs late."""
    chance = random.Random(seed)
    lateness = [0.0] * 12 + [0.5, 1.2, 1.9, 2.4, 3.6, 6.0, 9.0]
    outcomes = {"value": 0, "written": 0, "refused": 0, "unanswered": 0}
    async with (
        SlowUnit(lambda _: T * chance.choice(lateness), refused=range(900, 1000)) as unit,
        connector(tmp_path, behind_a_server(unit)) as modbus,
    ):
        for number in range(250):
            outcomes[await one_request(chance, modbus, unit, number)] += 1
    assert all(outcomes.values()), outcomes


async def one_request(chance, modbus, unit, number):
    address = chance.choice([10, 20, 30, 40, 50, 950])
    try:
        if chance.random() < 0.3:
            wanted = (address, 10_000 + number)
            try:
                await modbus.write_register(*wanted)
            except RequestFailed:
                assert wanted in unit.turned_down
                return "refused"
            assert wanted in unit.done
            return "written"
        count = chance.choice([1, 1, 2, 3])
        before = dict(unit.registers)
        values = await modbus.read_holding_registers(address, count)
    except UNANSWERED:
        return "unanswered"
    except RequestFailed:
        assert address == 950
        return "refused"
    place = range(address, address + count)
    possible = [{before.get(a, a), unit.registers.get(a, a)} for a in place]
    assert all(value in maybe for value, maybe in zip(values, possible, strict=True))
    return "value"
