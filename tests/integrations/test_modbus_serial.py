"""RTU, on a pair of pseudo-terminals and through a serial device server, against libmodbus.

A pseudo-terminal has no baud rate, no parity and no collisions: those are not tested here.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from peers.modbus_units import ModbusUnits
from virtual_time import in_virtual_time

PATIENCE = 30.0  # seconds for what comes; how fast the machine is decides no test
CERTAINLY = 1500  # ms after which no late reply is on its way any more, on any machine


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
        return {
            "type": "rtu_over_tcp", "host": "127.0.0.1", "port": server.port, "timeout": PATIENCE,
        }  # fmt: skip
    return {
        "type": "rtu", "port": str(server.device), "baudrate": 115200, "parity": "N",
        "stopbits": 1, "bytesize": 8, "timeout": PATIENCE,
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
    assert await modbus.read_holding_registers(1) == [11]
    for _ in range(2):
        modbus.set_timeout(100)
        peer.freeze()
        try:
            with pytest.raises(RequestTimeout):
                await modbus.read_holding_registers(1)
        finally:
            peer.thaw()
        await asyncio.to_thread(peer.get, 1, "holding", 1)  # it has answered by then
        modbus.set_timeout(CERTAINLY)
        assert await modbus.read_holding_registers(2) == [22]


async def test_a_late_reply_to_a_cancelled_request_is_not_taken_for_the_next(peer, make):
    peer.set(1, "holding", 1, 11)
    peer.set(1, "holding", 2, 22)
    modbus = make()
    await modbus.connect()
    peer.freeze()
    try:
        reading = asyncio.create_task(modbus.read_holding_registers(1))
        await asyncio.sleep(0.03)  # it is sent meanwhile
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    finally:
        peer.thaw()
    await asyncio.to_thread(peer.get, 1, "holding", 1)
    modbus.set_timeout(CERTAINLY)
    assert await modbus.read_holding_registers(2) == [22]


async def test_a_slave_that_is_not_there_spoils_no_value_of_the_one_that_is(peer, make):
    peer.set(1, "holding", 1, 77)
    modbus = make(devices=[device(1), device(9)])
    await modbus.connect()
    modbus.set_timeout(150)
    here, gone = [], []
    source = modbus.source(modbus.Input.parse({"source": "modbus"}))
    async with contextlib.aclosing(flow(source)) as batches:
        async for batch in batches:
            here += [s for s in batch if s.tag == "d1.r1" and is_good(s.quality)]
            gone += [s for s in batch if s.tag == "d9.r1"]
            if len(here) > 25 and len(gone) > 5:
                break
    await until_it_answers(modbus)
    assert {sample.value for sample in here} == {77}
    assert {sample.quality for sample in gone} == {int(Quality.BAD_NO_COMMUNICATION)}
    assert sum(request.unit == 9 for request in peer.asked()) == 0, "the peer hears unit 1 only"


async def until_it_answers(modbus):
    """The peer takes what follows a request to unit 9 for the missing answer: not of the next test.

    Source: libmodbus, modbus-rtu.c, `confirmation_to_ignore`.
    """
    while True:
        with contextlib.suppress(ConnectFailed, RequestTimeout):
            return await modbus.read_holding_registers(1, slave_id=1)


async def flow(source):
    """Batches of a source, started again after an error as the flow does it."""
    while True:
        with contextlib.suppress(ConnectFailed, RequestTimeout):
            async with source.open() as batches:
                async for batch in batches:
                    yield batch
        await asyncio.sleep(0.05)


def device(unit):
    return {
        "slave_id": unit, "name": f"d{unit}", "polling_interval": 20,
        "registers": [{"name": "r1", "address": 1}],
    }  # fmt: skip


# ---- on the wire, in time of their own ---------------------------------------------------------


@contextlib.asynccontextmanager
async def two_devices(port, tmp_path, kind="rtu_over_tcp"):
    """A connector to units 1 and 2, and the batches of its source."""
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    devices = [device(unit) for unit in (1, 2)]
    line = {"type": kind, "host": "127.0.0.1", "port": port, "timeout": 0.1, "retry_count": 0}
    modbus = AsyncModbusConnector({"connection": line, "devices": devices}, context=context)
    try:
        async with modbus.source(modbus.Input.parse({"source": "modbus"})).open() as batches:
            yield modbus, batches
    finally:
        await modbus.close()
        context.audit.close()


@in_virtual_time
async def test_a_dead_slave_costs_one_time_out_in_each_period_and_no_more(tmp_path):
    """Two devices of which one is dead: what is on the wire, and when."""
    async with ModbusUnits("rtu") as units, two_devices(units.port, tmp_path) as (_, batches):
        units.silent = {2}
        start = time.monotonic()
        async for batch in batches:
            here = [s for s in batch if s.tag == "d1.r1"]
            assert all(is_good(s.quality) and s.value == 1 for s in here)
            if time.monotonic() - start > 3:
                break
    dead, living = ([q.moment for q in units.asked if q.unit == unit] for unit in (2, 1))
    assert 2 <= len(dead) <= 5, "waits of 0.5, 2.5, 30 s, each up to half shorter"
    assert min(later - before for before, later in itertools.pairwise(dead)) > 0.2
    gaps = [later - before for before, later in itertools.pairwise(living)]
    long = [gap for gap in gaps if gap > 0.03]
    assert len(long) <= len(dead), "a pause of the living one for each question to the dead"
    assert max(long) <= 0.1 + 2 * 0.02 + 0.01, "one time-out, then the next point of the grid"


@in_virtual_time
async def test_a_device_that_keeps_still_after_the_silence_of_another_is_not_silent_itself(
    tmp_path,
):
    async with ModbusUnits("rtu") as units, two_devices(units.port, tmp_path) as (_, batches):
        units.silent, units.easily_confused = {2}, True
        samples = [s for batch in await first_of(batches, 60) for s in batch]
    assert {is_good(s.quality) for s in samples if s.tag == "d1.r1"} == {True}
    assert units.units().count(2) > 1


@in_virtual_time
async def test_a_late_reply_of_one_device_is_dropped_while_another_is_asked(tmp_path):
    late = rtu(2, body_of([99]))

    def answer(request):
        return [late + rtu(1, body_of([7]))] if request[0] == 1 else []

    async with Liar(answer) as liar, two_devices(liar.port, tmp_path) as (modbus, _):
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(1, slave_id=2)
        start = time.monotonic()
        assert await modbus.read_holding_registers(1, slave_id=1) == [7]
        assert time.monotonic() - start < 0.09, "nobody waits for the other's late reply"
        with pytest.raises(ConnectFailed, match="unit 2 answers"):
            await modbus.read_holding_registers(1, slave_id=1)  # it is awaited once only


@in_virtual_time
async def test_the_late_reply_of_a_device_is_not_taken_for_its_next(tmp_path):
    async with Liar() as liar, two_devices(liar.port, tmp_path) as (modbus, _):
        with pytest.raises(RequestTimeout):
            await modbus.read_holding_registers(1, slave_id=2)
        liar.noise = rtu(2, body_of([1]))
        await asyncio.sleep(0.02)
        liar.noise = b""
        liar.answer = lambda request: [rtu(2, body_of([request[3]] * request[5]))]
        assert await modbus.read_holding_registers(5, slave_id=2) == [5]


@pytest.mark.parametrize("late", [0.101, 0.15, 0.199])
@in_virtual_time
async def test_a_reply_up_to_a_whole_time_out_late_is_not_taken_for_the_next(tmp_path, late):
    """It comes on the connection opened since: a serial device server knows no connections."""
    async with Liar() as liar, two_devices(liar.port, tmp_path) as (modbus, _):
        for _ in range(3):
            liar.answer = lambda _: []
            asking = asyncio.create_task(modbus.read_holding_registers(1, slave_id=2))
            await asyncio.sleep(late)
            with pytest.raises(RequestTimeout):
                await asking
            liar.answer = lambda request: [rtu(2, body_of([request[3]] * request[5]))]
            reading = asyncio.create_task(modbus.read_holding_registers(5, slave_id=2))
            while liar.open == 0:
                await asyncio.sleep(0)
            liar.say(rtu(2, body_of([1])))
            assert await reading == [5]


@pytest.mark.parametrize(
    ("kind", "framed"), [("rtu_over_tcp", rtu), ("ascii_over_tcp", spelled)], ids=["rtu", "ascii"]
)
@in_virtual_time
async def test_of_two_replies_to_one_request_neither_is_believed(tmp_path, kind, framed):
    """The first may be late, and nothing in it says so."""
    async with (
        Liar(lambda _: [framed(1, body_of([9])) + framed(1, body_of([7]))]) as liar,
        two_devices(liar.port, tmp_path, kind) as (modbus, _),
    ):
        with pytest.raises(ConnectFailed, match="more bytes than a reply can have"):
            await modbus.read_holding_registers(1, slave_id=1)
        liar.answer = lambda sent: [framed(1, body_of([7] * count_in(sent, framed)))]
        assert await modbus.read_holding_registers(1, slave_id=1) == [7]


def count_in(request, framed):
    """How many registers a request asks for, 255 at most."""
    return (request if framed is rtu else bytes.fromhex(request[1:-2].decode()))[5]


# ---- the line ----------------------------------------------------------------------------------


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
