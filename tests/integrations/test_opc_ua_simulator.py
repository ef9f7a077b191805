"""The simulated boiler house over OPC UA: what it serves, and that nothing of it is lost."""

from __future__ import annotations

import asyncio
import socket

import pytest
import pytest_asyncio
from asyncua import Client, ua

from gl002.context import Context
from gl002.errors import ConfigError, ConnectFailed, RequestFailed
from gl002.integrations.industrial import OPCUAConnector
from gl002.model import Quality
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sim.faults import FAULTS
from gl002.sim.house import House
from gl002.sim.instruments import BREAKABLE
from gl002.sim.opc_ua import NAMESPACE, OPCUASimulator
from gl002.sim.plant import Plant
from gl002.testing.contract.requests import eventually
from gl002.testing.leaks import Leaks

STREAM = {"publishing_interval": 100, "keepalive_count": 100, "queue_size": 10_000}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def plant():
    return Plant("boiler1", noise=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(plant):
    """A simulator of two boilers with counters; it takes long to start, so all tests share it."""
    leaks = Leaks()
    simulator = OPCUASimulator([plant, Plant("boiler2")], counters=50, counter_interval=0.02)
    async with simulator:
        yield simulator
    await leaks.check()


@pytest_asyncio.fixture(loop_scope="module")
async def opc(house, plant, tmp_path):
    """A connector, once the nodes show what the test before has done to the plant."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    connector = OPCUAConnector({"url": house.url, "subscription": STREAM}, context=context)
    now = {f"{tag}" if "." in tag else f"{tag}.PV": s.value for tag, s in plant.signals().items()}
    now["Boiler1.Efficiency"] = plant.truth.efficiency_hhv
    async with asyncio.timeout(30):
        while await connector.read_values([f"ns=2;s={tag}" for tag in now]) != list(now.values()):
            await asyncio.sleep(0.01)
    yield connector
    await connector.close()
    audit.close()


async def test_instruments_and_the_guides_names_show_the_plant(opc, plant):
    signals = plant.signals()
    nodes = {
        "ns=2;s=FT101.PV": "FT101", "ns=2;s=AT301.PV": "AT301", "ns=2;s=AIC301.SP": "AIC301.SP",
        "ns=2;s=Boiler1.SteamFlow": "FT101", "ns=2;s=Boiler1.Pressure": "PT101",
        "ns=2;s=Boiler1.Temperature": "TT101", "ns=2;s=Boiler1.FuelFlow": "FT201",
        "ns=2;s=Boiler1.FuelRate": "FT201", "ns=2;s=Boiler1.SetPoint": "PIC101.SP",
    }  # fmt: skip
    assert await opc.read_values(list(nodes)) == [signals[tag].value for tag in nodes.values()]
    efficiency = await opc.read_value("ns=2;s=Boiler1.Efficiency")
    assert efficiency == plant.truth.efficiency_hhv
    assert 75 < efficiency < 90


async def test_the_namespace_is_found_by_its_uri(opc, plant):
    value = await opc.read_value(f"nsu={NAMESPACE};s=FT101.PV")
    assert value == plant.signals()["FT101"].value


async def test_every_signal_has_its_unit_and_description(opc, plant):
    found = {f.address: f for f in await opc.browse_nodes("ns=2;s=Boiler1.Instruments")}
    for tag, signal in plant.signals().items():
        shown = found[f"ns=2;s={tag}" if "." in tag else f"ns=2;s={tag}.PV"]
        assert (shown.unit, shown.description) == (signal.unit, signal.description)
        assert shown.writable == signal.writable


async def test_a_second_boiler_has_nodes_of_its_own(opc):
    names = {f.name for f in await opc.browse_nodes()}
    assert {"Boiler1", "Boiler2", "Counters"} <= names
    assert await opc.read_value("ns=2;s=boiler2.FT101.PV") > 0
    assert await opc.read_value("ns=2;s=Boiler2.SteamFlow") > 0


async def test_nodes_follow_the_plant_with_the_time_of_the_change(opc, plant):
    (before,) = await opc.read(["ns=2;s=FT101.PV"])
    plant.step(120.0)
    now = plant.signals()["FT101"].value
    assert now != before.value
    async with asyncio.timeout(30):
        while (sample := (await opc.read(["ns=2;s=FT101.PV"]))[0]).value != now:
            await asyncio.sleep(0.01)
    assert sample.time > before.time


async def test_a_value_that_does_not_change_keeps_its_time(opc, plant):
    (before,) = await opc.read(["ns=2;s=PIC101.SP"])
    plant.step(30.0)
    await asyncio.sleep(0.1)
    (after,) = await opc.read(["ns=2;s=PIC101.SP"])
    assert (after.value, after.time) == (before.value, before.time)


async def test_a_broken_instrument_shows_as_bad_and_recovers(opc, plant):
    got = []
    async with await opc.subscribe(["ns=2;s=AT301.PV"], callback=got.append):
        await eventually(lambda: got and got[-1].quality == Quality.GOOD, "a good value")
        plant.fail("bad_quality", "AT301")
        plant.step(60.0)
        expected = plant.signals()["AT301"].quality
        assert expected != Quality.GOOD
        await eventually(lambda: got[-1].quality == expected, "the quality of the plant")
        plant.repair()
        plant.step(1.0)
        await eventually(lambda: got[-1].quality == Quality.GOOD, "a good value again")


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_is_switched_on_and_off_by_a_client(house, opc, plant, name):
    tag = FAULTS[name].tags[0]
    switch = f"ns=2;s={tag}.Fault"
    assert await opc.read_value(switch) == ""
    async with Client(house.url) as client:
        await client.get_node(switch).write_value(name)
    assert plant.faults == {tag: name}
    assert await opc.read_value(switch) == name
    await opc.write_value(switch, "")
    assert plant.faults == {}


async def test_a_fault_that_does_not_exist_is_refused_and_breaks_nothing(opc, plant):
    with pytest.raises(RequestFailed, match="BadOutOfRange"):
        await opc.write_value("ns=2;s=AT301.Fault", "gremlin")
    assert plant.faults == {}
    assert await opc.read_value("ns=2;s=AT301.Fault") == ""
    names = {f.address for f in await opc.browse_nodes("ns=2;s=Boiler1.Faults")}
    assert "ns=2;s=AIC301.SP.Fault" not in names, "a setpoint is no instrument"
    assert len(names) == len(BREAKABLE)


async def test_a_second_boiler_is_broken_by_switches_of_its_own(opc, plant):
    await opc.write_value("ns=2;s=boiler2.PT101.Fault", "unit_slip")
    assert plant.faults == {}
    assert await opc.read_value("ns=2;s=boiler2.PT101.Fault") == "unit_slip"
    await opc.write_value("ns=2;s=boiler2.PT101.Fault", "")


async def test_the_steam_of_the_header_has_a_meter_of_its_own(tmp_path):
    house = House.of(2, noise=False)
    async with OPCUASimulator(house.plants, header=house) as simulator, Client(
        simulator.url
    ) as client:  # fmt: skip
        node = client.get_node("ns=2;s=FT001.PV")
        assert await node.read_value() == pytest.approx(house.steam)
        house.step(600)
        async with asyncio.timeout(30):
            while await node.read_value() != house.steam:
                await asyncio.sleep(0.01)


async def test_a_written_setpoint_moves_the_plant(opc, plant):
    await opc.write_value("ns=2;s=Boiler1.SetPoint", 485.0)
    assert plant.signals()["PIC101.SP"].value == 485.0
    async with asyncio.timeout(30):
        while await opc.read_value("ns=2;s=PIC101.SP") != 485.0:
            await asyncio.sleep(0.01)


async def test_a_setpoint_outside_its_limits_is_refused(opc, plant):
    before = plant.signals()["PIC101.SP"].value
    with pytest.raises(RequestFailed, match="BadOutOfRange"):
        await opc.write_value("ns=2;s=Boiler1.SetPoint", 5000.0)
    assert plant.signals()["PIC101.SP"].value == before


async def test_an_instrument_cannot_be_written(opc):
    with pytest.raises(RequestFailed, match="BadUserAccessDenied"):
        await opc.write_value("ns=2;s=FT101.PV", 1.0)


async def test_counters_arrive_without_a_hole(opc):
    """Fifty values each 20 ms: what the server counted is what the callback got, in order."""
    got: dict[str, list] = {}
    tags = [f"ns=2;s=Counter{i}" for i in range(1, 51)]

    def callback(sample):
        got.setdefault(sample.tag, []).append(sample)

    async with await opc.subscribe(tags, callback=callback):
        await eventually(lambda: len(got.get(tags[0], ())) > 60, "sixty counts")
    for samples in got.values():
        values = [s.value for s in samples]
        assert values == list(range(values[0], values[0] + len(values)))
        times = [s.time for s in samples]
        assert times == sorted(set(times))
    assert set(got) == set(tags)


async def test_another_client_reads_it_too(house, opc, plant):
    async with Client(house.url) as client:
        node = client.get_node("ns=2;s=FT101.PV")
        data = await node.read_data_value()
        (unit,) = [p for p in await node.get_properties()
                   if (await p.read_browse_name()).Name == "EngineeringUnits"]  # fmt: skip
        assert data.Value.Value == plant.signals()["FT101"].value
        assert data.SourceTimestamp is not None
        assert (await unit.read_value()).UnitId == int.from_bytes(b"4U", "big")
        assert await node.read_data_type_as_variant_type() == ua.VariantType.Double


async def test_it_listens_on_this_machine_only(house):
    with open("/proc/net/tcp") as table:  # noqa: ASYNC230, PTH123 (a file in memory)
        listening = [line.split()[1] for line in table if f":{house.port:04X} " in line]
    assert {address.partition(":")[0] for address in listening} == {"0100007F"}


async def test_its_port_is_given_to_nobody_else_while_it_is_built(plant):
    simulator = OPCUASimulator([plant])
    starting = asyncio.create_task(simulator.start())
    while not simulator.port:
        await asyncio.sleep(0)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", simulator.port))
    await starting
    await simulator.stop()


async def test_a_taken_port_is_a_clear_error(house, plant):
    second = OPCUASimulator([plant], port=house.port)
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{house.port}: cannot listen"):
        await second.start()
    await second.stop()


@pytest.mark.parametrize("wrong", [{"plants": []}, {"counters": -1}, {"counters": 10**6}])
async def test_a_simulator_of_nothing_is_refused(plant, wrong):
    with pytest.raises(ConfigError):
        OPCUASimulator(**{"plants": [plant], **wrong})
