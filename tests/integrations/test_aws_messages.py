"""Messages to AWS IoT Core: topics, limits, quotas."""

from __future__ import annotations

import json

import pytest

from gl002.connector import State
from gl002.errors import Busy, ConfigError, ConnectFailed, DataError
from gl002.integrations.cloud import AWSIoTConnector
from gl002.model import Sample
from gl002.testing.contract.requests import eventually
from gl002.wire.aws_iot import LARGEST_MESSAGE
from integrations.aws_site import Make, cloud, fast, make, server_side, shared
from peers.front import Throttle
from peers.mosquitto import Watcher

fixtures = shared, cloud, make


async def test_a_rule_is_reached_by_its_own_topic(make: Make, cloud) -> None:
    with Watcher(cloud.broker.port, "$aws/rules/#") as rules:
        await make().publish("$aws/rules/boilers/plant/1/2/3/4/5/6/o2", {"o2": 3.4})
        assert rules.json(1) == [{"o2": 3.4}]


async def test_topics_and_messages_beyond_the_limits_are_refused_before_they_are_sent(
    make: Make,
) -> None:
    aws = make()
    for topic in ("plant/" + "a/" * 7 + "o2", "plant/" + "x" * 260):
        with pytest.raises(ConfigError, match="7 slashes"):
            await aws.publish(topic, 1)
    with pytest.raises(DataError, match="131072"):
        await aws.publish("plant/large", b"x" * (LARGEST_MESSAGE + 1))
    with pytest.raises(DataError, match="qos 2"):
        await aws.publish("plant/o2", 1, qos=2)
    with pytest.raises(ConfigError, match="takes 8 at once"):
        await aws.subscribe([f"plant/{i}" for i in range(9)], print)
    assert aws.state is State.NEW


async def test_a_batch_is_split_into_messages_that_aws_takes(make: Make, cloud) -> None:
    aws = make()
    spec = {"destination": "aws", "topic": "$aws/rules/boilers/plant"}
    sink = aws.sink(AWSIoTConnector.Output.parse(spec))
    batch = [Sample(f"boiler1.tag{i:05}", i * 1.5, i * 1_000_000) for i in range(5000)]
    with Watcher(cloud.broker.port, "$aws/rules/#") as rules:
        await sink.write(batch)
        messages = rules.received(1)
        await eventually(
            lambda: sum(len(json.loads(m.payload)["samples"]) for m in rules.messages) == 5000,
            "all samples came",
        )
        messages = rules.messages
    assert len(messages) > 1
    assert max(len(message.payload) for message in messages) <= LARGEST_MESSAGE
    assert len({json.loads(message.payload)["id"] for message in messages}) == len(messages)


async def test_messages_beyond_the_quota_come_again_and_say_what_would_help(
    make: Make, cloud
) -> None:
    """MQTT's form of throttling: an acknowledgement that says 'quota exceeded'."""
    with Throttle(server_side(cloud), cloud.broker.port) as front:
        aws = make(front.port, **fast())
        front.refuses = 2
        await aws.publish("plant/o2", 1)
        assert front.refuses == 0
        front.refuses = 100
        with pytest.raises(Busy, match=r"Quota exceeded.*messages_per_second") as caught:
            await aws.publish("plant/o2", 2)
        assert caught.value.retryable
        sink = aws.sink(AWSIoTConnector.Output.parse({"destination": "aws", "topic": "plant/all"}))
        with Watcher(cloud.broker.port, "plant/all") as plant:
            with pytest.raises(Busy, match="messages_per_second"):
                await sink.write([Sample("o2", 3.1, 1)])
            front.refuses = 0
            await sink.write([Sample("o2", 3.1, 1)])
            assert [json.loads(m.payload)["samples"][0]["value"] for m in plant.received(1)] == [
                3.1
            ]
        assert (aws.state, len(front.seen)) == (State.UP, 1), "the session stands"
        await aws.close()


async def test_a_session_that_is_ended_for_its_quota_says_what_would_help(
    make: Make, cloud, caplog
) -> None:
    with Throttle(server_side(cloud), cloud.broker.port) as front:
        aws = make(front.port, retry_policy={"max_attempts": 1})
        await aws.connect()
        front.hangs_up = True
        with pytest.raises(ConnectFailed, match=r"Quota exceeded.*messages_per_second"):
            await aws.publish("plant/o2", 1)
        front.hangs_up = False
        await aws.publish("plant/o2", 2)
        await aws.close()
    assert "messages_per_second" in caplog.text
