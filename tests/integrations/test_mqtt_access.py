"""MQTT: who may, and whom we trust: passwords, rights, TLS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trustme

from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed, ConnectFailed, NotAllowed, RequestFailed
from gl002.integrations.industrial import MQTTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from integrations.mqtt_site import broker, connect, make, watch
from peers.mosquitto import Mosquitto, issue

fixtures = broker, make, connect, watch


# ---- who may ----------------------------------------------------------------------------------


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


# ---- TLS --------------------------------------------------------------------------------------


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


# ---- passwords in clear -----------------------------------------------------------------------


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
