"""ASCII on a pair of pseudo-terminals, against libmodbuspy."""

from __future__ import annotations

import struct

import pytest

from gl002.context import Context
from gl002.errors import RequestTimeout, TagNotFound
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.libmodbus import SerialLibModbusPy

PATIENCE = 30.0  # seconds for what comes; how fast the machine is decides no test
CERTAINLY = 1500  # ms after which no late reply is on its way any more, on any machine


@pytest.fixture(scope="module")
def server():
    with SerialLibModbusPy() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.clear()
    return server


@pytest.fixture
async def modbus(server, tmp_path, no_leaks):
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    settings = {
        "type": "ascii", "port": str(server.device), "baudrate": 115200, "timeout": PATIENCE,
        "retry_count": 0,
    }  # fmt: skip
    connector = AsyncModbusConnector(settings, context=context)
    yield connector
    await connector.close()
    context.audit.close()


async def test_the_calls_of_the_guide_work_in_ascii(peer, modbus):
    peer.set_bytes(1, "holding", 1000, struct.pack(">10f", *range(10)))
    peer.set_bytes(1, "input", 2000, struct.pack(">5h", -2, -1, 0, 1, 2))
    assert await modbus.read_holding_registers(1000, 10, "float32") == list(range(10))
    assert await modbus.read_input_registers(2000, 5, "int16") == [-2, -1, 0, 1, 2]
    await modbus.write_register(3000, 1234)
    await modbus.write_registers(3001, [100, 200, 300])
    await modbus.write_coil(5, True)
    assert peer.get(1, "holding", 3000, 4) == [1234, 100, 200, 300]
    assert await modbus.read_coils(5, 3) == [True, False, False]
    assert (await modbus.check()).ok


async def test_functions_22_and_23_work_in_ascii(peer, modbus):
    peer.set(1, "holding", 5, 0xA005)
    await modbus.mask_write_register(5, 0xFF0F, 0x0050)
    assert peer.get(1, "holding", 5) == [0xA055]
    peer.set(1, "holding", 100, 7, 8)
    # as many out as in: the peer confuses the two counts (libmodbus does not, see test_modbus)
    assert await modbus.read_write_registers(100, 2, 200, [1, 2]) == [7, 8]
    assert peer.get(1, "holding", 200, 2) == [1, 2]
    assert [request.function for request in peer.asked()] == [22, 23]


async def test_the_longest_reply_comes_whole(peer, modbus):
    peer.set(1, "holding", 0, *range(125))
    assert await modbus.read_holding_registers(0, 125) == list(range(125))


async def test_a_refusal_is_an_answer(peer, modbus):
    with pytest.raises(TagNotFound, match="exception 02"):
        await modbus.read_holding_registers(6000)
    assert await modbus.read_holding_registers(1) == [0]


async def test_a_late_reply_in_ascii_is_never_taken_for_the_next(peer, modbus):
    peer.set(1, "holding", 1, 11)
    peer.set(1, "holding", 2, 22)
    assert await modbus.read_holding_registers(1) == [11]
    for _ in range(2):
        modbus.set_timeout(150)
        peer.freeze()
        try:
            with pytest.raises(RequestTimeout):
                await modbus.read_holding_registers(1)
        finally:
            peer.thaw()
        modbus.set_timeout(CERTAINLY)
        assert await modbus.read_holding_registers(2) == [22]
