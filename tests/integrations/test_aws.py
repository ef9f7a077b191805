"""AWS IoT Core against mosquitto and a shadow service: shadows, deltas, jobs, outages."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import Busy, ConfigError, ConnectFailed, DataError, TagNotFound
from gl002.integrations.cloud import SyncAWSIoTConnector
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.wire.aws_iot import VersionConflict
from gl002.wire.aws_jobs import Job
from integrations.aws_site import Make, cloud, fast, make, shared
from peers.aws_iot import THING, AWSIoT
from peers.mosquitto import Watcher, wait_for

fixtures = shared, cloud, make


DELTA = f"$aws/things/{THING}/shadow/update/delta"


# ---- shadows ----------------------------------------------------------------------------------


async def test_an_update_returns_what_the_shadow_service_has_accepted(make: Make, cloud) -> None:
    accepted = await make().update_shadow({"state": {"reported": {"efficiency": 85.4}}})
    assert accepted["state"] == {"reported": {"efficiency": 85.4}}
    assert accepted["version"] == 1
    assert cloud.shadows.shadow().state == {"reported": {"efficiency": 85.4}}


async def test_named_shadows_are_apart_from_the_classic_one(make: Make, cloud) -> None:
    aws = make()
    await aws.update_shadow({"state": {"reported": {"o2": 3.4}}}, shadow="combustion")
    await aws.update_shadow({"state": {"reported": {"o2": 1.0}}})
    assert cloud.shadows.shadow(name="combustion").state == {"reported": {"o2": 3.4}}
    assert (await aws.get_shadow(shadow="combustion"))["state"]["reported"] == {"o2": 3.4}
    await aws.delete_shadow(shadow="combustion")
    with pytest.raises(TagNotFound, match="No shadow exists"):
        await aws.get_shadow(shadow="combustion")


async def test_an_update_for_another_version_changes_nothing_and_says_so(make: Make, cloud) -> None:
    aws = make()
    first = await aws.update_shadow({"state": {"reported": {"o2": 3.4}}})
    await aws.update_shadow({"state": {"reported": {"o2": 3.5}}}, version=first["version"])
    with pytest.raises(VersionConflict, match="Version conflict") as caught:
        await aws.update_shadow({"state": {"reported": {"o2": 9.9}}}, version=first["version"])
    assert not caught.value.retryable
    assert cloud.shadows.shadow().state == {"reported": {"o2": 3.5}}
    assert aws.state is State.UP


async def test_answers_find_the_request_they_belong_to(make: Make) -> None:
    aws = make()
    updates = [{"state": {"reported": {f"t{i}": i}}} for i in range(20)]
    accepted = await asyncio.gather(*(aws.update_shadow(update) for update in updates))
    assert [answer["state"] for answer in accepted] == [update["state"] for update in updates]
    assert sorted(answer["version"] for answer in accepted) == list(range(1, 21))


async def test_the_answer_to_another_client_is_not_ours(make: Make, cloud) -> None:
    aws = make()
    await aws.update_shadow({"state": {"reported": {"o2": 1}}})
    with Watcher(cloud.broker.port, f"$aws/things/{THING}/shadow/update/accepted") as other:
        request = {"state": {"reported": {"o2": 2}}, "clientToken": "not-ours"}
        other.publish(f"$aws/things/{THING}/shadow/update", json.dumps(request))
        other.received(1)
    assert (await aws.update_shadow({"state": {"reported": {"o2": 3}}}))["version"] == 3


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"reported": {"o2": 3}}, "has a 'state'"),
        ({"state": {"reported": {"text": "x" * 9000}}}, "at most 8192 bytes"),
        ({"state": {"wrong": {"o2": 3}}}, "invalid node"),
    ],
)
async def test_a_document_that_is_none_is_refused(make: Make, document: Any, word: str) -> None:
    with pytest.raises(DataError, match=word):
        await make().update_shadow(document)


async def test_a_name_that_no_shadow_can_have_is_refused_before_it_is_sent(make: Make) -> None:
    with pytest.raises(ConfigError, match="no name of a shadow"):
        await make().get_shadow(shadow="a/b")


async def test_too_many_requests_come_again_until_they_are_too_many(make: Make, cloud) -> None:
    aws = make(**fast())
    cloud.shadows.busy = 2
    assert (await aws.update_shadow({"state": {"reported": {"o2": 3}}}))["version"] == 1
    cloud.shadows.busy = 100
    with pytest.raises(Busy, match="429"):
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
    assert aws.state is State.UP


async def test_a_silent_shadow_service_is_told_from_a_dead_connection(make: Make, cloud) -> None:
    aws = make(retry_policy={"max_attempts": 1})
    await aws.update_shadow({"state": {"reported": {"o2": 3}}})  # now it listens to answers
    aws.set_timeout(3000)
    cloud.shadows.silent = True
    with pytest.raises(Busy, match="policy"):
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
    assert aws.state is State.UP


async def test_a_silent_shadow_service_on_a_slow_line_is_no_dead_connection(
    make: Make, cloud
) -> None:
    with Link(cloud.broker.mutual_port) as link:
        aws = make(link.port, retry_policy={"max_attempts": 1})
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
        aws.set_timeout(3000)
        cloud.shadows.silent = True
        link.delay(0.3)  # the broker's word that it has the request comes after 0.6 s
        with pytest.raises(Busy, match="policy"):
            await aws.update_shadow({"state": {"reported": {"o2": 3}}})
        assert aws.state is State.UP
        await aws.close()


async def test_a_cut_while_the_answer_is_awaited_ends_the_wait(make: Make, cloud) -> None:
    with Link(cloud.broker.mutual_port) as link:
        aws = make(link.port, retry_policy={"max_attempts": 1}, timeout=100)
        await aws.connect()
        cloud.shadows.silent = True
        asking = asyncio.create_task(aws.update_shadow({"state": {"reported": {"o2": 3}}}))
        await eventually(lambda: cloud.shadows.unanswered, "the request is under way")
        link.cut()
        with pytest.raises(ConnectFailed):
            async with asyncio.timeout(50):
                await asking
        link.restore()
        cloud.shadows.silent = False
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
        await aws.close()


# ---- deltas -----------------------------------------------------------------------------------


async def test_a_delta_reaches_the_callback_of_the_guide(make: Make, cloud) -> None:
    received: list[Any] = []
    await make().subscribe(DELTA, received.append)
    cloud.shadows.desire({"o2": 3.1})
    await eventually(lambda: received, "the delta came")
    assert received[0].json()["state"] == {"o2": 3.1}


async def test_what_was_desired_before_comes_at_once_and_an_old_delta_never(
    make: Make, cloud
) -> None:
    cloud.shadows.desire({"o2": 3.1})
    received: list[Any] = []
    aws = make()
    await aws.on_delta(received.append)
    await eventually(lambda: received, "what is desired now came")
    assert (received[0].state, received[0].version) == ({"o2": 3.1}, 1)
    cloud.shadows.desire({"o2": 3.2})
    await eventually(lambda: len(received) == 2, "the change came")
    late = {"version": 1, "timestamp": 1, "state": {"o2": 9}, "metadata": {}}
    cloud.shadows.publish(DELTA, json.dumps(late))
    cloud.shadows.desire({"o2": 3.3})
    await eventually(lambda: len(received) == 3, "the next change came")
    assert [delta.state["o2"] for delta in received] == [3.1, 3.2, 3.3]


async def test_a_topic_of_another_thing_is_warned_of(make: Make, caplog) -> None:
    aws = make()
    await aws.subscribe("$aws/things/gl002/shadow/update/delta", print)
    assert "thing_name" in caplog.text
    caplog.clear()
    await make(thing_name="gl002", client_id="other").subscribe(
        "$aws/things/gl002/shadow/update/delta", print
    )
    assert caplog.text == ""


# ---- jobs -------------------------------------------------------------------------------------


async def test_jobs_are_done_in_turn_and_their_end_is_told(make: Make, cloud) -> None:
    cloud.jobs.create("first", {"do": "report"})
    cloud.jobs.create("second", {"do": "fail"})
    done: list[Job] = []

    async def handle(job: Job) -> Any:
        done.append(job)
        if job.document["do"] == "fail":
            raise ValueError("no such recipe")
        return {"rows": 12}

    aws = make()
    await aws.on_job(handle)
    await eventually(lambda: len(done) == 2, "those that waited were begun")
    cloud.jobs.create("third", {"do": "report"})
    await eventually(lambda: cloud.jobs.status("third")[0] == "SUCCEEDED", "the new one, too")
    assert [job.id for job in done] == ["first", "second", "third"]
    assert cloud.jobs.status("first") == ("SUCCEEDED", {"rows": "12"})
    assert cloud.jobs.status("second") == ("FAILED", {"reason": "ValueError: no such recipe"})


async def test_a_job_that_was_begun_and_not_ended_is_handed_over_again(make: Make, cloud) -> None:
    cloud.jobs.create("begun", {"do": "report"})
    never = asyncio.Event()
    first, again = [], []

    async def hang(job: Job) -> None:
        first.append(job)
        await never.wait()

    aws = make()
    await aws.on_job(hang)
    await eventually(lambda: first, "it was begun")
    await aws.close()
    assert cloud.jobs.status("begun")[0] == "IN_PROGRESS"
    await make().on_job(again.append)
    await eventually(lambda: cloud.jobs.status("begun")[0] == "SUCCEEDED", "it was done")
    assert [job.id for job in again] == ["begun"]


async def test_a_job_that_somebody_else_has_ended_is_left_as_it_is(
    make: Make, cloud, caplog
) -> None:
    cloud.jobs.create("ended", {})

    def meanwhile(job: Job) -> None:
        cloud.jobs.executions[0]["status"] = "REJECTED"

    await make().on_job(meanwhile)
    await eventually(lambda: "InvalidStateTransition" in caplog.text, "it was refused and said")
    assert cloud.jobs.status("ended")[0] == "REJECTED"


# ---- outages ----------------------------------------------------------------------------------


async def test_after_an_outage_the_subscription_and_the_shadow_are_back(make: Make) -> None:
    with AWSIoT() as own:
        aws = make(own.broker.mutual_port, **{
            key: value for key, value in own.config().items() if key.endswith("_path")
        }, **fast())  # fmt: skip
        received: list[Any] = []
        await aws.on_delta(received.append)
        await asyncio.to_thread(own.restart)
        await eventually(lambda: aws.state is State.UP, "it is connected again")
        async with asyncio.timeout(60):
            while not received:  # until the subscription is back, too
                own.shadows.desire({"o2": 1.0})
                await asyncio.sleep(0.05)
        assert (await aws.get_shadow())["state"]["desired"]
        await aws.close()


def test_the_blocking_face_updates_and_listens(cloud, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    received: list[Any] = []
    with SyncAWSIoTConnector(cloud.config()) as aws:
        aws.on_delta(received.append)
        aws.subscribe("plant/commands", received.append)
        assert aws.update_shadow({"state": {"desired": {"o2": 3.1}}})["version"] == 1
        aws.publish("plant/commands", {"do": "nothing"})
        wait_for(lambda: len(received) == 2)
