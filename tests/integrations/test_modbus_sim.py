"""The simulated boiler as a Modbus device, read by pymodbus' own client and by ours."""

from __future__ import annotations

import math
import struct
import time

import pytest
import yaml

from gl002.config.load import load
from gl002.context import Context
from gl002.errors import (
    ConfigError,
    ConnectFailed,
    RequestFailed,
    RequestTimeout,
    TagNotFound,
)
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sim.faults import FAULTS
from gl002.sim.instruments import BREAKABLE
from gl002.sim.modbus import FAULT_REGISTERS, POINTS, ModbusSimulator
from gl002.sim.plant import Plant
from gl002.wire.modbus_address import locate
from gl002.wire.modbus_guess import guess
from peers.process import free_port

PATIENCE = 30_000  # ms for what comes; how fast the machine is decides no test


@pytest.fixture
async def plants():
    return [Plant("boiler1", seed=1), Plant("boiler2", seed=2)]


@pytest.fixture
async def simulator(plants, no_leaks):
    async with ModbusSimulator(plants, counters=3) as running:
        yield running


@pytest.fixture
async def connector(simulator, tmp_path):
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    made = AsyncModbusConnector(simulator.config(), context=context)
    made.set_timeout(PATIENCE)
    yield made
    await made.close()
    context.audit.close()


async def raw(simulator, address, count, unit=1):
    """Registers as pymodbus' own client reads them, big-endian bytes."""
    from pymodbus.client import AsyncModbusTcpClient

    client = AsyncModbusTcpClient("127.0.0.1", port=simulator.port, timeout=PATIENCE / 1000)
    await client.connect()
    try:
        response = await client.read_holding_registers(address, count=count, device_id=unit)
    finally:
        client.close()
    return struct.pack(f">{count}H", *response.registers)


async def test_the_guides_two_registers_are_where_the_guide_has_them(simulator, plants):
    flow, pressure = struct.unpack(">fh", await raw(simulator, 0, 3))
    signals = plants[0].signals()
    assert flow == pytest.approx(signals["FT101"].value, rel=1e-6)
    assert pressure == round(signals["PT101"].value * 10)
    assert [(p.name, p.reference) for p in POINTS[:2]] == [
        ("steam_flow", 40001),
        ("pressure", 40003),
    ]


async def test_the_exported_map_reads_every_signal_of_every_plant(simulator, plants, connector):
    names = [f"{plant.name}.{point.name}" for plant in plants for point in POINTS]
    samples = {sample.tag: sample.value for sample in await connector.read(names)}
    for plant in plants:
        signals = plant.signals()
        for point in POINTS:
            value = samples[f"{plant.name}.{point.name}"]
            step = point.scale if point.data_type == "int16" else 1e-6 * abs(value)
            assert value == pytest.approx(signals[point.tag].value, abs=step), point.name
            assert (
                connector.context.tags.unit(f"{plant.name}.{point.name}") == signals[point.tag].unit
            )


def test_the_register_map_has_every_signal_once_and_no_two_in_one_place():
    taken = [locate(p.reference).address + i for p in POINTS for i in range(p.form.registers)]
    assert len(taken) == len(set(taken))
    assert {point.tag for point in POINTS} == set(Plant().signals())


async def test_the_exported_yaml_is_a_configuration(simulator, tmp_path):
    file = tmp_path / "integrations.yaml"
    block = yaml.safe_load(simulator.as_yaml())
    file.write_text(yaml.safe_dump({"integrations": {"enabled": ["modbus"], **block}}))
    settings = load(file, {}).connections["modbus"].settings
    assert settings == AsyncModbusConnector.Config.parse(simulator.config())


async def test_registers_follow_the_plant(plants, connector):
    before = (await connector.read(["boiler1.steam_flow"]))[0].value
    plants[0].step(60)
    after = (await connector.read(["boiler1.steam_flow"]))[0].value
    assert after != before
    assert after == pytest.approx(plants[0].signals()["FT101"].value, rel=1e-6)


async def test_counters_count_the_steps_of_the_plant(plants, connector):
    names = [f"boiler1.counter{i}" for i in (1, 2, 3)]
    for expected in (0, 60, 120):
        assert [sample.value for sample in await connector.read(names)] == [expected] * 3
        plants[0].step(30)


class OldPlant(Plant):
    """One that has run for a day."""

    @property
    def time(self):
        return 86_400.0


async def test_counters_are_wider_than_one_register(no_leaks):
    async with ModbusSimulator([OldPlant()], counters=1) as simulator:
        assert struct.unpack(">I", await raw(simulator, 100, 2)) == (172_800,)


async def test_a_written_setpoint_reaches_the_plant(plants, connector):
    await connector.write("boiler2.pressure_setpoint", 350.0)
    assert plants[1].signals()["PIC101.SP"].value == 350.0
    assert plants[0].signals()["PIC101.SP"].value != 350.0
    assert (await connector.read(["boiler2.pressure_setpoint"]))[0].value == 350.0


async def test_a_setpoint_outside_its_limits_is_refused_and_does_not_move(plants, connector):
    before = plants[0].signals()["PIC101.SP"].value
    with pytest.raises(RequestFailed, match="03"):
        await connector.write("boiler1.pressure_setpoint", 5000.0)
    assert plants[0].signals()["PIC101.SP"].value == before


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_is_switched_on_and_off_by_a_register(simulator, plants, connector, name):
    tag, number = FAULTS[name].tags[0], [*FAULTS].index(name) + 1
    reference = FAULT_REGISTERS[tag]
    await connector.write_register(reference, number, slave_id=2)
    assert plants[1].faults == {tag: name}
    assert plants[0].faults == {}
    assert await raw(simulator, reference - 40001, 1, unit=2) == struct.pack(">H", number)
    await connector.write_register(reference, 0, slave_id=2)
    assert plants[1].faults == {}


async def test_several_instruments_are_broken_by_one_request(simulator, plants, connector):
    first = FAULT_REGISTERS["AT301"]
    assert FAULT_REGISTERS["AT302"] == first + 1
    await connector.write_registers(first, [2, 2], slave_id=1)
    assert plants[0].faults == {"AT301": "zero_triplet", "AT302": "zero_triplet"}
    with pytest.raises(RequestFailed, match="03"):
        await connector.write_registers(first, [0, len(FAULTS) + 1], slave_id=1)
    assert plants[0].faults == {"AT301": "zero_triplet", "AT302": "zero_triplet"}


def test_switches_of_faults_lie_where_no_signal_and_no_counter_is():
    taken = {locate(p.reference).address + i for p in POINTS for i in range(p.form.registers)}
    switches = {locate(reference).address for reference in FAULT_REGISTERS.values()}
    assert not switches & taken
    assert max(switches) < 100, "counters begin at 40101"
    assert set(FAULT_REGISTERS) == set(BREAKABLE)


async def test_only_whole_setpoints_can_be_written(plants, connector):
    before = dict(plants[0].signals())
    for write in (
        connector.write("boiler1.steam_flow", 1.0),
        connector.write_register(20, 1, slave_id=1),
        connector.write_registers(40019, [1, 2, 3], slave_id=1),
        connector.write_registers(40023, [1, 2, 3], slave_id=1),
        connector.write_register(1000, 1, slave_id=1),
    ):
        with pytest.raises(TagNotFound, match="02"):
            await write
    assert dict(plants[0].signals()) == before
    both = struct.unpack(">4H", struct.pack(">2f", 3.5, 300.0))
    await connector.write_registers(40021, both, slave_id=1)
    assert plants[0].signals()["AIC301.SP"].value == 3.5
    assert plants[0].signals()["PIC101.SP"].value == 300.0


async def test_a_bad_signal_reads_like_a_broken_transmitter(plants, connector):
    for plant in plants:
        plant.fail("bad_quality", "FT101", "PT101")
        plant.step(1)
    flow, pressure = await connector.read(["boiler1.steam_flow", "boiler1.pressure"])
    assert math.isnan(flow.value)
    assert pressure.value == -3276.8


async def test_a_silent_device_is_silent_alone(simulator, connector):
    simulator.fail("silence", unit=2)
    await connector.connect()
    connector.set_timeout(100)
    connector._retry = type(connector._retry)(max_attempts=1)
    with pytest.raises(RequestTimeout):
        await connector.read(["boiler2.pressure"])
    connector.set_timeout(PATIENCE)
    assert (await connector.read(["boiler1.pressure"]))[0].value is not None
    simulator.repair()
    assert (await connector.read(["boiler2.pressure"]))[0].value is not None


async def test_a_device_can_answer_with_exceptions_and_late(simulator, connector):
    simulator.fail("exception", unit=1, amount=11)
    connector._retry = type(connector._retry)(max_attempts=1)
    with pytest.raises(RequestFailed, match="0B"):
        await connector.read_holding_registers(0, slave_id=1)
    simulator.fail("slow", unit=1, amount=0.2)
    start = time.monotonic()
    await connector.read_holding_registers(0, slave_id=1)
    assert time.monotonic() - start >= 0.2


async def test_faults_and_arguments_that_make_no_sense_are_refused(simulator, plants):
    for wrong in ({"fault": "silence", "unit": 3}, {"fault": "fire"}):
        with pytest.raises(ConfigError):
            simulator.fail(wrong.pop("fault"), **wrong)
    for plants_, counters in (([], 0), (plants, -1), (plants, 1001)):
        with pytest.raises(ConfigError):
            ModbusSimulator(plants_, counters=counters)


async def test_it_starts_and_stops_any_number_of_times_on_its_port(plants, no_leaks):
    port = free_port()  # one that nobody is given while it is stopped
    simulator = ModbusSimulator(plants, port=port)
    await simulator.stop()
    await simulator.start()
    await simulator.start()
    other = ModbusSimulator(plants, port=port)
    with pytest.raises(ConnectFailed, match=str(port)):
        await other.start()
    await simulator.stop()
    await simulator.stop()
    await simulator.start()
    assert simulator.port == port
    assert struct.unpack(">f", await raw(simulator, 0, 2))[0] > 0
    await simulator.stop()


async def test_the_doctor_names_the_map_of_the_simulated_boiler_without_knowing_it(
    simulator, plants, connector
):
    """Physics in, registers out, and back: type and byte order of every register it has."""
    readings = []
    for _ in range(6):
        readings.append(await connector.read_holding_registers(0, 34, slave_id=1))
        plants[0].step(5.0)
    found = {field.start: field.form for field in guess(readings).fields}
    for point in POINTS:
        start = point.place.start
        proposed = found[start].data_type
        # an int16 that is never negative is a uint16, too
        assert proposed in {point.data_type, f"u{point.data_type}"}, point
        assert found[start].byte_order == "ABCD"
