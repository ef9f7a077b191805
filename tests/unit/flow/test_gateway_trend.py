"""What a page of trends asks a running gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gl002.config.load import load
from gl002.errors import Unsupported
from gl002.flow.gateway import Gateway
from gl002.model import Sample

SECOND = 1_000_000_000
START = 1_759_968_000 * SECOND
OUTPUT = {
    "sqlite": "[{destination: mqtt, topic: t}, {destination: sqlite, interval: 0}]",
    "mqtt": "[{destination: mqtt, topic: t}]",
}


def gateway(folder: Path, output: str) -> Gateway:
    (folder / "integrations.yaml").write_text(
        "integrations:\n  enabled: [sqlite, mqtt]\n  mqtt: {broker: 127.0.0.1, port: 1}\n"
        f"  data_flow: {{output: {OUTPUT[output]}}}\n"
        "gateway: {state_dir: state, drain: 0.5}\n"
    )
    return Gateway(load(folder / "integrations.yaml"))


async def test_a_trend_comes_from_the_first_output_that_keeps_a_history(tmp_path: Path) -> None:
    running = gateway(tmp_path, "sqlite")
    task = asyncio.create_task(running.run())
    await running.started()
    await running.store.put([Sample("t", float(i), START + i * SECOND) for i in range(600)])
    async with asyncio.timeout(30):
        while not (found := await running.trend("t", START, START + 600 * SECOND, points=6)):
            await asyncio.sleep(0.05)
    assert [(b.low, b.high) for b in found] == [(i * 100.0, i * 100.0 + 99) for i in range(6)]
    assert await running.trend("absent", START, START + SECOND) == []
    running.stop()
    await task


async def test_without_a_history_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no output keeps a history"):
        await gateway(tmp_path, "mqtt").trend("t", START, START + SECOND)
