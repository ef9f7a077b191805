"""AWS in, Azure out, through the gateway: nothing lost over an outage, no wish ever written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from gl002.config.load import load
from gl002.flow.gateway import Gateway
from gl002.model import Sample
from gl002.security.audit import read
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from peers.aws_iot import AWSIoT
from peers.azure_iot import AzureIoT
from peers.libmodbus import LibModbus
from peers.mosquitto import Watcher
from rigs.messages import samples_in

COUNT = 300


@asynccontextmanager
async def running(
    folder: Path, integrations: dict[str, Any], **more: Any
) -> AsyncIterator[Gateway]:
    file = folder / "integrations.yaml"
    gateway = {"state_dir": str(folder / "state"), "drain": 20}
    file.write_text(
        yaml.safe_dump({"integrations": integrations, "gateway": gateway, **more})
    )  # fmt: skip
    made = Gateway(load(file, {}))
    run = asyncio.create_task(made.run())
    await made.started()
    try:
        yield made
    finally:
        made.stop()
        async with asyncio.timeout(40):
            await run


async def test_over_an_outage_nothing_is_lost_and_the_order_is_kept(tmp_path: Path) -> None:
    with AWSIoT() as aws, AzureIoT() as azure, Link(azure.front.port) as link:
        integrations = {
            "enabled": ["aws", "azure"],
            "aws": aws.config(),
            "azure": azure.config(link.port, retry_policy={"max_attempts": 1}),
            "data_flow": {
                "input": [
                    {"source": "aws", "topics": ["plant/+/count"], "format": "raw", "tag": "{1}"}
                ],
                "output": [{
                    "destination": "azure", "interval": 0.1,
                    "retry_policy": {"max_attempts": None, "first": 0.1, "most": 0.5},
                }],
            },
        }  # fmt: skip
        async with running(tmp_path, integrations) as gateway:
            with Watcher(aws.broker.port) as plant:
                while "probe" not in gateway.hub.latest:  # until the input is subscribed
                    await asyncio.to_thread(plant.publish, "plant/probe/count", "0")
                    await asyncio.sleep(0.05)
                for i in range(COUNT):
                    if i == COUNT // 3:
                        link.cut()
                    await asyncio.to_thread(plant.publish, "plant/b1/count", str(i))
                    await asyncio.to_thread(plant.publish, "plant/b2/count", str(i))
            await asyncio.sleep(0.5)
            assert len(_arrived(azure)) < 2 * COUNT
            link.restore()
            await eventually(
                lambda: len(_arrived(azure)) >= 2 * COUNT,
                lambda: f"all arrived; {gateway.status().outputs[0]}",
                within=30,
            )
        samples = _arrived(azure)
        for boiler in ("b1", "b2"):
            assert [s.value for s in samples if s.tag == boiler] == list(range(COUNT))
        identities = {
            properties["$.mid"]: json.loads(payload)["id"]
            for properties, payload in azure.hub.telemetry
        }
        assert all(outer == inner for outer, inner in identities.items())


def _arrived(azure: AzureIoT) -> list[Sample]:
    """What a consumer has that drops messages whose id it knows."""
    samples = samples_in(payload for _, payload in list(azure.hub.telemetry))
    return [sample for sample in samples if sample.tag != "probe"]


async def test_a_wish_of_the_cloud_reaches_the_tags_and_never_the_plant(tmp_path: Path) -> None:
    with AWSIoT() as aws, AzureIoT() as azure, LibModbus() as plant:
        registers = [{"name": "o2_setpoint", "address": 40001}]
        integrations = {
            "enabled": ["aws", "azure", "modbus"],
            "aws": aws.config(),
            "azure": azure.config(),
            "modbus": {
                "connection": {"host": "127.0.0.1", "port": plant.port},
                "devices": [{"slave_id": 1, "name": "b1", "registers": registers}],
            },
            "data_flow": {
                "input": [
                    {"source": "aws", "shadow": "classic", "prefix": "aws."},
                    {"source": "azure", "prefix": "azure."},
                    {"source": "azure", "what": "messages"},
                    {"source": "modbus"},
                ],
            },
        }
        point = {
            "id": "o2_setpoint", "connector": "modbus.b1", "address": "o2_setpoint", "unit": "%",
            "limits": {"min": 0, "max": 10},
        }  # fmt: skip
        writes = {"mode": "approve", "points": [point]}
        plant.set(1, "holding", 0, 7)
        async with running(tmp_path, integrations, writes=writes) as gateway:
            await asyncio.sleep(1)  # until the messages are subscribed to
            aws.shadows.desire({"o2_setpoint": 3})
            azure.hub.desire({"o2_setpoint": 4})
            azure.hub.send(json.dumps({"o2_setpoint": 5, "write": "o2_setpoint"}))
            wanted = {
                "aws.o2_setpoint": 3, "azure.o2_setpoint": 4, "messages.o2_setpoint": 5,
            }  # fmt: skip
            await eventually(
                lambda: wanted.items() <= _values(gateway).items(),
                lambda: f"the wishes are tags: {_values(gateway)}",
            )
            await asyncio.sleep(0.5)
            assert plant.get(1, "holding", 0, 1) == [7]
        entries = [entry["action"] for entry in read(tmp_path / "state" / "audit.jsonl")]
        assert not [action for action in entries if action.startswith("write")]
        assert aws.shadows.errors + azure.hub.errors == []


def _values(gateway: Gateway) -> dict[str, Any]:
    return {tag: sample.value for tag, sample in gateway.hub.latest.items()}
