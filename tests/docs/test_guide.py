"""The guide is the first test suite: its blocks run as they are printed.

Nothing is changed but addresses and credentials (`peers_of_pages`), and what a block leaves
undefined is given (`_given`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from docs.blocks import Block, blocks, execute
from docs.peers_of_pages import Peers
from gl002 import ConnectionPool, retry
from gl002.config.load import load
from gl002.integrations.industrial import OPCUAConnector
from gl002.model import to_ns
from gl002.registry import connector, kinds
from peers.azure_iot import connection_string
from peers.mosquitto import Watcher

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
PYTHON = list(blocks(GUIDE, "python"))
YAML = list(blocks(GUIDE, "yaml"))

Check = Callable[[Mapping[str, Any], Peers], Awaitable[None]]


def _given(peers: Peers) -> dict[str, Any]:
    """What the guide uses without saying where it comes from."""
    received: list[Any] = []
    config = {
        "server_url": f"opc.tcp://localhost:{peers.opc_ua.port}",
        "username": "admin",
        "password": "secure_password",
        "security_policy": "Basic256Sha256",
        "security_mode": "SignAndEncrypt",
    }
    return {
        "__name__": "guide",
        "received": received,
        "process_data": received.append,
        "handle_message": received.append,
        "handle_command": received.append,
        "datetime": datetime,
        "timedelta": timedelta,
        "asyncio": asyncio,
        "retry": retry,
        "ConnectionPool": ConnectionPool,
        "OPCUAConnector": OPCUAConnector,
        "config": config,
        "tags": ["ns=2;s=Boiler1.Efficiency", "ns=2;s=Boiler1.FuelFlow"],
    }


# ---- what must have happened ------------------------------------------------------------------


async def _opc_ua(names: Mapping[str, Any], peers: Peers) -> None:
    assert {"SteamFlow", "Pressure", "SetPoint"} <= {node.name for node in names["nodes"]}
    assert names["values"] == [85.4, 3500.0]
    assert peers.opc_ua.value("Boiler1.SetPoint") == 485.0
    await _until(lambda: len(names["received"]) >= 3)
    assert {sample.value for sample in names["received"]} == {50000.0, 12.5, 485.5}


FLOATS = (50000.0, 12.5, 4855.0, 85.375, -0.15625, 1e6, 3.0, 0.0, 2.5, -40.0)
INPUTS = (1, -1, 300, -32768, 32767)


def _fill(peers: Peers) -> None:
    """Registers that the guide's Modbus block reads."""
    peers.modbus.set_bytes(1, "holding", 1000, struct.pack(">10f", *FLOATS))
    peers.modbus.set_bytes(1, "input", 2000, struct.pack(">5h", *INPUTS))


async def _modbus(names: Mapping[str, Any], peers: Peers) -> None:
    assert names["values"] == list(FLOATS)
    assert names["inputs"] == list(INPUTS)
    assert names["data"] == {"steam_flow": 50000.0, "pressure": 12.5, "temperature": 485.5}
    assert peers.modbus.get(1, "holding", 3000, 4) == [1234, 100, 200, 300]


async def _mqtt(names: Mapping[str, Any], peers: Peers) -> None:
    with Watcher(peers.mqtt.port, "boiler/+/optimization") as watcher:
        (message,) = await asyncio.to_thread(watcher.received, 1)
    assert message.retain
    content = json.loads(message.payload)
    assert content["efficiency"] == 85.4
    assert datetime.fromisoformat(content["timestamp"])
    await names["mqtt"].publish("boiler/001/data", {"steam_flow": 50000})
    await _until(lambda: names["received"])
    assert names["received"][0].topic == "boiler/001/data"
    assert names["received"][0].json() == {"steam_flow": 50000}


async def _aws(names: Mapping[str, Any], peers: Peers) -> None:
    shadow = peers.aws.shadows.shadow("gl002_optimizer")
    assert shadow.state == {"reported": {"efficiency": 85.4, "status": "optimizing"}}
    peers.aws.shadows.desire({"o2": 3.1}, thing="gl002")
    await _until(lambda: names["received"])
    assert names["received"][0].json()["state"] == {"o2": 3.1}


async def _azure(names: Mapping[str, Any], peers: Peers) -> None:
    await _until(lambda: peers.azure.hub.telemetry)
    ((properties, payload),) = peers.azure.hub.telemetry
    assert properties["$.ct"] == "application/json"
    content = json.loads(payload)
    assert (content["efficiency"], content["fuel_rate"]) == (85.4, 3500)
    assert datetime.fromisoformat(content["timestamp"])
    assert peers.azure.hub.reported["firmwareVersion"] == "2.0.0"
    assert datetime.fromisoformat(peers.azure.hub.reported["lastOptimization"])


async def _timescale(names: Mapping[str, Any], _: Peers) -> None:
    (row,) = names["results"]
    assert row["avg_efficiency"] == row["max_efficiency"] == 85.4
    rows = names["timescale"].query("SELECT boiler_id, efficiency, fuel_rate FROM boiler_data")
    assert [tuple(row.values()) for row in rows] == [("B001", 85.4, None), ("B001", None, 3500)]
    views = "SELECT view_name FROM timescaledb_information.continuous_aggregates"
    assert {row["view_name"] for row in names["timescale"].query(views)} == {"hourly_efficiency"}


async def _influxdb(names: Mapping[str, Any], peers: Peers) -> None:
    means = {r["_field"]: r["_value"] for r in names["results"] if r["_value"] is not None}
    assert means == {"value": 85.4, "target": 88.0}
    assert len(names["results"]) == 2 * (7 * 24 + 1), "empty windows are rows without a value"
    assert {row["boiler_id"] for row in names["results"]} == {"B001"}
    (row,) = peers.influxdb.storage.query("SELECT * FROM boiler_efficiency", "boiler_data")
    assert abs(row["time"] / 1e9 - time.time()) < 60, "utcnow() is UTC"  # wherever this runs


async def _wonderware(names: Mapping[str, Any], _: Peers) -> None:
    by_tag = Counter(row["TagName"] for row in names["data"])
    assert by_tag == {"Boiler1.SteamFlow": 1000, "Boiler1.Pressure": 1000}
    assert {row["Value"] for row in names["data"]} == {50000.0, 12.5}
    assert min(row["DateTime"] for row in names["data"]) > datetime(2025, 1, 1)  # noqa: DTZ001 (the historian's time)


async def _pi(names: Mapping[str, Any], peers: Peers) -> None:
    assert names["value"] == 85.4
    hours = [sample.time for sample in names["history"]]
    assert len(hours) == 25
    assert hours[0] == to_ns(datetime(2025, 1, 1))  # noqa: DTZ001 (local time, as the guide's)
    assert {late - early for early, late in itertools.pairwise(hours)} == {3600 * 10**9}
    assert [sample.value for sample in names["history"]] == [50000.0] * 25
    assert peers.pi.value("BA:BOILER1.SETPOINT") == 485.0
    assert names["values"] == [182.25, 12.5, 50000.0]


async def _oracle(names: Mapping[str, Any], peers: Peers) -> None:
    wo = names["wo"]
    (order,) = peers.oracle.rows(
        "SELECT wip_entity_name, status_type, priority, work_order_type, asset_number"
        " FROM wip_entities JOIN wip_discrete_jobs USING (wip_entity_id) WHERE wip_entity_id = ?",
        wo.id,
    )
    assert order == (wo.number, 1, 2, "20", "BOILER-001")
    assert wo.status == "Unreleased"
    readings = "SELECT counter_reading FROM csi_counter_readings ORDER BY counter_value_id"
    assert peers.oracle.rows(readings)[:3] == [(85.4,), (168,), (588000,)]


async def _sap(names: Mapping[str, Any], peers: Peers) -> None:
    assert names["result"]["EV_RC"] == 0
    assert peers.sap.rows("SELECT * FROM ZBOILER") == [("B001", "85.40", 3500)]
    assert (names["material"].number, names["material"].base_unit) == ("NATURAL_GAS", "M3")
    rows = peers.sap.rows("SELECT POINT, IDATE, RECDV, RECDU FROM IMRG")
    assert rows == [("000000000012", f"{datetime.now():%Y%m%d}", "85.4", "PCT")]  # noqa: DTZ005 (local time, as the guide's)


async def _connection_issues(names: Mapping[str, Any], _: Peers) -> None:
    assert names["connector"].state.value == "up"
    assert names["connector"].timeout == 5.0


async def _data_quality(names: Mapping[str, Any], _: Peers) -> None:
    assert names["validate_data"]({"steam_flow": 1, "efficiency": 85}) is True
    with pytest.raises(ValueError, match="Invalid efficiency"):
        names["validate_data"]({"steam_flow": 1, "efficiency": 185})
    async with OPCUAConnector(names["config"]) as connected:
        assert await names["read_with_retry"](connected, names["tags"]) == [85.4, 3500.0]


async def _performance(names: Mapping[str, Any], _: Peers) -> None:
    assert names["values"] == [85.4, 3500.0]
    assert await names["parallel_read"]() == [85.4, 3500.0]
    assert names["pool"].in_use == 1


CHECKS: dict[str, Check] = {
    "OPC UA Integration": _opc_ua,
    "Modbus Integration": _modbus,
    "MQTT Integration": _mqtt,
    "AWS IoT Core": _aws,
    "Azure IoT Hub": _azure,
    "OSIsoft PI System": _pi,
    "SAP Integration": _sap,
    "Wonderware Historian": _wonderware,
    "TimescaleDB": _timescale,
    "InfluxDB": _influxdb,
    "Oracle EBS Integration": _oracle,
    "Connection Issues": _connection_issues,
    "Data Quality Issues": _data_quality,
    "Performance Optimization": _performance,
}


async def _until(holds: Callable[[], object], *, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


# ---- the tests --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.heading)
async def test_a_python_block_runs_as_printed(block: Block, peers: Peers) -> None:
    names = _given(peers)
    if block.heading == "Modbus Integration":
        _fill(peers)
    if block.heading == "Performance Optimization":
        names["connector"] = OPCUAConnector(names["config"])  # of the block before

    async def check(after: Mapping[str, Any]) -> None:
        await CHECKS[block.heading](after, peers)

    try:
        await execute(block, peers, names, then=check)
    finally:
        if "connector" in names:
            await names["connector"].close()


def test_every_block_is_checked() -> None:
    assert len(PYTHON) == 14
    assert {block.heading for block in PYTHON} == CHECKS.keys()


@pytest.mark.parametrize("kind", ["opc_ua", "modbus"])
def test_the_configuration_options_of_a_connector_load(kind: str, tmp_path: Path) -> None:
    (block,) = [block for block in YAML if block.text.startswith(f"{kind}:")]
    indented = re.sub(r"^(?=.)", "  ", block.text, flags=re.MULTILINE)
    file = tmp_path / "integrations.yaml"
    file.write_text(f"integrations:\n  enabled: [{kind}]\n{indented}")
    assert list(load(file, {}).connections) == [kind, "sqlite"]


def _variables() -> dict[str, str]:
    """As printed, but for the one whose value is only hinted at: that of the guide's own block."""
    (block,) = blocks(GUIDE, "bash")
    lines = [line for line in block.text.splitlines() if line and not line.startswith("#")]
    printed = dict(line.split("=", 1) for line in lines)
    assert printed["GL002_AZURE_IOT_CONNECTION"] == "HostName=..."
    return printed | {"GL002_AZURE_IOT_CONNECTION": connection_string()}


def test_the_integration_config_file_loads_with_the_variables_of_the_guide(tmp_path: Path) -> None:
    (block,) = [block for block in YAML if "integrations:" in block.text]
    file = tmp_path / "integrations.yaml"
    file.write_text(block.text)
    config = load(file, _variables())
    assert list(config.connections) == ["opc_ua.primary", "modbus.boiler1", "mqtt", "timescale"]
    assert [name for name, _ in config.inputs] == ["opc_ua.primary", "modbus.boiler1"]
    assert [name for name, _ in config.outputs] == ["timescale", "mqtt"]


def test_every_variable_of_a_connector_that_is_there_is_enough_by_itself(tmp_path: Path) -> None:
    printed = _variables()
    taken = {
        variable: kind
        for kind in kinds()
        for variable in connector(kind).environment
        if variable in printed
    }
    assert set(taken) == {
        "GL002_OPC_SERVER", "GL002_MODBUS_HOST", "GL002_MQTT_BROKER", "GL002_TIMESCALE_URL",
        "GL002_INFLUX_URL",
        "GL002_AWS_IOT_ENDPOINT", "GL002_AZURE_IOT_CONNECTION",
        "GL002_PI_SERVER", "GL002_ORACLE_HOST", "GL002_SAP_HOST", "GL002_WW_SERVER",
    }  # fmt: skip
    for variable, kind in taken.items():
        file = tmp_path / "integrations.yaml"
        file.write_text(f"integrations:\n  enabled: [{kind}]\n")
        assert kind in load(file, {variable: printed[variable]}).connections


def test_the_guide_is_kept_as_it_is() -> None:
    """Its text belongs to its readers: what it promises is built, not reworded."""
    text = GUIDE.read_text()
    assert len(list(blocks(GUIDE))) == 19
    assert text.startswith("# GL-002: Boiler Efficiency Optimizer - Integration Guide\n")
