"""RTU, on a pair of pseudo-terminals and through a serial device server, against libmodbus.

A pseudo-terminal has no baud rate, no parity and no collisions: those are not tested here.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
import sys
import time

import pytest

from gl002.connector import State, first_of
from gl002.context import Context
from gl002.errors import ConnectFailed, MissingDependency, RequestTimeout
from gl002.integrations.industrial import AsyncModbusConnector, ModbusConnector
from gl002.model import Quality, is_good
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.liar import Liar
from peers.libmodbus import RtuOverTcp, SerialLibModbus
from peers.modbus_frames import body_of, rtu, spelled


@pytest.fixture(scope="module", params=[SerialLibModbus, RtuOverTcp], ids=["rtu", "rtu_over_tcp"])
def server(request):
    with request.param() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.clear()
    return server


@pytest.fixture
def settings(server):
    if isinstance(server, RtuOverTcp):
        return {"type": "rtu_over_tcp", "host": "127.0.0.1", "port": server.port, "timeout": 0.5}
    return {
        "type": "rtu", "port": str(server.device), "baudrate": 115200, "parity": "N",
        "stopbits": 1, "bytesize": 8, "timeout": 0.5,
    }  # fmt: skip


@pytest.fixture
async def make(settings, tmp_path, no_leaks):
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    made = []

    def maker(**more):
        whole = more if "connection" in more else {**settings, "retry_count": 0, **more}
        made.append(AsyncModbusConnector(whole, context=context))
        return made[-1]

    yield maker
    for connector in made:
        await connector.close()
    context.audit.close()


async def test_the_calls_of_the_guide_work_over_a_serial_line(peer, make):
    peer.set_bytes(1, "holding", 1000, struct.pack(">10f", *range(10)))
    peer.set_bytes(1, "input", 2000, struct.pack(">5h", -2, -1, 0, 1, 2))
    modbus = make()
    assert await modbus.read_holding_registers(1000, 10, "float32") == list(range(10))
    assert await modbus.read_input_registers(2000, 5, "int16") == [-2, -1, 0, 1, 2]
    await modbus.write_register(3000, 1234)
    await modbus.write_registers(3001, [100, 200, 300])
    await modbus.write_coils(5, [True, False, True])
    assert peer.get(1, "holding", 3000, 4) == [1234, 100, 200, 300]
    assert await modbus.read_coils(5, 3) == [True, False, True]
    assert (await modbus.check()).ok


def test_the_blocking_class_works_over_a_serial_line(peer, settings, tmp_path):
    context = Context(network=Network(), audit=Audit(tmp_path / "a.jsonl"), state_dir=tmp_path)
    peer.set(1, "holding", 7, 77)
    with ModbusConnector(settings, context=context) as modbus:
        assert modbus.read_holding_registers(7) == [77]
    context.audit.close()


async def test_long_replies_come_whole(peer, make):
    peer.set(1, "holding", 0, *range(125))
    assert await make().read_holding_registers(0, 125) == list(range(125))


async def test_a_late_reply_is_never_taken_for_the_next(peer, make):
    peer.set(1, "holding", 1, 11)
    peer.set(1, "holding", 2, 22)
    modbus = make()
    modbus.set_timeout(100)
    assert await modbus.read_holding_registers(1) == [11]
    for _ in range(3):
        peer.tell("delay", 1, 150)
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(1)
        await asyncio.to_thread(peer.tell, "delay", 1, 0)
        assert await modbus.read_holding_registers(2) == [22]


async def test_a_late_reply_to_a_cancelled_request_is_not_taken_for_the_next(peer, make):
    peer.set(1, "holding", 1, 11)
    peer.set(1, "holding", 2, 22)
    modbus = make()
    modbus.set_timeout(500)
    await modbus.connect()
    peer.tell("delay", 1, 300)
    reading = asyncio.create_task(modbus.read_holding_registers(1))
    await asyncio.sleep(0.03)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.to_thread(peer.tell, "delay", 1, 0)
    assert await modbus.read_holding_registers(2) == [22]


async def test_a_slave_that_is_not_there_spoils_no_value_of_the_one_that_is(peer, make):
    def device(unit):
        return {
            "slave_id": unit, "name": f"d{unit}", "polling_interval": 20,
            "registers": [{"name": "r1", "address": 1}],
        }  # fmt: skip

    modbus = make(devices=[device(1), device(9)])
    modbus.set_timeout(150)
    source = modbus.source(modbus.Input.parse({"source": "modbus"}))
    async with source.open() as batches:
        samples = [s for batch in await first_of(batches, 60) for s in batch]
    here = [s for s in samples if s.tag == "d1.r1"]
    gone = [s for s in samples if s.tag == "d9.r1"]
    assert len(here) > 25
    assert all(is_good(sample.quality) for sample in here)
    assert {sample.quality for sample in gone} == {int(Quality.BAD_NO_COMMUNICATION)}
    assert sum(request.unit == 9 for request in peer.asked()) == 0, "the peer hears unit 1 only"


async def test_a_dead_slave_costs_one_time_out_in_each_period_and_no_more(make):
    """Two devices of which one is dead: what is on the wire, and when."""
    asked = []

    def answer(request):
        asked.append((request[0], time.monotonic()))
        return [rtu(1, body_of([7]))] if request[0] == 1 else []

    async with Liar(answer) as liar:
        modbus = make(**two_devices(liar.port))
        modbus.set_timeout(100)
        async with modbus.source(modbus.Input.parse({"source": "modbus"})).open() as batches:
            start = time.monotonic()
            async for batch in batches:
                here = [s for s in batch if s.tag == "d1.r1"]
                assert all(is_good(s.quality) and s.value == 7 for s in here)
                if time.monotonic() - start > 3:
                    break
        await modbus.close()
    dead = [moment for unit, moment in asked if unit == 2]
    assert 2 <= len(dead) <= 5, "waits of 0.5, 2.5, 30 s, each up to half shorter"
    assert min(later - before for before, later in itertools.pairwise(dead)) > 0.2
    gaps = [
        later - before for before, later in itertools.pairwise(m for unit, m in asked if unit == 1)
    ]
    long = [gap for gap in gaps if gap > 0.08]
    assert len(long) <= len(dead) + 1, "a pause of the living one for each question to the dead"
    assert sum(long) < 0.1 * 2 * len(dead) + 0.3


async def test_a_late_reply_of_one_device_is_dropped_while_another_is_asked(make):
    late = rtu(2, body_of([99]))

    def answer(request):
        return [late + rtu(1, body_of([7]))] if request[0] == 1 else []

    async with Liar(answer) as liar:
        modbus = make(**two_devices(liar.port))
        modbus.set_timeout(100)
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(1, slave_id=2)
        start = time.monotonic()
        assert await modbus.read_holding_registers(1, slave_id=1) == [7]
        assert time.monotonic() - start < 0.09, "nobody waits for the other's late reply"
        with pytest.raises(ConnectFailed, match="unit 2 answers"):
            await modbus.read_holding_registers(1, slave_id=1)  # it is awaited once only
        await modbus.close()


async def test_the_late_reply_of_a_device_is_not_taken_for_its_next(make):
    async with Liar() as liar:
        modbus = make(**two_devices(liar.port))
        modbus.set_timeout(100)
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(1, slave_id=2)
        liar.noise = rtu(2, body_of([1]))
        await asyncio.sleep(0.02)
        liar.noise = b""
        liar.answer = lambda request: [rtu(2, body_of([request[3]]))]
        assert await modbus.read_holding_registers(5, slave_id=2) == [5]
        await modbus.close()


@pytest.mark.parametrize(
    ("kind", "framed"), [("rtu_over_tcp", rtu), ("ascii_over_tcp", spelled)], ids=["rtu", "ascii"]
)
async def test_of_two_replies_to_one_request_neither_is_believed(make, kind, framed):
    """The first may be late, and nothing in it says so."""
    async with Liar(lambda _: [framed(1, body_of([9])) + framed(1, body_of([7]))]) as liar:
        settings = two_devices(liar.port)
        modbus = make(**{**settings, "connection": {**settings["connection"], "type": kind}})
        modbus.set_timeout(100)
        with pytest.raises(ConnectFailed, match="more bytes than a reply can have"):
            await modbus.read_holding_registers(1, slave_id=1)
        liar.answer = lambda _: [framed(1, body_of([7]))]
        assert await modbus.read_holding_registers(1, slave_id=1) == [7]
        await modbus.close()


def two_devices(port):
    devices = [
        {
            "slave_id": unit, "name": f"d{unit}", "polling_interval": 20,
            "registers": [{"name": "r1", "address": 1}],
        }
        for unit in (1, 2)
    ]  # fmt: skip
    line = {"type": "rtu_over_tcp", "host": "127.0.0.1", "port": port, "retry_count": 0}
    return {"connection": line, "devices": devices}


@pytest.mark.parametrize("server", [SerialLibModbus], indirect=True)
async def test_frames_keep_their_distance(peer, make):
    modbus = make(baudrate=1200)
    start = time.monotonic()
    for _ in range(5):
        await modbus.read_holding_registers(1)
    assert time.monotonic() - start >= 4 * 3.5 * 11 / 1200


@pytest.fixture
async def nowhere(tmp_path, no_leaks):
    """A connector to a serial port that is not there."""
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    connector = AsyncModbusConnector(
        {"type": "rtu", "port": str(tmp_path / "ttyUSB9")}, context=context
    )
    yield connector
    await connector.close()
    context.audit.close()


async def test_a_device_file_that_is_not_there_is_a_connection_error(nowhere):
    with pytest.raises(ConnectFailed, match="ttyUSB9"):
        await nowhere.connect()
    assert nowhere.state is State.RETRYING


async def test_without_the_serial_driver_the_install_line_is_named(nowhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    monkeypatch.setattr(sys, "path", [])
    sys.path_importer_cache.clear()
    with pytest.raises(MissingDependency, match=r'pip install "gl002\[modbus\]"'):
        await nowhere.connect()
