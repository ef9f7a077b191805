"""MQTT against mosquitto: publishing, callbacks, TLS, rights, outages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
import trustme

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    ConfigError,
    ConnectFailed,
    DataError,
    NotAllowed,
    RequestFailed,
    RequestTimeout,
    Unsupported,
)
from gl002.integrations.industrial import MQTTConnector, SyncMQTTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.link import Link
from gl002.transport.mqtt import inbox
from gl002.transport.mqtt.message import Message
from gl002.wire import sparkplug
from peers.mosquitto import PASSWORD, USER, Mosquitto, Watcher, issue, wait_for
from peers.process import program

SOON = 30.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    """One with users, rights and TLS, shared by the tests that do not break it."""
    with Mosquitto(users=True, tls=True) as started:
        yield started


@pytest.fixture
def own_broker() -> Iterator[Mosquitto]:
    """One to break."""
    with Mosquitto(persistent=True) as started:
        yield started


@pytest.fixture
async def make(tmp_path) -> AsyncIterator[Callable[..., MQTTConnector]]:
    """Makes connectors to a port and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[MQTTConnector] = []

    def connector(port: int, **settings: Any) -> MQTTConnector:
        settings = {"broker": "127.0.0.1", "port": port, **settings}
        made.append(MQTTConnector(settings, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


@pytest.fixture
def connect(make, broker) -> Callable[..., MQTTConnector]:
    """Makes connectors to the shared broker."""

    def connector(**settings: Any) -> MQTTConnector:
        return make(**{"port": broker.port, "username": USER, "password": PASSWORD, **settings})

    return connector


@pytest.fixture
def watch(broker) -> Iterator[Callable[..., Watcher]]:
    """Makes second clients at the shared broker."""
    with contextlib.ExitStack() as stack:
        yield lambda *topics: stack.enter_context(Watcher(broker.port, *topics, user=True))


async def until(condition: Callable[[], object], what: str, within: float = SOON) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def frozen(process: Mosquitto) -> AsyncIterator[None]:
    process.freeze()
    try:
        yield
    finally:
        process.thaw()


# ---- the guide ----------------------------------------------------------------------------------


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


# ---- publishing ---------------------------------------------------------------------------------


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


# ---- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
@pytest.mark.parametrize(
    "wrong", [{"password": "canary-wrong"}, {"username": "", "password": None}]
)
async def test_a_wrong_or_missing_password_is_refused_in_the_brokers_words(
    connect, protocol, wrong
) -> None:
    mqtt = connect(protocol=protocol, **wrong)
    with pytest.raises(AuthFailed, match=r"(?i)not authorized|bad user name") as caught:
        await mqtt.connect()
    assert mqtt.state is State.FAILED
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_publish_without_the_right_to_is_named_and_the_session_stands(connect, qos) -> None:
    mqtt = connect(protocol="5")
    with pytest.raises(RequestFailed) as caught:
        await mqtt.publish("forbidden/topic", "x", qos=qos)
    assert not caught.value.retryable
    assert "Not authorized" in str(caught.value)
    await mqtt.publish("plant/a", "x")
    assert mqtt.state is State.UP


async def test_before_mqtt_5_a_broker_does_not_say_that_it_refused(connect, watch) -> None:
    seen = watch("forbidden/#", "plant/after")
    mqtt = connect(protocol="3.1.1")
    await mqtt.publish("forbidden/topic", "x")
    await mqtt.publish("plant/after", "y")
    assert [m.topic for m in await asyncio.to_thread(seen.received, 1)] == ["plant/after"]


# ---- TLS ----------------------------------------------------------------------------------------


def secure(peer: Mosquitto, **changes: Any) -> dict[str, Any]:
    settings = {"broker": "localhost", "port": peer.tls_port, "tls": {"ca_cert": str(peer.ca)}}
    return settings | changes


async def test_tls_with_the_right_authority_connects(connect, broker) -> None:
    mqtt = connect(**secure(broker))
    await mqtt.publish("plant/tls", "x" * 100_000)
    assert (await mqtt.check()).ok


async def test_a_broker_of_another_authority_is_refused(connect, broker, tmp_path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    mqtt = connect(**secure(broker, tls={"ca": str(other)}))
    with pytest.raises(AuthFailed, match="not trusted") as caught:
        await mqtt.connect()
    assert "tls.ca" in caught.value.hint
    assert "Received CONNECT" not in broker.output.split("New connection")[-1]


async def test_the_authorities_of_the_system_do_not_trust_a_private_one(connect, broker) -> None:
    mqtt = connect(broker=f"mqtts://localhost:{broker.tls_port}", port=None)
    with pytest.raises(AuthFailed, match="not trusted"):
        await mqtt.connect()


async def test_a_certificate_for_another_host_is_refused_unless_it_is_named(
    connect, broker
) -> None:
    settings = secure(broker, broker="127.0.0.1")
    with pytest.raises(AuthFailed, match=r"127\.0\.0\.1"):
        await connect(**settings).connect()
    settings["tls"]["server_name"] = "localhost"
    await connect(**settings).connect()


async def test_mutual_tls_with_a_trusted_certificate_connects(connect, broker) -> None:
    certificate, key = broker.client_certificate()
    tls = {"ca_cert": str(broker.ca), "client_cert": str(certificate), "client_key": str(key)}
    mqtt = connect(**secure(broker, port=broker.mutual_port, tls=tls))
    await mqtt.publish("plant/tls", "x")


async def test_mutual_tls_without_a_certificate_or_with_a_foreign_one_is_refused(
    connect, broker, tmp_path
) -> None:
    tls = {"ca": str(broker.ca)}
    certificate, key = issue(trustme.CA(), tmp_path, "stranger")
    for more in ({}, {"cert": str(certificate), "key": str(key)}):
        mqtt = connect(**secure(broker, port=broker.mutual_port, tls={**tls, **more}))
        with pytest.raises(ConnectFailed) as caught:
            await mqtt.connect()
        assert isinstance(caught.value, AuthFailed), caught.value
        assert "certificate" in str(caught.value)


async def test_plain_mqtt_on_a_port_with_tls_says_what_to_do(connect, broker) -> None:
    mqtt = connect(port=broker.tls_port)
    with pytest.raises(ConnectFailed, match="tls") as caught:
        await mqtt.connect()
    assert caught.value.retryable


async def test_tls_on_a_plain_port_is_an_error_of_ours(connect, broker) -> None:
    with pytest.raises(ConnectFailed, match="speak TLS"):
        await connect(**secure(broker, port=broker.port)).connect()


# ---- protocol versions --------------------------------------------------------------------------


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


# ---- callbacks ----------------------------------------------------------------------------------


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


# ---- outages ------------------------------------------------------------------------------------


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


# ---- the blocking face --------------------------------------------------------------------------


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


async def test_a_password_sent_in_clear_to_another_machine_is_told_once(tmp_path, caplog) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(allow=[]), audit=audit, state_dir=tmp_path)
    settings = {"broker": "192.0.2.1", "username": "u", "password": "canary-word"}
    mqtt = MQTTConnector(settings, context=context)
    for _ in range(2):
        with pytest.raises(NotAllowed):
            await mqtt.connect()
    await mqtt.close()
    audit.close()
    assert caplog.text.count("in clear") == 1
    assert "canary" not in caplog.text
