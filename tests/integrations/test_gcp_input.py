"""Pub/Sub as an input: acknowledged when on disk, nothing twice."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import RequestTimeout
from gl002.integrations.cloud import GCPIoTConnector
from gl002.model import Quality, Sample, now_ns
from gl002.testing.contract.requests import eventually
from integrations.gcp_site import Make, cloud, make, shared, topic
from peers.google_pubsub import PROJECT, PubSub

fixtures = shared, cloud, topic, make


class Following:
    """Takes what a source delivers, as the flow does: asks for more when it is on disk."""

    def __init__(self, gcp: GCPIoTConnector, subscription: str, **spec: Any) -> None:
        self.samples: list[Sample] = []
        self.positions: list[bytes] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.source = gcp.source(
            gcp.Input.parse({"source": "gcp", "subscription": subscription, "wait": 1, **spec})
        )
        self._task: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        async with self.source.open() as batches:
            async for batch in batches:
                self.samples += batch
                self.positions.append(self.source.position())
                await self.hold.wait()

    def last(self) -> dict[str, Any]:
        return {sample.tag: sample.value for sample in self.samples}

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_messages_become_tags_with_the_time_they_were_published_or_carry(
    make: Make, cloud: PubSub, topic: str
) -> None:
    spec = {"name_attribute": "deviceId", "tag": "{1}.{key}", "prefix": "cloud.", "time_key": "at"}
    async with Following(make(), topic, **spec) as following:
        cloud.publish(topic, {"o2": 3.1, "at": "2026-01-02T03:04:05Z"}, deviceId="b1")
        await eventually(lambda: following.samples, "it came")
        await eventually(lambda: cloud.backlog(topic) == 0, "and does not come again")
    (sample,) = following.samples
    assert (sample.tag, sample.value) == ("cloud.b1.o2", 3.1)
    assert sample.time == 1_767_323_045_000_000_000
    before = now_ns()
    async with Following(make(), topic) as following:
        cloud.publish(topic, {"o2": 3.2}, deviceId="b1")
        await eventually(lambda: following.samples, "it came")
    (sample,) = following.samples
    assert before - 1000 <= sample.time <= now_ns()  # the service tells microseconds


async def test_a_message_is_acknowledged_when_its_values_are_on_disk_and_not_before(
    make: Make, cloud: PubSub, topic: str
) -> None:
    async with Following(make(), topic) as following:
        following.hold.clear()
        cloud.publish(topic, {"o2": 1})
        await eventually(lambda: following.samples, "it came")
        await asyncio.sleep(0.3)
        assert cloud.backlog(topic) == 1
        following.hold.set()
        await eventually(lambda: cloud.backlog(topic) == 0, "it was acknowledged")


async def test_what_was_on_disk_before_a_crash_is_not_delivered_twice(
    make: Make, cloud: PubSub, topic: str
) -> None:
    async with Following(make(), topic) as before:
        before.hold.clear()
        cloud.publish(topic, {"o2": 1})
        await eventually(lambda: before.samples, "it came, and was not acknowledged")
    await before.source.close()  # hands it back, so that the test need not wait for the deadline
    after = Following(make(), topic)
    after.source.resume(before.positions[-1])
    async with after:
        cloud.publish(topic, {"o2": 2})
        await eventually(lambda: cloud.backlog(topic) == 0, "both are acknowledged")
    assert [s.value for s in after.samples] == [2]


async def test_the_deadline_is_extended_while_the_disk_is_slow(
    make: Make, cloud: PubSub, topic: str, monkeypatch
) -> None:
    monkeypatch.setattr("gl002.transport.pubsub.source._SOON", 0.2)
    before = len(cloud.control())
    async with Following(make(), topic, ack_deadline=20) as following:
        following.hold.clear()
        cloud.publish(topic, {"o2": 1})
        await eventually(
            lambda: any(line.endswith(":modifyAckDeadline") for line in cloud.control()[before:]),
            "the service was put off",
        )
        following.hold.set()
        await eventually(lambda: cloud.backlog(topic) == 0, "it was acknowledged")
    assert [s.value for s in following.samples] == [1]


async def test_the_deadline_is_extended_while_commands_are_answered(
    make: Make, cloud: PubSub, topic: str, monkeypatch
) -> None:
    monkeypatch.setattr("gl002.transport.pubsub.source._SOON", 0.0)  # however fast answers are
    cloud.publish(topic, *[{"id": f"w{n}", "point": "p", "value": n} for n in range(60)])
    answers = f"{topic}-answers"
    cloud.create(answers)
    before = len(cloud.control())
    async with Following(make(), topic, commands=True, answers=answers, ack_deadline=20):
        await eventually(lambda: len(cloud.messages(answers)) == 60, "all are answered")
        asked = cloud.control()[before:]
        first = next(i for i, line in enumerate(asked) if line.endswith(":publish"))
    put_off = [i for i, line in enumerate(asked) if line.endswith(":modifyAckDeadline")]
    assert put_off, "the service was put off"
    assert put_off[0] < first + 60, "while the first ones were answered"


async def test_what_cannot_be_read_is_a_bad_sample_and_goes_away(
    make: Make, cloud: PubSub, topic: str, caplog
) -> None:
    path = f"v1/projects/{PROJECT}/topics/{topic}:publish"
    bombs = [b"\xff\xfe", b"[1]", b"[" * 5000, b"{" * 5000, b'{"o2": 1e999}']
    messages = [{"data": base64.b64encode(bomb).decode()} for bomb in bombs]
    messages.append({"attributes": {"only": "attributes"}})
    assert cloud.ask("POST", path, {"messages": messages})[0] == 200
    async with Following(make(), topic) as following:
        await eventually(lambda: cloud.backlog(topic) == 0, "all are acknowledged")
        cloud.publish(topic, {"o2": 5})
        await eventually(lambda: following.last().get("o2") == 5, "the next one is read")
    bad = [s for s in following.samples if s.quality == Quality.BAD_DECODING_ERROR]
    assert len(bad) >= 4
    assert "cannot be read" in caplog.text


async def test_more_tags_than_allowed_are_left_out_and_counted(
    make: Make, cloud: PubSub, topic: str
) -> None:
    cloud.publish(topic, {f"t{i}": i for i in range(20)})
    async with Following(make(), topic, max_tags=5) as following:
        await eventually(lambda: cloud.backlog(topic) == 0, "it is acknowledged")
    assert len(following.last()) == 5
    assert following.source.skipped == 15


async def test_a_consumer_of_ones_own_pulls_acknowledges_and_hands_back(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    cloud.publish(topic, {"wish": 1}, {"wish": 2})
    first, second = await gcp.pull(topic)
    assert first.json() == {"wish": 1}
    await gcp.acknowledge(topic, [first])
    await gcp.postpone(topic, [second], 0)
    (again,) = await gcp.pull(topic)
    assert (again.id, again.json()) == (second.id, {"wish": 2})
    await gcp.acknowledge(topic, [again])


async def test_a_service_that_waits_longer_than_it_was_asked_to_is_no_outage(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    await gcp.connect()
    cloud.control(patience=600)
    async with asyncio.timeout(60):
        assert await gcp.pull(topic, wait=1) == []
    assert gcp.state is State.UP


async def test_a_service_that_hangs_while_it_is_pulled_from_is_an_outage(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make(retry_policy={"max_attempts": 1})
    await gcp.connect()
    gcp.set_timeout(500)
    cloud.freeze()
    try:
        with pytest.raises(RequestTimeout):
            await gcp.pull(topic, wait=1)
    finally:
        cloud.thaw()
    assert gcp.state is State.RETRYING
