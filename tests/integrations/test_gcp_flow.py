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
import yaml

from gl002.config.load import load
from gl002.context import Context
from gl002.flow.gateway import Gateway
from gl002.integrations.cloud import GCPIoTConnector
from gl002.proposal import Answer, Proposal
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from peers.google_pubsub import PubSub
from rigs.messages import samples_in

COUNT = 300


@pytest.fixture(scope="module")
def cloud() -> Iterator[PubSub]:
    with PubSub() as there:
        yield there


@asynccontextmanager
async def running(folder: Path, integrations: dict[str, Any]) -> AsyncIterator[Gateway]:
    file = folder / "integrations.yaml"
    gateway = {"state_dir": str(folder / "state"), "drain": 20}
    file.write_text(yaml.safe_dump({"integrations": integrations, "gateway": gateway}))
    made = Gateway(load(file, {}))
    run = asyncio.create_task(made.run())
    await made.started()
    try:
        yield made
    finally:
        made.stop()
        async with asyncio.timeout(40):
            await run


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
                    "interval": 0.1,
                    "retry_policy": {"max_attempts": None, "first": 0.1, "most": 0.5},
                }],
            },
        }  # fmt: skip
        async with running(tmp_path, integrations) as gateway:
            for i in range(COUNT):
                if i == COUNT // 3:
                    link.cut()
                await asyncio.to_thread(cloud.publish, "counts", {"b1": i, "b2": i})
            await eventually(lambda: cloud.backlog("counts") == 0, "all is on disk", within=30)
            before = len(cloud.messages("kept"))
            assert before < 2 * COUNT
            back = time.monotonic()
            link.restore()
            await eventually(
                lambda: len(_kept(cloud)) >= 2 * COUNT,
                lambda: f"all arrived; {gateway.status().outputs[0]}",
                within=30,
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


class Queue:
    """A queue of proposals as the contract has it; a person decides by `decide`."""

    def __init__(self) -> None:
        self.offered: dict[str, Proposal] = {}
        self.decided: dict[str, asyncio.Future[Answer]] = {}

    def open_to(self, origin: str) -> bool:
        return origin == "gcp"

    def points(self, origin: str) -> frozenset[str]:
        return frozenset({"b1.o2_setpoint"})

    async def offer(self, proposal: Proposal) -> Answer:
        if proposal.point != "b1.o2_setpoint":
            return self._answer(proposal, "refused", "no such point")
        self.offered.setdefault(proposal.id, proposal)
        self.decided.setdefault(proposal.id, asyncio.get_running_loop().create_future())
        return self._answer(proposal, "waiting", "a person decides")

    async def outcome(self, proposal: Proposal) -> Answer:
        return await asyncio.shield(self.decided[proposal.id])

    def decide(self, key: str, state: Any) -> None:
        self.decided[key].set_result(self._answer(self.offered[key], state, "by a person"))

    def _answer(self, proposal: Proposal, state: Any, reason: str) -> Answer:
        return Answer(id=proposal.id, point=proposal.point, state=state, reason=reason)


@asynccontextmanager
async def commanded(cloud: PubSub, folder: Path, **more: Any) -> AsyncIterator[list[Any]]:
    """A connector that takes commands; yields the samples it delivers."""
    cloud.create("commands", "commands")
    cloud.create("answers")
    audit = Audit(folder / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=folder, **more)
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


def _answers(cloud: PubSub) -> list[tuple[str, str]]:
    told = [json.loads(data) for data, _, _ in cloud.messages("answers")]
    return [(answer["id"], answer["state"]) for answer in told]


async def test_a_command_becomes_a_proposal_and_its_end_is_told(
    cloud: PubSub, tmp_path: Path
) -> None:
    queue = Queue()
    async with commanded(cloud, tmp_path, proposals=queue) as samples:
        wish = {"id": "w1", "point": "b1.o2_setpoint", "value": 3.1, "reason": "less excess air"}
        cloud.publish("commands", wish, asker="optimizer")
        await eventually(lambda: ("w1", "waiting") in _answers(cloud), "it was answered")
        assert (queue.offered["w1"].asker, queue.offered["w1"].value) == ("optimizer", 3.1)
        cloud.publish("commands", wish, asker="optimizer")  # the same wish again
        cloud.publish("commands", {"id": "w2", "point": "valve", "value": 1}, {"write": "all"})
        await eventually(lambda: ("w2", "refused") in _answers(cloud), "the other was refused")
        queue.decide("w1", "written")
        await eventually(lambda: ("w1", "written") in _answers(cloud), "its end was told")
        await eventually(lambda: cloud.backlog("commands") == 0, "all are acknowledged")
    assert {(s.tag, s.value) for s in samples} == {("desired.b1.o2_setpoint", 3.1)}
    assert list(queue.offered) == ["w1"]
    refused = [a for a in _answers(cloud) if a[1] == "refused"]
    assert len(refused) == 2, "what is no command is answered, too"


async def test_where_nobody_takes_proposals_a_command_is_refused_and_does_nothing(
    cloud: PubSub, tmp_path: Path
) -> None:
    async with commanded(cloud, tmp_path) as samples:
        cloud.publish("commands", {"id": "w9", "point": "b1.o2_setpoint", "value": 3.1})
        await eventually(lambda: ("w9", "refused") in _answers(cloud), "it was refused")
        await eventually(lambda: cloud.backlog("commands") == 0, "and acknowledged")
    assert samples == []
