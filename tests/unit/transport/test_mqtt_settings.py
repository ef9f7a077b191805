"""Settings of MQTT: every way to name a broker means one address; reason codes mean one error."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gl002.errors import AuthFailed, Busy, ConfigError, ConnectFailed, DataError, RequestFailed
from gl002.security.network import Endpoint
from gl002.transport.mqtt import reasons
from gl002.transport.mqtt.options import SessionOptions
from gl002.transport.mqtt.settings import MQTTConfig

OPTIONS = SessionOptions(endpoint=Endpoint("h", 1883), client_id="me", version="5")


@pytest.mark.parametrize(
    ("settings", "endpoint", "secure"),
    [
        ({"broker": "h"}, ("h", 1883), False),
        ({"broker": "h:1884"}, ("h", 1884), False),
        ({"broker": "h", "port": 1884}, ("h", 1884), False),
        ({"broker": "h:1884", "port": 1884}, ("h", 1884), False),
        ({"broker": "mqtt://h"}, ("h", 1883), False),
        ({"broker": "tcp://h:1/"}, ("h", 1), False),
        ({"broker": "mqtts://h"}, ("h", 8883), True),
        ({"broker": "ssl://h:443"}, ("h", 443), True),
        ({"broker": "h", "tls": {}}, ("h", 8883), True),
        ({"broker": "h", "tls": True}, ("h", 8883), True),
        ({"broker": "h", "tls": False}, ("h", 1883), False),
        ({"broker": "mqtts://h", "tls": {"ca_cert": "x"}}, ("h", 8883), True),
        ({"broker": "h", "port": 8883}, ("h", 8883), False),
        ({"broker": "[::1]:1884"}, ("::1", 1884), False),
        ({"broker": "10.0.0.5"}, ("10.0.0.5", 1883), False),
    ],
)
def test_a_broker_can_be_named_in_every_usual_way(settings, endpoint, secure) -> None:
    config = MQTTConfig.parse(settings)
    (broker,) = config.brokers
    assert (broker.endpoint, broker.secure, broker.path) == (Endpoint(*endpoint), secure, "")
    assert (config.secure is not None) == secure


def test_the_settings_of_the_guide_are_understood() -> None:
    config = MQTTConfig.parse(
        {
            "broker": "mqtt.broker.com", "port": 8883, "username": "gl002",
            "password": "secure_password", "client_id": "gl002_optimizer",
            "tls": {
                "ca_cert": "/certs/ca.pem", "client_cert": "/certs/client.pem",
                "client_key": "/certs/client.key",
            },
            "qos": 1, "retain": False,
        }
    )  # fmt: skip
    assert config.brokers[0].endpoint == Endpoint("mqtt.broker.com", 8883)
    assert config.secure is not None
    assert (config.secure.ca, config.secure.cert) == ("/certs/ca.pem", "/certs/client.pem")


@pytest.mark.parametrize("protocol", [5, "5", "3.1.1", "auto"])
def test_a_version_may_be_a_number_or_text(protocol) -> None:
    versions = MQTTConfig.parse({"broker": "h", "protocol": protocol}).versions
    assert versions == (("5", "3.1.1") if protocol == "auto" else (str(protocol),))


@pytest.mark.parametrize(
    ("settings", "endpoint", "secure", "path"),
    [
        ({"broker": "ws://h"}, ("h", 80), False, "/mqtt"),
        ({"broker": "wss://h/"}, ("h", 443), True, "/mqtt"),
        ({"broker": "wss://h:8084/ws/mqtt?site=1"}, ("h", 8084), True, "/ws/mqtt?site=1"),
        ({"broker": "ws://h", "port": 9001}, ("h", 9001), False, "/mqtt"),
        ({"broker": "wss://[::1]/x", "tls": {"ca": "x"}}, ("::1", 443), True, "/x"),
    ],
)
def test_a_websocket_has_a_path_and_ports_of_its_own(settings, endpoint, secure, path) -> None:
    (broker,) = MQTTConfig.parse(settings).brokers
    assert (broker.endpoint, broker.secure, broker.path) == (Endpoint(*endpoint), secure, path)


def test_several_brokers_are_a_list_in_the_order_to_try_them() -> None:
    config = MQTTConfig.parse({"broker": ["mqtts://a", "mqtts://b:1", "wss://c/x"]})
    assert [(b.endpoint, b.path) for b in config.brokers] == [
        (("a", 8883), ""), (("b", 1), ""), (("c", 443), "/x"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"broker": []}, "empty list"),
        ({"broker": ["mqtts://a", "mqtt://b"]}, "must not end it"),
        ({"broker": "ws://h", "tls": {}}, "plain"),
        ({"broker": "ws://h/a b"}, "no place"),
        ({"broker": "wss://user:word@h/x"}, "username"),
        ({"broker": "h", "will": {"topic": "a/#"}}, "wildcard"),
        ({"broker": "h", "will": {"topic": "a/{tag}"}}, "unknown field"),
        ({"broker": "h", "will": {"topic": "a"}, "sparkplug": {"host": "x"}}, "one will"),
        (
            {"broker": "h", "client_id": "c", "clean_start": False, "sparkplug": {"host": "x"}},
            "starts clean",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_word_that_helps(settings, word) -> None:
    with pytest.raises(ConfigError, match=word):
        MQTTConfig.parse(settings)


@pytest.mark.parametrize("broker", ["", "://h", "mqtt://", "h:port", "h:99999", "http://h"])
def test_what_is_no_broker_is_refused(broker) -> None:
    with pytest.raises(ConfigError):
        MQTTConfig.parse({"broker": broker})


def test_a_password_in_the_address_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="username") as caught:
        MQTTConfig.parse({"broker": "mqtt://user:canary-word@h"})
    assert "canary" not in str(caught.value)


def _code(packet: int, value: int) -> ReasonCode:
    return ReasonCode(packet, identifier=value)


@pytest.mark.parametrize(
    ("value", "kind", "retryable"),
    [
        (0x84, reasons.VersionRefused, True), (0x85, AuthFailed, False), (0x86, AuthFailed, False),
        (0x87, AuthFailed, False), (0x88, ConnectFailed, True), (0x89, ConnectFailed, True),
        (0x8A, AuthFailed, False), (0x97, ConnectFailed, True), (0x9F, ConnectFailed, True),
    ],
)  # fmt: skip
def test_a_refused_connection_says_whether_it_may_work_later(value, kind, retryable) -> None:
    error = reasons.refused(OPTIONS, _code(PacketTypes.CONNACK, value))
    assert (type(error), error.retryable) == (kind, retryable)
    assert "h:1883" in str(error)


@pytest.mark.parametrize(
    ("value", "kind", "word"),
    [
        (0x8E, ConnectFailed, "'me'"),
        (0x8B, ConnectFailed, "shutting down"),
        (0x87, AuthFailed, "Not"),
        (0x96, ConnectFailed, "fewer messages"),
        (0x97, ConnectFailed, "fewer messages"),
    ],
)
def test_a_connection_ended_by_the_broker_says_why(value, kind, word) -> None:
    error = reasons.ended(OPTIONS, _code(PacketTypes.DISCONNECT, value))
    assert type(error) is kind
    assert word in str(error)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0x80, RequestFailed),
        (0x87, RequestFailed),
        (0x90, DataError),
        (0x97, Busy),
        (0x99, DataError),
    ],
)
def test_a_refused_message_says_whether_it_is_the_messages_fault(value, kind) -> None:
    error = reasons.not_taken(OPTIONS, _code(PacketTypes.PUBACK, value))
    assert type(error) is kind
    assert ("fewer messages" in str(error)) is (kind is Busy)
