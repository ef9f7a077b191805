"""Pub/Sub in and out through the gateway: an outage loses nothing; a command is a proposal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gl002.config.sections import WritesSettings
from gl002.context import Context
from gl002.integrations.cloud import GCPIoTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.writes.proposals import proposal_docket
from peers.google_pubsub import PubSub
from peers.libmodbus import LibModbus
from rigs.gateway import running
from rigs.messages import samples_in

COUNT = 300


@pytest.fixture(scope="module")
def cloud() -> Iterator[PubSub]:
    with PubSub() as there:
        yield there


async def test_over_an_outage_nothing_is_lost_and_the_pace_is_kept(
    cloud: PubSub, tmp_path: Path
) -> None:
    cloud.create("counts", "counts", ordered=True)
    cloud.create("kept")
    with Link(cloud.port) as link:
        integrations = {
            "enabled": ["gcp"],
            "gcp": {
                "near": cloud.config(),
                "far": cloud.config(
                    link.port, retry_policy={"max_attempts": 1}, messages_per_second=200
                ),
            },
            "data_flow": {
                "input": [{"source": "gcp.near", "subscription": "counts", "wait": 1}],
                "output": [{
                    "destination": "gcp.far", "topic": "kept", "ordering_key": "{tag}",
                    "interval": 0.1, "batch_size": 20,
                    "retry_policy": {"max_attempts": None, "first": 0.1, "most": 0.5},
                }],
            },
        }  # fmt: skip
        async with running(tmp_path, integrations) as gateway:
            for i in range(COUNT):
                if i == COUNT // 3:
                    link.cut()
                # One key: what a pull that was given up took comes again before what is behind it.
                await asyncio.to_thread(cloud.publish, "counts", {"b1": i, "b2": i}, key="counter")
            await eventually(lambda: cloud.backlog("counts") == 0, "all is on disk", within=60)
            before = len(cloud.messages("kept"))
            assert before < 2 * COUNT
            back = time.monotonic()
            link.restore()
            await eventually(
                lambda: len(_kept(cloud)) >= 2 * COUNT,
                lambda: f"all arrived; {gateway.status().outputs[0]}",
                within=60,
            )
            took = time.monotonic() - back
    samples = _kept(cloud)
    for boiler in ("b1", "b2"):
        assert [s.value for s in samples if s.tag == boiler] == list(range(COUNT))
    assert took > (2 * COUNT - before) / 200 * 0.8, "not faster than the pace allows"
    keys = {key for _, _, key in cloud.messages("kept")}
    assert keys == {"b1", "b2"}
    repeats = len(cloud.messages("kept")) - len(samples)
    assert repeats <= 20, "at most the request that was under way"


def _kept(cloud: PubSub) -> list[Any]:
    return samples_in(data for data, _, _ in cloud.messages("kept"))


@asynccontextmanager
async def commanded(cloud: PubSub, folder: Path) -> AsyncIterator[list[Any]]:
    """A connector that takes commands; yields the samples it delivers."""
    cloud.create("commands", "commands")
    cloud.create("answers")
    audit = Audit(folder / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=folder)
    samples: list[Any] = []
    async with GCPIoTConnector(cloud.config(), context=context) as gcp:
        spec = {
            "source": "gcp", "subscription": "commands", "commands": True, "answers": "answers",
            "wait": 1,
        }  # fmt: skip
        source = gcp.source(gcp.Input.parse(spec))

        async def follow() -> None:
            async with source.open() as batches:
                async for batch in batches:
                    samples.extend(batch)

        task = asyncio.create_task(follow())
        try:
            yield samples
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await source.close()


def _answers(cloud: PubSub, topic: str = "answers") -> list[tuple[str, str]]:
    told = [json.loads(data) for data, _, _ in cloud.messages(topic)]
    return [(answer["id"], answer["state"]) for answer in told]


async def test_a_command_becomes_a_proposal_and_only_a_person_lets_it_be_written(
    cloud: PubSub, tmp_path: Path
) -> None:
    cloud.create("wanted", "wanted")
    cloud.create("told")
    with LibModbus() as plant:
        plant.set(1, "holding", 0, 7)
        integrations = {
            "enabled": ["gcp", "modbus"],
            "gcp": cloud.config(),
            "modbus": {
                "connection": {"host": "127.0.0.1", "port": plant.port},
                "devices": [
                    {"slave_id": 1, "name": "b1", "registers": [{"name": "o2", "address": 40001}]}
                ],
            },
            "data_flow": {
                "input": [
                    {"source": "modbus"},
                    {"source": "gcp", "subscription": "wanted", "commands": True,
                     "answers": "told", "wait": 1},
                ],
            },
        }  # fmt: skip
        point = {
            "id": "b1.o2", "connector": "modbus", "address": "b1.o2", "unit": "%",
            "limits": {"min": 0, "max": 10, "min_interval": 0},
        }  # fmt: skip
        writes = {"mode": "approve", "points": [point], "proposals": {"allow": ["gcp"]}}
        async with running(tmp_path, integrations, writes=writes) as gateway:
            wish = {"id": "w1", "point": "b1.o2", "value": 3, "reason": "less excess air"}
            cloud.publish("wanted", wish, asker="optimizer")
            await eventually(lambda: "waiting" in _states(cloud, "w1"), "it was answered")
            cloud.publish("wanted", wish, asker="optimizer")  # the same wish again
            bad = [{"id": "w2", "point": "burner", "value": 1}, {"id": "w3", "point": "b1.o2"},
                   {"id": "w4", "point": "b1.o2", "value": 99}]  # fmt: skip
            cloud.publish("wanted", *bad)
            await eventually(lambda: cloud.backlog("wanted") == 0, "all are acknowledged")
            assert plant.get(1, "holding", 0, 1) == [7], "nothing is written by itself"
            assert gateway.hub.latest["desired.b1.o2"].value == 3
            docket = proposal_docket(gateway.config.state_dir, WritesSettings.parse(writes))
            (entry,) = docket.list(["waiting"])
            guard = gateway.guard()
            plan = await gateway.proposals.plan(entry, guard)
            assert plan.ok, plan.checks
            await gateway.proposals.approve(entry, plan, guard, person="operator")
            await eventually(lambda: "written" in _states(cloud, "w1"), "its end was told")
            assert plant.get(1, "holding", 0, 1) == [3]
    assert _states(cloud, "w2") == _states(cloud, "w4") == ["refused"]
    states = [state for _, state in _answers(cloud, "told")]
    assert sorted(states) == ["refused"] * 3 + ["waiting"] * 2 + ["written"]


def _states(cloud: PubSub, key: str) -> list[str]:
    return [state for found, state in _answers(cloud, "told") if found == key]


async def test_where_nobody_takes_proposals_a_command_is_refused_and_does_nothing(
    cloud: PubSub, tmp_path: Path
) -> None:
    async with commanded(cloud, tmp_path) as samples:
        cloud.publish("commands", {"id": "w9", "point": "b1.o2_setpoint", "value": 3.1})
        await eventually(lambda: ("w9", "refused") in _answers(cloud), "it was refused")
        await eventually(lambda: cloud.backlog("commands") == 0, "and acknowledged")
    assert samples == []
