"""MQTT over outages: brokers killed and frozen, links cut, sessions kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gl002.connector import State
from gl002.errors import RequestTimeout, Unsupported
from gl002.integrations.industrial import MQTTConnector
from gl002.testing.link import Link
from integrations.mqtt_site import SOON, make, own_broker, until
from peers.mosquitto import Mosquitto, Watcher

fixtures = own_broker, make


@asynccontextmanager
async def frozen(process: Mosquitto) -> AsyncIterator[None]:
    process.freeze()
    try:
        yield
    finally:
        process.thaw()


async def test_publishing_and_callbacks_come_back_after_the_broker_was_killed(
    make, own_broker
) -> None:
    got: list[bytes] = []
    mqtt = make(own_broker.port)
    await mqtt.subscribe("a/+", lambda m: got.append(m.payload))
    await mqtt.publish("a/b", "before")
    await until(lambda: got, "it works")
    await asyncio.to_thread(own_broker.restart)
    async with asyncio.timeout(SOON):
        while b"after" not in got:
            await mqtt.publish("a/b", "after")
            await asyncio.sleep(0.05)
    assert mqtt.state is State.UP


async def test_a_lost_connection_is_noticed_and_mended_while_nobody_asks(make, own_broker) -> None:
    mqtt = make(own_broker.port)
    await mqtt.subscribe("a", print)
    own_broker.kill()
    await until(lambda: mqtt.state is State.RETRYING, "noticed")
    await asyncio.to_thread(own_broker.start)
    await until(lambda: mqtt.state is State.UP, "mended")


async def test_a_frozen_broker_is_noticed_by_its_silence_and_taken_up_again(
    make, own_broker, caplog
) -> None:
    mqtt = make(own_broker.port, keepalive=3)  # the broker would not bear with us for a second
    got: list[bytes] = []
    await mqtt.subscribe("a", lambda m: got.append(m.payload))
    mqtt.set_timeout(1000)
    async with frozen(own_broker):
        await until(lambda: mqtt.state is State.RETRYING, "noticed")
    await until(lambda: mqtt.state is State.UP, "taken up again")
    assert "does not answer" in caplog.text
    mqtt.set_timeout(30_000)
    await mqtt.publish("a", "x")
    await until(lambda: b"x" in got, "callbacks work")


async def test_a_publish_to_a_frozen_broker_is_a_time_out_and_works_after_it(
    make, own_broker
) -> None:
    mqtt = make(own_broker.port, retry_policy={"max_attempts": 1})
    await mqtt.connect()
    mqtt.set_timeout(300)
    async with frozen(own_broker):
        with pytest.raises(RequestTimeout, match=r"within 0\.3 s"):
            await mqtt.publish("a", "x")
    mqtt.set_timeout(30_000)
    await mqtt.publish("a", "x")


async def test_callbacks_miss_nothing_over_cuts_of_the_link(make, own_broker) -> None:
    got: list[int] = []
    with Link(own_broker.port) as link, Watcher(own_broker.port) as sender:
        mqtt = make(link.port)
        await mqtt.subscribe("count", lambda m: got.append(int(m.payload)))
        number = 0
        for _ in range(5):
            for _ in range(40):
                sender.publish("count", str(number))
                number += 1
                if number % 40 == 20:
                    link.cut()
            link.restore()
            await until(lambda: mqtt.state is State.UP, "up again")
        await until(lambda: len(set(got)) == number, "nothing is missing")
    assert got == list(range(number)), "in order, and none twice"


async def test_a_kept_session_delivers_to_the_next_start_what_was_missed(make, own_broker) -> None:
    got: list[bytes] = []
    settings = {"client_id": "kept", "clean_start": False}
    first = make(own_broker.port, **settings)
    await first.subscribe("a", lambda m: got.append(m.payload))
    await first.close()
    with Watcher(own_broker.port) as sender:
        sender.publish_all("a", ["1", "2", "3"])
    second = make(own_broker.port, **settings)
    await second.connect()
    await asyncio.sleep(0.05)  # the broker sends at once, before anybody has subscribed
    await second.subscribe("a", lambda m: got.append(m.payload))
    await until(lambda: len(got) == 3, "all came")
    assert got == [b"1", b"2", b"3"]


async def test_a_session_that_is_not_kept_is_forgotten_when_it_is_closed(make, own_broker) -> None:
    got: list[bytes] = []
    first = make(own_broker.port, client_id="passing")
    await first.subscribe("a", print)
    await first.close()
    with Watcher(own_broker.port) as sender:
        sender.publish("a", "missed")
        second = make(own_broker.port, client_id="passing", clean_start=False)
        await second.subscribe("a", lambda m: got.append(m.payload))
        sender.publish("a", "live")
    await until(lambda: got, "live ones come")
    assert got == [b"live"]


async def test_of_two_clients_with_one_name_the_older_is_told(make, own_broker, caplog) -> None:
    first, second = (make(own_broker.port, client_id="twin") for _ in range(2))
    await first.connect()
    await second.connect()
    await until(lambda: first.state is State.RETRYING, "the first has lost its connection")
    assert "client_id 'twin'" in caplog.text
    assert "'twin'" in (await second.check()).detail


async def test_qos_2_is_refused_on_a_session_that_is_kept(make, own_broker) -> None:
    mqtt = make(own_broker.port, client_id="kept", clean_start=False)
    with pytest.raises(Unsupported, match="QoS 2"):
        await mqtt.publish("a", "x", qos=2)


async def test_a_session_with_qos_2_in_doubt_is_not_taken_up_again(make, own_broker) -> None:
    with Link(own_broker.port) as link:
        mqtt = make(link.port, retry_policy={"max_attempts": 1})
        await mqtt.subscribe("a", print)
        link.drop_replies()
        mqtt.set_timeout(500)
        with pytest.raises(RequestTimeout):
            await mqtt.publish("b", "x", qos=2)
        mqtt.set_timeout(30_000)
        link.restore()
        await mqtt.publish("b", "y", qos=2)
        assert mqtt._session is not None
        assert mqtt._session.options.clean_start
        before = mqtt._session
        link.cut()
        link.restore()
        await until(lambda: mqtt._session is not before, "noticed")
        await mqtt.connect()
        assert not mqtt._session.options.clean_start


async def test_names_are_random_unless_a_session_is_to_be_kept(make, own_broker, tmp_path) -> None:
    one, two = make(own_broker.port), make(own_broker.port)
    await asyncio.gather(one.connect(), two.connect())
    assert one._session.options.client_id != two._session.options.client_id
    spec = MQTTConnector.Input.parse({"source": "mqtt", "topics": ["a"]})
    kept = []
    for _ in range(2):
        made = make(own_broker.port)
        made.source(spec)
        await made.connect()
        kept.append(made._session.options.client_id)
        await made.close()
    assert kept[0] == kept[1] == (tmp_path / "mqtt" / "mqtt.client_id").read_text()
