"""AWS in, Azure out, through the gateway: nothing lost over an outage, no wish ever written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gl002.config.sections import WritesSettings
from gl002.flow.gateway import Gateway
from gl002.model import Sample
from gl002.security.audit import read
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.writes.proposals import proposal_docket
from peers.aws_iot import THING, AWSIoT
from peers.azure_iot import DEVICE, AzureIoT
from peers.libmodbus import LibModbus
from peers.mosquitto import Watcher
from rigs.gateway import running
from rigs.messages import samples_in

COUNT = 300


async def listening(aws: AWSIoT, azure: AzureIoT, *also: str) -> None:
    """Both brokers have agreed to what the gateway subscribes to for wishes."""
    desired = f"$aws/things/{THING}/shadow/update/documents"
    await eventually(lambda: aws.broker.takes(THING, desired), "AWS is listened to")
    for topic in ("$iothub/twin/PATCH/properties/desired/#", *also):
        await eventually(lambda t=topic: azure.broker.takes(DEVICE, t), f"{topic} is listened to")


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
                within=60,
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
            "id": "o2_setpoint", "connector": "modbus", "address": "b1.o2_setpoint", "unit": "%",
            "limits": {"min": 0, "max": 10},
        }  # fmt: skip
        writes = {"mode": "approve", "points": [point]}
        plant.set(1, "holding", 0, 7)
        async with running(tmp_path, integrations, writes=writes) as gateway:
            await listening(aws, azure, f"devices/{DEVICE}/messages/devicebound/#")
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


def _site(aws: AWSIoT, azure: AzureIoT, plant: LibModbus) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two clouds that may propose, and a register they may propose for."""
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
            "input": [{"source": "aws", "shadow": "classic", "prefix": "aws."}, {"source": "azure"}]
        },
    }
    point = {
        "id": "b1.o2", "connector": "modbus", "address": "b1.o2_setpoint", "unit": "%",
        "limits": {"min": 0, "max": 10, "min_interval": 0},
    }  # fmt: skip
    proposals = {"allow": ["aws", "azure"]}
    return integrations, {"mode": "approve", "points": [point], "proposals": proposals}


async def _approves(gateway: Gateway) -> None:
    """A person says yes to the one proposal that waits."""
    queue, guard = gateway.proposals, gateway.guard()
    settings = gateway.config.sections.writes
    (entry,) = proposal_docket(gateway.config.state_dir, settings).list(["waiting"])
    plan = await queue.plan(entry, guard)
    assert plan.ok, plan.checks
    assert await queue.approve(entry, plan, guard, person="ann") is not None


async def test_a_wish_for_a_point_waits_for_a_person_and_the_cloud_is_told_what_became_of_it(
    tmp_path: Path,
) -> None:
    with AWSIoT() as aws, AzureIoT() as azure, LibModbus() as plant:
        integrations, writes = _site(aws, azure, plant)
        plant.set(1, "holding", 0, 7)

        def reported_by_aws() -> dict[str, Any]:
            reported: dict[str, Any] = aws.shadows.shadow().state.get("reported", {})
            return reported

        def told(reported: dict[str, Any]) -> Any:
            return reported.get("proposals", {}).get("b1", {}).get("o2", {}).get("state")

        async with running(tmp_path, integrations, writes=writes) as gateway:
            await listening(aws, azure)
            for reported, desire, value, before in (
                (reported_by_aws, aws.shadows.desire, 3, 7),
                (lambda: azure.hub.reported, azure.hub.desire, 4, 3),
            ):
                desire({"b1": {"o2": value}, "mode": "auto"})
                await eventually(lambda r=reported: told(r()) == "waiting", lambda: "it waits")
                assert plant.get(1, "holding", 0, 1) == [before]
                await _approves(gateway)
                assert plant.get(1, "holding", 0, 1) == [value]
                await eventually(lambda r=reported: told(r()) == "written", lambda: "written")
                assert reported()["b1"] == {"o2": value}
            await _is_still(lambda: gateway.status().inputs[0].received, "telling is no loop")
        entries = list(read(tmp_path / "state" / "audit.jsonl"))
        asked = [e["actor"] for e in entries if e["action"] == "write.proposed"]
        assert [actor.partition(" of ")[0] for actor in asked] == [
            "aws: shadow 'classic'", "azure: twin",
        ]  # fmt: skip
        approved = [e["actor"] for e in entries if e["action"] == "write.approved"]
        assert approved == ["ann", "ann"]
        assert aws.shadows.errors + azure.hub.errors == []


async def test_over_a_restart_a_wish_is_one_proposal_and_a_rejected_one_stays_rejected(
    tmp_path: Path,
) -> None:
    with AWSIoT() as aws, AzureIoT() as azure, LibModbus() as plant:
        integrations, writes = _site(aws, azure, plant)
        docket = proposal_docket(tmp_path / "state", WritesSettings.parse(writes))

        async def once() -> list[str]:
            """The gateway runs until it has heard of the wish; states of all proposals then."""
            async with running(tmp_path, integrations, writes=writes) as gateway:
                if not docket.list():
                    await listening(aws, azure)
                    aws.shadows.desire({"b1": {"o2": 3}})
                await eventually(
                    lambda: "aws.b1.o2" in gateway.hub.latest, lambda: str(_values(gateway))
                )
                return [entry.state for entry in docket.list()]

        assert await once() == ["waiting"]
        assert await once() == ["waiting"]
        docket.move(docket.list()[0].key, ["waiting"], "rejected", detail="no")
        assert await once() == ["rejected"]


async def test_a_direct_method_is_answered_with_whether_its_proposal_is_kept(
    tmp_path: Path,
) -> None:
    with AWSIoT() as aws, AzureIoT() as azure, LibModbus() as plant:
        integrations, writes = _site(aws, azure, plant)
        plant.set(1, "holding", 0, 7)
        async with running(tmp_path, integrations, writes=writes) as gateway:
            await listening(aws, azure, "$iothub/methods/POST/#")
            calls = [
                ("propose_write", {"point": "b1.o2", "value": 3, "reason": "trial"}, 202),
                ("propose_write", {"point": "b1.o2", "value": 30}, 400),
                ("propose_write", {"point": "burner", "value": 3}, 400),
                ("propose_write", {"point": "b1.o2"}, 400),
                ("propose_write", None, 400),
                ("reboot", {}, 400),
            ]
            for number, (method, payload, _) in enumerate(calls):
                azure.hub.call(method, payload, str(number))
            await eventually(
                lambda: len(azure.hub.answers) == len(calls), lambda: str(azure.hub.answers)
            )
            for number, (*_, status) in enumerate(calls):
                assert azure.hub.answers[str(number)][0] == status
            told = azure.hub.answers["0"][1]
            assert (told["point"], told["state"]) == ("b1.o2", "waiting")
            assert plant.get(1, "holding", 0, 1) == [7]
            await _approves(gateway)
            assert plant.get(1, "holding", 0, 1) == [3]


async def test_a_job_that_proposes_is_done_when_a_person_has_let_it_be_written(
    tmp_path: Path,
) -> None:
    with AWSIoT() as aws, AzureIoT() as azure, LibModbus() as plant:
        integrations, writes = _site(aws, azure, plant)
        integrations["data_flow"]["input"][0]["jobs"] = True
        plant.set(1, "holding", 0, 7)
        asked = {"operation": "propose_write", "point": "b1.o2", "value": 3}
        async with running(tmp_path, integrations, writes=writes):
            await listening(aws, azure)
            aws.jobs.create("trial", asked)
            await eventually(lambda: _waiting(tmp_path, writes) == 1, lambda: "it waits")
        assert aws.jobs.status("trial")[0] == "IN_PROGRESS"
        async with running(tmp_path, integrations, writes=writes) as gateway:
            assert plant.get(1, "holding", 0, 1) == [7]
            await _approves(gateway)
            assert plant.get(1, "holding", 0, 1) == [3]
            await eventually(
                lambda: aws.jobs.status("trial")[0] == "SUCCEEDED", lambda: str(aws.jobs.executions)
            )
            for job, document, why in (
                ("reboot", {"operation": "reboot"}, "no other jobs"),
                ("empty", None, "no other jobs"),
                ("pointless", {"operation": "propose_write"}, "no 'point' and 'value'"),
                ("high", {**asked, "value": 30}, "ABS_LIMIT"),
            ):
                aws.jobs.create(job, document)
                await eventually(
                    lambda j=job: aws.jobs.status(j)[0] == "FAILED",
                    lambda: str(aws.jobs.executions),
                )
                assert why in aws.jobs.status(job)[1]["reason"]
            assert plant.get(1, "holding", 0, 1) == [3]


async def _is_still(count: Callable[[], int], why: str) -> None:
    """Return when a count has not grown for a second: what is under way may still come."""
    async with asyncio.timeout(60):
        while True:
            before = count()
            await asyncio.sleep(1)
            if count() == before:
                return
            assert before < 100, why


def _waiting(folder: Path, writes: dict[str, Any]) -> int:
    docket = proposal_docket(folder / "state", WritesSettings.parse(writes))
    return docket.counts().get("waiting", 0)


def _values(gateway: Gateway) -> dict[str, Any]:
    return {tag: sample.value for tag, sample in gateway.hub.latest.items()}
