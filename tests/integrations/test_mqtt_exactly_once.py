"""QoS 2 against mosquitto: stored before it is confirmed, once each though all look the same."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import GL002Error
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.testing.link import Link
from gl002.transport.mqtt.message import Message
from peers import mqtt_consumer
from peers.mosquitto import Mosquitto, Watcher, wait_for

SOON = 30.0
VERSIONS = ["5", "3.1.1"]
ALIKE = "1"  # the payload of all messages: nothing in it tells one from another
WHOLE = ["max_inflight_messages 0"]
"""Else mosquitto 2.0.11 gives up every second message with QoS 2 that has waited in its queue, also
towards its own `mosquitto_sub`."""


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto(persistent=True, options=WHOLE) as started:
        yield started


@pytest.fixture
async def make(tmp_path, broker) -> AsyncIterator[Callable[..., MQTTConnector]]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path, name="house")
    made: list[MQTTConnector] = []

    def connector(port: int = broker.port, **settings: Any) -> MQTTConnector:
        given = {"broker": f"127.0.0.1:{port}", "client_id": "once", **settings}
        made.append(MQTTConnector(given, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


def source_of(connector: MQTTConnector, **settings: Any) -> Source:
    spec = {"source": "mqtt", "topics": ["count/#"], "format": "raw", "qos": 2, **settings}
    return connector.source(MQTTConnector.Input.parse(spec))


@asynccontextmanager
async def reading(source: Source) -> AsyncIterator[list[Sample]]:
    """What the flow takes from a source, which it opens again after each error."""
    samples: list[Sample] = []

    async def read() -> None:
        while True:
            try:
                async with source.open() as batches:
                    async for batch in batches:
                        samples.extend(batch)
            except GL002Error:
                await asyncio.sleep(0.05)

    task = asyncio.create_task(read())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.wait([task])
        await source.close()


async def until(condition: Callable[[], object], what: str, within: float = SOON) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.01)


async def subscribed(broker: Mosquitto, count: int = 1) -> None:
    await until(lambda: broker.output.count("Sending SUBACK to once") >= count, "subscribed")


def nothing_is_open(broker: Mosquitto) -> bool:
    """Whether the broker has heard of each message with QoS 2 it has sent us to the end."""
    started = broker.output.count("Received PUBREC from once")
    return started > 0 and broker.output.count("Received PUBCOMP from once") >= started


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_pubrec_goes_when_the_next_batch_is_asked_for_and_pubcomp_when_it_is_forgotten(
    make, broker, protocol
) -> None:
    source = source_of(make(protocol=protocol))
    batches = source.batches()
    first = asyncio.ensure_future(anext(batches))
    await subscribed(broker)
    with Watcher(broker.port) as sender:
        sender.publish("count/1", ALIKE, qos=2)
    assert [s.value for s in await first] == [1]
    held = source.position()
    assert "Sending PUBLISH to once (d0, q2" in broker.output
    assert "Received PUBREC from once" not in broker.output
    second = await asyncio.wait_for(anext(batches), SOON)
    assert second == []
    assert source.position() != held
    assert "Received PUBREC from once" in broker.output
    assert "Received PUBCOMP from once" not in broker.output
    third = asyncio.ensure_future(anext(batches))
    await until(lambda: "Received PUBCOMP from once" in broker.output, "said to be forgotten")
    third.cancel()
    await asyncio.wait([third])
    await batches.aclose()


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_messages_that_all_look_the_same_come_once_each_over_cuts_of_the_link(
    make, broker, protocol
) -> None:
    chance = random.Random(7)
    with Link(broker.port) as link, Watcher(broker.port) as sender:
        connector = make(link.port, protocol=protocol)
        async with reading(source_of(connector)) as samples:
            await subscribed(broker)
            for burst in range(6):
                if burst % 2:  # what we answer is lost, so that the broker must repeat
                    await until(lambda: connector.state == "up", "up again")
                    link.drop_requests()
                sending = asyncio.to_thread(sender.publish_all, "count/1", [ALIKE] * 100, qos=2)
                task = asyncio.create_task(sending)
                enough = 100 * burst + chance.randrange(60)
                await until(lambda: len(samples) > enough, "they come")  # noqa: B023 (awaited)
                link.cut()
                await task
                await until(lambda: connector.state != "up", "noticed")
                link.restore()
            await until(lambda: len(samples) >= 600, "all came")
            await until(lambda: nothing_is_open(broker), "the broker knows")
        assert len(samples) == 600
    assert "(d1, q2" in broker.output, "the broker has repeated messages"


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_messages_come_once_each_when_the_broker_restarts_with_its_memory(
    make, broker, protocol
) -> None:
    with Watcher(broker.port) as sender:
        connector = make(protocol=protocol)
        async with reading(source_of(connector)) as samples:
            await subscribed(broker)
            for round_ in range(1, 4):
                await asyncio.to_thread(sender.publish_all, "count/1", [ALIKE] * 50, qos=2)
                await until(lambda: len(samples) >= 25, "some came")
                await asyncio.to_thread(end_in_good_order, broker)
                await asyncio.to_thread(broker.start)
                await asyncio.to_thread(sender.subscribed.wait, SOON)
                await until(lambda: connector.state == "up", "up again")
                await until(lambda: len(samples) >= 50 * round_, "all came")  # noqa: B023 (awaited)
    assert len(samples) == 150


def end_in_good_order(broker: Mosquitto) -> None:
    """The broker writes down what it has and ends; its folder stays."""
    broker._signal(signal.SIGTERM)


@pytest.mark.parametrize(("published", "asked", "given"), [(1, 2, 1), (2, 1, 1), (2, 2, 2)])
async def test_a_message_comes_with_the_lower_qos_of_both_sides_and_once(
    make, broker, published, asked, given
) -> None:
    connector = make()
    async with reading(source_of(connector, qos=asked)) as samples:
        await subscribed(broker)
        with Watcher(broker.port) as sender:
            sender.publish("count/1", "7", qos=published)
            await until(lambda: samples, "it came")
    assert [s.value for s in samples] == [7]
    assert f"Sending PUBLISH to once (d0, q{given}" in broker.output


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_a_callback_gets_each_message_once_over_cuts_and_confirms_when_it_returns(
    make, broker, protocol
) -> None:
    got: list[Message] = []
    go_on = asyncio.Event()

    async def callback(message: Message) -> None:
        got.append(message)
        await go_on.wait()

    with Link(broker.port) as link, Watcher(broker.port) as sender:
        connector = make(link.port, protocol=protocol, clean_start=False)
        await connector.subscribe("count/#", callback, qos=2)
        sender.publish("count/1", ALIKE, qos=2)
        await until(lambda: got, "it came")
        assert "Received PUBREC from once" not in broker.output
        link.cut()
        await until(lambda: connector.state != "up", "noticed")
        link.restore()
        await subscribed(broker, 2)
        go_on.set()
        sender.publish("count/1", ALIKE, qos=2)
        await until(lambda: len(got) >= 2, "the next came")
        await until(lambda: broker.output.count("Received PUBCOMP from once") == 2, "both ended")
    assert [m.qos for m in got] == [2, 2]


@pytest.mark.parametrize("protocol", VERSIONS)
async def test_a_broker_that_grants_less_is_told_of_once_and_named_by_check(
    make, protocol, caplog
) -> None:
    with Mosquitto(most=1) as lower, Link(lower.port) as link:
        connector = make(link.port, protocol=protocol)
        async with reading(source_of(connector)) as samples:
            await subscribed(lower)
            link.cut()
            await until(lambda: connector.state != "up", "noticed")
            link.restore()
            await subscribed(lower, 2)
            with Watcher(lower.port) as sender:
                sender.publish("count/1", "7", qos=1)
            await until(lambda: samples, "it came")
            health = await connector.check()
    (note,) = [n for n in health.notes if "QoS" in n]
    assert note == (
        "the broker grants 'count/#' QoS 1 instead of 2: repeats are known by their content"
    )
    assert caplog.text.count("grants 'count/#' QoS 1 instead of 2") == 1


# ---- killed -------------------------------------------------------------------------------------


class Consumer:
    """`peers/mqtt_consumer.py` with QoS 2, as a process that is killed and started again."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port, self._folder = port, folder
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, share: float) -> None:
        """Start; it kills itself after this share of its batches, also of the empty ones."""
        script = [mqtt_consumer.__file__, str(self._port), str(self._folder), str(share), "2"]
        self._child = subprocess.Popen([sys.executable, *script])

    def die_by_itself(self) -> None:
        assert self._child is not None
        assert self._child.wait(60) == -signal.SIGKILL, "it failed"

    def stop(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait(60)

    def values(self) -> list[int]:
        return mqtt_consumer.stored(self._folder / "store")[0]


def kill_again_and_again(broker: Mosquitto, folder: Path, cycles: int) -> tuple[int, int]:
    """Publish while a consumer is killed; how many were published, and how many it has stored.

    It dies when a batch is durable and not confirmed, when a release is durable and not answered,
    or at any moment.
    """
    consumer, chance = Consumer(broker.port, folder), random.Random(cycles)
    consumer.start(0.0)
    wait_for(lambda: "Sending SUBACK" in broker.output, 60)
    consumer.stop()
    with Watcher(broker.port) as sender:
        for cycle in range(cycles):
            by_itself = cycle % 3 != 0
            consumer.start(1.0 if by_itself else 0.0)
            for _ in range(40):
                sender.publish("count/1", ALIKE, qos=2)
            if by_itself:
                consumer.die_by_itself()
            else:
                time.sleep(chance.uniform(0.2, 1.0))
                consumer.stop()
        consumer.start(0.0)
        try:
            wait_for(lambda: len(consumer.values()) >= 40 * cycles, 60)
            marker = 0
            sender.publish("count/1", str(marker), qos=2)
            wait_for(lambda: marker in consumer.values(), 60)
        finally:
            consumer.stop()
    return 40 * cycles, len(consumer.values()) - 1


def test_a_consumer_killed_anywhere_in_the_exchange_stores_each_message_once(tmp_path) -> None:
    with Mosquitto(options=WHOLE) as own:
        published, stored = kill_again_and_again(own, tmp_path, cycles=9)
        assert "(d1, q2" in own.output, "the broker has repeated messages"
        assert own.output.count("Sending PUBREL") > own.output.count("Received PUBCOMP"), (
            "and releases"
        )
    assert stored == published


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixty_kills_lose_nothing_and_double_nothing_though_all_look_the_same(tmp_path) -> None:
    with Mosquitto(options=WHOLE) as own:
        published, stored = kill_again_and_again(own, tmp_path, cycles=60)
    assert stored == published
