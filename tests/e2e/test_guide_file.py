"""The `integrations.yaml` of the guide, as printed, as a running gateway before real peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.blocks import blocks
from peers.libmodbus import LibModbus
from peers.mosquitto import Mosquitto, Watcher, wait_for
from peers.node_opcua import NodeOpcua
from peers.timescale import Timescale

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
TAGS = {"efficiency", "fuel_rate", "steam_flow", "boiler1.40001", "boiler1.40002", "boiler1.40003"}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_file_of_the_guide_runs_as_printed_once_its_hosts_exist(tmp_path):
    """Its port 502 is the one thing changed: a test cannot listen there."""
    (printed,) = [b.text for b in blocks(GUIDE, "yaml") if "integrations:" in b.text]
    with (
        NodeOpcua(OMIT="SteamFlow,Efficiency", ALSO="efficiency,fuel_rate,steam_flow") as opc_ua,
        LibModbus() as modbus,
        Mosquitto() as broker,
        Timescale() as database,
        Watcher(broker.port, "boiler/data") as watcher,
    ):
        modbus.set(1, "holding", 0, 11, 22, 33)
        (tmp_path / "integrations.yaml").write_text(printed.replace("502", str(modbus.port)))
        trusted = tmp_path / "state" / "pki" / "trusted"
        trusted.mkdir(parents=True)
        (trusted / "peer.der").write_bytes(opc_ua.certificate.der)
        environment = {
            **os.environ,
            "GL002_STATE_DIR": str(tmp_path / "state"),
            "GL002_OPC_SERVER": opc_ua.url,
            "GL002_MODBUS_HOST": "127.0.0.1",
            "GL002_MQTT_BROKER": f"127.0.0.1:{broker.port}",
            "GL002_TIMESCALE_URL": database.url,
        }
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", "integrations.yaml"],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            wait_for(lambda: {s["tag"] for s in _published(watcher)} >= TAGS, 60)
        finally:
            gateway.terminate()
            _, said = gateway.communicate(timeout=60)
        assert gateway.returncode == 0, said
        # The interval of 60 s is not over: stopping in good order delivers what waits.
        rows = database.execute("SELECT DISTINCT tag, value FROM boiler_data WHERE quality = 0")
        stored = dict(rows)
        history = subprocess.run(
            [sys.executable, "-m", "gl002", "history", "query", "--from", "1h", "--json"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        read_back = {json.loads(line)["tag"] for line in history.stdout.splitlines()}
    assert stored.keys() == TAGS
    assert read_back == TAGS, "the command looks where the output of the file writes"
    assert [stored[f"boiler1.4000{i}"] for i in (1, 2, 3)] == [11, 22, 33]


def _published(watcher: Watcher) -> list[dict]:
    return [sample for m in watcher.messages for sample in json.loads(m.payload)["samples"]]
