"""The calls and the configuration of the guide for Modbus, and what is wrong in a configuration."""

from __future__ import annotations

import struct

import pytest

from gl002.config.load import load
from gl002.errors import ConfigError
from gl002.integrations.industrial import AsyncModbusConnector, ModbusConnector
from gl002.registry import kind_of
from integrations.modbus_site import GOOD, PATIENCE, context, make, peer, registers, server, source
from peers.libmodbus import Asked

fixtures = server, peer, context, make


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
