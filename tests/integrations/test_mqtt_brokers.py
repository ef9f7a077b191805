"""Ways to a broker: WebSockets, one of several, a will as a status, certificates that change."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed, ConnectFailed, NotAllowed
from gl002.integrations.industrial import MQTTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.link import Link
from gl002.transport.mqtt import line
from gl002.transport.mqtt.message import Message
from integrations.mqtt_flow_site import reading, source_of, until
from peers.mosquitto import PASSWORD, USER, Mosquitto, Watcher
from peers.process import free_port
from peers.websocket import WebSocketServer

FAST = {"retry_policy": {"max_attempts": 1}}


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto(users=True, tls=True, websocket=True) as started:
        yield started


@pytest.fixture
async def make(tmp_path) -> AsyncIterator[Callable[..., MQTTConnector]]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path, name="house")
    made: list[MQTTConnector] = []

    def connector(broker: str | list[str], **settings: Any) -> MQTTConnector:
        made.append(MQTTConnector({"broker": broker, **settings}, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


def at(*processes: Mosquitto | Link) -> list[str]:
    return [f"127.0.0.1:{process.port}" for process in processes]


# ---- in a WebSocket -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("secure", [False, True])
async def test_in_a_websocket_everything_is_as_without(make, broker, protocol, secure) -> None:
    if secure:
        address, tls = (
            f"wss://localhost:{broker.secure_websocket_port}/mqtt",
            {"ca": str(broker.ca)},
        )
    else:
        address, tls = f"ws://127.0.0.1:{broker.websocket_port}/any/path?a=b", None
    got: list[Message] = []
    mqtt = make(address, tls=tls, protocol=protocol, username=USER, password=PASSWORD)
    await mqtt.subscribe("plant/ws", got.append)
    # mosquitto 2.0 takes 40 kB/s in a WebSocket, from any client: one large message is enough.
    payloads = [str(i).encode() for i in range(300)] + [bytes(range(256)) * 80]
    await asyncio.gather(*(mqtt.publish("plant/ws", payload, qos=1) for payload in payloads))
    await until(lambda: len(got) == len(payloads), "all came back")
    assert [m.payload for m in got] == payloads
    assert f"MQTT {protocol}" in (await mqtt.check()).detail


async def test_before_a_websocket_server_of_another_make_large_messages_pass(make) -> None:
    with Mosquitto() as own, WebSocketServer(own.port, "/mqtt", ping=0.001) as server:
        got: list[Message] = []
        mqtt = make(f"ws://127.0.0.1:{server.port}")
        await mqtt.subscribe("large", got.append)
        payload = bytes(range(256)) * 8000
        await mqtt.publish("large", payload)
        await until(lambda: got, "it came back")
        assert got[0].payload == payload
        for _ in range(20):  # long enough for a ping
            assert (await mqtt.check()).ok
        await mqtt.close()
        await until(lambda: server.pongs, "its pings were answered")
        with pytest.raises(ConnectFailed, match="HTTP status 400"):
            await make(f"ws://127.0.0.1:{server.port}/elsewhere?secret=1", **FAST).connect()


async def test_a_websocket_goes_on_after_the_broker_was_killed(make) -> None:
    with Mosquitto(websocket=True) as own:
        got: list[bytes] = []
        mqtt = make(f"ws://127.0.0.1:{own.websocket_port}")
        await mqtt.subscribe("a", lambda m: got.append(m.payload))
        await asyncio.to_thread(own.restart)
        async with asyncio.timeout(30):
            while not got:
                await mqtt.publish("a", "x")
                await asyncio.sleep(0.05)


async def test_who_is_no_websocket_and_who_refuses_is_said(make, broker) -> None:
    with pytest.raises(ConnectFailed, match=r"no WebSocket|closed the connection|reset"):
        await make(f"ws://127.0.0.1:{broker.port}/x", **FAST).connect()
    with pytest.raises(AuthFailed, match=r"(?i)not authorized"):
        await make(f"ws://127.0.0.1:{broker.websocket_port}", **FAST).connect()


# ---- one of several -----------------------------------------------------------------------------


async def test_the_first_broker_that_answers_is_taken(make, broker) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    mqtt = make([nobody, *at(broker)], username=USER, password=PASSWORD, **FAST)
    await mqtt.publish("plant/a", "x")
    assert mqtt._at == 1


async def test_when_one_falls_silent_or_dies_the_next_takes_over_and_callbacks_go_along(
    make,
) -> None:
    got: list[bytes] = []
    with Mosquitto() as one, Mosquitto() as two, Link(one.port) as link:
        mqtt = make(at(link, two), keepalive=2)
        await mqtt.subscribe("a", lambda m: got.append(m.payload))
        assert mqtt._at == 0
        mqtt.set_timeout(3000)
        link.blackhole()
        await until(lambda: mqtt.state is State.UP and mqtt._at == 1, "moved on")
        with Watcher(two.port) as sender:
            await until(lambda: "Sending SUBACK" in two.output, "subscribed there")
            sender.publish("a", "from the second")
        await until(lambda: got == [b"from the second"], "callbacks work there")
        link.restore()
        await asyncio.to_thread(two.kill)
        await until(lambda: mqtt.state is State.UP and mqtt._at == 0, "back with the first")


async def test_an_input_goes_along_and_says_nothing_twice(make) -> None:
    with Mosquitto() as one, Mosquitto() as two:
        mqtt = make(at(one, two))
        async with reading(source_of(mqtt, "a", format="raw")) as reader:
            await until(lambda: "Sending SUBACK" in one.output, "subscribed")
            with Watcher(one.port) as sender:
                await asyncio.to_thread(sender.publish_all, "a", map(str, range(100)))
            await until(lambda: len(reader.values) == 100, "all came")
            await asyncio.to_thread(one.kill)
            await until(lambda: "Sending SUBACK" in two.output, "subscribed at the next")
            with Watcher(two.port) as sender:
                await asyncio.to_thread(sender.publish_all, "a", map(str, range(100, 200)))
            await until(lambda: len(reader.values) == 200, "all came from there")
        assert reader.values == list(range(200))


async def test_when_none_answers_all_are_named(make) -> None:
    ports = [free_port(), free_port()]
    with pytest.raises(ConnectFailed) as caught:
        await make([f"127.0.0.1:{port}" for port in ports], **FAST).connect()
    assert caught.value.retryable
    assert all(str(port) in str(caught.value) for port in ports)


async def test_when_all_refuse_us_it_is_a_person_who_must_act(make, broker) -> None:
    mqtt = make([*at(broker), f"127.0.0.1:{broker.port}"], **FAST)
    with pytest.raises(AuthFailed):
        await mqtt.connect()


async def test_every_broker_of_the_list_must_be_allowed(tmp_path) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(allow=["127.0.0.2"]), audit=audit, state_dir=tmp_path)
    mqtt = MQTTConnector({"broker": ["127.0.0.1:1", "127.0.0.1:2"], **FAST}, context=context)
    with pytest.raises((ConnectFailed, NotAllowed), match="allowlist"):
        await mqtt.connect()
    await mqtt.close()
    audit.close()


# ---- the will -----------------------------------------------------------------------------------


async def test_a_will_is_published_when_the_connection_is_lost_and_only_then(make, broker) -> None:
    will = {"topic": "plant/{gateway}/gone", "payload": {"lost": True}, "qos": 1, "retain": False}
    mqtt = make(at(broker), username=USER, password=PASSWORD, will=will)
    with Watcher(broker.port, "plant/house/gone", user=True) as ear:
        await mqtt.connect()
        await mqtt.close()
        await mqtt.connect()
        mqtt._live().drop()
        (message,) = await asyncio.to_thread(ear.received, 1)
        assert json.loads(message.payload) == {"lost": True}
        assert not message.retain


async def test_a_will_with_a_word_for_online_is_a_status_that_is_always_true(make, broker) -> None:
    will = {"topic": "plant/{gateway}/status", "online": "online"}
    mqtt = make(at(broker), username=USER, password=PASSWORD, will=will)
    with Watcher(broker.port, "plant/house/status", user=True) as ear:

        def words() -> list[bytes]:
            return [m.payload for m in ear.messages]

        await mqtt.connect()
        await until(lambda: words() == [b"online"], "said when connected")
        mqtt._live().drop()  # it comes back by itself, and says so
        await until(lambda: words()[:2] == [b"online", b"offline"], "said by the broker")
        await mqtt.check()
        await mqtt.close()
        await until(lambda: words()[2:] == [b"online", b"offline"], "said when leaving")
    with Watcher(broker.port, "plant/house/status", user=True) as late:
        (kept,) = await asyncio.to_thread(late.received, 1)
        assert (kept.payload, kept.retain) == (b"offline", True)
    await mqtt.publish("plant/house/status", None, retain=True)


# ---- certificates -------------------------------------------------------------------------------


def issue(broker: Mosquitto, folder: Path, *, days: int) -> dict[str, str]:
    """Our certificate and key at the same place as before, valid for so many days."""
    end = datetime.now(UTC) + timedelta(days=days)
    issued = broker.authority.issue_cert("gl002@example.org", not_after=end)
    cert, key = folder / "cert.pem", folder / "key.pem"
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(cert)
    return {"ca": str(broker.ca), "cert": str(cert), "key": str(key)}


async def test_a_certificate_that_was_replaced_is_used_without_a_restart(
    make, broker, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(line, "_LOOK_AT_FILES", 0.05)
    caplog.set_level(logging.INFO)
    tls, got = issue(broker, tmp_path, days=5), []
    address = f"mqtts://localhost:{broker.mutual_port}"
    mqtt = make(address, tls=tls, username=USER, password=PASSWORD)
    await mqtt.subscribe("plant/n", lambda m: got.append(int(m.payload)))
    first = mqtt._live()
    notes = (await mqtt.check()).notes
    assert any("our certificate ends on" in note and "in 4 days" in note for note in notes)
    number = 0

    async def publish_until(condition: Callable[[], object], what: str) -> None:
        nonlocal number
        async with asyncio.timeout(30):
            while not condition():
                await mqtt.publish("plant/n", str(number))
                number += 1
                await asyncio.sleep(0.01)

    (tmp_path / "cert.pem").write_text("half a file")
    await publish_until(lambda: "goes on with the certificate it has" in caplog.text, "told")
    assert mqtt._live() is first, "what cannot be used disturbs nothing"
    issue(broker, tmp_path, days=300)
    await publish_until(lambda: mqtt._session not in {first, None}, "renewed")
    await publish_until(lambda: mqtt.state is State.UP, "and up")
    assert not any("our" in note for note in (await mqtt.check()).notes)
    await until(lambda: len(got) == number, "callbacks missed nothing")
    assert got == list(range(number))
    assert mqtt.state is State.UP


async def test_a_new_connection_takes_the_files_as_they_are_then(make, broker, tmp_path) -> None:
    tls = issue(broker, tmp_path, days=5)
    address = f"mqtts://localhost:{broker.mutual_port}"
    mqtt = make(address, tls=tls, username=USER, password=PASSWORD, **FAST)
    await mqtt.connect()
    with Mosquitto(tls=True) as foreign:
        shutil.copy(tmp_path / "cert.pem", tmp_path / "good.pem")
        shutil.copy(tmp_path / "key.pem", tmp_path / "good.key")
        issue(foreign, tmp_path, days=5)
    mqtt._live().drop()
    await until(lambda: mqtt.state is State.RETRYING, "noticed")
    with pytest.raises(AuthFailed, match="certificate"):
        await mqtt.publish("plant/a", "x")
    shutil.copy(tmp_path / "good.pem", tmp_path / "cert.pem")
    shutil.copy(tmp_path / "good.key", tmp_path / "key.pem")
    await mqtt.publish("plant/a", "x")


async def test_the_brokers_own_certificate_is_watched_too(make, tmp_path, monkeypatch) -> None:
    with Mosquitto(tls=True) as own:
        end = datetime.now(UTC) + timedelta(days=9, hours=1)
        server = own.authority.issue_cert("localhost", not_after=end)
        server.private_key_pem.write_to_path(own.folder / "server.key")
        (own.folder / "server.pem").write_bytes(server.cert_chain_pems[0].bytes())
        await asyncio.to_thread(own.restart)
        mqtt = make(f"mqtts://localhost:{own.tls_port}", tls={"ca": str(own.ca)})
        (note,) = (await mqtt.check()).notes
        assert "the broker's certificate ends on" in note
        assert "in 9 days" in note
