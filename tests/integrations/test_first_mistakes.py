"""What goes wrong in the first hour at a plant: the message says what, where and what to do."""

from __future__ import annotations

import errno

import pytest
import serial

from gl002.context import Context
from gl002.errors import ConnectFailed, RequestTimeout
from gl002.integrations.industrial import AsyncModbusConnector, OPCUAConnector
from gl002.model import Quality
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.liar import Liar
from peers.libmodbus import LibModbus
from peers.node_opcua import NodeOpcua


@pytest.fixture(scope="module")
def opc():
    with NodeOpcua() as peer:
        yield peer


@pytest.fixture(scope="module")
def modbus():
    with LibModbus() as peer:
        yield peer


@pytest.fixture
async def connect(tmp_path, no_leaks):
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made = []

    def new(kind, settings):
        made.append(kind(settings, context=context))
        return made[-1]

    yield new
    for connector in made:
        await connector.close()
    audit.close()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("ns=2;s=Boiler1.Nothing", "the server has no node ns=2;s=Boiler1.Nothing"),
        ("nsu=urn:nobody;s=X", "the server has no namespace 'urn:nobody'; it has: http://"),
        ("Speed", "2 nodes are called 'Speed': ns=2;s=LeftFan.Speed (LeftFan/Speed), "),
        ("stemflow", "no node is called 'stemflow'; similar: ns=2;s=Boiler1.SteamFlow"),
        ("ns=x;s=A", "no node is called 'ns=x;s=A'; if a node id is meant: 'ns=2;s=Name'"),
    ],
)
async def test_opc_ua_says_why_a_name_that_is_read_gives_nothing(connect, opc, caplog, asked, said):
    connector = connect(OPCUAConnector, {"url": opc.url})
    for _ in range(2):
        (sample,) = await connector.read([asked])
        assert sample.quality == Quality.BAD_NODE_ID_UNKNOWN
    assert caplog.text.count(said) == 1, caplog.text


async def test_opc_ua_on_another_kind_of_port_asks_whether_it_is_one(connect, modbus):
    connector = connect(OPCUAConnector, {"url": f"opc.tcp://127.0.0.1:{modbus.port}"})
    with pytest.raises(ConnectFailed, match="ended the connection without a greeting") as caught:
        await connector.connect()
    assert caught.value.hint == "is that port an OPC UA server's?"


async def test_modbus_says_once_that_a_name_is_no_register(connect, modbus, caplog):
    connector = connect(AsyncModbusConnector, {"host": "127.0.0.1", "port": modbus.port})
    for _ in range(2):
        samples = await connector.read(["40001", "foo"])
        assert [s.quality for s in samples] == [Quality.GOOD, Quality.BAD_NODE_ID_UNKNOWN]
    assert caplog.text.count("there is no register 'foo' (a number such as 40001, or a conf") == 1


async def test_modbus_over_tcp_asks_for_the_unit_that_does_not_answer(connect):
    async with Liar() as silent:
        connector = connect(
            AsyncModbusConnector,
            {"host": "127.0.0.1", "port": silent.port, "timeout": 30, "retry_count": 0},
        )
        await connector.connect()
        connector.set_timeout(100)
        with pytest.raises(RequestTimeout, match=r"unit 1: .* no answer within") as caught:
            await connector.read_holding_registers(1)
    assert caught.value.hint.startswith("is slave_id right?")


@pytest.mark.parametrize(
    ("number", "said", "hint"),
    [
        (errno.ENOENT, "No such file or directory", "is the adapter plugged in?"),
        (
            errno.EACCES,
            "Permission denied",
            "may this user open it? On Debian: the group 'dialout'",
        ),
        (errno.EBUSY, "Device or resource busy", "another program has it"),
    ],
)
async def test_modbus_says_what_to_do_about_a_port_that_does_not_open(
    connect, monkeypatch, number, said, hint
):
    """As the driver raises it: the user who runs tests may open everything."""

    def refuse(*_, **__):
        raise serial.SerialException(number, f"could not open port: [Errno {number}]")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    connector = connect(AsyncModbusConnector, {"type": "rtu", "port": "/dev/ttyUSB9"})
    with pytest.raises(ConnectFailed, match=f"/dev/ttyUSB9: {said}") as caught:
        await connector.connect()
    assert caught.value.hint.startswith(hint)
