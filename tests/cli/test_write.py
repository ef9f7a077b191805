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


class LostAfterwards(Plant):
    """It takes a setpoint, and the line breaks before the device can say so."""

    def __init__(self) -> None:
        super().__init__()
        self.line: Link | None = None

    def write(self, tag: str, value: float) -> None:
        super().write(tag, value)
        if self.line is not None:
            self.line.cut()


@pytest.mark.parametrize("form", ["words", "json"])
async def test_a_connection_lost_after_sending_is_told_as_unknown(tmp_path, capsys, form):
    plant = LostAfterwards()
    async with ModbusSimulator([plant]) as simulator:
        with Link(simulator.port) as plant.line:
            there = simulator.config()
            there["connection"]["port"] = plant.line.port
            file = tmp_path / "integrations.yaml"
            file.write_text(json.dumps(configuration(there)))
            arguments = ["write", "o2", "3.1", "--yes", "-c", str(file)]
            arguments += ["--json"] if form == "json" else []
            assert await asyncio.to_thread(main, arguments) == 1
    assert plant.signals()[SETPOINT].value == pytest.approx(3.1)
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
        "integrations": {
            "enabled": ["modbus"],
            "modbus": {**modbus, "retry_count": 0, "timeout": 30},
        },
        "gateway": {"state_dir": "state"},
        "writes": {"mode": "approve", "points": [point]},
    }
