"""Configuration of MQTT: the connection, what to subscribe to, where to publish."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gl002.config.blocks import RetrySettings, TlsSettings
from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.retry import RetryPolicy
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.mqtt.jwt import JWTSettings
from gl002.transport.mqtt.options import Version
from gl002.wire.json_payload import TimeUnit
from gl002.wire.mqtt_payload import Decoder, tag_template
from gl002.wire.mqtt_topic import IS_POSITION, check_filter, check_name, inner_filter, level
from gl002.wire.sample_topic import topic_template
from gl002.wire.sparkplug_host import SparkplugDecoder
from gl002.wire.sparkplug_host import tag_template as sparkplug_tag
from gl002.wire.sparkplug_topic import EVERYTHING

PORT, TLS_PORT = 1883, 8883
_SCHEMES = {"": None, "mqtt": False, "tcp": False, "mqtts": True, "ssl": True, "tls": True}


def _switch(value: object) -> object:
    """`tls: true` is a block without keys."""
    return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


def _as_text(value: object) -> object:
    """`protocol: 5` is a number in YAML."""
    return value if isinstance(value, bool) else str(value)


def as_list(value: object) -> object:
    """One topic filter may stand without its list."""
    return [value] if isinstance(value, str) else value


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


class MQTTConfig(Settings):
    """A connection to a broker."""

    broker: str = Field(
        description="Host, 'host:port', or a URL: 'mqtt://host' is plain, 'mqtts://host' has TLS."
    )
    port: Port | None = Field(None, description="TCP port; 1883, or 8883 with TLS, where absent.")
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
        1, description="Quality of service of publishing. Subscriptions have 1 at most."
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
    sparkplug: SparkplugSettings | None = Field(
        None, description="Edge node or host application of Sparkplug B."
    )
    timeout: Seconds = Field(10.0, gt=0, description="Seconds one request may take.")
    retry_policy: RetrySettings = Field(
        RetrySettings(), description="How a request is tried again when the connection fails."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        scheme, endpoint = self._address()
        if endpoint.port and self.port and endpoint.port != self.port:
            raise ValueError(f"broker names port {endpoint.port}, port is {self.port}: keep one")
        if _SCHEMES[scheme] is False and self.tls is not None:
            raise ValueError(f"broker is '{scheme}://', which is plain, and there is a tls block")
        if self.password is not None and not self.username:
            raise ValueError("there is a password but no username")
        if self.jwt is not None and (self.password is not None or not self.client_id):
            raise ValueError("with jwt there is a client_id, the device's name, and no password")
        if self.clean_start is False and self.sparkplug is not None and self.sparkplug.node:
            raise ValueError("an edge node of Sparkplug starts clean: leave out clean_start")
        if self.clean_start is False and not self.client_id:
            raise ValueError("clean_start: false needs a client_id to be known by")
        return self

    def _address(self) -> tuple[str, Endpoint]:
        scheme, slashes, rest = self.broker.rpartition("://")
        if scheme in {"ws", "wss"}:
            raise ValueError("MQTT over WebSocket is not supported: give the TCP port")
        if scheme not in _SCHEMES or (slashes and not scheme):
            raise ValueError(f"'{scheme}://' is no address of a broker: 'mqtt://' or 'mqtts://'")
        if "@" in rest:
            raise ValueError("broker holds a user: write it as username and password")
        if "/" in rest.rstrip("/") or "?" in rest:
            raise ValueError("broker is a host, without a path")
        return scheme, Endpoint.of(rest.rstrip("/"), 0)

    @property
    def secure(self) -> TlsSettings | None:
        """TLS settings; None for a plain connection."""
        scheme, _ = self._address()
        return self.tls or (TlsSettings() if _SCHEMES[scheme] else None)

    @property
    def endpoint(self) -> Endpoint:
        """Host and port."""
        _, given = self._address()
        default = PORT if self.secure is None else TLS_PORT
        return Endpoint(given.host, given.port or self.port or default)

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


class MQTTInput(InputSettings):
    """An entry of `data_flow.input`: topics to subscribe to, and how their messages are read."""

    needs_topics: ClassVar = True
    """Whether there is nothing else to read but topics."""

    topics: Annotated[list[str], BeforeValidator(as_list)] = Field(
        default=[],
        description="Topic filters: 'boiler/+/data'; '$share/group/...' is shared. With format "
        "sparkplug all edge nodes where absent.",
    )
    qos: Literal[0, 1] = Field(
        1, description="1: acknowledged when stored. 0: may be lost. 2 would add nothing to 1."
    )
    format: Literal["json", "raw", "sparkplug"] = Field(
        "json",
        description="json: an object of values, or one value. raw: one value as text. sparkplug: "
        "births, data and deaths of Sparkplug B.",
    )
    tag: str | None = Field(
        None,
        description="Names of the tags: {1}, {2} is what the wildcards stand for, {key} the key "
        "in the object, {topic} the topic. Absent: wildcards and key, dots between. With format "
        "sparkplug: {group}, {node}, {device}, {key}; absent: node, device and metric.",
    )
    only_keys: list[str] | None = Field(None, description="Only these keys of the object.")
    time_key: str | None = Field(None, description="Key of the values' time. Absent: arrival.")
    time_unit: TimeUnit = Field(
        "iso", description="iso is text as ISO 8601; the others are numbers."
    )
    max_tags: int = Field(
        10_000, ge=1, le=100_000, description="Further tags are left out, counted and told of."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for pattern in self.topics:
            check_filter(pattern)
        if self.format == "sparkplug":
            return self._as_sparkplug()
        if self.needs_topics and not self.topics:
            raise ValueError("'topics' is missing: which topics are to be read?")
        template = tag_template(self.tag) if self.tag is not None else None
        fields = template.fields if template is not None else frozenset()
        if self.format == "raw" and ("key" in fields or self.only_keys or self.time_key):
            raise ValueError("format raw is one value: it has no keys")
        for pattern in self.topics:
            missing = [f for f in fields if IS_POSITION(f) and int(f) > _wildcards(pattern)]
            if missing:
                raise ValueError(
                    f"tag asks for {{{missing[0]}}}, and '{pattern}' has fewer wildcards"
                )
        return self

    def _as_sparkplug(self) -> Self:
        if self.only_keys or self.time_key:
            raise ValueError("format sparkplug: names and times stand in the payload")
        if self.tag is not None:
            sparkplug_tag(self.tag)
        return self

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self.topics) or (EVERYTHING,)

    def decoder(self) -> Decoder | SparkplugDecoder:
        """What reads the messages."""
        if self.format == "sparkplug":
            tag = sparkplug_tag(self.tag) if self.tag is not None else None
            return SparkplugDecoder(filters=self.filters, tag=tag, prefix=self.prefix)
        return Decoder(
            filters=tuple(self.topics),
            format=self.format,
            tag=tag_template(self.tag) if self.tag is not None else None,
            prefix=self.prefix,
            keys=frozenset(self.only_keys) if self.only_keys is not None else None,
            time_key=self.time_key,
            time_unit=self.time_unit,
        )


def _wildcards(pattern: str) -> int:
    """How many levels a filter's wildcards stand for; any number where it ends in '#'."""
    levels = inner_filter(pattern).split("/")
    return 99 if levels[-1] == "#" else levels.count("+")


class MQTTOutput(OutputSettings):
    """An entry of `data_flow.output`: where and how to publish."""

    format: Literal["json", "sparkplug"] = Field(
        "json",
        description="json: the samples as JSON. sparkplug: metrics of the connection's edge node.",
    )
    topic: str = Field(
        "",
        description="Topic. With {tag}, {path} (the tag, its dots as levels), {source} or "
        "{gateway}: a message for each sample; without: one for each batch.",
    )
    qos: Literal[0, 1] | None = Field(
        None, description="That of the connection where absent. 2 would add nothing to 1."
    )
    retain: bool | None = Field(None, description="That of the connection where absent.")
    max_payload: int = Field(
        131_072, ge=1024, le=16 * 1024 * 1024, description="Longest message, bytes."
    )

    @model_validator(mode="after")
    def _publishable(self) -> Self:
        if self.format == "sparkplug":
            if self.topic or self.qos or self.retain:
                raise ValueError("format sparkplug has its own topics, QoS 0, and retains nothing")
            return self
        if not self.topic:
            raise ValueError("'topic' is missing or empty: where is it to be published?")
        template = topic_template(self.topic)
        check_name(template.fill(dict.fromkeys(template.fields, "x")))
        return self
