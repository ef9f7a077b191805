"""MQTT as input and output of the flow: nothing lost, nothing twice, whatever is killed when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import ConfigError, ConnectFailed, GL002Error, PartialWrite, RequestTimeout
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Batch, Quality, Sample, Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.testing.link import Link
from peers import mqtt_consumer
from peers.mosquitto import Mosquitto, Watcher, wait_for

SOON = 30.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto(largest=200_000) as started:
        yield started


@pytest.fixture
def own_broker() -> Iterator[Mosquitto]:
    with Mosquitto(persistent=True) as started:
        yield started


@pytest.fixture
def watch(broker) -> Iterator[Callable[..., Watcher]]:
    with contextlib.ExitStack() as stack:
        yield lambda *topics: stack.enter_context(Watcher(broker.port, *topics))


@pytest.fixture
async def make(tmp_path, broker) -> AsyncIterator[Callable[..., MQTTConnector]]:
    """Makes connectors, to the shared broker unless told otherwise, and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path, name="house")
    made: list[MQTTConnector] = []

    def connector(port: int = broker.port, **settings: Any) -> MQTTConnector:
        made.append(MQTTConnector({"broker": f"127.0.0.1:{port}", **settings}, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


def source_of(connector: MQTTConnector, *topics: str, **settings: Any) -> Source:
    spec = {"source": "mqtt", "topics": list(topics), **settings}
    return connector.source(MQTTConnector.Input.parse(spec))


def sink_of(connector: MQTTConnector, **settings: Any) -> Any:
    return connector.sink(MQTTConnector.Output.parse({"destination": "mqtt", **settings}))


class Reader:
    """Reads a source as the flow does: the last batch is durable when the next is asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.samples: list[Sample] = []
        self.positions: list[bytes] = []
        self.errors: list[GL002Error] = []

    async def run(self) -> None:
        while True:
            try:
                async with self.source.open() as batches:
                    async for batch in batches:
                        self.samples += batch
                        self.positions.append(self.source.position())
            except GL002Error as error:
                self.errors.append(error)
            await asyncio.sleep(0.05)

    @property
    def values(self) -> list[Any]:
        return [sample.value for sample in self.samples]


@asynccontextmanager
async def reading(source: Source) -> AsyncIterator[Reader]:
    reader = Reader(source)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])
        await source.close()


async def until(condition: Callable[[], object], what: str, within: float = SOON) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.01)


async def subscribed(process: Mosquitto, connector: MQTTConnector, count: int = 1) -> None:
    """Wait until the broker has confirmed subscriptions of a connector."""

    def done() -> bool:
        session = connector._session
        name = session.options.client_id if session is not None else "?"
        return process.output.count(f"Sending SUBACK to {name}") >= count

    await until(done, "subscribed")


# ---- input --------------------------------------------------------------------------------------


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


# ---- input over outages -------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["spBv1.0/plant/DCMD/node/boiler", "spBv1.0/STATE/{source}"])
def test_an_output_cannot_publish_where_sparkplug_commands_devices(topic) -> None:
    """A sample that passes is no command: what is to be written has its own door."""
    with pytest.raises(ConfigError, match="are Sparkplug's"):
        MQTTConnector.Output.parse({"destination": "mqtt", "topic": topic})


async def test_what_was_published_while_we_were_away_is_delivered(make, own_broker) -> None:
    for start in (0, 100):
        connector = make(own_broker.port)
        async with reading(source_of(connector, "count", format="raw")) as reader:
            await subscribed(own_broker, connector, 1 + start // 100)
            await until(lambda: start == 0 or len(reader.values) == 100, "all came")  # noqa: B023 (awaited)
        assert reader.values == list(range(start))
        await connector.close()
        with Watcher(own_broker.port) as sender:
            await asyncio.to_thread(sender.publish_all, "count", map(str, range(100)))


async def test_nothing_is_lost_or_doubled_over_cuts_of_the_link(make, own_broker) -> None:
    with Link(own_broker.port) as link, Watcher(own_broker.port) as sender:
        connector = make(link.port)
        async with reading(source_of(connector, "count", format="raw")) as reader:
            await subscribed(own_broker, connector)
            for number in range(600):
                sender.publish("count", str(number))
                if number % 100 == 50:
                    link.cut()
                    await until(lambda: connector.state != "up", "noticed")
                    link.restore()
                await asyncio.sleep(0)
            await until(lambda: len(set(reader.values)) == 600, "nothing is missing")
    assert reader.values == list(range(600))
    assert reader.errors, "the flow was told"
    assert all(isinstance(error, ConnectFailed) for error in reader.errors)


async def test_nothing_is_lost_when_the_broker_is_killed_and_keeps_its_messages(
    make, own_broker
) -> None:
    numbers = iter(range(10_000))
    with Watcher(own_broker.port) as sender:
        connector = make(own_broker.port)
        async with reading(source_of(connector, "count", format="raw")) as reader:
            await subscribed(own_broker, connector)
            sent = 0
            for _ in range(3):
                for sent in (next(numbers) for _ in range(50)):
                    sender.publish("count", str(sent))
                await until(lambda: sent in reader.values, "they came")  # noqa: B023 (awaited)
                await asyncio.to_thread(own_broker.restart)
                await asyncio.to_thread(sender.subscribed.wait, SOON)
                await until(lambda: connector.state == "up", "up again")
            sender.publish("count", str(next(numbers)))
            await until(lambda: sent + 1 in reader.values, "the last came")
    assert list(dict.fromkeys(reader.values)) == list(range(sent + 2))


async def test_a_frozen_broker_loses_nothing(make, own_broker) -> None:
    connector = make(own_broker.port, keepalive=1)
    with Watcher(own_broker.port) as sender:
        async with reading(source_of(connector, "count", format="raw")) as reader:
            await subscribed(own_broker, connector)
            sender.publish("count", "0")
            await until(lambda: reader.values == [0], "it works")
            own_broker.freeze()
            try:
                await until(lambda: reader.errors, "the silence was noticed")
            finally:
                own_broker.thaw()
            sender.publish("count", "1")
            await until(lambda: reader.values == [0, 1], "it works again")


async def test_acknowledgements_that_are_lost_with_us_double_nothing(make) -> None:
    """The broker sends on while thousands of our acknowledgements have not reached it.

    They come so slowly that few are open here at any time: nothing but what the broker answers
    tells how many are open there. In MQTT 3.1.1 nobody tells it of a receive maximum.
    """
    count, settings = 3000, {"client_id": "mortal", "protocol": "3.1.1"}
    with (
        Mosquitto(options=["max_inflight_messages 0"]) as own,
        Link(own.port) as link,
        Watcher(own.port) as sender,
    ):
        first = make(link.port, **settings)
        async with reading(source_of(first, "count", format="raw")):
            await subscribed(own, first)
        await first.close()
        await asyncio.to_thread(sender.publish_all, "count", map(str, range(count)))
        dying = make(link.port, **settings)
        async with reading(source_of(dying, "count", format="raw")) as reader:
            link.slow(50_000)
            await until(lambda: reader.values, "it sends")
            link.drop_requests()
            await until(lambda: len(reader.values) > 1500, "it sends on")
            link.cut()
        before, position = list(reader.values), reader.positions[-1]
        heir = make(own.port, **settings)
        source = source_of(heir, "count", format="raw")
        source.resume(position)
        async with reading(source) as reader:
            await until(lambda: count - 1 in [*before, *reader.values], "all came")
    assert before + reader.values == list(range(count))


async def test_positions_stay_small_also_while_a_broker_sends_more_than_was_agreed(
    make, watch, broker
) -> None:
    """8 bytes for each message that may come again; mosquitto heeds no limit."""
    connector = make()
    async with reading(source_of(connector, "count", format="raw")) as reader:
        await subscribed(broker, connector)
        sender = watch()
        for number in range(700):
            await asyncio.to_thread(sender.publish, "count", str(number))
        assert max(map(len, reader.positions)) == 12 + 500 * 8
        await asyncio.to_thread(sender.publish_all, "count", map(str, range(20_000)))
        await until(lambda: len(reader.values) == 20_700, "all came", within=90)
    assert max(map(len, reader.positions)) <= 12 + 20_700 * 8


class Consumer:
    """`peers/mqtt_consumer.py` as a process that is killed and started again."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port, self._folder = port, folder
        self.file = folder / "store"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, share: float) -> None:
        """Start; it kills itself after this share of its batches."""
        script = [mqtt_consumer.__file__, str(self._port), str(self._folder), str(share)]
        self._child = subprocess.Popen([sys.executable, *script])

    def die_by_itself(self) -> None:
        """Wait until it has killed itself between the store and the acknowledgement."""
        assert self._child is not None
        assert self._child.wait(60) == -signal.SIGKILL, "it failed"

    def stop(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait(60)

    def values(self) -> list[int]:
        return mqtt_consumer.stored(self.file)[0]


def kill_again_and_again(broker: Mosquitto, folder: Path, cycles: int) -> list[int]:
    """Publish counters while a consumer is killed; what it has stored when it has caught up.

    Every other time it dies when a batch is durable and not acknowledged, else at any moment.
    """
    consumer, count = Consumer(broker.port, folder), 100 * cycles
    consumer.start(0.0)
    wait_for(lambda: "Sending SUBACK" in broker.output, 60)
    consumer.stop()
    with Watcher(broker.port) as sender:
        for cycle in range(cycles):
            at_the_worst_moment = cycle % 2 == 0
            consumer.start(1.0 if at_the_worst_moment else 0.0)
            for number in range(100 * cycle, 100 * cycle + 100):
                sender.publish("count/1", str(number))
            if at_the_worst_moment:
                consumer.die_by_itself()
            else:
                time.sleep(random.uniform(0.0, 1.0))
                consumer.stop()
        consumer.start(0.0)
        try:
            wait_for(lambda: len(set(consumer.values())) >= count, 60)
        finally:
            consumer.stop()
    return consumer.values()


def test_a_consumer_killed_between_store_and_acknowledgement_gets_each_message_once(
    tmp_path,
) -> None:
    with Mosquitto() as own:
        values = kill_again_and_again(own, tmp_path, cycles=6)
        assert "(d1, q1" in own.output, "the broker has repeated messages"
    assert values == list(range(600))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_kills_lose_nothing_and_double_nothing(tmp_path) -> None:
    with Mosquitto() as own:
        assert kill_again_and_again(own, tmp_path, cycles=50) == list(range(5000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backlog_longer_than_what_is_held_arrives_whole_and_once_through_kills(tmp_path) -> None:
    """mosquitto sends all of it at once, heedless of the receive maximum, and then its SUBACK."""
    count = 40_000
    with Mosquitto() as own:
        consumer = Consumer(own.port, tmp_path)
        consumer.start(0.0)
        wait_for(lambda: "Sending SUBACK" in own.output, 60)
        consumer.stop()
        with Watcher(own.port) as sender:
            sender.publish_all("count/1", map(str, range(count)))
        for _ in range(6):
            consumer.start(1.0)
            consumer.die_by_itself()
        consumer.start(0.0)
        wait_for(lambda: len(set(consumer.values())) >= count, 120)
        consumer.stop()
    assert consumer.values() == list(range(count))


# ---- output -------------------------------------------------------------------------------------


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
