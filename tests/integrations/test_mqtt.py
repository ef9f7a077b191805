"""MQTT against mosquitto: the guide's calls, publishing, versions of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import ConfigError, ConnectFailed, DataError, RequestTimeout
from gl002.integrations.industrial import SyncMQTTConnector
from gl002.testing.link import Link
from gl002.transport.mqtt.message import Message
from gl002.wire import sparkplug
from integrations.mqtt_site import broker, connect, make, own_broker, until, watch
from peers.mosquitto import PASSWORD, USER, Mosquitto, Watcher, wait_for

fixtures = broker, own_broker, make, connect, watch


# ---- the guide --------------------------------------------------------------------------------


async def test_the_calls_of_the_guide_work_in_their_order(connect, watch) -> None:
    seen, got = watch("boiler/001/optimization", "spBv1.0/#"), []
    mqtt = connect(client_id="gl002_optimizer", qos=1, retain=False)
    await mqtt.connect()
    await mqtt.subscribe(["boiler/+/data", "boiler/+/alarms"], callback=got.append)
    await mqtt.publish(
        topic="boiler/001/optimization",
        payload={
            "timestamp": datetime.now().isoformat(),  # noqa: DTZ005 (as the guide writes it)
            "efficiency": 85.4,
            "recommendations": {...},
        },
        qos=1,
        retain=True,
    )
    data = mqtt.create_sparkplug_payload(
        metrics={"efficiency": 85.4, "fuel_rate": 3500, "steam_flow": 50000}
    )
    await mqtt.publish_sparkplug("spBv1.0/GL002/DDATA/Boiler1", data)
    first, second = await asyncio.to_thread(seen.received, 2)
    assert json.loads(first.payload)["recommendations"] == [None]
    assert second.topic == "spBv1.0/GL002/DDATA/Boiler1"
    assert (second.qos, second.retain) == (0, False)
    payload = sparkplug.decode(second.payload)
    assert {m.name: m.value for m in payload.metrics} == {
        "efficiency": 85.4, "fuel_rate": 3500, "steam_flow": 50000,
    }  # fmt: skip
    await mqtt.publish("boiler/001/optimization", None, retain=True)  # leave nothing behind
    assert got == []


async def test_sparkplug_payloads_are_numbered_from_0_to_255(connect) -> None:
    mqtt = connect()
    numbers = [sparkplug.decode(mqtt.create_sparkplug_payload({"a": i})).seq for i in range(258)]
    assert numbers == [*range(256), 0, 1]


# ---- publishing -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_arrives_as_it_was_published(connect, watch, protocol, qos) -> None:
    topic = f"plant/{protocol}/{qos}"
    seen = watch(topic)
    mqtt = connect(protocol=protocol)
    payloads = {b"\x00\xff": b"\x00\xff", "läuft": "läuft".encode(), 85.4: b"85.4", None: b""}
    for payload in payloads:
        await mqtt.publish(topic, payload, qos=qos)
    received = await asyncio.to_thread(seen.received, len(payloads))
    assert [m.payload for m in received] == list(payloads.values())


async def test_publish_returns_only_when_the_broker_has_confirmed(make, own_broker) -> None:
    with Link(own_broker.port) as link, Watcher(own_broker.port, "a") as seen:
        mqtt = make(link.port, retry_policy={"max_attempts": 1})
        await mqtt.connect()
        link.drop_replies()
        mqtt.set_timeout(300)
        with pytest.raises(RequestTimeout):
            await mqtt.publish("a", "x")
        assert await asyncio.to_thread(seen.received, 1), "it arrived, and still counts as unknown"


@pytest.mark.timeout(300)
async def test_ten_thousand_messages_arrive_in_order(connect, watch) -> None:
    seen = watch("plant/order")
    mqtt, count = connect(timeout=60), 10_000
    for start in range(0, count, 500):
        await asyncio.gather(
            *(mqtt.publish("plant/order", str(i)) for i in range(start, start + 500))
        )
    received = await asyncio.to_thread(seen.received, count, 60)
    assert [int(m.payload) for m in received] == list(range(count))


async def test_a_payload_of_ten_megabytes_goes_out_and_comes_in(connect) -> None:
    got: list[Message] = []
    mqtt = connect()
    await mqtt.subscribe("plant/large", got.append)
    payload = bytes(range(256)) * 40_960
    await mqtt.publish("plant/large", payload)
    await until(lambda: got, "it arrived")
    assert got[0].payload == payload


async def test_what_the_broker_can_not_take_is_named_and_the_session_stands(make) -> None:
    with Mosquitto(largest=20_000) as small:
        mqtt = make(small.port)
        with pytest.raises(DataError, match="20000"):
            await mqtt.publish("a", b"x" * 20_000)
        await mqtt.publish("a", b"x" * 19_900)
        assert mqtt.state is State.UP


async def test_a_retained_message_is_kept_and_cleared(connect) -> None:
    got: list[Message] = []
    mqtt = connect()
    await mqtt.publish("plant/kept", "x", retain=True)
    await mqtt.publish("plant/kept", "live")
    await mqtt.subscribe("plant/kept", got.append)
    await until(lambda: got, "the kept one came")
    await mqtt.publish("plant/kept", None, retain=True)
    await until(lambda: len(got) == 2, "the empty one came")
    assert [(m.payload, m.retain) for m in got] == [(b"x", True), (b"", False)]


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a\0b"])
async def test_a_topic_that_cannot_be_published_to_is_refused(connect, topic) -> None:
    with pytest.raises(ConfigError):
        await connect().publish(topic, "x")


async def test_a_payload_without_a_form_is_a_data_error(connect) -> None:
    for payload in (object(), "\ud800", {"a": object()}):
        with pytest.raises(DataError):
            await connect().publish("plant/a", payload)


async def test_a_quality_of_service_that_does_not_exist_is_refused(connect) -> None:
    with pytest.raises(DataError, match="qos 3"):
        await connect().publish("plant/a", "x", qos=3)


async def test_many_tasks_publish_at_once_over_one_connection(connect, watch) -> None:
    seen, mqtt = watch("plant/many/+"), connect()
    await asyncio.gather(*(mqtt.publish(f"plant/many/{i}", str(i)) for i in range(300)))
    received = await asyncio.to_thread(seen.received, 300)
    assert {m.topic for m in received} == {f"plant/many/{i}" for i in range(300)}


# ---- protocol versions ------------------------------------------------------------------------


@asynccontextmanager
async def old_broker(port: int) -> AsyncIterator[int]:
    """A broker from before MQTT 5: refuses its CONNECT as 3.1.1 does, passes on any other."""

    serving: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        first = await reader.readexactly(9)
        if first[8] == 5:  # protocol level (MQTT 3.1.1, section 3.1.2.2)
            writer.write(b"\x20\x02\x00\x01")
            await _closed(writer)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        far_writer.write(first)
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait([task for task in serving if task], timeout=30)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(4096):
            writer.write(data)
    await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_broker_that_knows_no_mqtt_5_is_spoken_to_in_3_1_1(connect, broker) -> None:
    async with old_broker(broker.port) as port:
        mqtt = connect(port=port)
        assert "MQTT 3.1.1" in (await mqtt.check()).detail
        await mqtt.publish("plant/old", "x")
        await mqtt.close()


async def test_a_version_asked_for_is_not_given_up(connect, broker) -> None:
    async with old_broker(broker.port) as port:
        mqtt = connect(port=port, protocol="5")
        with pytest.raises(ConnectFailed, match="does not speak MQTT 5"):
            await mqtt.connect()
        await mqtt.close()


# ---- the blocking face ------------------------------------------------------------------------


def test_the_blocking_face_publishes_and_its_callbacks_may_call_back(broker) -> None:
    got: list[Message] = []
    settings = {"broker": f"127.0.0.1:{broker.port}", "username": USER, "password": PASSWORD}
    with SyncMQTTConnector(settings) as mqtt, Watcher(broker.port, "plant/echo", user=True) as seen:

        def callback(message: Message) -> None:
            got.append(message)
            assert threading.current_thread() is not threading.main_thread()
            mqtt.publish("plant/echo", message.payload)

        mqtt.subscribe(["plant/face"], callback=callback)
        mqtt.publish("plant/face", {"a": 1})
        assert seen.json(1) == [{"a": 1}]
        wait_for(lambda: got)
        mqtt.unsubscribe(["plant/face"])
        data = mqtt.create_sparkplug_payload({"a": 1.5})
        mqtt.publish_sparkplug("spBv1.0/g/DDATA/n/d", data)
        assert "MQTT 5" in mqtt.check().detail
    mqtt.aio.context.audit.close()
