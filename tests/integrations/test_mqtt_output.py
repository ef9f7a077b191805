"""MQTT as an output: what samples become, and what is lost on the way: nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from gl002.errors import ConfigError, GL002Error, PartialWrite, RequestTimeout
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Batch, Sample, Tag, now_ns
from gl002.testing.link import Link
from integrations.mqtt_flow_site import (
    SOON,
    broker,
    make,
    own_broker,
    reading,
    source_of,
    subscribed,
    until,
    watch,
)
from peers.mosquitto import Mosquitto, Watcher

fixtures = broker, own_broker, watch, make


def sink_of(connector: MQTTConnector, **settings: Any) -> Any:
    return connector.sink(MQTTConnector.Output.parse({"destination": "mqtt", **settings}))


@pytest.mark.parametrize("topic", ["spBv1.0/plant/DCMD/node/boiler", "spBv1.0/STATE/{source}"])
def test_an_output_cannot_publish_where_sparkplug_commands_devices(topic) -> None:
    """A sample that passes is no command: what is to be written has its own door."""
    with pytest.raises(ConfigError, match="are Sparkplug's"):
        MQTTConnector.Output.parse({"destination": "mqtt", "topic": topic})


def counted(count: int, start: int = 0) -> Batch:
    now = 1_735_689_600_000_000_000
    return [Sample(f"t{i % 3}", i, now + i * 10**6) for i in range(start, start + count)]


async def test_a_topic_without_a_field_gets_one_message_for_each_batch(make, watch) -> None:
    seen, connector = watch("boiler/data"), make()
    connector.context.tags.declare(Tag(name="t0", unit="kg/s"))
    sink = sink_of(connector, topic="boiler/data", qos=1)
    await sink.prepare()
    await sink.write(counted(3))
    (content,) = await asyncio.to_thread(seen.json, 1)
    assert content["gateway"] == "house"
    assert content["samples"][0] == {
        "tag": "t0", "value": 0, "time": "2025-01-01T00:00:00.000000Z", "quality": "Good",
        "unit": "kg/s",
    }  # fmt: skip
    assert len(content["samples"]) == 3


async def test_a_topic_with_a_field_gets_one_message_for_each_sample(make, watch) -> None:
    seen, connector = watch("plant/#"), make(retain=True)
    sink = sink_of(connector, topic="plant/{gateway}/{path}", retain=False)
    await sink.write([Sample("boiler1.steam_flow", 12.5, 10**18), Sample("a/b", True, 10**18)])
    first, second = await asyncio.to_thread(seen.received, 2)
    assert first.topic == "plant/house/boiler1/steam_flow"
    assert second.topic == "plant/house/a%2Fb"
    assert json.loads(first.payload)["value"] == 12.5
    assert (first.qos, first.retain) == (1, False)


async def test_a_large_batch_is_split_and_every_sample_arrives_once(make, watch) -> None:
    seen, batch = watch("split"), counted(5000)
    await sink_of(make(), topic="split", max_payload=20_000).write(batch)
    wanted = [(s.tag, s.value) for s in batch]

    def arrived() -> list[Any]:
        return [
            (s["tag"], s["value"])
            for m in list(seen.messages)
            for s in json.loads(m.payload)["samples"]
        ]

    await until(lambda: len(arrived()) >= 5000, "all came")
    assert arrived() == wanted
    assert max(len(m.payload) for m in seen.messages) <= 20_000
    assert len(seen.messages) > 10


async def test_a_batch_delivered_twice_has_the_same_ids(make, watch) -> None:
    seen, connector, batch = watch("twice/#"), make(), counted(20)
    for topic in ("twice/batch", "twice/each/{tag}"):
        sink = sink_of(connector, topic=topic)
        await sink.write(batch)
        await sink.write(batch)
    contents = await asyncio.to_thread(seen.json, 42)
    identities = Counter(content["id"] for content in contents)
    assert len(identities) == 21
    assert set(identities.values()) == {2}


async def test_nan_is_null_and_bad(make, watch) -> None:
    seen = watch("nan")
    await sink_of(make(), topic="nan").write([Sample("a", float("nan"), 1), Sample("b", 1.5, 2)])
    (content,) = await asyncio.to_thread(seen.json, 1)
    assert [(s["value"], s["quality"]) for s in content["samples"]] == [
        (None, "BadNoData"), (1.5, "Good"),
    ]  # fmt: skip


async def test_samples_that_cannot_be_sent_are_named_and_the_others_arrive(make, watch) -> None:
    seen, connector = watch("refuse/#"), make()
    batch = [
        Sample("a", 1, 1),
        Sample("x" * 300, 2, 2),
        Sample("c", "y" * 250_000, 3),
        Sample("d", 4, 4),
    ]
    with pytest.raises(PartialWrite) as caught:
        await sink_of(connector, topic="refuse/each/{tag}", max_payload=300_000).write(batch)
    assert set(caught.value.rejected) == {1, 2}
    assert "too long" in caught.value.rejected[1]
    assert "200000" in caught.value.rejected[2]
    with pytest.raises(PartialWrite) as caught:
        await sink_of(connector, topic="refuse/batch").write(batch)
    assert set(caught.value.rejected) == {2}
    messages = await asyncio.to_thread(seen.received, 4)
    assert sum(m.topic == "refuse/batch" for m in messages) == 2


async def test_a_broker_killed_while_a_batch_is_written_loses_nothing(make) -> None:
    batch, got = counted(5000), set()
    with Mosquitto() as own, Link(own.port) as link, Watcher(own.port, "each/#") as seen:
        connector = make(link.port, retry_policy={"max_attempts": 1})
        sink = sink_of(connector, topic="each/{tag}")
        await connector.connect()
        link.slow(30_000)  # so that it takes far longer than the kill
        connector.set_timeout(60_000)
        writing = asyncio.create_task(sink.write(batch))
        await until(lambda: len(seen.messages) > 50, "it is being written")
        own.kill()
        with pytest.raises(GL002Error) as caught:
            await writing
        assert caught.value.retryable
        link.restore()
        seen.subscribed.clear()
        await asyncio.to_thread(own.start)
        assert await asyncio.to_thread(seen.subscribed.wait, SOON)
        await sink.prepare()
        await sink.write(batch)

        def missing() -> set[Any]:
            got.update(json.loads(m.payload)["value"] for m in list(seen.messages))
            return set(range(5000)) - got

        await until(lambda: not missing(), "every value came")


async def test_a_frozen_broker_makes_a_write_fail_within_its_time_out(make, own_broker) -> None:
    connector = make(own_broker.port, retry_policy={"max_attempts": 1})
    sink = sink_of(connector, topic="each/{tag}")
    await sink.write(counted(10))
    connector.set_timeout(500)
    own_broker.freeze()
    try:
        with pytest.raises(RequestTimeout, match=r"within 0\.5 s") as caught:
            await sink.write(counted(1000))
        assert caught.value.retryable
    finally:
        own_broker.thaw()
    connector.set_timeout(30_000)
    await sink.write(counted(1000))


async def test_samples_go_out_and_come_in_through_one_connection(make, watch, broker) -> None:
    connector = make()
    source = source_of(connector, "loop/+", tag="back.{1}", only_keys=["value"], time_key="time")
    batch = counted(100)
    async with reading(source) as reader:
        await subscribed(broker, connector)
        await sink_of(connector, topic="loop/{tag}").write(batch)
        await until(lambda: len(reader.samples) == 100, "all came back")
    assert reader.samples == [Sample(f"back.{s.tag}", s.value, s.time) for s in batch]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "topic"),
        ({"topic": ""}, "empty"),
        ({"topic": "a/+"}, "wildcard"),
        ({"topic": "a/{nonsense}"}, "unknown field"),
        ({"topic": "a/{tag"}, "template"),
        ({"topic": "a", "qos": 3}, "qos"),
        ({"topic": "a", "max_payload": 10}, "max_payload"),
    ],
)
def test_a_wrong_output_is_refused_with_a_word_that_helps(settings, word) -> None:
    with pytest.raises(ConfigError, match=word):
        MQTTConnector.Output.parse({"destination": "mqtt", **settings})


async def test_an_output_with_qos_2_hands_over_each_message_once(make) -> None:
    """By what the broker says of it, over cuts of the link: repeats have the id they had."""
    with (
        Mosquitto() as own,
        Link(own.port) as link,
        Watcher(own.port, "out") as reader,
    ):
        connector = make(link.port, clean_start=True)
        sink = sink_of(connector, topic="out", qos=2)
        numbers, start = range(60), now_ns()
        for number in numbers:
            batch = [Sample("t", float(number), start + number)]
            if number in {20, 40}:
                link.cut()
                with pytest.raises(GL002Error):
                    await sink.write(batch)
                link.restore()
            await sink.write(batch)
        await until(lambda: len({m["id"] for m in reader.json(0)}) == len(numbers), "all arrived")
        by_id = {message["id"]: message for message in reader.json(0)}
        assert [m["samples"][0]["value"] for m in by_id.values()] == [float(n) for n in numbers]
        assert len(reader.messages) <= len(numbers) + 2, "one message under way at each cut"
        assert own.output.count("q2, r0") >= len(numbers)


async def test_an_output_with_qos_2_wants_a_session_that_starts_clean(make) -> None:
    with pytest.raises(ConfigError, match="QoS 2") as caught:
        sink_of(make(), topic="out", qos=2)
    assert "clean_start" in caught.value.hint
