"""A value of the plant becomes one order and one reading in Oracle, however often we are killed."""

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
from peers.oracle_ebs import OracleEBS

BATCH = "HOUSE"  # imported when the test says so
ROWS = "SELECT attribute15, counter_reading, process_status FROM csi_ctr_readings_interface"


def _config(modbus: LibModbus, ebs: OracleEBS) -> dict[str, object]:
    interface = {"sequence": "CSI.ROWS_OF_THE_INTERFACE_S", "batch": BATCH}
    cause = {"on": {"tag": "boiler1.40001", "every": "1 day"}, "approval": False,
             "retry_policy": {"first": 0.2, "most": 0.5}}  # fmt: skip
    device = {"name": "boiler1", "host": "127.0.0.1", "port": modbus.port, "slave_id": 1}
    return {
        "gateway": {"name": "house"},
        "integrations": {
            "enabled": ["modbus", "oracle"],
            "modbus": device,
            "oracle": {**ebs.config, "readings_interface": interface},
            "data_flow": {"input": [{"source": "modbus", "registers": [40001]}]},
        },
        "actions": [
            {**cause, "destination": "oracle", "action": "update_asset_performance",
             "fields": {"asset_number": "BOILER-001", "runtime_hours": "{value}"}},
            {**cause, "destination": "oracle", "action": "create_work_order",
             "fields": {"asset_number": "BOILER-001", "description": "{text:.40}"}},
        ],
    }  # fmt: skip


@contextmanager
def _running(folder: Path, config: dict[str, object]) -> Iterator[None]:
    (folder / "integrations.yaml").write_text(yaml.safe_dump(config))
    with (folder / "output.txt").open("ab") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", "integrations.yaml"], cwd=folder,
            env={**os.environ, "GL002_STATE_DIR": str(folder / "state")}, stderr=log, stdout=log,
        )  # fmt: skip
    try:
        yield
        assert gateway.poll() is None, (folder / "output.txt").read_text()
    finally:
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(60)


def _states(folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "gl002", "outbox", "list", "--json"], cwd=folder, text=True,
        env={**os.environ, "GL002_STATE_DIR": str(folder / "state")}, capture_output=True,
        check=True, timeout=60,
    ).stdout  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_one_order_and_one_row_are_made_and_the_row_is_asked_after_until_it_is_imported(
    tmp_path: Path,
) -> None:
    with OracleEBS() as ebs, LibModbus() as modbus:
        modbus.set(1, "holding", 0, 12)
        config = _config(modbus, ebs)
        for lived in (2.0, 3.0, 4.0):  # killed wherever it is
            with _running(tmp_path, config):
                time.sleep(lived)
        with _running(tmp_path, config):
            wait_for(lambda: ebs.rows(ROWS) and ebs.rows("SELECT * FROM wip_entities"), 100)
            wait_for(lambda: "wait in CSI_CTR_READINGS_INTERFACE" in _states(tmp_path), 100)
            ebs.import_readings(BATCH)
            wait_for(lambda: "wait in" not in _states(tmp_path), 100)
        rows = ebs.rows(ROWS)
        orders = ebs.rows("SELECT wip_entity_name FROM wip_entities")
        recorded = ebs.rows("SELECT attribute15, counter_reading FROM csi_counter_readings")
    assert len(rows) == len({key for key, _, _ in rows}) <= 2, "one of each day; midnight may pass"
    assert recorded == [(key, value) for key, value, status in rows if status == "P"]
    assert (rows[0][1], rows[0][2]) == (12, "P")
    assert 1 <= len(orders) <= 2
