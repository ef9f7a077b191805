"""A reading of the plant becomes one document in SAP, however often the gateway is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from peers.libmodbus import LibModbus
from peers.mosquitto import wait_for
from peers.sap_system import SAPSystem


def _config(modbus: LibModbus, sap: SAPSystem) -> dict[str, object]:
    device = {"name": "boiler1", "host": "127.0.0.1", "port": modbus.port, "slave_id": 1}
    return {
        "gateway": {"name": "house"},
        "integrations": {
            "enabled": ["modbus", "sap"],
            "modbus": device,
            "sap": {**sap.config, "time_zone": "UTC"},
            "data_flow": {"input": [{"source": "modbus", "registers": [40001]}]},
        },
        "actions": [
            {
                "destination": "sap", "action": "create_measurement_document",
                "on": {"tag": "boiler1.40001", "every": "1 day"}, "approval": False,
                "fields": {
                    "point": "BOILER_001_P", "value": "{value}", "timestamp": "{time}",
                    "unit": "BAR",
                },
            },
            {
                "destination": "sap", "action": "create_work_order",
                "on": {"tag": "boiler1.40001", "every": "1 day"}, "approval": False,
                "fields": {"text": "{text:.40}", "equipment": "10000045", "type": "PM01"},
            },
        ],
    }  # fmt: skip


@contextmanager
def _running(folder: Path, modbus: LibModbus, sap: SAPSystem) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "integrations.yaml").write_text(yaml.safe_dump(_config(modbus, sap)))
    with (folder / "output.txt").open("ab") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", "integrations.yaml"], cwd=folder,
            env={**os.environ, "GL002_STATE_DIR": str(folder / "state")}, stderr=log, stdout=log,
        )  # fmt: skip
    try:
        yield gateway
        assert gateway.poll() is None, (folder / "output.txt").read_text()
    finally:
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_one_document_and_one_order_are_made_however_often_the_gateway_is_killed(
    tmp_path: Path,
) -> None:
    with SAPSystem() as sap, LibModbus() as modbus:
        modbus.set(1, "holding", 0, 12)
        for lived in (2.0, 3.0, 4.0):  # killed wherever it is
            with _running(tmp_path, modbus, sap):
                time.sleep(lived)
        with _running(tmp_path, modbus, sap):
            wait_for(lambda: sap.rows("SELECT * FROM IMRG") and sap.rows("SELECT * FROM AUFK"), 100)
            time.sleep(3)
        documents = sap.rows("SELECT POINT, RECDV, RECDU, MDTXT FROM IMRG")
        orders = sap.rows("SELECT AUART, EQUNR FROM AUFK")
    days = {row[3] for row in documents}
    assert len(documents) == len(days) <= 2, "one of each day; midnight may pass"
    assert {row[:3] for row in documents} == {("000000000013", "12.0", "BAR")}
    assert set(orders) == {("PM01", "10000045")}
    assert len(orders) <= 2
