"""MQTT: what callbacks get, when it is acknowledged, what they may do."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import time

import pytest

from gl002.connector import State
from gl002.errors import ConfigError
from gl002.transport.mqtt import inbox
from gl002.transport.mqtt.message import Message
from integrations.mqtt_site import broker, connect, make, own_broker, until, watch
from peers.process import program

fixtures = broker, own_broker, make, connect, watch


async def test_callbacks_get_topic_payload_and_properties_in_order(connect, watch) -> None:
    got: list[Message] = []
    mqtt = connect()
    await mqtt.subscribe(["boiler/+/data", "boiler/+/alarms"], got.append)
    sender = watch()
    for i in range(100):
        sender.publish(f"boiler/{i % 3}/{'data' if i % 2 else 'alarms'}", json.dumps({"n": i}))
    await until(lambda: len(got) == 100, "all arrived")
    assert [m.json()["n"] for m in got] == list(range(100))
    assert got[1].topic == "boiler/1/data"
    assert (got[1].qos, got[1].retain, got[1].duplicate, dict(got[1].properties)) == (
        1,
        False,
        False,
        {},
    )
    assert abs(got[1].received - time.time_ns()) < 60e9


async def test_properties_of_mqtt_5_come_with_the_message(connect, broker) -> None:
    got: list[Message] = []
    mqtt = connect()
    await mqtt.subscribe("plant/properties", got.append)
    tool = program("mosquitto_pub", "mosquitto-clients")
    properties = ["-D", "PUBLISH", "content-type", "text/csv", "-D", "PUBLISH", "user-property",
                  "site", "north", "-D", "PUBLISH", "correlation-data", "7"]  # fmt: skip
    await asyncio.to_thread(
        subprocess.run,
        [
            tool,
            *broker.access,
            "-V",
            "5",
            "-q",
            "1",
            "-t",
            "plant/properties",
            "-m",
            "x",
            *properties,
        ],
        check=True,
    )
    await until(lambda: got, "it came")
    assert got[0].properties == {
        "content_type": "text/csv", "user_property": [("site", "north")], "correlation_data": b"7",
    }  # fmt: skip


async def test_a_coroutine_callback_is_awaited_before_the_next_message(connect, watch) -> None:
    running, most, done = 0, 0, []

    async def callback(message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        done.append(int(message.payload))

    mqtt = connect()
    await mqtt.subscribe("plant/slow", callback)
    watch().publish_all("plant/slow", [str(i) for i in range(50)])
    await until(lambda: len(done) == 50, "all were dealt with")
    assert (done, most) == (list(range(50)), 1)


async def test_a_message_is_acknowledged_when_its_callback_has_returned(make, own_broker) -> None:
    may_return, called = asyncio.Event(), asyncio.Event()

    async def callback(_: Message) -> None:
        called.set()
        await may_return.wait()

    mqtt = make(own_broker.port, client_id="patient")
    await mqtt.subscribe("a", callback)
    await mqtt.publish("a", "x")
    await called.wait()
    await mqtt.check()
    acknowledged = "Received PUBACK from patient"
    assert acknowledged not in own_broker.output
    may_return.set()
    await until(lambda: acknowledged in own_broker.output, "the broker has the acknowledgement")


async def test_a_callback_that_raises_is_told_and_the_next_message_follows(
    connect, watch, caplog
) -> None:
    got: list[bytes] = []

    def callback(message: Message) -> None:
        got.append(message.payload)
        if message.payload == b"bad":
            raise ValueError("no boiler")

    mqtt = connect()
    await mqtt.subscribe("plant/raise", callback)
    watch().publish_all("plant/raise", ["bad", "good"])
    await until(lambda: got == [b"bad", b"good"], "both came, once")
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "plant/raise" in record.getMessage()
    assert "no boiler" in str(record.exc_info)


async def test_two_subscriptions_that_overlap_both_get_the_message(connect, watch) -> None:
    one: list[Message] = []
    other: list[Message] = []
    mqtt = connect()
    await mqtt.subscribe("plant/both/#", one.append)
    await mqtt.subscribe(["plant/both/+"], other.append)
    watch().publish("plant/both/a", "x")
    await until(lambda: one and other, "both got it")


async def test_unsubscribing_ends_the_callback(connect, watch) -> None:
    got: list[Message] = []
    mqtt = connect()
    await mqtt.subscribe(["plant/end"], got.append)
    sender = watch()
    sender.publish("plant/end", "1")
    await until(lambda: got, "the first came")
    await mqtt.unsubscribe("plant/end")
    sender.publish("plant/end", "2")
    await mqtt.check()
    assert len(got) == 1


async def test_a_callback_may_publish_subscribe_unsubscribe_and_close(connect, watch) -> None:
    steps: list[str] = []
    mqtt = connect()

    async def callback(message: Message) -> None:
        steps.append(message.topic)
        await mqtt.publish("plant/answer", "x")
        await mqtt.subscribe("plant/more", steps.append)
        await mqtt.unsubscribe("plant/ask")
        await mqtt.close()
        steps.append("closed")

    seen = watch("plant/answer")
    await mqtt.subscribe("plant/ask", callback)
    watch().publish("plant/ask", "?")
    await asyncio.to_thread(seen.received, 1)
    await until(lambda: "closed" in steps, "the callback ran to its end")
    assert mqtt.state is State.CLOSED


async def test_a_filter_that_is_not_valid_is_refused_before_anything_is_sent(connect) -> None:
    mqtt = connect()
    with pytest.raises(ConfigError):
        await mqtt.subscribe(["plant/#/x"], print)
    assert mqtt.state is State.NEW


async def test_a_flood_of_qos_0_is_not_read_faster_than_it_is_dealt_with(
    connect, watch, monkeypatch
) -> None:
    monkeypatch.setattr(inbox, "_MOST_HELD", 100)
    may_go_on, got = asyncio.Event(), []

    async def callback(message: Message) -> None:
        await may_go_on.wait()
        got.append(int(message.payload))

    mqtt = connect()
    await mqtt.subscribe("plant/flood", callback, qos=0)
    await asyncio.to_thread(watch().publish_all, "plant/flood", map(str, range(3000)), qos=0)
    await until(lambda: mqtt._inbox.full, "it stopped reading")
    held = mqtt._inbox._held
    assert held < 100 + 2000, "what one read brings may be above the limit"
    may_go_on.set()
    await until(lambda: got and got[-1] == 2999, "it went on")
    assert got == sorted(got)
    assert (await mqtt.check()).ok
