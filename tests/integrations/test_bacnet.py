"""BACnet: what a device is and can, qualities, EDE files, and the way through the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.cli import main
from gl002.config.load import load
from gl002.connector import State
from gl002.context import Context
from gl002.errors import ConfigError, ConnectFailed, TagNotFound
from gl002.flow.gateway import Gateway
from gl002.integrations.industrial import BACnetConnector, SyncBACnetConnector
from gl002.model import Quality, Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.bacnet.device import WrongDevice
from integrations.bacnet_site import PATIENCE, connect, old, rusty
from peers.process import free_port
from peers.rusty_bacnet import RustyBacnet

fixtures = rusty, old, connect


@pytest.fixture(scope="module")
def small() -> Iterator[RustyBacnet]:
    """Many objects, no segments: answers must fit one message."""
    with RustyBacnet(segmentation="none", more=300, instance=1003, name="Small") as peer:
        yield peer


# ---- what a device is -------------------------------------------------------------------------


async def test_a_device_without_a_number_says_who_it_is(rusty, connect) -> None:
    health = await connect(rusty, name="boiler1").check()
    assert health.ok
    assert "1001 'Boiler 1'" in health.detail


async def test_another_device_at_the_address_is_named(rusty, connect) -> None:
    connector = connect(rusty, device_id=1002)
    with pytest.raises(WrongDevice, match="device 1001 answers there, not 1002"):
        await connector.connect()
    assert connector.state is State.FAILED


async def test_where_nobody_answers_the_error_says_what_to_look_at(connect) -> None:
    connector = connect(address=f"127.0.0.1:{free_port()}", timeout=0.2, retry_count=1)
    with pytest.raises(ConnectFailed, match="firewall") as caught:
        await connector.connect()
    assert caught.value.retryable


async def test_a_port_of_ours_that_is_taken_is_said(rusty, connect) -> None:
    connector = connect(rusty, local={"address": "127.0.0.1", "port": rusty.udp})
    with pytest.raises(ConnectFailed, match="another program on this machine has the port"):
        await connector.connect()


async def test_units_of_the_device_are_in_the_tag_table(rusty, connect) -> None:
    connector = connect(
        rusty, name="b",
        objects=[
            {"name": "flow", "object": "AI1"},
            {"name": "heat", "object": "AI2", "unit": "degC", "scale": 0.5, "offset": -10},
        ],
    )  # fmt: skip
    flow, heat = await connector.read(["b.flow", "heat"])
    assert (flow.value, heat.value) == (50000.0, 350.5 * 0.5 - 10)
    tags = connector.context.tags
    assert (tags["b.flow"].unit, tags["heat"].unit) == ("lb/hr", "degC")
    assert tags["b.flow"].address == "device 1001 analog-input,1"


async def test_any_property_can_be_read_by_its_name_or_number(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    assert await connector.read_value("b.AI1.object-name") == "steam flow"
    assert await connector.read_value("b.analog-input,1.77") == "steam flow"
    assert await connector.read_value("1001.device,1001.vendor-identifier") == 555
    assert await connector.read_value("AI1.out-of-service") is False
    with pytest.raises(TagNotFound, match="unknown-property"):
        await connector.read_value("b.AI1.setpoint")
    with pytest.raises(TagNotFound, match=r"no object 'b\.steam'"):
        await connector.read_value("b.steam")


async def test_a_browse_below_a_device_that_is_not_there_is_said(rusty, connect) -> None:
    connector = connect(rusty, name="boiler1")
    with pytest.raises(TagNotFound, match="did you mean 'boiler1'"):
        [f async for f in connector.browse("boiler2")]
    assert [f async for f in connector.browse("boiler1.AI1")] == []


# ---- limits of a device -----------------------------------------------------------------------


async def test_three_hundred_objects_are_read_without_segments(small, connect) -> None:
    connector = connect(small, name="s")
    tags = [f"s.analog-input,{100 + i}" for i in range(300)]
    samples = await connector.read(tags)
    assert [sample.value for sample in samples] == [float(i) for i in range(300)]


async def test_an_object_list_too_long_for_one_answer_is_read_by_element(small, connect) -> None:
    connector = connect(small, name="s")
    found = [f async for f in connector.browse("s")]
    assert len(found) == 312
    assert {f.name for f in found} >= {"steam flow", "point 0", "point 299"}


async def test_an_object_list_comes_in_segments_where_the_device_can(connect) -> None:
    with RustyBacnet(more=600) as peer:
        found = [f async for f in connect(peer, name="b").browse("b")]
    assert len(found) == 612


async def test_a_device_without_multiple_reads_is_read_one_by_one(old, connect) -> None:
    connector = connect(old, name="old")
    old.tell("set", "2,1", 85, 10.5)
    samples = await connector.read(["old.AI1", "old.BI1", "old.AV1", "old.AI7"])
    assert [s.value for s in samples] == [88.25, True, 10.5, None]
    assert samples[3].quality == Quality.BAD_NODE_ID_UNKNOWN
    health = await connector.check()
    assert "2002 'Old boiler' (Maker B-1)" in health.detail


# ---- quality ----------------------------------------------------------------------------------


async def test_a_value_set_by_hand_is_uncertain(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    rusty.put("analog-input,2", "boolean", True, "OUT_OF_SERVICE")
    try:
        (sample,) = await connector.read(["b.AI2"])
    finally:
        rusty.put("analog-input,2", "boolean", False, "OUT_OF_SERVICE")
    assert (sample.value, sample.quality) == (350.5, Quality.UNCERTAIN_SUBSTITUTE_VALUE)


async def test_a_fault_is_bad_in_the_way_its_reliability_says(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    rusty.put("analog-input,2", "boolean", True, "OUT_OF_SERVICE")
    rusty.put("analog-input,2", "enumerated", 4, "RELIABILITY")  # open loop
    try:
        good, bad = await connector.read(["b.AI1", "b.AI2"])
    finally:
        rusty.put("analog-input,2", "enumerated", 0, "RELIABILITY")
        rusty.put("analog-input,2", "boolean", False, "OUT_OF_SERVICE")
    assert (bad.value, bad.quality) == (None, Quality.BAD_SENSOR_FAILURE)
    assert good.quality == Quality.GOOD


# ---- EDE --------------------------------------------------------------------------------------


EDE = """\
#Engineering-Data-Exchange - B.I.G.-EU;;;;;;;;
PROJECT_NAME;boiler house
VERSION_OF_REFERENCEFILE;1
#
# keyname;device obj.-instance;object-name;object-type;object-instance;description;\
present-value-default;min-present-value;max-present-value;commandable;supports COV;hi-limit;\
low-limit;state-text-reference;unit-code;vendor-specific-addres
B1.dev;1001;Boiler 1;8;1001;controller;;;;N;N;;;;;
B1.F;1001;steam flow;0;1;Dampfmenge;;;;N;N;;;;46;
B1.T;1001;stack temperature;0;2;Abgastemperatur;;;;N;Y;;;;64;
B1.S;1001;setpoint;2;1;Sollwert;;;;Y;N;;;;56;
"""


async def test_an_ede_file_names_the_objects(rusty, connect, tmp_path: Path) -> None:
    file = tmp_path / "boiler_EDE.csv"
    file.write_bytes(EDE.encode("cp1252"))
    connector = connect(
        rusty, ede=str(file),
        devices=[{"device_id": 1001, "name": "b",
                  "objects": [{"name": "stack", "object": "AI2", "unit": "degF"}]}],
    )  # fmt: skip
    spec = connector.Input.parse({"source": "bacnet"})
    tags = {tag.name: (tag.unit, tag.description) for tag in connector.source(spec).tags()}
    assert tags == {
        "b.stack": ("degF", ""),
        "b.steam flow": ("lb/hr", "Dampfmenge"),
        "b.setpoint": ("psi", "Sollwert"),
    }
    (sample,) = await connector.read(["b.steam flow"])
    assert sample.value == 50000.0


def test_a_file_that_is_no_ede_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("a;b\n1;2\n")
    with pytest.raises(ConfigError, match="no EDE file"):
        BACnetConnector({"address": "127.0.0.1", "ede": str(file)})


# ---- other colour -----------------------------------------------------------------------------


def test_the_blocking_twin_reads_writes_and_discovers(rusty, tmp_path: Path) -> None:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    settings = {"address": f"127.0.0.1:{rusty.udp}", "name": "b", "timeout": PATIENCE}
    with SyncBACnetConnector(settings, context=context) as bacnet:
        assert bacnet.read_value("b.AI1") == 50000.0
        bacnet.write_value("b.AV1", 3.5)
        assert rusty.get("analog-value,1") == 3.5
        bacnet.relinquish("b.AV1")
        while not (found := bacnet.discover(seconds=0.3)):
            pass
        assert [f.name for f in found] == ["device1001"]
    context.audit.close()


# ---- through the gateway ----------------------------------------------------------------------


HOUSE = """
integrations:
  enabled: [bacnet, sqlite]
  bacnet:
    address: 127.0.0.1:{port}
    name: boiler1
    objects:
      - {{name: steam_flow, object: AI1}}
      - {{name: stack, object: AI2, unit: degF}}
      - {{name: flame, object: BI1}}
  sqlite: {{path: history.sqlite}}
  data_flow:
    input: [{{source: bacnet}}]
    output: [{{destination: sqlite, interval: 0.1}}]
gateway: {{state_dir: state}}
tags:
  boiler1.stack: {{unit: degC}}
"""


async def test_values_flow_into_the_embedded_history_in_the_declared_unit(
    rusty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "integrations.yaml"
    file.write_text(HOUSE.format(port=rusty.udp))
    gateway = Gateway(load(file, {}))
    running = asyncio.create_task(gateway.run())
    tags = ["boiler1.steam_flow", "boiler1.stack", "boiler1.flame"]
    samples: list[Sample] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while len([s for s in samples if s.value is not None]) < 3:
                await asyncio.sleep(0.1)
                samples = await gateway.connectors["sqlite"].read(tags)
    finally:
        gateway.stop()
        await running
    flow, stack, flame = samples
    assert (flow.value, flame.value) == (50000.0, True)
    assert stack.value == pytest.approx((350.5 - 32) / 1.8)


def test_the_command_line_browses_and_reads_an_address(
    rusty, capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    url = f"bacnet://127.0.0.1:{rusty.udp}/1001"
    assert main(["browse", url, "--json"]) == 0
    found = {
        thing["name"]: thing for thing in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert found["steam flow"]["address"] == "device1001.analog-input,1"
    assert found["steam flow"]["unit"] == "lb/hr"
    assert found["setpoint"]["writable"]
    assert main(["read", url, "AI1", "AI1.object-name"]) == 0
    out = capsys.readouterr().out
    assert "lb/hr" in out
    assert "steam flow" in out
