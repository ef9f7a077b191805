"""What is special to Modbus, against libmodbus; what all connectors promise is in the contract."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import struct
import time

import pytest

from gl002.bridge import portal
from gl002.config.load import load
from gl002.connector import State, first_of
from gl002.context import Context
from gl002.errors import (
    ConfigError,
    ConnectFailed,
    DataError,
    RequestFailed,
    RequestTimeout,
    TagNotFound,
    Unsupported,
)
from gl002.integrations.industrial import AsyncModbusConnector, ModbusConnector
from gl002.model import Quality, is_good
from gl002.registry import kind_of
from gl002.security.audit import Audit, read
from gl002.security.network import Network
from peers.libmodbus import Asked, LibModbus
from peers.modbus_units import ModbusUnits
from virtual_time import in_virtual_time

GOOD = int(Quality.GOOD)
UNKNOWN = int(Quality.BAD_NODE_ID_UNKNOWN)
SILENT = int(Quality.BAD_NO_COMMUNICATION)
PATIENCE = 30.0  # seconds for what comes; how fast the machine is decides no test


@pytest.fixture(scope="module")
def server():
    with LibModbus() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.clear()
    return server


@pytest.fixture
def context(tmp_path):
    made = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    yield made
    made.audit.close()


@pytest.fixture
async def make(server, context, no_leaks):
    """Makes connectors to the peer and closes them."""
    made = []

    def maker(**settings):
        connection = {
            "host": "127.0.0.1", "port": server.port, "timeout": PATIENCE, "retry_count": 0,
        }  # fmt: skip
        flat = {"devices", "connection"}.isdisjoint(settings)
        config = {**connection, **settings} if flat else {"connection": connection, **settings}
        made.append(AsyncModbusConnector(config, context=context))
        return made[-1]

    yield maker
    for connector in made:
        await connector.close()
    context.audit.close()


def registers(*addresses, **keys):
    return [{"name": f"r{address}", "address": address, **keys} for address in addresses]


def device(unit, *addresses, name=None, interval=10, **keys):
    return {
        "slave_id": unit,
        "name": name or f"d{unit}",
        "polling_interval": interval,
        "registers": registers(*addresses),
        **keys,
    }


def source(connector, **spec):
    return connector.source(connector.Input.parse({"source": "modbus", **spec}))


async def polls(connector, count, **spec):
    """The first batches of a source."""
    async with source(connector, **spec).open() as batches:
        return await first_of(batches, count)


def qualities(batch):
    return {sample.tag: sample.quality for sample in batch}


# ---- the guide --------------------------------------------------------------------------------


def test_the_guides_calls_do_what_the_guide_says(peer, context):
    floats = [1.5 * i for i in range(10)]
    peer.set_bytes(1, "holding", 1000, struct.pack(">10f", *floats))
    peer.set_bytes(1, "input", 2000, struct.pack(">5h", -2, -1, 0, 1, 2))
    tcp_config = {
        "type": "tcp", "host": "127.0.0.1", "port": peer.port, "slave_id": 1, "timeout": 3.0,
    }  # fmt: skip
    modbus = ModbusConnector(tcp_config, context=context)
    modbus.set_timeout(1000 * PATIENCE)
    modbus.connect()
    values = modbus.read_holding_registers(address=1000, count=10, data_type="float32")
    assert values == floats
    inputs = modbus.read_input_registers(address=2000, count=5, data_type="int16")
    assert inputs == [-2, -1, 0, 1, 2]
    modbus.write_register(address=3000, value=1234)
    modbus.write_registers(address=3001, values=[100, 200, 300])
    assert peer.get(1, "holding", 3000, 4) == [1234, 100, 200, 300]
    register_map = {
        "steam_flow": {"address": 1000, "type": "float32", "scale": 1.0},
        "pressure": {"address": 1002, "type": "float32", "scale": 1.0},
        "temperature": {"address": 1004, "type": "float32", "scale": 0.1},
    }
    assert modbus.read_mapped_values(register_map) == {
        "steam_flow": 0.0, "pressure": 1.5, "temperature": 0.3,
    }  # fmt: skip
    modbus.close()
    functions = [request.function for request in peer.asked()]
    assert functions == [3, 4, 6, 16, 3]


GUIDE_YAML = """
integrations:
  enabled: [modbus]
  modbus:
    connection: {{type: tcp, host: 127.0.0.1, port: {port}, timeout: 3.0, retry_count: 3}}
    devices:
      - slave_id: 1
        name: Boiler1
        registers:
          - name: steam_flow
            address: 40001
            type: holding
            format: float32
            byte_order: ABCD
            scale: 1.0
            unit: lb/hr
          - name: pressure
            address: 40003
            type: holding
            format: int16
            scale: 0.1
            offset: 0
            unit: psig
  data_flow:
    input:
      - source: modbus
"""


async def test_the_guides_register_configuration_delivers_values_in_their_units(
    peer, context, tmp_path
):
    peer.set_bytes(1, "holding", 0, struct.pack(">fh", 50000.0, -123))
    file = tmp_path / "integrations.yaml"
    file.write_text(GUIDE_YAML.format(port=peer.port))
    config = load(file)
    connection = config.connections["modbus"]
    ((name, spec),) = config.inputs
    connector = AsyncModbusConnector(connection.settings, context=context)
    connector.set_timeout(1000 * PATIENCE)
    async with connector:
        assert name == connector.name
        stream = connector.source(spec)
        assert [(tag.name, tag.unit, tag.type) for tag in stream.tags()] == [
            ("Boiler1.steam_flow", "lb/hr", "float"), ("Boiler1.pressure", "psig", "float"),
        ]  # fmt: skip
        assert "unit 1 holding 0 (40001)" in stream.tags()[0].address
        async with stream.open() as batches:
            batch = await anext(batches)
    assert [(s.tag, s.value, s.quality) for s in batch] == [
        ("Boiler1.steam_flow", 50000.0, GOOD), ("Boiler1.pressure", -12.3, GOOD),
    ]  # fmt: skip


GUIDE_FLOW = """
integrations:
  enabled: [modbus]
  modbus:
    devices:
      - name: boiler1
        host: ${GL002_MODBUS_HOST}
        port: %d
        slave_id: 1
        polling_interval: 1000
  data_flow:
    input:
      - source: modbus
        registers: [40001, 40002, 40003]
"""


async def test_the_guides_bare_numbers_are_unsigned_registers_named_after_their_device(
    peer, context, tmp_path
):
    peer.set(1, "holding", 0, 7, 65535, 9)
    file = tmp_path / "integrations.yaml"
    file.write_text(GUIDE_FLOW % peer.port)
    config = load(file, {"GL002_MODBUS_HOST": "127.0.0.1"})
    connection = config.connections["modbus.boiler1"]
    ((name, spec),) = config.inputs
    assert name == "modbus.boiler1"
    connector = AsyncModbusConnector(connection.settings, name=name, context=context)
    connector.set_timeout(1000 * PATIENCE)
    async with connector, connector.source(spec).open() as batches:
        batch = await anext(batches)
    assert {s.tag: s.value for s in batch} == {
        "boiler1.40001": 7, "boiler1.40002": 65535, "boiler1.40003": 9,
    }  # fmt: skip
    assert peer.asked() == [Asked(1, 3, 0, 3)]


def test_the_variable_of_the_guide_alone_is_a_connection(tmp_path):
    file = tmp_path / "integrations.yaml"
    file.write_text("integrations: {enabled: [modbus]}\n")
    config = load(file, {"GL002_MODBUS_HOST": "10.1.2.3"})
    settings = config.connections["modbus"].settings
    assert (settings.connection.host, settings.connection.port) == ("10.1.2.3", 502)


def test_a_serial_configuration_of_the_guide_is_understood():
    rtu_config = {
        "type": "rtu", "port": "/dev/ttyUSB0", "baudrate": 9600, "parity": "N", "stopbits": 1,
        "bytesize": 8, "slave_id": 1,
    }  # fmt: skip
    connector = ModbusConnector(rtu_config).aio
    line = connector.config.connection.line
    assert (line.port, line.baudrate, line.parity) == ("/dev/ttyUSB0", 9600, "N")
    assert line.silence == pytest.approx(3.5 * 11 / 9600)
    assert list(connector.endpoints()) == []


# ---- configuration ----------------------------------------------------------------------------


def instances(block):
    return [(i.name, i.path, i.settings) for i in AsyncModbusConnector.instances(block)]


def test_devices_with_hosts_of_their_own_are_connections_of_their_own():
    block = {
        "timeout": 5,
        "devices": [
            {"name": "boiler1", "host": "10.0.0.1"},
            {"host": "10.0.0.2", "timeout": 1, "slave_id": 7},
        ],
    }
    (first, path, one), (second, _, two) = instances(block)
    assert (first, second) == ("modbus.boiler1", "modbus.2")
    assert path == ("devices", 0)
    checked = [AsyncModbusConnector.Config.parse(settings) for settings in (one, two)]
    assert [c.connection.timeout for c in checked] == [5, 1]
    assert [c.devices[0].slave_id for c in checked] == [1, 7]
    assert [c.devices[0].label for c in checked] == ["boiler1", "slave7"]


def test_a_shared_connection_block_fills_what_a_device_leaves_out():
    block = {
        "connection": {"port": 1502, "timeout": 2},
        "devices": [{"name": "a", "host": "h1"}, {"name": "b", "host": "h2", "port": 503}],
    }
    checked = [AsyncModbusConnector.Config.parse(s) for _, _, s in instances(block)]
    assert [(c.connection.host, c.connection.port) for c in checked] == [("h1", 1502), ("h2", 503)]


def test_devices_on_one_connection_stay_one_connection():
    block = {"connection": {"host": "h"}, "devices": [{"slave_id": 1}, {"slave_id": 2}]}
    assert instances(block) == [("modbus", (), block)]


def test_a_mistake_in_a_device_is_named_with_its_line(tmp_path):
    file = tmp_path / "integrations.yaml"
    file.write_text(
        "integrations:\n"
        "  enabled: [modbus]\n"
        "  modbus:\n"
        "    devices:\n"
        "      - name: boiler1\n"
        "        host: 10.0.0.1\n"
        "        slave_id: 900\n"
        "        polling_intervall: 1000\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    message = str(caught.value)
    assert f"{file}:7:19: integrations.modbus.devices[0].slave_id" in message
    assert f"{file}:8:9:" in message
    assert "did you mean 'polling_interval'?" in message


def test_a_url_of_the_command_line_names_host_port_and_slave():
    parse = AsyncModbusConnector.settings_of
    assert parse("modbus://10.0.0.7:1502/3") == {"host": "10.0.0.7", "port": 1502, "slave_id": "3"}
    assert parse("modbus://plc.local") == {"host": "plc.local", "port": 502}
    connector = AsyncModbusConnector(parse("modbus://10.0.0.7/3"))
    assert connector.config.devices[0].slave_id == 3


@pytest.mark.parametrize(
    ("url", "kind", "port", "more"),
    [
        ("modbus+tls://plc.local/2", "tls", 802, {}),
        ("modbus+rtu-over-tcp://10.0.0.7:4001?slave_id=2&baudrate=19200", "rtu_over_tcp", 4001,
         {"baudrate": 19200}),
        ("modbus+rtu:///dev/ttyUSB0?baudrate=19200&parity=E&slave_id=2", "rtu", "/dev/ttyUSB0",
         {"baudrate": 19200, "parity": "E"}),
        ("modbus+ascii:///dev/ttyUSB0?bytesize=7&slave_id=2", "ascii", "/dev/ttyUSB0",
         {"bytesize": 7}),
    ],
)  # fmt: skip
def test_a_url_of_the_command_line_may_name_any_kind_of_line(url, kind, port, more):
    assert kind_of(url) == "modbus"
    config = AsyncModbusConnector(AsyncModbusConnector.settings_of(url)).config
    assert (config.connection.type, config.connection.port) == (kind, port)
    assert config.devices[0].slave_id == 2
    assert {key: getattr(config.connection, key) for key in more} == more


def test_a_url_with_a_wrong_key_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'baudrate'"):
        AsyncModbusConnector(AsyncModbusConnector.settings_of("modbus+rtu:///dev/x?baudrat=1"))


def test_a_number_in_an_input_that_is_no_register_is_named_with_its_line(tmp_path):
    file = tmp_path / "integrations.yaml"
    file.write_text(GUIDE_FLOW.replace("40002", "70002") % 502)
    with pytest.raises(ConfigError) as caught:
        load(file, {"GL002_MODBUS_HOST": "10.0.0.1"})
    assert f"{file}:14:20: integrations.data_flow.input[0].registers: 70002" in str(caught.value)


async def test_with_several_devices_a_call_must_say_which(peer, make):
    connector = make(devices=[{"slave_id": 1}, {"slave_id": 2}])
    with pytest.raises(ConfigError, match="1, 2"):
        await connector.write_register(0, 1)
    await connector.write_register(0, 5, slave_id=2)
    assert (peer.get(1, "holding", 0), peer.get(2, "holding", 0)) == ([0], [5])


def test_an_input_that_names_what_is_not_configured_is_refused_with_a_suggestion(context):
    connector = AsyncModbusConnector(
        {"host": "h", "name": "boiler1", "registers": registers(1, 2)}, context=context
    )
    with pytest.raises(ConfigError, match=r"did you mean 'boiler1\.r2'"):
        source(connector, tags=["boiler1.r3"])
    with pytest.raises(ConfigError, match="no device 'boiler2'"):
        source(connector, device="boiler2")
    with pytest.raises(ConfigError, match="no register to read"):
        source(AsyncModbusConnector({"host": "h"}, context=context))


def test_the_prefix_of_an_input_stands_before_every_tag(context):
    connector = AsyncModbusConnector(
        {"host": "h", "name": "b", "registers": registers(1)}, context=context
    )
    tags = source(connector, prefix="north.", tags=["r1"], registers=[7]).tags()
    assert [tag.name for tag in tags] == ["north.b.r1", "north.b.7"]


# ---- values -----------------------------------------------------------------------------------

VALUES = [
    ("int16", -12), ("uint16", 65535), ("int32", -70000), ("uint32", 4_000_000_000),
    ("int64", -(2**62)), ("uint64", 2**63 + 1), ("float16", 1.5), ("float32", 485.25),
    ("float64", 1e100), ("bcd16", 1234), ("bcd32", 87654321), ("bool", True),
]  # fmt: skip


@pytest.mark.parametrize("byte_order", ["ABCD", "CDAB", "BADC", "DCBA"])
async def test_every_type_in_every_order_goes_to_the_device_and_back(peer, make, byte_order):
    connector = make()
    for i, (data_type, value) in enumerate(VALUES):
        address = 10 * i
        await connector.write_registers(address, [value, value], data_type, byte_order=byte_order)
        seen = await connector.read_holding_registers(address, 2, data_type, byte_order=byte_order)
        assert seen == [value, value], data_type
    words = peer.get(1, "holding", 10 * 7, 2)
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    packed = struct.pack(">f", 485.25)
    assert raw == bytes(packed["ABCD".index(letter)] for letter in byte_order)


async def test_text_is_read_with_its_length_in_registers(peer, make):
    peer.set_bytes(1, "input", 50, b"BOILER-1\0\0BOILER-2\0\0")
    seen = await make().read_input_registers(50, 2, "string", length=5)
    assert seen == ["BOILER-1", "BOILER-2"]


async def test_count_counts_values_and_many_take_several_requests(peer, make):
    floats = [float(i) for i in range(200)]
    peer.set_bytes(1, "holding", 100, struct.pack(">200f", *floats))
    assert await make().read_holding_registers(100, 200, "float32") == floats
    lengths = [request.count for request in peer.asked()]
    assert lengths == [124, 124, 124, 28], "no value is torn by the end of a request"


async def test_bits_are_read_and_switched(peer, make):
    connector = make()
    pattern = [i % 3 == 0 for i in range(2500)]
    await connector.write_coils(0, pattern[:1968])
    await connector.write_coils(1968, pattern[1968:])
    await connector.write_coil(1, True)
    pattern[1] = True
    assert await connector.read_coils(0, 2500) == pattern
    peer.set(1, "discrete", 9, 1)
    assert await connector.read_discrete_inputs("10009", 3) == [False, True, False]
    assert peer.get(1, "coil", 0, 4) == [1, 1, 0, 1]


async def test_both_notations_reach_the_same_register(peer, make):
    peer.set(1, "holding", 7, 77)
    peer.set(1, "holding", 8, 88)
    connector = make()
    assert await connector.read_holding_registers(7) == [77]
    assert await connector.read_holding_registers(40008) == [77]
    assert await connector.read_holding_registers(400008) == [77]
    assert await make(address_base=1).read_holding_registers(8) == [77]
    assert await make(address_base=0).read_holding_registers(8) == [88]
    with pytest.raises(ConfigError, match="address_base"):
        await connector.read_input_registers(40008)


async def test_a_bit_field_is_changed_without_touching_its_neighbours(peer, make):
    peer.set(1, "holding", 5, 0b1010_0000_0000_0101)
    fields = [
        {"name": "mode", "address": 5, "bit": 4, "bits": 3},
        {"name": "run", "address": 5, "bit": 0},
    ]
    connector = make(name="b", registers=fields)
    assert [s.value for s in await connector.read(["b.mode", "b.run"])] == [0, True]
    await connector.write("b.mode", 5)
    await connector.write("b.run", False)
    assert peer.get(1, "holding", 5) == [0b1010_0000_0101_0100]
    assert [request.function for request in peer.asked()][-2:] == [22, 22]


async def test_a_bit_field_of_a_longer_number_is_changed_in_the_one_register_it_lies_in(peer, make):
    field = {"name": "mode", "address": 5, "format": "uint32", "byte_order": "CDAB", "bit": 20}
    connector = make(name="b", registers=[{**field, "bits": 3}, {**field, "name": "x", "bit": 30}])
    peer.set(1, "holding", 5, 0x0678, 0x1204)
    await connector.write("b.mode", 5)
    assert peer.get(1, "holding", 5, 2) == [0x0678, 0x1254]
    assert [s.value for s in await connector.read(["b.mode"])] == [5]
    across = make(name="b", registers=[{**field, "bit": 14, "bits": 4}])
    with pytest.raises(DataError, match="across two registers"):
        await across.write("b.mode", 3)


async def test_a_mask_changes_some_bits_and_leaves_the_others(peer, make, context):
    peer.set(1, "holding", 5, 0xA005)
    connector = make()
    await connector.mask_write_register(40006, 0xFF0F, 0x0050)
    assert peer.get(1, "holding", 5) == [0xA055]
    with pytest.raises(DataError, match="16 bits"):
        await connector.mask_write_register(5, 0x10000, 0)
    await connector.close()
    context.audit.close()
    (entry,) = [e for e in read(context.audit.path) if e["action"] == "write"]
    assert entry["after"] == "and ff0f or 0050"


async def test_one_request_writes_and_then_reads(peer, make, context):
    peer.set_bytes(1, "holding", 100, struct.pack(">2f", 1.5, -2.5))
    connector = make()
    seen = await connector.read_write_registers(40101, 2, 200, [7.25, 8.0, 9.0], "float32")
    assert seen == [1.5, -2.5]
    assert await connector.read_holding_registers(200, 3, "float32") == [7.25, 8.0, 9.0]
    swapped = await connector.read_write_registers(
        300, 1, 300, [-70000], "int32", byte_order="CDAB"
    )
    assert swapped == [-70000], "the device writes first"
    assert [request.function for request in peer.asked()] == [23, 3, 23]
    for wrong in (
        (100, 0, 200, [1]),
        (100, 1, 200, []),
        (100, 1, 200, [0] * 122),
        (0, 126, 0, [1]),
    ):
        with pytest.raises(DataError):
            await connector.read_write_registers(*wrong)
    await connector.close()
    context.audit.close()
    entries = [e for e in read(context.audit.path) if e["action"] == "write"]
    assert [e["after"] for e in entries] == [[7.25, 8.0, 9.0], [-70000]]


async def test_text_of_several_registers_is_written_in_one_request(peer, make):
    connector = make()
    await connector.write_register(50, "BOILER-1", "string", length=5)
    assert await connector.read_holding_registers(50, 1, "string", length=5) == ["BOILER-1"]
    assert peer.get(1, "holding", 54) == [0]


async def test_a_name_may_be_short_or_long_or_a_bare_number(peer, make):
    peer.set(1, "holding", 3, 33)
    peer.set(2, "holding", 3, 66)
    one, two = device(1, 3, name="a"), device(2, 3, name="b")
    two["registers"].append({"name": "only", "address": 3})
    connector = make(devices=[one, two])
    asked = ["a.r3", "b.only", "only", "b.40004", "r3", "40004", "nonsense"]
    samples = await connector.read(asked)
    assert [s.tag for s in samples] == asked
    assert [s.value for s in samples] == [33, 66, 66, 66, None, None, None]
    assert [s.quality for s in samples[-3:]] == [UNKNOWN] * 3, "ambiguous, ambiguous, unknown"


async def test_a_map_is_read_with_one_request_and_a_refused_register_is_none(peer, make):
    peer.set(1, "holding", 100, 1, 2, 3)
    connector = make()
    register_map = {name: {"address": 100 + i} for i, name in enumerate("abc")}
    assert await connector.read_mapped_values(register_map) == {"a": 1, "b": 2, "c": 3}
    assert peer.asked() == [Asked(1, 3, 100, 3)]
    register_map["gone"] = {"address": 40101, "type": "input", "format": "float32"}
    with pytest.raises(ConfigError, match="address_base"):
        await connector.read_mapped_values(register_map)
    register_map["gone"] = {"address": 6000, "type": "float32"}
    assert (await connector.read_mapped_values(register_map))["gone"] is None
    with pytest.raises(ConfigError, match="unknown key 'adress'"):
        await connector.read_mapped_values({"a": {"adress": 1}})
    peer.tell("silent", 1)
    connector.set_timeout(100)
    with pytest.raises(RequestTimeout):
        await connector.read_mapped_values({"a": {"address": 100}})


# ---- exceptions -------------------------------------------------------------------------------


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


# ---- writing ----------------------------------------------------------------------------------


async def test_what_a_register_cannot_hold_is_refused_before_anything_is_sent(peer, make, context):
    connector = make(
        name="b",
        registers=registers(1, format="int16", scale=0.1) + registers(30002),
        address_base=None,
    )
    for call in (
        connector.write_register(1, 70000),
        connector.write_register(1, "12"),
        connector.write_register(1, float("nan")),
        connector.write_register(1, -1),
        connector.write_registers(1, []),
        connector.write_registers(1, [0] * 124),
        connector.write_coil(1, 2),
        connector.write_coils(1, []),
        connector.write("b.r1", 3276.9),
        connector.read_holding_registers(1, 0),
        connector.read_holding_registers(65535, 2),
        connector.read_holding_registers(1, 1, "float31"),
    ):
        with pytest.raises(DataError):
            await call
    with pytest.raises(Unsupported, match="inputs cannot be written"):
        await connector.write("b.r30002", 1)
    with pytest.raises(TagNotFound, match="nonsense"):
        await connector.write("nonsense", 1)
    assert peer.asked() == []
    assert not context.audit.path.exists(), "what is never sent is no write"


@pytest.mark.parametrize(
    ("exception", "outcome"),
    [(2, "failed"), (3, "failed"), (4, "unknown"), (5, "unknown"), (6, "failed"), (11, "unknown")],
)
async def test_a_write_goes_on_the_audit_file_with_register_and_outcome(
    peer, make, context, exception, outcome
):
    """Exceptions 4, 5 and 11: it failed in the midst of it, has begun, or does not answer."""
    connector = make(retry_count=0)
    await connector.write_register(3000, 485.0, "float32")
    peer.tell("deny", 1, "holding", 0, 4999, exception)
    with pytest.raises(RequestFailed) as caught:
        await connector.write_register(3000, 1)
    assert caught.value.maybe_done == (outcome == "unknown")
    await connector.close()
    context.audit.close()
    entries = [e for e in read(context.audit.path) if e["action"].startswith("write")]
    results = [e.get("result", "").partition(":")[0] for e in entries]
    assert [(e["action"], e.get("after"), r) for e, r in zip(entries, results, strict=True)] == [
        ("write", 485.0, ""), ("write.result", None, "ok"),
        ("write", 1, ""), ("write.result", None, outcome),
    ]  # fmt: skip
    assert all("unit 1 holding 3000 (43001)" in entry["subject"] for entry in entries)


async def test_a_write_without_an_answer_is_sent_once(peer, make):
    peer.tell("silent", 1)
    connector = make(retry_count=5)
    await connector.connect()
    connector.set_timeout(100)
    with pytest.raises(RequestTimeout):
        await connector.write_register(1, 1)
    assert peer.asked() == [Asked(1, 6, 1, 1)]


async def test_a_write_need_not_wait_for_a_whole_poll(peer, make):
    for unit in (1, 2):
        peer.tell("delay", unit, 20)
    connector = make(
        devices=[device(1, *range(0, 3000, 100), interval=0, gap=0), device(2, 1, interval=0)]
    )
    poll = asyncio.create_task(polls(connector, 50))
    while not peer.asked():
        await asyncio.sleep(0.01)
    await connector.write_register(4000, 7, slave_id=1)
    between = [request.function for request in peer.asked()].index(6)
    poll.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await poll
    assert peer.get(1, "holding", 4000) == [7]
    assert between < 15, "a poll has 30 requests; those go on while the audit file takes the write"


async def test_a_write_goes_ahead_of_the_reads_that_wait_for_the_line(peer, make):
    peer.tell("delay", 1, 20)
    connector = make()
    reads = [asyncio.create_task(connector.read_holding_registers(i)) for i in range(20)]
    while not peer.asked():
        await asyncio.sleep(0.005)
    await connector.write_register(4000, 7)
    waiting = [task for task in reads if not task.done()]
    assert len(waiting) > 12, "it did not wait for them"
    await asyncio.gather(*reads)
    order = [request.function for request in peer.asked()]
    assert order.index(6) < 5


async def test_a_flood_of_writes_stops_no_poll(peer, make):
    peer.tell("delay", 1, 5)
    connector = make()
    writes = [asyncio.create_task(connector.write_register(i, 1)) for i in range(40)]
    await asyncio.sleep(0)
    assert await connector.read_holding_registers(100) == [0]
    assert sum(task.done() for task in writes) < 20
    await asyncio.gather(*writes)


# ---- devices that do not answer ---------------------------------------------------------------


@contextlib.asynccontextmanager
async def polled(units, context, *devices, seconds=0.2):
    """A connector to units of the test's own loop, and the batches of its source."""
    connector = AsyncModbusConnector(
        {
            "connection": {
                "host": "127.0.0.1", "port": units.port, "timeout": seconds, "retry_count": 0,
            },
            "devices": list(devices),
        },
        context=context,
    )  # fmt: skip
    try:
        async with source(connector).open() as batches:
            yield connector, batches
    finally:
        await connector.close()
        context.audit.close()


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


# ---- registers that may not be touched ----------------------------------------------------------


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
