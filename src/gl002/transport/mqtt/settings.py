"""Configuration of MQTT: the connection."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gl002.config.blocks import RetrySettings, TlsSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.retry import RetryPolicy
from gl002.security.secrets import Secret
from gl002.transport.mqtt.brokers import Broker, broker_of
from gl002.transport.mqtt.jwt import JWTSettings
from gl002.transport.mqtt.options import Version
from gl002.wire.mqtt_topic import Template, check_name, level


def _switch(value: object) -> object:
    """`tls: true` is a block without keys."""
    return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


def _as_text(value: object) -> object:
    """`protocol: 5` is a number in YAML."""
    return value if isinstance(value, bool) else str(value)


class SparkplugSettings(Settings):
    """What the connection is in a Sparkplug B infrastructure: an edge node, or a host."""

    group: str = Field("", description="Group id of the edge node.")
    node: str = Field(
        "", description="Edge node id: its outputs with format sparkplug speak as it."
    )
    primary_host: str = Field(
        "", description="Host application to wait for; while it is offline the store keeps all."
    )
    host: str = Field("", description="Host application id: says under it that we are online.")
    types_in_data: bool = Field(
        True,
        description="The type goes with each value, not only with the births: Eclipse Tahu's codec "
        "in JavaScript reads none without. The specification advises against it.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        for text in (self.group, self.node, self.primary_host, self.host):
            if text and level(text) != text:
                raise ValueError(f"'{text}' is no id: '/', '+', '#' have a meaning in topics")
        if bool(self.group) != bool(self.node):
            raise ValueError("an edge node has a 'group' and a 'node'")
        if bool(self.node) == bool(self.host):
            raise ValueError(
                "give either 'group' and 'node' or 'host': a connection has one will, so an edge "
                "node and a host are two connections"
            )
        if self.primary_host and not self.node:
            raise ValueError("'primary_host' is what an edge node waits for: give 'node'")
        return self


class WillSettings(Settings):
    """What the broker publishes for us when the connection ends without a goodbye."""

    topic: str = Field(min_length=1, description="Its topic; {gateway} is the gateway's name.")
    payload: Any = Field("offline", description="Text as it is; anything else as JSON.")
    online: Any = Field(
        None,
        description="Makes a status of it: published there on each connection, and the payload "
        "when we leave. Absent: the broker speaks alone.",
    )
    qos: Literal[0, 1, 2] = Field(1, description="Quality of service of both.")
    retain: bool = Field(True, description="The broker keeps the last of both.")

    @model_validator(mode="after")
    def _publishable(self) -> Self:
        check_name(self.topic_for("x"))
        return self

    def topic_for(self, gateway: str) -> str:
        """The topic of a gateway of this name."""
        template = Template(self.topic, {"gateway"}.__contains__, "{gateway}")
        return template.fill({"gateway": level(gateway)})


class MQTTConfig(Settings):
    """A connection to a broker."""

    broker: str | list[str] = Field(
        description="Host, 'host:port', or a URL: 'mqtt://host' is plain, 'mqtts://host' has TLS, "
        "'ws://host/path' and 'wss://host/path' are WebSockets. A list: the first that answers."
    )
    port: Port | None = Field(
        None,
        description="TCP port where broker names none; 1883, with TLS 8883, of a WebSocket 80 and "
        "443, where absent.",
    )
    username: str = Field("", description="User name.")
    password: Secret | None = Field(None, description="Its password.")
    jwt: JWTSettings | None = Field(
        None, description="Instead of a password: a token signed with the device's private key."
    )
    client_id: str = Field(
        "",
        description="Name at the broker, which closes the older of two connections with the same "
        "one. Absent: a random one; with an input, one that this gateway keeps.",
    )
    tls: Annotated[TlsSettings | None, BeforeValidator(_switch)] = Field(
        None, description="TLS; 'tls: true' trusts the authorities of the system."
    )
    qos: Literal[0, 1, 2] = Field(
        1, description="Quality of service, where a call, an input or an output names none."
    )
    retain: bool = Field(False, description="The broker keeps the last message of each topic.")
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(_as_text)] = Field(
        "auto", description="MQTT version; auto is 5, and 3.1.1 where the broker refuses that."
    )
    keepalive: int = Field(
        10,
        ge=1,
        le=65535,
        description="Seconds of silence before the broker is asked; after as many more it is lost.",
    )
    clean_start: bool | None = Field(
        None,
        description="false: the broker keeps our session while we are away, with the messages we "
        "miss. Absent: false with an input, else true.",
    )
    session_expiry: Seconds = Field(
        86400.0, le=0xFFFF_FFFE, description="How long it keeps the session (MQTT 5)."
    )
    receive_maximum: int = Field(
        500,
        ge=1,
        le=1000,
        description="Messages it may send before the first is acknowledged (MQTT 5).",
    )
    will: WillSettings | None = Field(
        None, description="What the broker publishes for us when the connection is lost."
    )
    sparkplug: SparkplugSettings | None = Field(
        None, description="Edge node or host application of Sparkplug B."
    )
    timeout: Seconds = Field(10.0, gt=0, description="Seconds one request may take.")
    retry_policy: RetrySettings = Field(
        RetrySettings(), description="How a request is tried again when the connection fails."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({broker.secure for broker in self.brokers}) > 1:
            raise ValueError("some brokers have TLS and some have not: a fault must not end it")
        if self.password is not None and not self.username:
            raise ValueError("there is a password but no username")
        if self.clean_start is False and self.sparkplug is not None:
            raise ValueError("Sparkplug starts clean: leave out clean_start")
        if self.will is not None and self.sparkplug is not None:
            raise ValueError("a connection has one will, and Sparkplug needs it: leave out 'will'")
        if self.jwt is not None and (self.password is not None or not self.client_id):
            raise ValueError("with jwt there is a client_id, the device's name, and no password")
        if self.clean_start is False and not self.client_id:
            raise ValueError("clean_start: false needs a client_id to be known by")
        return self

    @property
    def brokers(self) -> tuple[Broker, ...]:
        """The brokers in the order to try them; at least one."""
        named = [self.broker] if isinstance(self.broker, str) else self.broker
        if not named:
            raise ValueError("broker is an empty list: which one is to be connected to?")
        has_tls = self.tls is not None
        return tuple(broker_of(text, port=self.port, tls=has_tls) for text in named)

    @property
    def secure(self) -> TlsSettings | None:
        """TLS settings; None for a plain connection."""
        return self.tls or (TlsSettings() if self.brokers[0].secure else None)

    @property
    def versions(self) -> tuple[Version, ...]:
        """MQTT versions in the order to try them."""
        return ("5", "3.1.1") if self.protocol == "auto" else (self.protocol,)

    def request_timeout(self) -> float:
        """Seconds one request may take."""
        return self.timeout

    def retry(self) -> RetryPolicy:
        """How a request is tried again."""
        return self.retry_policy.policy()
