"""MQTT as an input over outages: nothing lost, nothing twice, whatever is killed when."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gl002.errors import ConnectFailed
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
from peers import mqtt_consumer
from peers.mosquitto import Mosquitto, Watcher, wait_for

fixtures = broker, own_broker, watch, make


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
