"""MQTT as an input: what messages become, and when they are acknowledged."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from gl002.errors import ConfigError
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Batch, Quality, Sample, Tag, now_ns
from integrations.mqtt_flow_site import (
    broker,
    make,
    own_broker,
    reading,
    source_of,
    subscribed,
    until,
    watch,
)
from peers.mosquitto import Watcher

fixtures = broker, own_broker, watch, make


async def test_messages_become_samples_of_declared_tags(make, watch, broker) -> None:
    connector = make()
    source = source_of(connector, "boiler/+/data", prefix="house.", time_key="t", time_unit="s")
    async with reading(source) as reader:
        await subscribed(broker, connector)
        payload = {"t": 1_735_689_600, "o2": 3.1, "on": True}
        watch().publish("boiler/001/data", json.dumps(payload))
        await until(lambda: len(reader.samples) == 2, "both values came")
    assert reader.samples == [
        Sample("house.001.o2", 3.1, 1_735_689_600 * 10**9),
        Sample("house.001.on", True, 1_735_689_600 * 10**9),
    ]
    assert source.tags() == [
        Tag(name=f"house.001.{key}", source="mqtt", address="boiler/001/data")
        for key in ("o2", "on")
    ]
    assert connector.context.tags["house.001.o2"].source == "mqtt"


async def test_values_that_lie_deeper_are_found_by_their_paths(make, watch, broker) -> None:
    connector = make()
    source = source_of(
        connector, "boiler/+/metrics", format="json_path", items="$.metrics[*]",
        key_path="$.name", values={"boiler{1}.{key}": "$.value"}, time_path="$.t", time_unit="ms",
    )  # fmt: skip
    async with reading(source) as reader:
        await subscribed(broker, connector)
        metrics = [
            {"name": n, "value": v, "t": 1_735_689_600_000} for n, v in (("o2", 3.1), ("on", True))
        ]
        sender = watch()
        sender.publish("boiler/7/metrics", b"{garbage")
        sender.publish("boiler/7/metrics", json.dumps({"metrics": metrics}))
        await until(lambda: len(reader.samples) == 3, "all came")
    bad, *found = reader.samples
    assert (bad.tag, bad.quality) == ("7", Quality.BAD_DECODING_ERROR)
    assert found == [
        Sample("boiler7.o2", 3.1, 1_735_689_600 * 10**9),
        Sample("boiler7.on", True, 1_735_689_600 * 10**9),
    ]


async def test_one_value_as_text_is_a_sample_of_its_topic(make, watch, broker) -> None:
    connector = make()
    async with reading(source_of(connector, "raw/#", format="raw")) as reader:
        await subscribed(broker, connector)
        watch().publish("raw/boiler/o2", "3.1")
        await until(lambda: reader.samples, "it came")
    (sample,) = reader.samples
    assert (sample.tag, sample.value, sample.quality) == ("boiler.o2", 3.1, Quality.GOOD)
    assert abs(sample.time - now_ns()) < 60 * 10**9


async def test_a_batch_takes_all_that_has_arrived(make, watch, broker) -> None:
    connector = make()
    source = source_of(connector, "burst", format="raw")
    batches = source.batches()
    first = asyncio.ensure_future(anext(batches))
    await subscribed(broker, connector)
    sender = watch()
    sender.publish("burst", "0")
    assert [s.value for s in await first] == [0]
    await asyncio.to_thread(sender.publish_all, "burst", map(str, range(1, 300)))
    await until(lambda: connector._inbox._held == 300, "all have arrived")
    assert [s.value for s in await anext(batches)] == list(range(1, 300))
    await batches.aclose()


async def test_a_message_is_acknowledged_when_the_next_batch_is_asked_for(make, own_broker) -> None:
    connector = make(own_broker.port, client_id="careful")
    source = source_of(connector, "a", format="raw")
    batches = source.batches()
    first = asyncio.ensure_future(anext(batches))
    await subscribed(own_broker, connector)
    with Watcher(own_broker.port) as sender:
        sender.publish("a", "1")
    await first
    assert (await connector.check()).ok
    acknowledged = "Received PUBACK from careful"
    assert acknowledged not in own_broker.output
    second = asyncio.ensure_future(anext(batches))
    await until(lambda: acknowledged in own_broker.output, "acknowledged")
    second.cancel()
    await asyncio.wait([second])
    await batches.aclose()


async def test_a_batch_that_was_not_stored_comes_again(make, watch, broker) -> None:
    connector = make()
    source = source_of(connector, "again", format="raw")
    async with source.open() as batches:
        first = asyncio.ensure_future(anext(batches))
        await subscribed(broker, connector)
        watch().publish_all("again", ["1", "2"])
        taken: Batch = await first
    async with source.open() as batches:
        repeated = await anext(batches)
    assert repeated[: len(taken)] == taken


async def test_what_cannot_be_read_is_a_bad_sample_told_once_and_harms_no_other(
    make, watch, broker, caplog
) -> None:
    garbage = [b"", b"{", b"\xff\x00", b"[" * 50_000, b"NaN", random.Random(1).randbytes(5000)]
    connector = make()
    async with reading(source_of(connector, "boiler/+/data")) as reader:
        await subscribed(broker, connector)
        sender = watch()
        for payload in [*garbage, b'{"o2": 3.1}', *garbage, b'{"o2": 3.2}']:
            sender.publish("boiler/7/data", payload)
        await until(lambda: 3.2 in reader.values, "the last good one came")
    bad = [s for s in reader.samples if s.quality == Quality.BAD_DECODING_ERROR]
    assert len(bad) == 2 * len(garbage)
    assert {(s.tag, s.value) for s in bad} == {("7", None)}
    assert caplog.text.count("cannot be read") == 2, "once for each time it begins"
    assert reader.errors == []


async def test_a_payload_of_ten_megabytes_is_a_bad_sample(make, own_broker) -> None:
    connector = make(own_broker.port)
    async with reading(source_of(connector, "a")) as reader:
        await subscribed(own_broker, connector)
        with Watcher(own_broker.port) as sender:
            sender.publish("a", b'"' + b"x" * 10_000_000 + b'"')
            sender.publish("a", b'{"o2": 3.1}')
        await until(lambda: 3.1 in reader.values, "the next one came")
    assert reader.samples[0].quality == Quality.BAD_DECODING_ERROR


async def test_a_retained_value_without_a_time_is_uncertain(make, watch, broker) -> None:
    sender = watch()
    sender.publish("kept/1", "7", retain=True)
    connector = make()
    async with reading(source_of(connector, "kept/+", format="raw")) as reader:
        await until(lambda: reader.samples, "the kept one came")
        sender.publish("kept/1", "8", retain=True)
        await until(lambda: 8 in reader.values, "the live one came")
    assert [(s.value, s.quality) for s in reader.samples] == [
        (7, Quality.UNCERTAIN_LAST_USABLE_VALUE), (8, Quality.GOOD),
    ]  # fmt: skip
    sender.publish("kept/1", "", retain=True)


async def test_more_tags_than_allowed_are_left_out_counted_and_told_once(
    make, watch, broker, caplog
) -> None:
    connector = make()
    source = source_of(connector, "storm/#", format="raw", max_tags=100)
    async with reading(source) as reader:
        await subscribed(broker, connector)
        sender = watch()
        for i in range(150):
            sender.publish(f"storm/{i}", "1", qos=0)
        sender.publish("storm/0", "2")
        await until(lambda: 2 in reader.values, "known tags go on")
    assert len(source.tags()) == 100
    assert source.skipped == 50
    assert caplog.text.count("left out") == 1


async def test_two_inputs_of_one_connection_get_their_own_topics(make, watch, broker) -> None:
    connector = make()
    one = source_of(connector, "one/+", format="raw")
    two = source_of(connector, "two/+", format="raw")
    async with reading(one) as first, reading(two) as second:
        await subscribed(broker, connector, 2)
        sender = watch()
        for i in range(20):
            sender.publish(f"{'one' if i % 2 else 'two'}/x", str(i))
        await until(lambda: len(first.values) == len(second.values) == 10, "all came")
    assert first.values == list(range(1, 20, 2))
    assert second.values == list(range(0, 20, 2))


async def test_gateways_share_the_messages_of_a_shared_subscription(make, watch, broker) -> None:
    one, two = (make(client_id=f"shared{i}") for i in (1, 2))
    pattern = "$share/gateways/shared/+"
    async with (
        reading(source_of(one, pattern, format="raw")) as first,
        reading(source_of(two, pattern, format="raw")) as second,
    ):
        await subscribed(broker, one)
        await subscribed(broker, two)
        await asyncio.to_thread(watch().publish_all, "shared/x", map(str, range(100)))
        await until(lambda: len(first.values) + len(second.values) >= 100, "all came")
    assert sorted(first.values + second.values) == list(range(100))
    assert first.values
    assert second.values


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"topics": []}, "topics"),
        ({"topics": ["a/#/b"]}, "not valid"),
        ({"topics": ["a/+"], "tag": "{2}"}, "fewer wildcards"),
        ({"topics": ["a/+"], "tag": "{nonsense}"}, "unknown field"),
        ({"topics": ["a"], "format": "raw", "time_key": "t"}, "no keys"),
        ({"topics": ["a"], "qos": 3}, "qos"),
        ({"topics": ["a"], "time_unit": "minutes"}, "time_unit"),
    ],
)
def test_a_wrong_input_is_refused_with_a_word_that_helps(settings, word) -> None:
    with pytest.raises(ConfigError, match=word):
        MQTTConnector.Input.parse({"source": "mqtt", **settings})
