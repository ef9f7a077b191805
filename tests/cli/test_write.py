"""`gl002 write` says of a write whether it was done, failed, or nobody knows."""

from __future__ import annotations

import asyncio
import json

import pytest

from gl002.cli import main
from gl002.sim.modbus import ModbusSimulator
from gl002.sim.plant import Plant
from gl002.testing.link import Link

SETPOINT = "AIC301.SP"


@pytest.mark.parametrize("form", ["words", "json"])
async def test_a_connection_lost_after_sending_is_told_as_unknown(tmp_path, capsys, form):
    plant = Plant()
    async with ModbusSimulator([plant]) as simulator:
        with Link(simulator.port) as link:
            there = simulator.config()
            there["connection"]["port"] = link.port
            file = tmp_path / "integrations.yaml"
            file.write_text(json.dumps(configuration(there)))
            link.delay(0.2)
            arguments = ["write", "o2", "3.1", "--yes", "-c", str(file)]
            arguments += ["--json"] if form == "json" else []
            writing = asyncio.ensure_future(asyncio.to_thread(main, arguments))
            async with asyncio.timeout(30):
                while plant.signals()[SETPOINT].value != pytest.approx(3.1):
                    assert not writing.done(), capsys.readouterr()
                    await asyncio.sleep(0.01)
            link.cut()
            assert await writing == 1
    out, err = capsys.readouterr()
    if form == "json":
        told = json.loads(out[out.index("{") :])
        assert told["outcome"] == "unknown"
        assert told["detail"].startswith("modbus: write")
    else:
        told = " ".join(f"{out} {err}".split())
        assert "Nobody knows whether it was written: look there" in told
        assert "the point cannot be read" in told


def configuration(modbus) -> dict[str, object]:
    point = {
        "id": "o2", "connector": "modbus", "address": "boiler1.oxygen_setpoint", "unit": "%",
        "limits": {"min": 2, "max": 6, "max_step": 2.5, "min_interval": 0},
    }  # fmt: skip
    return {
        "integrations": {"enabled": ["modbus"], "modbus": {**modbus, "retry_count": 0}},
        "gateway": {"state_dir": "state"},
        "writes": {"mode": "approve", "points": [point]},
    }
